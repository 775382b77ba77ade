"""What a de-identified import removed, in numbers: nothing of it can be read from these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FILE_NAME = "deidentification.json"
MUCH_LOST = 0.15
"""Frames that lose more than this share of their field of view are for a person to look at."""

POLYP_LOST = 0.005
"""A polyp's annotation usually overlaps the rim of the field of view by some pixels: that much is no reason to look."""


@dataclass(frozen=True)
class FrameFindings:
    """One frame, under its new name.

    blanked: share of the frame that is black now. field_lost: share of the field of view that was blanked.
    text_lines: found in the frame, inside the field and outside. doubtful_rows: inside the field, may be text, kept.
    metadata: kinds that the picture's file held. polyp_lost: share of the polyp annotation (mask, or boxes' area) that
    lies on blanked pixels; None where there is none, or it was not measured.
    """

    frame: str
    blanked: float
    field_lost: float
    text_lines: int
    text_inside: bool
    inset: bool
    second_picture: bool
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


@dataclass
class Findings:
    """Everything about an import. removed: how often something other than pixels was taken away, by what it was."""

    cohort: str
    insets: str
    key_fingerprint: str
    frames: list[FrameFindings] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    without_figures: int = 0
    """Frames that an interrupted import had completed."""

    def as_dict(self, version: str) -> dict[str, Any]:
        """Plain values for ``deidentification.json``."""
        return {
            "polypda": version,
            "cohort": self.cohort,
            "insets_and_text": self.insets,
            "key_fingerprint": self.key_fingerprint,
            "summary": self.summary(),
            "removed": dict(sorted(self.removed.items())),
            "frames": [_frame(frame) for frame in self.frames],
        }

    def summary(self) -> dict[str, Any]:
        """The figures over all frames; shares from 0 to 1."""
        lost = [frame.field_lost for frame in self.frames]
        return {
            "frames": len(self.frames),
            "frames_without_figures": self.without_figures,
            "frames_with_text": sum(frame.text_lines > 0 for frame in self.frames),
            "frames_with_text_in_the_field": sum(frame.text_inside for frame in self.frames),
            "frames_with_inset": sum(frame.inset for frame in self.frames),
            "frames_with_second_picture": sum(frame.second_picture for frame in self.frames),
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


def _frame(found: FrameFindings) -> dict[str, Any]:
    values = {name: getattr(found, name) for name in FrameFindings.__dataclass_fields__}
    shares = {name: _rounded(value) for name, value in values.items() if isinstance(value, float)}
    return {**values, **shares, "look_at": list(found.look_at)}


def _rounded(share: float | np.floating) -> float:
    return round(float(share), 5)


def in_order(frames: Sequence[FrameFindings]) -> list[FrameFindings]:
    """By name; a later row of a name replaces an earlier one."""
    return [frame for _, frame in sorted({frame.frame: frame for frame in frames}.items())]
