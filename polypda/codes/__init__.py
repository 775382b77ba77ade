"""Every code of an error, a warning or a note: what the source says of it, for `polypda explain` and docs/errors.md."""
