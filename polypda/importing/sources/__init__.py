"""What is imported: a folder or an archive, read only, and nothing of it that escapes or explodes."""
