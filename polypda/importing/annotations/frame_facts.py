"""What a tool's free fields tell of a frame: its patient, sequence, imaging mode and split.

Tools have no field for these, but let people name their own (CVAT attributes, Label Studio's task data, LabelMe flags,
extra keys of COCO images). The names that are understood are listed here; every other field is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from polypda.cohorts.frames import Split
from polypda.importing.annotations.json_values import text
from polypda.importing.folders.folder_words import meaning_of
from polypda.importing.folders.patient_names import PatientRule

_PATIENT = ("patient", "patient_id", "patientid", "case", "case_id")
_SEQUENCE = ("sequence", "sequence_id", "video", "video_id", "video_name", "clip")
_MODE = ("mode", "modality", "imaging", "imaging_mode", "light")
_SPLIT = ("split", "subset", "partition")
_SPLITS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}
_MODES = (
    ("NBI", r"nbi|narrow[ -]?band( imaging)?"),
    ("WL", r"wl|wli|white[ -]?light( imaging| endoscopy)?|wle"),
    ("FICE", r"fice"),
    ("BLI", r"bli|blue[ -]?(light|laser) imaging"),
    ("LCI", r"lci|linked[ -]?colou?r imaging"),
    ("i-SCAN", r"i-?scan"),
)


@dataclass(frozen=True)
class FrameFacts:
    """As the fields of an imported frame of the same names."""

    patient_by: str | None = field(default=None, kw_only=True)
    patient: str | None = None
    sequence: str | None = None
    mode: str | None = None
    split: Split | None = None


def facts_in(fields: Mapping[str, object]) -> FrameFacts:
    """The facts among free fields; upper and lower case, spaces and hyphens in a field's name do not matter."""
    plain = {re.sub(r"[\s-]+", "_", name.casefold()): text(value) for name, value in fields.items()}
    return FrameFacts(
        _first(plain, _PATIENT), _first(plain, _SEQUENCE), imaging_mode(_first(plain, _MODE) or ""), _split(plain)
    )


def facts_of(told: FrameFacts, image: str) -> FrameFacts:
    """What is told of a frame; the rest is taken from the folders that the image lies in (``train/患者1``)."""
    lies = meaning_of(PurePosixPath(image).parts[:-1])
    patient, clip, by = (told.patient, None, None) if told.patient else PatientRule().of(image)
    return FrameFacts(
        patient,
        told.sequence or lies.sequence or clip,
        told.mode or lies.mode,
        told.split or lies.split,
        patient_by=by,
    )


def imaging_mode(name: str) -> str | None:
    """WL, NBI, FICE, BLI, LCI or i-SCAN for the names in use; None for any other."""
    plain = re.sub(r"[\s_]+", " ", name.casefold()).strip()
    for mode, pattern in _MODES:
        if re.fullmatch(pattern, plain):
            return mode
    return None


def split_named(name: str) -> Split | None:
    """The split that a word such as ``train``, ``val`` or ``testing`` names."""
    return _SPLITS.get(name.casefold())


def mode_of_path(parts: Iterable[str]) -> str | None:
    """The imaging mode that the last folder names which names one (``NBI``, ``polyps_WL``…)."""
    for part in reversed(list(parts)):
        for word in [part, *re.split(r"[\s_-]+", part)]:
            mode = imaging_mode(word)
            if mode:
                return mode
    return None


def _first(fields: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((fields[name] for name in names if fields.get(name)), None)


def _split(fields: Mapping[str, str]) -> Split | None:
    return split_named(_first(fields, _SPLIT) or "")
