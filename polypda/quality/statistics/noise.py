"""How noisy a frame is, as stored: what is left of grey values once their slopes and bends are taken away."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK_PX = 16
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
TO_SD = math.sqrt(math.pi / 2) / 6
"""Mean absolute answer of the kernel to an SD: its weights' squares sum to 36, and E|x| = SD·√(2/π) for a normal x."""


def noise_sd(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """SD of the noise in grey levels; NaN when no whole block lies inside.

    Immerkær (*Computer Vision and Image Understanding* 64, 1996): the difference of two Laplacians is blind to slopes
    and bends of the picture. Taken per block of 16 px, then the median over blocks: vessels, text and highlights fill
    few of them. A recording's compression removes noise, so this speaks of the files, not of the sensor.

    Args:
        grey: uint8 H×W at the size in which the frame is stored.
        inside: bool H×W, the field of view.
    """
    rows, columns = grey.shape[0] // BLOCK_PX, grey.shape[1] // BLOCK_PX
    if not rows or not columns:
        return math.nan
    answer = np.abs(cv2.filter2D(grey, cv2.CV_32F, KERNEL))
    size, covered = (columns, rows), (slice(0, rows * BLOCK_PX), slice(0, columns * BLOCK_PX))
    means = cv2.resize(answer[covered], size, interpolation=cv2.INTER_AREA)
    lit = cv2.resize(inside[covered].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    held = means[lit > 1 - 1e-3]
    return float(np.median(held)) * TO_SD if held.size else math.nan
