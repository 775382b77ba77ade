"""Readers of annotation tools' exports, public data sets, folders, films and DICOM, one file each."""
