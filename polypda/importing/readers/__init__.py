"""Readers of annotation tools' exports and of public data sets' own formats, one file each."""
