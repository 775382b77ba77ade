"""Frames that show nearly the same picture: neighbours of one film, kept under two names."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.images import Image

Fingerprint = NDArray[np.bool_]
SIDE = 16
MOST_DIFFERENT_BITS = 10
"""Two of 256 bits differ by chance in about 128 places; recompressed or neighbouring frames stay below this."""
LEAST_CONTRAST = 8
"""A frame whose reduced grey values span less than this is all but uniform: its fingerprint says nothing."""
_ROWS_AT_ONCE = 512


def fingerprint(image: Image) -> Fingerprint | None:
    """Difference hash: whether grey rises from each cell of a 16×17 reduction to its right neighbour.

    Args:
        image: uint8 H×W×3, RGB.
    Returns: bool, 256 values; None for an all but uniform frame.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA)
    if int(small.max()) - int(small.min()) < LEAST_CONTRAST:
        return None
    return (small[:, 1:] > small[:, :-1]).ravel()


def alike_pairs(fingerprints: Sequence[Fingerprint | None]) -> list[tuple[int, int]]:
    """Positions (first < second) of all pairs that differ in at most ``MOST_DIFFERENT_BITS`` bits."""
    known = {position: bits for position, bits in enumerate(fingerprints) if bits is not None}
    if len(known) < 2:
        return []
    held = list(known)
    bits = np.stack(list(known.values())).astype(np.float32)
    pairs = []
    for start in range(0, len(held), _ROWS_AT_ONCE):
        rows = bits[start : start + _ROWS_AT_ONCE]
        different = rows @ (1 - bits).T + (1 - rows) @ bits.T
        for row, column in np.argwhere(different <= MOST_DIFFERENT_BITS):
            if start + row < column:
                pairs.append((held[start + row], held[column]))
    return pairs
