"""Readers of annotation tools' exports, public data sets, folders, videos and DICOM, one file each."""
