"""Importing without what identifies a person: names, dates, metadata, text and insets in the image."""
