"""What one prediction is worth on one frame: `polypda-metrics v1`, without HD95 and NSD.

Pure functions of arrays at the frame's own resolution. No smoothing term: where a ratio has no denominator the answer
is NaN, never 0 or 1, so that a mean can say how many cases it holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from polypda.errors import DataError, UsageError

PROTOCOL = "polypda-metrics v1"
DEFAULT_THRESHOLD = 0.5
FALSE_POSITIVE_FRAME_SHARE = 0.01
"""A frame counts as a false-positive frame when more than this share of its field of view is wrongly marked."""
SPECK_PX = 20
SPECK_SHARE = 0.0002
"""A component below max(SPECK_PX, SPECK_SHARE of the field of view) is a speck: dropped, but counted."""
ROUNDING = 1e-5
"""How far outside [0, 1] bilinear resampling of float32 probabilities may land by rounding alone."""


@dataclass(frozen=True)
class FrameMetrics:
    """Metrics of one frame; areas and counts in pixels inside the valid area, ratios in [0, 1] or NaN.

    Attributes:
        dice, iou, sensitivity, f2: NaN where the reference is empty; 0 where it is not but nothing was predicted.
        ppv: NaN where nothing was predicted.
        specificity: share of polyp-free pixels left unmarked; NaN where the reference fills the valid area.
        mae: mean |probability − reference|, always defined.
        relative_polyp_area, fp_area_fraction: of the valid area.
        fp_components: components marked on a frame without a polyp, specks left out; None on other frames.
        specks: specks left out of fp_components; None on other frames.
        reference_outside_share: share of the reference that lies outside the valid area; 0 for an empty reference.
        positive: part of the reference lies inside the valid area: the frame enters Dice.
        negative: the reference is empty: the frame enters the negative-frame block. A frame whose whole reference
            lies outside the valid area is neither, and enters no mean.
        missed: positive, and nothing was predicted.
        false_positive_frame: more than 1 % of the valid area is wrongly marked.
    """

    width_px: int
    height_px: int
    threshold: float
    dice: float
    iou: float
    sensitivity: float
    ppv: float
    specificity: float
    f2: float
    mae: float
    tp_px: int
    fp_px: int
    fn_px: int
    tn_px: int
    reference_px: int
    predicted_px: int
    valid_px: int
    relative_polyp_area: float
    fp_area_fraction: float
    fp_components: int | None
    specks: int | None
    reference_outside_share: float
    positive: bool
    negative: bool
    missed: bool
    false_positive_frame: bool


def frame_metrics(
    probability: NDArray[np.floating],
    reference: NDArray[np.uint8] | NDArray[np.bool_],
    valid: NDArray[np.bool_],
    threshold: float = DEFAULT_THRESHOLD,
    *,
    frame: str = "",
) -> FrameMetrics:
    """Score one frame.

    Args:
        probability: float H×W in [0, 1], at the frame's own resolution. A pixel is polyp from ``threshold`` on.
        reference: bool or 0/1 integers, H×W, 1 is polyp.
        valid: bool H×W, True where pixels count (field of view minus ignored regions).
        threshold: in (0, 1].
        frame: the frame's id, for messages.

    Raises:
        UsageError: E_THRESHOLD_RANGE.
        DataError: E_METRIC_SIZE, E_METRIC_TYPE, E_PROBABILITY_NAN, E_PROBABILITY_RANGE, E_REFERENCE_NOT_BINARY,
            E_VALID_AREA_EMPTY.
    """
    _check_inputs(probability, reference, valid, threshold, frame)
    actual = reference.astype(bool)
    error = np.abs(np.clip(probability, 0.0, 1.0) - actual)
    mae = float(np.sum(error, where=valid, dtype=np.float64) / np.count_nonzero(valid))
    return _scored((probability >= threshold) & valid, actual, valid, float(threshold), mae)


def _scored(
    predicted: NDArray[np.bool_], actual: NDArray[np.bool_], valid: NDArray[np.bool_], threshold: float, mae: float
) -> FrameMetrics:
    """Count and compare bool H×W maps; ``predicted`` lies inside ``valid``."""
    valid_px = int(np.count_nonzero(valid))
    inside = actual & valid
    tp = int(np.count_nonzero(predicted & inside))
    reference_px, predicted_px = int(np.count_nonzero(inside)), int(np.count_nonzero(predicted))
    fp, fn = predicted_px - tp, reference_px - tp
    tn = valid_px - tp - fp - fn
    whole_reference_px = int(np.count_nonzero(actual))
    negative = whole_reference_px == 0
    components, specks = count_components(predicted, valid_px) if negative else (None, None)
    # With an empty reference no pixel could be found: Dice and its kin say nothing, whatever was predicted.
    found_or_nan = 1.0 if reference_px else math.nan
    return FrameMetrics(
        width_px=actual.shape[1],
        height_px=actual.shape[0],
        threshold=threshold,
        dice=found_or_nan * _ratio(2 * tp, 2 * tp + fp + fn),
        iou=found_or_nan * _ratio(tp, tp + fp + fn),
        sensitivity=_ratio(tp, tp + fn),
        ppv=_ratio(tp, tp + fp),
        specificity=_ratio(tn, tn + fp),
        f2=found_or_nan * _ratio(5 * tp, 5 * tp + 4 * fn + fp),
        mae=mae,
        tp_px=tp,
        fp_px=fp,
        fn_px=fn,
        tn_px=tn,
        reference_px=reference_px,
        predicted_px=predicted_px,
        valid_px=valid_px,
        relative_polyp_area=reference_px / valid_px,
        fp_area_fraction=fp / valid_px,
        fp_components=components,
        specks=specks,
        reference_outside_share=0.0 if negative else 1.0 - reference_px / whole_reference_px,
        positive=reference_px > 0,
        negative=negative,
        missed=reference_px > 0 and predicted_px == 0,
        false_positive_frame=fp > FALSE_POSITIVE_FRAME_SHARE * valid_px,
    )


def count_components(marked: NDArray[np.bool_], valid_px: int) -> tuple[int, int]:
    """Count the 8-connected components of a bool H×W map.

    Returns: (components, specks): those of at least max(20 px, 0.02 % of ``valid_px``), and those below.
    """
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    if rows.size == 0:
        return 0, 0
    box = marked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    areas_px = np.bincount(label(box, connectivity=2).ravel())[1:]
    kept = int(np.count_nonzero(areas_px >= max(SPECK_PX, SPECK_SHARE * valid_px)))
    return kept, int(areas_px.size) - kept


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _check_inputs(
    probability: NDArray[Any], reference: NDArray[Any], valid: NDArray[Any], threshold: float, frame: str
) -> None:
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
            fix="apply the softmax (or sigmoid) first; divide 8-bit maps by 255; never stretch a map to min and max.",
        )


def _size(array: NDArray[Any]) -> str:
    return "×".join(str(side) for side in reversed(array.shape)) or "scalar"
