"""Pixels that stay the same over many frames of one size: insets, burned-in text, a fixed reflection."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

LONGER_SIDE_PX = 640
"""Text of a full-HD frame is still seen at this size; larger frames are reduced to it."""
FEWEST_FRAMES = 12
MOST_FRAMES = 48
STILL_SD = 10.0
"""Standard deviation over frames (grey levels) below which a pixel counts as still; JPEG of one text stays below 6."""
LIT = 45
"""Mean brightness from which a still pixel is content, not the black border."""
LETTER_GAP_PX = 5
"""Still pixels nearer than this are joined to one region (letters to a line)."""
SMALLEST_REGION_PX = 12


def still_pixels(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Where frames of one size show the same bright content.

    A pixel is still when it varies little around its median; an all but constant text on changing mucosa is seen by
    the quarter of the frames in which it is there, so a region may be missed, never invented by a single frame.

    Args:
        frames: uint8 h×w each, grey, at least ``FEWEST_FRAMES`` of one size.
    Returns: bool h×w.
    """
    stack = np.stack(frames)
    low, middle, high = np.percentile(stack, (12, 50, 88), axis=0)
    still = ((high - low) / 2.35 < STILL_SD) & (middle >= LIT)
    joined = cv2.morphologyEx(still.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((LETTER_GAP_PX,) * 2, np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    kept = np.zeros(count, bool)
    for region in range(1, count):
        held = np.count_nonzero(still & (labels == region)) if stats[region, cv2.CC_STAT_AREA] >= SMALLEST_REGION_PX else 0
        kept[region] = held >= SMALLEST_REGION_PX
    return np.asarray(kept[labels], bool)


def reduced_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 H×W×3 RGB → grey, its longer side at most ``LONGER_SIDE_PX``."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, LONGER_SIDE_PX / max(grey.shape))
    if scale == 1.0:
        return np.asarray(grey, np.uint8)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
