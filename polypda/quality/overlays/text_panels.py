"""Panels of text: what stands near a clear line and is like it, and the region that a panel covers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from polypda.quality.overlays.text_lines import TextLine

LIKE_HEIGHT = 1.4
"""Letter heights within a panel differ by at most this ratio…"""
LIKE_TINT = 45.0
"""…and their distances from grey by at most this (0–255): glints on mucosa take the mucosa's colour, letters less."""
ACROSS_HEIGHTS, DOWN_HEIGHTS = 7.0, 3.4
"""Lines of one panel are at most this many letter heights apart."""
WORD_LETTERS, WORD_REACH = 4, 1.6
"""A row of several marks above or below a line, or of so many letters, may be farther away, by this factor."""
LEFT_PANEL_SHARE = 0.2
"""A column that starts in this share of the width is filled to the frame's left edge: lines start there."""
MARGIN_HEIGHTS = (0.6, 0.35)
"""Added to a line at its ends, and above and below it: blur and compression spread letters."""
CLOSED_HEIGHTS = 3.2
"""A gap of up to this many letter heights between two lines may hold a line that could not be told from the mucosa."""


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
        if left < LEFT_PANEL_SHARE * shape[1]:
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
    across, down = (share * height for share in MARGIN_HEIGHTS)
    rows = slice(max(0, int(top - down)), max(0, int(np.ceil(bottom + down))))
    mask[rows, max(0, int(left - across)) : max(0, int(np.ceil(right + across)))] = True
