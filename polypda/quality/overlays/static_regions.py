"""What stays the same over many frames of one size: labels, bars and insets; mucosa never does."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SEARCH_LONGER_SIDE_PX = 480
LEAST_FRAMES = 12
STILL_SD = 9.0
"""A pixel whose standard deviation over the frames (0–255) is below this is still; compression alone makes 3 to 8."""
LEAST_LEVEL = 60
"""Still pixels darker than this (mean over the frames) are border, not overlay."""
LEAST_MOTION_SD = 18.0
"""When the median pixel of the lit frame varies less, the frames are alike and say nothing about overlays."""
MOST_FRACTION = 0.25
"""More still area than this share of the lit frame means the same."""


@dataclass(frozen=True)
class StaticRegions:
    """mask: bool H×W at the frames' size: still and lit. frames: how many were looked at.

    conclusive: False when there were too few frames, or they were too much alike; the mask is empty then.
    """

    mask: NDArray[np.bool_]
    frames: int
    conclusive: bool


class StillnessMap:
    """Running mean and variance of the frames of one size; holds two reduced planes, however many frames there are."""

    def __init__(self, height: int, width: int) -> None:
        self.shape = (height, width)
        scale = min(1.0, SEARCH_LONGER_SIDE_PX / max(height, width))
        self._size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._sum = np.zeros(self._size[::-1], np.float64)
        self._squares = np.zeros(self._size[::-1], np.float64)
        self.frames = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Take in a frame, uint8 H×W×3 RGB, of this map's size."""
        grey = cv2.cvtColor(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        self._sum += grey
        self._squares += np.square(grey, dtype=np.float64)
        self.frames += 1

    def regions(self) -> StaticRegions:
        """What was still in all frames so far."""
        nothing = StaticRegions(np.zeros(self.shape, bool), self.frames, False)
        if self.frames < LEAST_FRAMES:
            return nothing
        mean = self._sum / self.frames
        deviation = np.sqrt(np.maximum(0, self._squares / self.frames - np.square(mean)))
        lit = mean > LEAST_LEVEL
        still = lit & (deviation < STILL_SD)
        if (
            not lit.any()
            or float(np.median(deviation[lit])) < LEAST_MOTION_SD
            or still.sum() > MOST_FRACTION * lit.sum()
        ):
            return nothing
        square = np.ones((3, 3), np.uint8)
        wide = cv2.dilate(still.astype(np.uint8), square)
        full = cv2.resize(wide, self.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
        return StaticRegions(full, self.frames, True)
