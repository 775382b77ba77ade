"""What a check is given: the manifest, where the files lie, what was seen in each, and what lies over the frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.images import read_image
from polypda.cohorts.layouts import FoundFrames, Located
from polypda.cohorts.manifest import Manifest
from polypda.errors import DataError, LeakageError
from polypda.quality.checking.findings import FrameName
from polypda.quality.checking.observation import Observation
from polypda.quality.near_duplicates.pairs import PairSearch
from polypda.quality.overlays.burned_in_text import find_burned_in_text
from polypda.quality.overlays.scope_image import find_insets
from polypda.quality.overlays.static_regions import StillnessMap

FRAMES_PER_SIZE = 40
MOST_SIZES = 3
FEWEST_FRAMES = 5
MAP_LONGER_SIDE_PX = 320


@dataclass(frozen=True)
class OverlayMap:
    """What lies over the frames of one size. Maps are h×w, the longer side at most 320 px.

    size: width and height of the frames, px. frames: how many were looked at. text, inset: float32, share of these
    frames that show one there. still: bool, content that is the same in all. with_text, with_inset: frames.
    example: a frame to draw the map on.
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
    """Maps of the commonest sizes, each from evenly spread frames.

    These few frames are read a second time: which sizes are common is known only after the first look.
    """
    by_size: dict[tuple[int, int], list[Observation]] = defaultdict(list)
    for one in seen:
        if one.image_size is not None and one.problem is None:
            by_size[one.image_size].append(one)
    groups = sorted(by_size.items(), key=lambda item: -len(item[1]))[:MOST_SIZES]
    maps = (_map_of(size, group) for size, group in groups if len(group) >= FEWEST_FRAMES)
    return tuple(made for made in maps if made is not None)


def _map_of(size: tuple[int, int], group: Sequence[Observation]) -> OverlayMap | None:
    width, height = size
    scale = min(1.0, MAP_LONGER_SIDE_PX / max(size))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
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

    alike: pairs of positions in ``seen``. split_error: why the split cannot be used as it is. overlays: where text
    and insets lie.
    """

    manifest: Manifest
    located: Located
    found: FoundFrames
    opened: OpenedCohort
    seen: tuple[Observation, ...]
    alike: PairSearch = field(default_factory=lambda: PairSearch(()))
    split_error: LeakageError | None = None
    overlays: tuple[OverlayMap, ...] = ()


def names(seen: Iterable[Observation]) -> tuple[str, ...]:
    """The frames' ids."""
    return tuple(one.frame.frame for one in seen)


def name_of(frame: Frame) -> FrameName:
    """Cohort and frame."""
    return frame.cohort, frame.frame


def fraction_text(part: Sequence[object], whole: Sequence[object]) -> str:
    """``12 of 300 frames (4.0 %)``."""
    share = len(part) / len(whole) if whole else 0.0
    return f"{len(part)} of {len(whole)} frames ({share:.1%})"


def held_out_apart(one: Split | None, other: Split | None) -> bool:
    """Whether two frames lie in different parts of a split."""
    return one is not None and other is not None and one is not other
