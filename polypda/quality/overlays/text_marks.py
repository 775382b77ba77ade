"""Marks that could be letters: small, sharp, lighter than what is around them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_LETTER_SHARE, MOST_LETTER_SHARE = 0.010, 0.055
"""Heights of letters as shares of the frame's height: processors write between 1 and 5 %."""
LEAST_LETTER_PX = 4
WIDEST_IN_HEIGHTS = 14
"""A mark may be a whole word whose letters run into each other."""
LEAST_FILL = 0.12
"""Strokes fill at least this share of their box."""
SURROUNDINGS_SHARE = 0.028
"""What is narrower than this share of the frame's height stands out from its surroundings."""
MOST_MARKS = 2000
"""A frame of foam or noise has thousands of specks: the strongest are enough to find lines among them."""


@dataclass(frozen=True)
class Marks:
    """Marks of one frame; every array has a row per mark.

    left, top, right, bottom: px, right and bottom exclusive. area: px.
    tint: how far its mean colour is from grey (largest minus smallest channel, 0–255).
    """

    left: NDArray[np.float32]
    top: NDArray[np.float32]
    right: NDArray[np.float32]
    bottom: NDArray[np.float32]
    area: NDArray[np.float32]
    tint: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.left)

    @property
    def width(self) -> NDArray[np.float32]:
        return self.right - self.left

    @property
    def height(self) -> NDArray[np.float32]:
        return self.bottom - self.top


def contrast_to_surroundings(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How much lighter each pixel is than what lies around it, where that is narrow; uint8 H×W.

    Green and blue only: mucosa is red, so that letters of white, green, yellow or blue stand out in these.
    image: uint8 H×W×3, RGB.
    """
    side = max(7, round(SURROUNDINGS_SHARE * image.shape[0]) | 1)
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    lifted = cv2.morphologyEx(np.ascontiguousarray(image[..., 1:]), cv2.MORPH_TOPHAT, square)
    return np.maximum(lifted[..., 0], lifted[..., 1]).astype(np.uint8, copy=False)


def find_marks(image: NDArray[np.uint8], contrast: NDArray[np.uint8], threshold: float) -> Marks:
    """The connected regions above a contrast whose size could be a letter's, or a word's."""
    height_px = image.shape[0]
    above = (contrast > threshold).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    width, height, area = (
        stats[:, column].astype(np.float32) for column in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA)
    )
    least = max(LEAST_LETTER_PX, LEAST_LETTER_SHARE * height_px)
    most = max(12.0, MOST_LETTER_SHARE * height_px)
    fits = (height >= least) & (height <= most) & (width <= WIDEST_IN_HEIGHTS * height) & (width >= 0.1 * height)
    fits &= area >= LEAST_FILL * width * height
    fits[0] = False  # the background
    chosen = np.flatnonzero(fits)
    chosen = chosen[np.argsort(-area[chosen], kind="stable")][:MOST_MARKS]
    where = np.flatnonzero(above)
    owner = labels.ravel()[where]
    colours = image.reshape(-1, 3)[where].astype(np.float32)
    sums = np.stack([np.bincount(owner, colours[:, channel], len(stats)) for channel in range(3)], axis=1)
    mean = (sums[chosen] / area[chosen, None]).astype(np.float32)
    left, top = stats[chosen, cv2.CC_STAT_LEFT].astype(np.float32), stats[chosen, cv2.CC_STAT_TOP].astype(np.float32)
    return Marks(left, top, left + width[chosen], top + height[chosen], area[chosen], mean.max(1) - mean.min(1))
