"""Regions that do not count, as they are shown: dimmed, with slanting lines."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

DIMMED = 0.45
LINE_LEVEL = 190
PERIOD_PX, LINE_PX = 11, 2
"""Display px from line to line along a row, and the width of one."""


def hatched(picture: NDArray[np.uint8], region: NDArray[np.bool_], scale: float = 1.0) -> NDArray[np.uint8]:
    """A copy of a displayed RGB picture h×w×3 with a region hatched.

    Args: region: bool, of any size; it covers the picture as a whole. scale: of the lines, as of the other strokes.
    """
    height, width = picture.shape[:2]
    covered = cv2.resize(region.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    y, x = np.mgrid[:height, :width]
    period = max(4, round(PERIOD_PX * scale))
    lines = (x + y) % period < max(1, round(LINE_PX * scale))
    dimmed = np.where(lines[..., None], LINE_LEVEL, picture * DIMMED)
    return np.where(covered[..., None], np.rint(dimmed), picture).astype(np.uint8)
