"""Do probabilities mean what they say: per tenth of the probability range, how many pixels were polyp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TENTHS = 10


@dataclass(frozen=True)
class Reliability:
    """Counts per tenth of the probability range (the last one closed: 1.0 is in it), over the valid area.

    pixels: how many. probability: their sum. reference: how many of them are polyp. Tuples of ten.
    """

    pixels: tuple[int, ...]
    probability: tuple[float, ...]
    reference: tuple[int, ...]


def reliability(
    probability: NDArray[np.floating], reference: NDArray[np.bool_], valid: NDArray[np.bool_]
) -> Reliability:
    """Sort the valid pixels of one frame into tenths of [0, 1].

    Args: probability: float H×W in [0, 1]. reference, valid: bool H×W.
    """
    inside = probability[valid]
    tenth = np.minimum((inside * TENTHS).astype(np.intp), TENTHS - 1)
    pixels = np.bincount(tenth, minlength=TENTHS)
    total = np.bincount(tenth, weights=inside, minlength=TENTHS)
    polyp = np.bincount(tenth[reference[valid]], minlength=TENTHS)
    return Reliability(tuple(pixels.tolist()), tuple(total.tolist()), tuple(polyp.tolist()))
