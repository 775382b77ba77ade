"""Lines of text: marks that could be letters, of one height, side by side on one base line."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

LEAST_LETTER_FRACTION, MOST_LETTER_FRACTION = 0.010, 0.055
"""Heights of letters as fractions of the frame's height: processors write between 1 and 5 %."""
LEAST_LETTER_PX = 4
WIDEST_IN_HEIGHTS = 14
"""A mark may be a whole word whose letters run into each other."""
LEAST_FILL = 0.12
"""Strokes fill at least this fraction of their box."""
SURROUNDINGS_FRACTION = 0.028
"""What is narrower than this fraction of the frame's height stands out from its surroundings."""
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
    side = max(7, round(SURROUNDINGS_FRACTION * image.shape[0]) | 1)
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
    least = max(LEAST_LETTER_PX, LEAST_LETTER_FRACTION * height_px)
    most = max(12.0, MOST_LETTER_FRACTION * height_px)
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


MOST_HEIGHT_RATIO = 1 / 0.7
"""Letters of a line differ in height by at most this."""
MOST_GAP = 1.3
"""Letters of a line are at most this many letter heights apart."""
UNEVENNESS = 0.18
"""Tops and bottoms of neighbours agree to this fraction of the height, or to a pixel and a half."""
SMALL_LETTER = 0.58
"""Small letters (o, n, e) have at least this fraction of a capital's height."""
LETTER_WIDTH = 0.7
"""Width of a letter as a fraction of its height, to count the letters of a mark that holds several."""


@dataclass(frozen=True)
class TextLine:
    """A row of marks that looks like text.

    left, top, right, bottom: px, right and bottom exclusive. letters: about how many. marks: how many regions.
    unevenness: mean distance of tops and bottoms from the line's, over its height. tint: mean over the marks.
    """

    left: float
    top: float
    right: float
    bottom: float
    letters: int
    marks: int
    unevenness: float
    tint: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left

    def scaled(self, factor: float) -> TextLine:
        """The same line in a frame that is larger by a factor."""
        return replace(self, **{side: factor * getattr(self, side) for side in ("left", "top", "right", "bottom")})


def group_into_lines(marks: Marks, *, small_letters: bool = False) -> list[TextLine]:
    """Every row of at least two letters; how much a row looks like text is for the caller to judge.

    small_letters: marks need a common base line only, as capitals and small letters have it. By default they need a
    common top as well, as digits and capitals have it: glints seldom agree in both.
    """
    if not len(marks):
        return []
    one, other = _neighbours(marks, small_letters)
    links = csr_array((np.ones(len(one), bool), (one, other)), shape=(len(marks), len(marks)))
    _, line_of = connected_components(links, directed=False)
    return _lines(marks, line_of, small_letters)


def _neighbours(marks: Marks, small_letters: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of marks that stand side by side on one base line."""
    # only marks with nearly the same bottom can be a pair: sorted by it, they stand within a short window
    order = np.argsort(marks.bottom, kind="stable")
    bottom = marks.bottom[order]
    reach = np.maximum(1.5, UNEVENNESS * marks.height[order])
    many = np.searchsorted(bottom, bottom + reach, side="right") - np.arange(len(order)) - 1
    starts = np.repeat(np.cumsum(many) - many, many)
    first = np.repeat(np.arange(len(order)), many)
    one, other = order[first], order[first + 1 + np.arange(len(first)) - starts]
    height = marks.height
    lower, higher = np.minimum(height[one], height[other]), np.maximum(height[one], height[other])
    tolerance = np.maximum(1.5, UNEVENNESS * lower)
    gap = np.maximum(marks.left[one], marks.left[other]) - np.minimum(marks.right[one], marks.right[other])
    beside = (gap <= MOST_GAP * lower) & (gap >= -0.4 * lower)
    beside &= np.abs(marks.bottom[one] - marks.bottom[other]) <= tolerance
    if small_letters:
        beside &= lower >= SMALL_LETTER * higher
    else:
        beside &= (higher <= MOST_HEIGHT_RATIO * lower) & (np.abs(marks.top[one] - marks.top[other]) <= tolerance)
    return one[beside], other[beside]


def _lines(marks: Marks, line_of: NDArray[np.int32], small_letters: bool) -> list[TextLine]:
    order = np.argsort(line_of, kind="stable")
    line_of = line_of[order]
    starts = np.flatnonzero(np.diff(line_of, prepend=-1))
    count = np.diff(starts, append=len(order))

    def total(values: NDArray) -> NDArray:
        return np.add.reduceat(values[order], starts)

    def mean(values: NDArray) -> NDArray:
        return total(values) / count

    top = np.minimum.reduceat(marks.top[order], starts) if small_letters else mean(marks.top)
    bottom = mean(marks.bottom)
    height = np.maximum(1.0, bottom - top)
    letters = total(np.maximum(1, np.round(marks.width / (LETTER_WIDTH * _spread(height, line_of, order)))))
    off = mean(np.abs(marks.bottom - _spread(bottom, line_of, order)))
    if not small_letters:
        off = np.maximum(off, mean(np.abs(marks.top - _spread(top, line_of, order))))
    columns = (
        np.minimum.reduceat(marks.left[order], starts),
        top,
        np.maximum.reduceat(marks.right[order], starts),
        bottom,
        letters.astype(int),
        count,
        off / height,
        mean(marks.tint),
    )
    several = np.flatnonzero(letters >= 2)
    return [TextLine(*values) for values in zip(*(column[several].tolist() for column in columns), strict=True)]


def _spread(per_line: NDArray, line_of: NDArray[np.int32], order: NDArray[np.intp]) -> NDArray:
    """A line's value for each of its marks."""
    values = np.empty(len(order), per_line.dtype)
    values[order] = per_line[line_of]
    return values
