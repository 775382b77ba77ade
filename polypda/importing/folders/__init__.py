"""Folders of frames: which mask belongs to which image, and what names and tables tell of patients."""
