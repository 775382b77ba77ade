"""What a de-identified import removed, in numbers: nothing of it can be read from these.

Beside it, what decides it: kinds of metadata, and the words of a source that may stay; others could be names.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FILE_NAME = "deidentification.json"
MUCH_LOST = 0.15
"""Frames that lose more than this fraction of their field of view are for a person to look at."""
POLYP_LOST = 0.005
"""A polyp's annotation usually overlaps the rim of the field of view by some pixels: that much is no reason to look."""


@dataclass(frozen=True)
class FrameFindings:
    """One frame, under its new name.

    blanked: fraction of the frame that is black now. field_lost: of the field of view. text_lines: found inside the
    field and outside. doubtful_rows: inside the field, may be text, kept. metadata: kinds that the image's file held.
    polyp_lost: fraction of the polyp annotation (mask, or boxes' area) that lies on blanked pixels; None where there is
    none, or it was not measured.
    """

    frame: str
    blanked: float
    field_lost: float
    text_lines: int
    text_inside: bool
    inset: bool
    second_image: bool
    field_found: bool
    doubtful_rows: int
    metadata: tuple[str, ...] = ()
    polyp_lost: float | None = None

    @property
    def look_at(self) -> tuple[str, ...]:
        """Why a person should look at this frame; empty when nobody need."""
        reasons = {
            "no field of view was found": not self.field_found,
            "some rows may be text": self.doubtful_rows > 0,
            f"more than {MUCH_LOST:.0%} of the field of view is blank": self.field_lost > MUCH_LOST,
            "part of the polyp's annotation is blank": (self.polyp_lost or 0) > POLYP_LOST,
        }
        return tuple(reason for reason, holds in reasons.items() if holds)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fractions rounded."""
        values = {name: _rounded(value) if isinstance(value, float) else value for name, value in vars(self).items()}
        return {**values, "look_at": list(self.look_at)}


@dataclass
class Findings:
    """Everything about an import. removed: how often something other than pixels was taken away, by what it was.

    without_figures: frames that an interrupted import had completed.
    """

    cohort: str
    insets: str
    key_fingerprint: str
    frames: list[FrameFindings] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    without_figures: int = 0

    def as_dict(self, version: str) -> dict[str, Any]:
        """Plain values for ``deidentification.json``."""
        return {
            "polypda": version,
            "cohort": self.cohort,
            "insets_and_text": self.insets,
            "key_fingerprint": self.key_fingerprint,
            "summary": self.summary(),
            "removed": dict(sorted(self.removed.items())),
            "frames": [frame.as_dict() for frame in self.frames],
        }

    def summary(self) -> dict[str, Any]:
        """The figures over all frames; fractions from 0 to 1."""
        lost = [frame.field_lost for frame in self.frames]
        return {
            "frames": len(self.frames),
            "frames_without_figures": self.without_figures,
            "frames_with_text": sum(frame.text_lines > 0 for frame in self.frames),
            "frames_with_text_in_the_field": sum(frame.text_inside for frame in self.frames),
            "frames_with_inset": sum(frame.inset for frame in self.frames),
            "frames_with_second_picture": sum(frame.second_image for frame in self.frames),
            "frames_without_field_of_view": sum(not frame.field_found for frame in self.frames),
            "frames_whose_polyp_is_partly_blank": sum(bool(frame.polyp_lost) for frame in self.frames),
            "frames_to_look_at": len(self.to_look_at()),
            "frames_whose_file_held_metadata": sum(bool(frame.metadata) for frame in self.frames),
            "share_blanked_median": _rounded(np.median([frame.blanked for frame in self.frames])) if lost else None,
            "field_lost_median": _rounded(np.median(lost)) if lost else None,
            "field_lost_most": _rounded(max(lost)) if lost else None,
        }

    def to_look_at(self) -> list[FrameFindings]:
        """The frames that a person should look at, those first that lost most."""
        return sorted((frame for frame in self.frames if frame.look_at), key=lambda frame: -frame.field_lost)


def former_frames(content: dict[str, Any]) -> list[FrameFindings]:
    """The frames of an earlier report, for a cohort that is added to."""
    names = set(FrameFindings.__dataclass_fields__)
    rows = [{name: value for name, value in row.items() if name in names} for row in content["frames"]]
    return [FrameFindings(**{**row, "metadata": tuple(row["metadata"])}) for row in rows]


def _rounded(fraction: float | np.floating) -> float:
    return round(float(fraction), 5)


def in_order(frames: Sequence[FrameFindings]) -> list[FrameFindings]:
    """By name; a later row of a name replaces an earlier one."""
    return [frame for _, frame in sorted({frame.frame: frame for frame in frames}.items())]


_SEGMENTS = (
    (0xE1, b"Exif\x00", "EXIF"),
    (0xE1, b"http://ns.adobe.com/xap/", "XMP"),
    (0xE1, b"http://ns.adobe.com/xmp/", "XMP"),
    (0xED, b"Photoshop", "IPTC"),
    (0xE2, b"ICC_PROFILE", "colour profile"),
    (0xFE, b"", "comment"),
)
_CHUNKS = {
    b"eXIf": "EXIF",
    b"tIME": "date",
    b"iCCP": "colour profile",
    **dict.fromkeys((b"tEXt", b"zTXt", b"iTXt"), "text"),
}
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


def metadata_kinds(encoded: bytes | None) -> tuple[str, ...]:
    """Kinds of metadata in a JPEG or PNG file, in alphabetical order; none for other formats."""
    if encoded is None:
        return ()
    if encoded.startswith(_JPEG):
        return tuple(sorted(set(_in_jpeg(encoded))))
    return tuple(sorted(set(_in_png(encoded)))) if encoded.startswith(_PNG) else ()


def _in_jpeg(data: bytes) -> Iterator[str]:
    index = 2
    while index + 4 <= len(data) and data[index] == 0xFF and data[index + 1] != 0xDA:
        marker, length = data[index + 1], int.from_bytes(data[index + 2 : index + 4], "big")
        content = data[index + 4 : index + 2 + length]
        named = [kind for code, start, kind in _SEGMENTS if marker == code and content.startswith(start)]
        if named:
            yield named[0]
        elif 0xE1 <= marker <= 0xEF:
            yield "other application data"
        index += 2 + length
    end = data.rfind(b"\xff\xd9")
    if end >= 0 and data[end + 2 :].strip(b"\x00"):
        yield "bytes after the picture"


def _in_png(data: bytes) -> Iterator[str]:
    index = len(_PNG)
    while index + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, index)
        if name in _CHUNKS:
            yield _CHUNKS[name]
        index += 12 + length
        if name == b"IEND":
            break
    if data[index:]:
        yield "bytes after the picture"


_LESION_WORDS = (
    "polyp polyps lesion lesions adenoma adenomas adenomatous tubular tubulovillous villous hyperplastic hyperplasia "
    "serrated sessile pedunculated subpedunculated flat depressed traditional neoplastic neoplasm neoplasia non "
    "carcinoma adenocarcinoma cancer malignant benign tumour tumor inflammatory invasive superficial deep unknown "
    "other high low grade dysplasia ssl ssa ssap tsa lst hp ad ip isp is iia iib iic paris nice jnet type "
    "息肉 腺瘤 病变 病灶 肿瘤 增生 增生性 锯齿状 癌"
)
LESIONS = frozenset(_LESION_WORDS.split())
NUMBER = re.compile(r"[0-9]{1,2}[ab]?")


def lesion_label(label: str) -> str | None:
    """A box's label where every word of it is known to name a lesion (or is a class number); else None."""
    words = [word for word in re.split(r"[\W_]+", label.casefold()) if word]
    known = all(word in LESIONS or NUMBER.fullmatch(word) for word in words)
    return label if words and known else None
