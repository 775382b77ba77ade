"""Text that a processor burns into its images: names, dates, settings, light on whatever lies below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.stored_pixels import brightest_channel
from polypda.quality.text_lines import TextLine, contrast_to_surroundings, find_marks, group_into_lines

LIKE_HEIGHT = 1.4
"""Letter heights within a panel differ by at most this ratio…"""
LIKE_TINT = 45.0
"""…and their distances from grey by at most this (0–255): glints on mucosa take the mucosa's colour, letters less."""
ACROSS_HEIGHTS, DOWN_HEIGHTS = 7.0, 3.4
"""Lines of one panel are at most this many letter heights apart."""
WORD_LETTERS, WORD_REACH = 4, 1.6
"""A row of several marks above or below a line, or of so many letters, may be farther away, by this factor."""
LEFT_PANEL_FRACTION = 0.2
"""A column that starts in this fraction of the width is filled to the frame's left edge: lines start there."""
MARGIN_HEIGHTS = (0.6, 0.35)
"""Added to a line at its ends, and above and below it: blur and compression spread letters."""
CLOSED_HEIGHTS = 3.2
"""A gap of up to this many letter heights between two lines may hold a line that does not stand out from the mucosa."""


def companions(clear: Sequence[TextLine], others: Sequence[TextLine]) -> tuple[list[TextLine], list[TextLine]]:
    """The rows that are no text by themselves but stand beside a clear line and are like it; and the rest."""
    beside: list[TextLine] = []
    apart: list[TextLine] = []
    for row in others:
        (beside if any(_is_companion(row, line) for line in clear) else apart).append(row)
    return beside, apart


def cover(lines: Sequence[TextLine], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The region of all lines, bool H×W: each filled to the width of its panel's column, small gaps closed."""
    mask = np.zeros(shape, bool)
    for column in _columns(lines):
        left, right = min(line.left for line in column), max(line.right for line in column)
        if left < LEFT_PANEL_FRACTION * shape[1]:
            left = 0.0
        for line in column:
            _fill(mask, left, line.top, right, line.bottom, line.height)
        column.sort(key=lambda line: line.top)
        for above, below in pairwise(column):
            height = min(above.height, below.height)
            if 0 < below.top - above.bottom <= CLOSED_HEIGHTS * height:
                _fill(mask, left, above.bottom, right, below.top, height)
    return mask


def _is_companion(row: TextLine, line: TextLine) -> bool:
    if not line.height / LIKE_HEIGHT <= row.height <= line.height * LIKE_HEIGHT:
        return False
    below = row.left < line.right and line.left < row.right
    reach = WORD_REACH if row.marks >= 2 and (below or row.letters >= WORD_LETTERS) else 1.0
    return row.tint <= line.tint + LIKE_TINT and _near(row, line, reach)


def _near(one: TextLine, other: TextLine, reach: float = 1.0) -> bool:
    height = min(one.height, other.height)
    across = max(one.left - other.right, other.left - one.right)
    down = max(one.top - other.bottom, other.top - one.bottom)
    return across <= reach * ACROSS_HEIGHTS * height and down <= reach * DOWN_HEIGHTS * height


def _columns(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines that stand above each other, or overlap on one base line."""
    columns: list[list[TextLine]] = []
    for line in lines:
        joined = [column for column in columns if any(_same_column(line, other) for other in column)]
        columns = [column for column in columns if column not in joined]
        columns.append([line, *(other for column in joined for other in column)])
    return columns


def _same_column(one: TextLine, other: TextLine) -> bool:
    if not one.height / LIKE_HEIGHT <= other.height <= one.height * LIKE_HEIGHT:
        return False
    return max(one.left, other.left) < min(one.right, other.right) and _near(one, other)


def _fill(mask: NDArray[np.bool_], left: float, top: float, right: float, bottom: float, height: float) -> None:
    across, down = (margin * height for margin in MARGIN_HEIGHTS)
    rows = slice(max(0, int(top - down)), max(0, int(np.ceil(bottom + down))))
    mask[rows, max(0, int(left - across)) : max(0, int(np.ceil(right + across)))] = True


WORKING_HEIGHT_PX = 720
"""Taller frames are reduced to this: a letter of 1 % is still 7 px high, and sensor noise is averaged away."""
CONTRASTS = (15.0, 26.0, 45.0, 80.0)
"""Each contrast (0–255) is tried by itself: faint letters need a low one, letters among glints a high one."""
GRAIN = 3.0
"""A contrast below this many times the frame's median one finds grain, not letters."""
LIT_LEVEL = 40
PANEL_SIDES = (0.42, 0.16, 0.16, 0.12)
"""Fractions of the frame from its left, right, top and bottom where processors keep their text."""


@dataclass(frozen=True)
class BurnedInText:
    """mask: bool H×W, True where text is, with a margin. lines: what it was made from, in px of the frame.

    doubtful: rows that may be text and are not in the mask: for a person to look at.
    """

    mask: NDArray[np.bool_]
    lines: tuple[TextLine, ...]
    doubtful: tuple[TextLine, ...]


def find_burned_in_text(image: NDArray[np.uint8]) -> BurnedInText:
    """Find lines of light text anywhere in a frame.

    A row of four like letters is text by itself (three where processors keep their text). Near such a row shorter and
    fainter ones of the same height are taken too, and a panel is filled to its full width: what stands beside a
    readable date without standing out from the mucosa is rather lost than left.

    image: uint8 H×W×3, RGB.
    """
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_HEIGHT_PX / height)
    small = image
    if scale < 1.0:
        size = (max(1, round(width * scale)), WORKING_HEIGHT_PX)
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    even, based = _rows(small)
    clear: list[TextLine] = []
    others: list[TextLine] = []
    for row in even:
        (clear if _is_clear(row, small.shape[:2]) else others).append(row)
    for row in based:
        (clear if _is_clear_of_small_letters(row) else others).append(row)
    beside, apart = companions(clear, others)
    taken = [*clear, *beside]
    mask = cover(taken, small.shape[:2])
    doubtful = [row for row in apart if row.marks >= 4 or (row.marks == 3 and row.unevenness <= 0.08)]
    if scale < 1.0:
        mask = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
    return BurnedInText(mask, *(tuple(row.scaled(1 / scale) for row in kind) for kind in (taken, doubtful)))


def _rows(image: NDArray[np.uint8]) -> tuple[list[TextLine], list[TextLine]]:
    """Rows of digits and capitals, and rows with a common base line only."""
    contrast = contrast_to_surroundings(image)
    lit = contrast[brightest_channel(image) > LIT_LEVEL]
    grain = GRAIN * float(np.median(lit)) if lit.size else 0.0
    usable = [threshold for threshold in CONTRASTS if threshold >= grain] or [CONTRASTS[-1]]
    found = [find_marks(image, contrast, threshold) for threshold in usable]
    even = [row for marks in found for row in group_into_lines(marks)]
    return even, [row for marks in found for row in group_into_lines(marks, small_letters=True)]


def _is_clear(row: TextLine, shape: tuple[int, int]) -> bool:
    if row.marks >= 4:
        return row.unevenness <= 0.12
    return row.marks == 3 and row.unevenness <= 0.08 and _is_where_text_is(row, shape)


def _is_clear_of_small_letters(row: TextLine) -> bool:
    return row.marks >= 5 and row.unevenness <= 0.07


def _is_where_text_is(row: TextLine, shape: tuple[int, int]) -> bool:
    height, width = shape
    left, right, top, bottom = PANEL_SIDES
    beside = row.left < left * width or row.right > (1 - right) * width
    return beside or row.top < top * height or row.bottom > (1 - bottom) * height
