"""What a check is given (manifest, files, what was seen in each, overlays) and what it has to say: findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.images import read_image
from polypda.cohorts.layouts import FoundFrames, Located
from polypda.cohorts.manifest import Manifest
from polypda.errors import DataError, LeakageError
from polypda.quality.burned_in_text import find_burned_in_text
from polypda.quality.checking.observation import Observation
from polypda.quality.frame_figures import size_within
from polypda.quality.near_duplicates import PairSearch
from polypda.quality.scope_image import StillnessMap, find_insets

FrameName = tuple[str, str]
"""Cohort and frame."""


class Severity(StrEnum):
    """error: the cohort must not be used as it is. warning: figures may mislead. note: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Drawing(StrEnum):
    """What is drawn on the images of a finding."""

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

    code: begins with E_, W_ or N_, by its severity. pairs: two (cohort, frame) each, where the finding is about pairs.
    leak: held-out figures would be too good. values: frame → a number in words. facts: further figures, plain values.
    """

    code: str
    message: str
    frames: tuple[str, ...] = ()
    pairs: tuple[tuple[FrameName, FrameName], ...] = ()
    leak: bool = False
    drawing: Drawing = Drawing.NOTHING
    values: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    maps: tuple[OverlayMap, ...] = ()

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return {"E": Severity.ERROR, "W": Severity.WARNING, "N": Severity.NOTE}[self.code[0]]

    @classmethod
    def about(
        cls,
        code: str,
        message: str,
        seen: Iterable[Observation],
        drawing: Drawing = Drawing.NOTHING,
        values: Iterable[str] = (),
        **facts: Any,
    ) -> Finding:
        """A finding about frames; values: one for each, or none."""
        frames = tuple(one.frame.frame for one in seen)
        return cls(code, message, frames, drawing=drawing, values=dict(zip(frames, values, strict=False)), facts=facts)


FRAMES_PER_SIZE = 40
MOST_SIZES = 3
FEWEST_FRAMES = 5
MAP_LONGER_SIDE_PX = 320


@dataclass(frozen=True)
class OverlayMap:
    """What lies over the frames of one size. Maps are h×w, the longer side at most 320 px.

    size: width and height of the frames, px. frames: how many were looked at. text, inset: float32, fraction of these
    frames that show one there. still: bool, content that is the same in all. example: a frame to draw the map on.
    """

    size: tuple[int, int]
    frames: int
    text: NDArray[np.float32]
    inset: NDArray[np.float32]
    still: NDArray[np.bool_]
    with_text: tuple[FrameName, ...]
    with_inset: tuple[FrameName, ...]
    example: FrameName

    @property
    def still_share(self) -> float:
        return float(self.still.mean())


def overlay_maps(seen: Sequence[Observation]) -> tuple[OverlayMap, ...]:
    """Maps of the commonest sizes, each from evenly spread frames, which are read a second time for it."""
    by_size: dict[tuple[int, int], list[Observation]] = defaultdict(list)
    for one in seen:
        if one.image_size is not None and one.problem is None:
            by_size[one.image_size].append(one)
    groups = sorted(by_size.items(), key=lambda item: -len(item[1]))[:MOST_SIZES]
    maps = (_map_of(size, group) for size, group in groups if len(group) >= FEWEST_FRAMES)
    return tuple(made for made in maps if made is not None)


def _map_of(size: tuple[int, int], group: Sequence[Observation]) -> OverlayMap | None:
    width, height = size
    small = size_within((height, width), MAP_LONGER_SIDE_PX)
    text, inset = np.zeros(small[::-1], np.float32), np.zeros(small[::-1], np.float32)
    stillness, names = StillnessMap(height, width), []
    with_text: list[FrameName] = []
    with_inset: list[FrameName] = []
    for index in np.unique(np.linspace(0, len(group) - 1, FRAMES_PER_SIZE).astype(int)):
        frame = group[index].frame
        try:
            image = read_image(frame.image)
        except DataError:  # gone since the first look
            continue
        name = (frame.cohort, frame.frame)
        names.append(name)
        stillness.add(image)
        for mask, total, having in (
            (find_burned_in_text(image).mask, text, with_text),
            (find_insets(image), inset, with_inset),
        ):
            if mask.any():
                total += cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA)
                having.append(name)
    if len(names) < FEWEST_FRAMES:
        return None
    still = cv2.resize(stillness.regions().mask.astype(np.uint8), small, interpolation=cv2.INTER_AREA) > 0
    text /= len(names)
    inset /= len(names)
    example = (with_text or with_inset or names)[0]
    return OverlayMap(size, len(names), text, inset, still, tuple(with_text), tuple(with_inset), example)


@dataclass(frozen=True)
class CohortView:
    """A cohort after the look at its files.

    alike: pairs of indices in ``seen``. split_error: why the split cannot be used as it is.
    """

    manifest: Manifest
    located: Located
    found: FoundFrames
    opened: OpenedCohort
    seen: tuple[Observation, ...]
    alike: PairSearch = field(default_factory=lambda: PairSearch(()))
    split_error: LeakageError | None = None
    overlays: tuple[OverlayMap, ...] = ()


def name_of(frame: Frame) -> FrameName:
    """Cohort and frame."""
    return frame.cohort, frame.frame


def fraction_text(part: Sequence[object], whole: Sequence[object]) -> str:
    """``12 of 300 frames (4.0 %)``."""
    return f"{len(part)} of {len(whole)} frames ({len(part) / len(whole) if whole else 0.0:.1%})"


def held_out_apart(one: Split | None, other: Split | None) -> bool:
    """Whether two frames lie in different parts of a split."""
    return one is not None and other is not None and one is not other
