"""Where the scope looks: the lit region of a frame, without black border, insets and burned-in text."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.stored_pixels import brightest_channel

LIT_THRESHOLD = 22
"""A pixel is lit when its brightest channel, blurred, exceeds this (0–255)…"""
LEAST_ABOVE_BORDER = 14
"""…and the border by this much: some recordings have a border of dark grey, not black."""
DARKEST_MUCOSA_IN_CORNER = 40
"""Corners brighter than this are mucosa (a rectangular field of view), not border."""
INSET_GREEN = 60
"""Green and blue exceeding red by this (0–255) is a position monitor's inset, no mucosa."""
OPENING_FRACTION = 0.02
"""Details narrower than this fraction of the frame's shorter side (text, thin lines) are no part of the field."""
BLUR_PX = 3
LEAST_FRACTION = 0.2
"""A lit region below this fraction of the frame is not believed to be the field of view: the whole frame is taken."""
SEARCH_LONGER_SIDE_PX = 480
"""The region is found on a reduced frame: its outline is smooth, and an eighth of the pixels says the same."""
RULE: dict[str, str | int | float] = {
    "name": "hull of the largest lit region",
    "version": 1,
    "lit_threshold": LIT_THRESHOLD,
    "least_above_border": LEAST_ABOVE_BORDER,
    "darkest_mucosa_in_corner": DARKEST_MUCOSA_IN_CORNER,
    "inset_green": INSET_GREEN,
    "opening_share": OPENING_FRACTION,
    "blur_px": BLUR_PX,
    "least_share": LEAST_FRACTION,
    "search_longer_side_px": SEARCH_LONGER_SIDE_PX,
}
"""What decides a field of view; a model says by which rule its training frames were cropped. A change of what
:func:`find_field_of_view` does is another version."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True)
class FieldOfView:
    """mask: bool H×W, True inside. box: its bounding box. found: False when the whole frame had to be taken."""

    mask: NDArray[np.bool_]
    box: Box
    found: bool

    @property
    def area_px(self) -> int:
        return int(np.count_nonzero(self.mask))


def find_field_of_view(image: NDArray[np.uint8]) -> FieldOfView:
    """Find the field of view of an RGB frame: the convex hull of its largest lit region.

    The hull (every scope's mask is convex: rectangle, octagon, circle) keeps the dark lumen at the rim inside.

    Args:
        image: uint8 H×W×3, RGB.
    """
    height, width = image.shape[:2]
    scale = min(1.0, SEARCH_LONGER_SIDE_PX / max(height, width))
    small_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = image if scale == 1.0 else np.asarray(cv2.resize(image, small_size, interpolation=cv2.INTER_AREA), np.uint8)
    lit = _lit(small)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=4)
    if count < 2:
        return _whole_frame(height, width)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    contours, _ = cv2.findContours((labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(np.concatenate(contours)).astype(np.float64)
    if cv2.contourArea(hull.astype(np.float32)) < LEAST_FRACTION * lit.size:
        return _whole_frame(height, width)
    # Pixel centres: (x + ½)·W/w − ½ carries a centre of the reduced frame to the full one.
    factors = np.array([width / small_size[0], height / small_size[1]])
    corners = np.rint((hull + 0.5) * factors - 0.5).astype(np.int32)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, corners, 1)
    left, top, box_width, box_height = cv2.boundingRect(mask)
    return FieldOfView(mask.astype(bool), Box(left, top, left + box_width, top + box_height), found=True)


def _lit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 H×W, 1 where the scope lights something up; text, thin lines and green insets are left out."""
    brightness = np.asarray(cv2.blur(brightest_channel(image), (BLUR_PX, BLUR_PX)), np.uint8)
    inset = cv2.subtract(cv2.min(image[..., 1], image[..., 2]), image[..., 0]) > INSET_GREEN
    lit = ((brightness > _threshold(brightness)) & ~inset).astype(np.uint8)
    side = max(3, round(OPENING_FRACTION * min(lit.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.morphologyEx(lit, cv2.MORPH_OPEN, disc), np.uint8)


def _threshold(brightness: NDArray[np.uint8]) -> float:
    side = max(1, min(brightness.shape) // 16)
    ends = (slice(0, side), slice(-side, None))
    border = min(float(np.median(brightness[rows, columns])) for rows in ends for columns in ends)
    return max(LIT_THRESHOLD, border + LEAST_ABOVE_BORDER) if border <= DARKEST_MUCOSA_IN_CORNER else LIT_THRESHOLD


def _whole_frame(height: int, width: int) -> FieldOfView:
    return FieldOfView(np.ones((height, width), bool), Box(0, 0, width, height), found=False)
