"""Whether a picture is something drawn (a mask, contours, scribbles) and no frame of an endoscope."""

from __future__ import annotations

import numpy as np

from polypda.importing.contract import Pixels

MOST_LOOKED_AT_PX = 256
"""Longer sides are thinned out."""
LEAST_PLAIN_SHARE = 0.9
"""Of the pixels that are black or white: a frame's border is black and may be large, but what it shows is neither."""
LEAST_GREY_SHARE = 0.995
END, CHROMA = 8, 12
"""How far from 0 or 255, and between channels, JPEG leaves black and white."""
MOST_COLOURS = 8
"""A frame has thousands; so few were chosen by somebody."""


def is_drawing(pixels: Pixels) -> bool:
    """Whether nearly all is black and white, both of them, or of a few colours. pixels: uint8 H×W×3."""
    thin = _thinned(pixels)
    low, high = thin.min(axis=1), thin.max(axis=1)
    grey = np.mean(high - low <= CHROMA)
    black, white = high <= END, low >= 255 - END
    if grey >= LEAST_GREY_SHARE and black.any() and white.any() and np.mean(black | white) >= LEAST_PLAIN_SHARE:
        return True
    return 1 < len(np.unique(thin.astype(np.int32) @ np.array([0x10000, 0x100, 1]))) <= MOST_COLOURS


def is_blank(pixels: Pixels) -> bool:
    """Whether all is of one colour, as in a film's lead-in, or in an empty mask."""
    return bool((pixels == pixels[:1, :1]).all())


def _thinned(pixels: Pixels) -> Pixels:
    step = -(-max(pixels.shape[:2]) // MOST_LOOKED_AT_PX)
    return pixels[::step, ::step].reshape(-1, 3)
