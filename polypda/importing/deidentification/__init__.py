"""Importing without what identifies a person: names, dates, metadata, text and insets in the picture.

Nothing of a source's file is copied: pixels are blanked and encoded anew, names become keyed hashes.
"""
