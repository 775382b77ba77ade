"""Frames that show the same picture: fingerprints, the search for candidates, their confirmation."""
