"""What the scope itself shows, the insets laid over it, and what stays the same over many frames of one size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import find_field_of_view
from polypda.cohorts.stored_pixels import brightest_channel
from polypda.quality.frame_figures import size_within

SEARCH_LONGER_SIDE_PX = 480
COOL_BY = 50
"""Green or blue exceeds red by this (0–255) in an inset's background; in mucosa only under blue dye."""
INSET_LEAST_FRACTION = 0.008
"""An inset covers at least this fraction of the frame…"""
LEAST_FILL = 0.72
"""…fills its rectangle to this fraction (drawings of the scope and letters are holes in it)…"""
MOST_GRADIENT = 5.0
"""…and is flat: the median step between neighbouring pixels (0–255) of dyed mucosa is far larger."""
CLOSED_FRACTION = 0.025
"""Gaps of up to this fraction of the longer side are closed first: an inset of two colours with lines is one inset."""
INSET_MARGIN_FRACTION = 0.006
"""Added around it, as a fraction of the frame's longer side: compression blurs its edge."""


def find_insets(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool H×W, True in the rectangles of insets. image: uint8 H×W×3, RGB."""
    height, width = image.shape[:2]
    size = size_within(image.shape, SEARCH_LONGER_SIDE_PX)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    cool = (cv2.subtract(cv2.max(small[..., 1], small[..., 2]), small[..., 0]) > COOL_BY).astype(np.uint8)
    side = max(3, round(CLOSED_FRACTION * max(size)))
    joined = cv2.morphologyEx(cool, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    mask = np.zeros((height, width), bool)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
    steps = _steps(small)
    margin = INSET_MARGIN_FRACTION * max(size)
    for number in range(1, count):
        left, top, box_width, box_height, area = (int(value) for value in stats[number])
        if area < INSET_LEAST_FRACTION * cool.size or area < LEAST_FILL * box_width * box_height:
            continue
        if float(np.median(steps[(labels == number) & (cool > 0)])) > MOST_GRADIENT:
            continue
        rows = _span(top - margin, top + box_height + margin, height / size[1])
        columns = _span(left - margin, left + box_width + margin, width / size[0])
        mask[rows, columns] = True
    return mask


def _steps(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest difference to the neighbours right and below, over the channels."""
    square = np.ones((2, 2), np.uint8)
    return np.asarray(cv2.morphologyEx(image, cv2.MORPH_GRADIENT, square), np.uint8).max(axis=2)


def _span(start: float, stop: float, factor: float) -> slice:
    return slice(max(0, int(np.floor(start * factor))), max(0, int(np.ceil(stop * factor))))


LIT_THRESHOLD, LEAST_ABOVE_BORDER = 22, 10
"""A pixel is lit when its brightest channel (0–255) exceeds the first, and the darkest corner's by the second."""
DIM, REDDER_BY = 70, 8
"""Dim pixels count only where red exceeds blue by this: bars and dim borders of a screen are grey or teal."""
OPENING_FRACTION = 0.035
"""Details narrower than this fraction of the shorter side (letters, lines, bars) are no part of the image."""
LEAST_FRACTION = 0.15
"""A smaller region is not believed to be the image."""
MARGIN_FRACTION = 0.003
"""The image is drawn in by this fraction of the shorter side: its blurred edge is border."""
SECOND_IMAGE_FRACTION = 0.01
"""Lit regions below this fraction of the frame count for nothing."""
INSIDE_FRACTION = 0.9
"""A region with this fraction inside the field of view belongs to it; any other is a second image (a still)."""


@dataclass(frozen=True)
class ScopeImage:
    """mask: bool H×W, True where the scope's image is; all False when it was not found.

    with_insets: the same, with what insets hide of it. others: bool H×W, further images outside it.
    """

    mask: NDArray[np.bool_]
    with_insets: NDArray[np.bool_]
    others: NDArray[np.bool_]

    @property
    def found(self) -> bool:
        return bool(self.mask.any())


def find_scope_image(image: NDArray[np.uint8], insets: NDArray[np.bool_]) -> ScopeImage:
    """The convex hull of the lit regions within the field of view; bars, letters and insets do not widen it.

    image: uint8 H×W×3, RGB. insets: bool H×W.
    """
    height, width = image.shape[:2]
    field = find_field_of_view(image)
    size = size_within(image.shape, SEARCH_LONGER_SIDE_PX)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    lit = _lit(small) & (cv2.resize(insets.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) == 0)
    side = max(3, round(OPENING_FRACTION * min(lit.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    solid = cv2.morphologyEx(lit.astype(np.uint8), cv2.MORPH_OPEN, disc)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    nothing = np.zeros((height, width), bool)
    if count < 2 or not field.found:
        return ScopeImage(nothing, nothing, nothing)
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= SECOND_IMAGE_FRACTION * lit.size]
    belongs = cv2.resize(field.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    inside = [number for number in large if float(np.mean(belongs[labels == number])) >= INSIDE_FRACTION]
    found = np.isin(labels, inside).astype(np.uint8)
    contours, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(np.concatenate(contours)).astype(np.float64) if contours else np.zeros((1, 1, 2))
    if cv2.contourArea(hull.astype(np.float32)) < LEAST_FRACTION * lit.size:
        return ScopeImage(nothing, nothing, nothing)
    factors = np.array([width / size[0], height / size[1]])
    filled = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(filled, np.rint((hull + 0.5) * factors - 0.5).astype(np.int32), 1)
    side = 2 * max(1, round(MARGIN_FRACTION * min(height, width))) + 1
    drawn_in = cv2.erode(filled, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    whole = drawn_in.astype(bool) & field.mask
    second = np.isin(labels, [number for number in large if number not in inside]).astype(np.uint8)
    others = cv2.resize(second, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
    return ScopeImage(whole & ~insets, whole, others & ~whole)


def _lit(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    blurred = np.asarray(cv2.blur(image, (3, 3)), np.uint8)
    brightness = brightest_channel(blurred)
    side = max(1, min(brightness.shape) // 16)
    ends = (slice(0, side), slice(-side, None))
    border = min(float(np.median(brightness[rows, columns])) for rows in ends for columns in ends)
    threshold = max(LIT_THRESHOLD, border + LEAST_ABOVE_BORDER if border < DIM else 0)
    red = blurred[..., 0].astype(np.int16) - blurred[..., 2]
    return (brightness > threshold) & ((brightness >= DIM) | (red >= REDDER_BY))


LEAST_FRAMES = 12
STILL_SD = 9.0
"""A pixel whose standard deviation over the frames (0–255) is below this is still; compression alone makes 3 to 8."""
LEAST_LEVEL = 60
"""Still pixels darker than this (mean over the frames) are border, not overlay."""
LEAST_MOTION_SD = 18.0
"""When the median pixel of the lit frame varies less, the frames are alike and say nothing about overlays."""
MOST_FRACTION = 0.25
"""More still area than this fraction of the lit frame means the same."""


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
        self._size = size_within(self.shape, SEARCH_LONGER_SIDE_PX)
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
