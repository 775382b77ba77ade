"""Insets: a position monitor's picture (green, or green and blue) that the processor lays over the scope's."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SEARCH_LONGER_SIDE_PX = 480
COOL_BY = 50
"""Green or blue exceeds red by this (0–255) in an inset's background; in mucosa only under blue dye."""
LEAST_SHARE = 0.008
"""An inset covers at least this share of the frame…"""
LEAST_FILL = 0.72
"""…fills its rectangle to this share (drawings of the scope and letters are holes in it)…"""
MOST_GRADIENT = 5.0
"""…and is flat: the median step between neighbouring pixels (0–255) of dyed mucosa is far larger."""
CLOSED_SHARE = 0.025
"""Gaps of up to this share of the longer side are closed first: an inset of two colours with lines is one inset."""
MARGIN_SHARE = 0.006
"""Added around it, as a share of the frame's longer side: compression blurs its edge."""


def find_insets(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool H×W, True in the rectangles of insets. image: uint8 H×W×3, RGB."""
    height, width = image.shape[:2]
    scale = min(1.0, SEARCH_LONGER_SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    cool = (cv2.subtract(cv2.max(small[..., 1], small[..., 2]), small[..., 0]) > COOL_BY).astype(np.uint8)
    side = max(3, round(CLOSED_SHARE * max(size)))
    joined = cv2.morphologyEx(cool, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    mask = np.zeros((height, width), bool)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
    steps = _steps(small)
    margin = MARGIN_SHARE * max(size)
    for number in range(1, count):
        left, top, box_width, box_height, area = (int(value) for value in stats[number])
        if area < LEAST_SHARE * cool.size or area < LEAST_FILL * box_width * box_height:
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
