"""Small DICOM objects made by script, with a patient's identity in every place that has one."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

ENDOSCOPIC_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.1"
NAME, PATIENT, BORN, STUDY_DATE = "SCHMIDT^ANNA", "MRN-0815", "19610312", "20210507"
STUDY = "1.2.826.0.1.3680043.8.498.4711"


def header(sop_class: str = ENDOSCOPIC_IMAGE, syntax: str = ExplicitVRLittleEndian, **fields: object) -> FileDataset:
    """An object without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    made = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.PatientName, made.PatientID, made.PatientBirthDate = NAME, PATIENT, BORN
    made.StudyDate, made.StudyInstanceUID, made.Modality = STUDY_DATE, STUDY, "ES"
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def colour(frames: Sequence[np.ndarray], photometric: str = "RGB", planar: int = 0, **fields: object) -> FileDataset:
    """Uncompressed colour; frames: uint8 or uint16 H×W×3 as stored."""
    bits = 8 * frames[0].dtype.itemsize
    made = header(**fields)
    _describe(made, frames[0].shape, 3, photometric, bits, len(frames))
    made.PlanarConfiguration = planar
    stored = [np.moveaxis(frame, 2, 0) if planar else frame for frame in frames]
    made.PixelData = b"".join(np.ascontiguousarray(frame).tobytes() for frame in stored)
    return made


def grey(frame: np.ndarray, photometric: str = "MONOCHROME2", stored_bits: int | None = None, **fields) -> FileDataset:
    """Uncompressed grey; frame: uint8 or uint16 H×W."""
    made = header(**fields)
    bits = 8 * frame.dtype.itemsize
    _describe(made, frame.shape, 1, photometric, bits, 1)
    made.BitsStored = stored_bits or bits
    made.HighBit = made.BitsStored - 1
    made.PixelData = frame.tobytes()
    return made


def compressed(parts: Sequence[bytes], shape: tuple, syntax: str, photometric: str, **fields: object) -> FileDataset:
    """Encapsulated frames that are encoded already."""
    made = header(syntax=syntax, **fields)
    _describe(made, shape, shape[2] if len(shape) == 3 else 1, photometric, 8, len(parts))
    if len(shape) == 3:
        made.PlanarConfiguration = 0
    made.PixelData = encapsulate(list(parts))
    made["PixelData"].is_undefined_length = True
    return made


def jpeg_video(frames: Sequence[np.ndarray], **fields: object) -> FileDataset:
    """JPEG baseline as scopes' recorders write it: YBR_FULL_422."""
    parts = []
    for frame in frames:
        data = BytesIO()
        Image.fromarray(frame).save(data, "JPEG", quality=95, subsampling=1)
        parts.append(data.getvalue())
    return compressed(parts, frames[0].shape, JPEGBaseline8Bit, "YBR_FULL_422", **fields)


def save(made: FileDataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def _describe(made: FileDataset, shape: tuple, samples: int, photometric: str, bits: int, frames: int) -> None:
    made.Rows, made.Columns, made.SamplesPerPixel = shape[0], shape[1], samples
    made.PhotometricInterpretation, made.PixelRepresentation = photometric, 0
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit = bits - 1
    if frames > 1:
        made.NumberOfFrames = frames
