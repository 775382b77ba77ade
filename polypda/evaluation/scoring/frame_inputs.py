"""What a frame's score may be computed from: sizes, types and ranges that are refused otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polypda.errors import DataError, UsageError

ROUNDING = 1e-5
"""How far outside [0, 1] bilinear resampling of float32 probabilities may land by rounding alone."""


def check_frame(
    probability: NDArray[Any], reference: NDArray[Any], valid: NDArray[Any], threshold: float, frame: str
) -> None:
    """Refuse what cannot be scored: see :func:`polypda.evaluation.scoring.metrics.frame_metrics` for what is expected.

    Raises: UsageError E_THRESHOLD_RANGE; DataError E_METRIC_SIZE, E_METRIC_TYPE, E_PROBABILITY_NAN,
        E_PROBABILITY_RANGE, E_REFERENCE_NOT_BINARY, E_VALID_AREA_EMPTY.
    """
    if not 0.0 < threshold <= 1.0:
        raise UsageError(
            "E_THRESHOLD_RANGE", f"threshold {threshold} is not in (0, 1].", where=frame, fix="0.5 is the usual one."
        )
    if reference.ndim != 2 or probability.shape != reference.shape or valid.shape != reference.shape:
        raise DataError(
            "E_METRIC_SIZE",
            f"reference {_size(reference)}, prediction {_size(probability)}, valid area {_size(valid)}.",
            where=frame,
            fix="bring probabilities back to the frame's own resolution before scoring; never resize the reference.",
        )
    if not np.issubdtype(probability.dtype, np.floating) or valid.dtype != bool:
        raise DataError(
            "E_METRIC_TYPE",
            f"probabilities are {probability.dtype} and the valid area is {valid.dtype}.",
            where=frame,
            fix="hand over float probabilities in [0, 1] and a bool valid area.",
        )
    _check_probability(probability, frame)
    if reference.dtype != bool and (
        not np.issubdtype(reference.dtype, np.integer) or reference.max(initial=0) > 1 or reference.min(initial=0) < 0
    ):
        raise DataError(
            "E_REFERENCE_NOT_BINARY",
            f"the reference ({reference.dtype}) holds values other than 0 and 1.",
            where=frame,
            fix="read masks with polypda.cohorts.images.read_mask, or threshold them at 128.",
        )
    if not valid.any():
        raise DataError(
            "E_VALID_AREA_EMPTY",
            "no pixel is inside the field of view, so nothing can be scored.",
            where=frame,
            fix="look at the frame: it may be black. Leave it out, or score over the whole frame.",
        )


def _check_probability(probability: NDArray[Any], frame: str) -> None:
    least, most = float(probability.min(initial=0.0)), float(probability.max(initial=0.0))
    if math.isnan(least) or math.isnan(most):
        raise DataError(
            "E_PROBABILITY_NAN",
            f"{int(np.count_nonzero(np.isnan(probability)))} probabilities are not a number.",
            where=frame,
            fix="the network's weights are probably broken: choose another checkpoint.",
        )
    if least < -ROUNDING or most > 1.0 + ROUNDING:
        raise DataError(
            "E_PROBABILITY_RANGE",
            f"probabilities lie between {least:.4g} and {most:.4g}.",
            where=frame,
            fix="apply the softmax (or sigmoid) first; divide 8-bit maps by 255, as `evaluate --scale 0-255` does; "
            "never stretch a map to min and max.",
        )


def _size(array: NDArray[Any]) -> str:
    return "×".join(str(side) for side in reversed(array.shape)) or "scalar"


def checked_boxes(boxes: ArrayLike, size: tuple[int, ...], frame: str = "") -> NDArray[np.float64]:
    """Boxes as float64 [N, 4]; size: height and width of the frame, px.

    Raises: DataError E_BOX_SHAPE (not N×4 numbers), E_BOX_RANGE (empty, turned round, outside the frame, not finite).
    """
    try:
        found = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.full(1, math.nan)
    if found.size == 0:
        return np.zeros((0, 4))
    if found.ndim != 2 or found.shape[1] != 4:
        raise DataError(
            "E_BOX_SHAPE",
            "boxes are not rows of four numbers.",
            where=frame,
            fix="give each box as x0, y0, x1, y1 in pixels of the frame.",
        )
    height, width = size
    left, top, right, bottom = found.T
    whole = (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height) & (left < right) & (top < bottom)
    if not whole.all():  # comparisons with NaN are false, too
        first = ", ".join(f"{number:g}" for number in found[~whole][0])
        raise DataError(
            "E_BOX_RANGE",
            f"{np.count_nonzero(~whole)} of {len(found)} boxes are empty or leave the {width}×{height} frame; "
            f"first: {first}.",
            where=frame,
            fix="boxes are x0, y0, x1, y1 with x0 < x1 ≤ width and y0 < y1 ≤ height; "
            "were they drawn on another size, or given as x, y, width, height?",
        )
    return found
