"""What a DICOM object tells of a frame's patient, sequence and time, without names."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from polypda.importing.contract import Remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ENDOSCOPIC = ("ES", "XC", "GM", "OT", "SC", "")
"""Modalities that hold frames of endoscopes: endoscopy, camera, microscopy, other."""
DIGITS = 12


@dataclass(frozen=True)
class Pseudonyms:
    """Names for patients and sequences that nobody can trace back: the salt is drawn for each import and kept nowhere.

    So the same patient has the same name within an import, and another one in the next.
    raw: the object's own identifiers instead, for owners who ask for it.
    """

    raw: bool = False
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def of(self, kind: str, value: str | None) -> str | None:
        """The name for an identifier; None for none."""
        value = (value or "").strip()
        if not value or self.raw:
            return value or None
        digest = hashlib.blake2b(f"{kind}\n{value}".encode(), key=self.salt, digest_size=DIGITS // 2)
        return f"{kind}-{digest.hexdigest()}"


def patient_of(dataset: Dataset, pseudonyms: Pseudonyms) -> str | None:
    """By PatientID, else by name and birth date together, as far as they are told."""
    known = str(dataset.get("PatientID", "") or "")
    if not known.strip():
        known = f"{dataset.get('PatientName', '') or ''} {dataset.get('PatientBirthDate', '') or ''}"
    return pseudonyms.of("patient", known)


def sequence_of(dataset: Dataset, frames: int, pseudonyms: Pseudonyms) -> str | None:
    """A film is a sequence of its own; single frames are one sequence for each examination."""
    if frames > 1:
        return pseudonyms.of("film", str(dataset.get("SOPInstanceUID", "") or ""))
    return pseudonyms.of("study", str(dataset.get("StudyInstanceUID", "") or ""))


def frame_times_s(dataset: Dataset, frames: int) -> list[float] | None:
    """Seconds of each frame from the first, by the time vector, the frame time or the rate; None where none is told."""
    if frames < 2:
        return None
    vector = dataset.get("FrameTimeVector")
    if vector is not None and len(vector) == frames:
        steps = [float(step) / 1000 for step in vector]
        return list(accumulate([0.0, *steps[1:]]))
    step_ms = float(dataset.get("FrameTime", 0) or 0)
    if step_ms <= 0:
        rate = float(dataset.get("CineRate", 0) or dataset.get("RecommendedDisplayFrameRate", 0) or 0)
        step_ms = 1000 / rate if rate > 0 else 0.0
    return [index * step_ms / 1000 for index in range(frames)] if step_ms > 0 else None


def object_remarks(dataset: Dataset) -> tuple[Remark, ...]:
    """What a person should know of an object that is taken."""
    remarks = []
    modality = str(dataset.get("Modality", "") or "")
    if modality not in ENDOSCOPIC:
        remarks.append(Remark("W_DICOM_MODALITY", f"its modality is {modality}, which is no endoscope's."))
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        what = "says that text which tells the patient is burned into its pixels: import it with --deidentify."
        remarks.append(Remark("W_DICOM_BURNED_IN", what))
    aspect = dataset.get("PixelAspectRatio")
    if aspect is not None and len(aspect) == 2 and int(aspect[0]) != int(aspect[1]):
        what = f"says that its pixels are {aspect[1]}:{aspect[0]} (width:height); they are kept as they are."
        remarks.append(Remark("N_DICOM_PIXEL_ASPECT", what))
    return tuple(remarks)
