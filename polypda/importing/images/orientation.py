"""EXIF orientation: how a stored picture is turned or mirrored to be seen upright."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Plane = TypeVar("Plane", bound=NDArray)

ORIENTATIONS = range(1, 9)
SIDES_SWAPPED = (5, 6, 7, 8)
"""Orientations whose upright picture is as wide as the stored one is high."""


def turned(stored: Plane, orientation: int) -> Plane:
    """H×W or H×W×C as stored → upright.

    EXIF names where row 0 and column 0 of the stored picture belong: 2 top right, 3 bottom right, 4 bottom left,
    5 left top, 6 right top, 7 right bottom, 8 left bottom (EXIF 2.3, tag 0x0112).
    """
    if orientation in SIDES_SWAPPED:
        stored = np.swapaxes(stored, 0, 1)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]  # type: ignore[assignment]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]  # type: ignore[assignment]
    return stored


def turned_box(
    box: tuple[float, float, float, float], stored_size: tuple[int, int], orientation: int
) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in px of the stored picture of (height, width) → in px of the upright one."""
    x0, y0, x1, y1 = box
    height, width = stored_size
    if orientation in SIDES_SWAPPED:
        x0, y0, x1, y1 = y0, x0, y1, x1
        height, width = width, height
    if orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return x0, y0, x1, y1
