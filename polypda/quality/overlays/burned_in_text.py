"""Text that a processor burns into its pictures: names, dates, settings, light on whatever lies below."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.stored_pixels import brightest_channel
from polypda.quality.overlays.text_lines import TextLine, group_into_lines
from polypda.quality.overlays.text_marks import contrast_to_surroundings, find_marks
from polypda.quality.overlays.text_panels import companions, cover

WORKING_HEIGHT_PX = 720
"""Taller frames are reduced to this: a letter of 1 % is still 7 px high, and sensor noise is averaged away."""
CONTRASTS = (15.0, 26.0, 45.0, 80.0)
"""Each contrast (0–255) is tried by itself: faint letters need a low one, letters among glints a high one."""
GRAIN = 3.0
"""A contrast below this many times the frame's median one finds grain, not letters."""
LIT_LEVEL = 40
PANEL_SIDES = (0.42, 0.16, 0.16, 0.12)
"""Shares of the frame from its left, right, top and bottom where processors keep their text."""


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
    readable date and could not be told from the mucosa is rather lost than kept.

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
