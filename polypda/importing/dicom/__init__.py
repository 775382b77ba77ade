"""DICOM objects: pixels and times, with pseudonyms for names."""
