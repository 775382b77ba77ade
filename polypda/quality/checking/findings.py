"""What a check has to say: a code, how grave it is, which frames, and what a picture of it should show."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

FrameName = tuple[str, str]
"""Cohort and frame."""


class Severity(StrEnum):
    """error: the cohort must not be used as it is. warning: figures may mislead. note: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Drawing(StrEnum):
    """What is drawn on the pictures of a finding."""

    FRAME = "the frame"
    MASK = "its mask"
    DEFECTS = "holes and specks of its mask"
    OUTSIDE = "what of the mask lies outside the field of view"
    FIELD = "the field of view"
    GLARE = "over-exposed pixels"
    COMB = "its middle enlarged"
    PAIRS = "the two frames side by side"
    MAP = "the map"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Finding:
    """One thing about a cohort; ``frames`` are the frames it concerns (empty: the cohort as a whole).

    pairs: two (cohort, frame) each, where the finding is about pairs. leak: held-out figures would be too good.
    values: frame → a number in words, for the list. facts: further figures, plain values. maps: OverlayMap each.
    """

    code: str
    severity: Severity
    message: str
    frames: tuple[str, ...] = ()
    pairs: tuple[tuple[FrameName, FrameName], ...] = ()
    leak: bool = False
    drawing: Drawing = Drawing.NOTHING
    values: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    maps: tuple[Any, ...] = ()
