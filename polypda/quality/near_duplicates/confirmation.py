"""Whether two fingerprints show one picture: the correlation of their reliefs where they fit best."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.quality.near_duplicates.fingerprint import RELIEF_SIDE, Relief

TEMPLATE_SIDE = 44
"""Cells of the middle of one relief that are looked for in the other: shifts up to a sixth of the picture are found."""
ZOOMS = (1.0, 0.94, 1.06, 0.88, 1.14)
"""Sizes at which the middle is tried: a shifted or bordered copy may have been cut a little wider or narrower."""
HOPELESS = 0.45
"""Best correlation at equal size below which other sizes are not tried."""
CLEAR = 0.97


FINE_BLUR = 2.5
"""Details smaller than this (cells of 64) are compared by themselves: folds and lumens of strangers may agree in the
large, never in these."""


class Likeness(NamedTuple):
    """Correlations, −1 to 1: of the reliefs, and of their details alone."""

    coarse: float
    fine: float


class Mirroring(StrEnum):
    """How a copy was turned over."""

    NONE = "as it is"
    HORIZONTAL = "mirrored left to right"
    VERTICAL = "mirrored top to bottom"
    BOTH = "turned by 180°"


def mirrored(relief: Relief, how: Mirroring) -> Relief:
    """The relief turned over."""
    rows = slice(None, None, -1) if how in (Mirroring.VERTICAL, Mirroring.BOTH) else slice(None)
    columns = slice(None, None, -1) if how in (Mirroring.HORIZONTAL, Mirroring.BOTH) else slice(None)
    return np.ascontiguousarray(relief[rows, columns])


def likeness(one: Relief, other: Relief) -> Likeness:
    """How alike two reliefs are, at the place and size where the middle of one fits best into the other."""
    middle, whole = _middle(one), other.astype(np.float32)
    best = Likeness(-1.0, -1.0)
    for zoom in ZOOMS:
        side = round(TEMPLATE_SIDE * zoom)
        template = middle if zoom == 1.0 else cv2.resize(middle, (side, side), interpolation=cv2.INTER_LINEAR)
        _, coarse, _, (left, top) = cv2.minMaxLoc(cv2.matchTemplate(whole, template, cv2.TM_CCOEFF_NORMED))
        if coarse > best.coarse:
            best = Likeness(coarse, _fine(template, whole[top : top + side, left : left + side]))
        if best.coarse > CLEAR or best.coarse < HOPELESS:
            break
    return best


def _fine(one: NDArray, other: NDArray) -> float:
    details = [(part - cv2.GaussianBlur(part, (0, 0), FINE_BLUR)).ravel() for part in (one, other)]
    norms = [float(np.linalg.norm(part)) for part in details]
    return float(details[0] @ details[1]) / (norms[0] * norms[1]) if min(norms) > 0 else 0.0


def _middle(relief: Relief) -> NDArray[np.float32]:
    edge = (RELIEF_SIDE - TEMPLATE_SIDE) // 2
    return np.ascontiguousarray(relief[edge : edge + TEMPLATE_SIDE, edge : edge + TEMPLATE_SIDE]).astype(np.float32)
