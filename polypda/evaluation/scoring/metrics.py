"""What one prediction is worth on one frame, against a mask or boxes: `polypda-metrics v1`.

Pure functions of arrays at the frame's own resolution. No smoothing term: a ratio without a denominator is NaN, never
0 or 1, so that a mean can say how many cases it holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polypda.data.inference import THRESHOLD
from polypda.evaluation.scoring.frame_inputs import check_frame, checked_boxes
from polypda.evaluation.scoring.mask_geometry import (
    HEADLINE_IOU,
    STRICT_IOU,
    Box,
    Lesions,
    bounding_box,
    box_ious,
    boxes_inside,
    count_hits,
    field_diagonal_px,
    find_lesions,
    hd95_and_nsd,
    lesion_ious,
    nsd_tolerance_px,
)

PROTOCOL = "polypda-metrics v1"
DEFAULT_THRESHOLD = THRESHOLD
TENTHS = 10
FALSE_POSITIVE_FRAME_FRACTION = 0.01
"""A frame is a false-positive frame when more than this fraction of its field of view is wrongly predicted."""


@dataclass(frozen=True)
class Reliability:
    """Calibration counts per tenth of the probability range (the last one closed), over the valid area.

    pixels: how many. probability: their sum. reference: how many of them are polyp. Tuples of ten.
    """

    pixels: tuple[int, ...]
    probability: tuple[float, ...]
    reference: tuple[int, ...]


def reliability(
    probability: NDArray[np.floating], reference: NDArray[np.bool_], valid: NDArray[np.bool_]
) -> Reliability:
    """Sort the valid pixels of one frame (float and bool H×W) into tenths of [0, 1]."""
    inside = probability[valid]
    tenth = np.minimum((inside * TENTHS).astype(np.intp), TENTHS - 1)
    pixels = np.bincount(tenth, minlength=TENTHS)
    total = np.bincount(tenth, weights=inside, minlength=TENTHS)
    polyp = np.bincount(tenth[reference[valid]], minlength=TENTHS)
    return Reliability(tuple(pixels.tolist()), tuple(total.tolist()), tuple(polyp.tolist()))


@dataclass(frozen=True, kw_only=True)
class FrameMetrics:
    """Metrics of one frame; areas and counts in pixels inside the valid area, ratios in [0, 1] or NaN.

    Attributes:
        dice, iou, sensitivity, f2: NaN where the reference is empty; 0 where it is not but nothing was predicted.
        ppv: NaN where nothing was predicted.
        specificity: fraction of polyp-free pixels not predicted; NaN where the reference fills the valid area.
        mae: mean |probability − reference|.
        hd95_px: larger of the two directed 95th percentiles of outline distances; for a missed polyp the diagonal
            of the valid area's bounding box, and ``hd95_penalised``; NaN where the reference is empty.
        nsd: fraction of both outlines within ``nsd_tolerance_px`` of each other; 0 for a missed polyp, NaN without one.
        relative_polyp_area, fp_area_fraction: of the valid area.
        fp_components: components predicted on a frame without a polyp, specks left out; None on other frames.
        specks: specks left out of fp_components; None on other frames.
        reference_outside_share: fraction of the reference that lies outside the valid area; 0 for an empty reference.
        positive: part of the reference lies inside the valid area: the frame enters Dice.
        negative: the reference is empty: the frame enters the negative-frame block. A frame whose whole reference
            lies outside the valid area is neither, and enters no mean.
        missed: positive, and nothing was predicted.
        false_positive_frame: more than 1 % of the valid area is wrongly predicted.
        lesions_…, lesion_specks_…: components kept and dropped, and hits under either IoU rule.

    Of a frame annotated with boxes every pixel ratio is NaN and the counts that need the reference are None.
    """

    width_px: int
    height_px: int
    threshold: float
    dice: float = math.nan
    iou: float = math.nan
    sensitivity: float = math.nan
    ppv: float = math.nan
    specificity: float = math.nan
    f2: float = math.nan
    mae: float = math.nan
    hd95_px: float = math.nan
    hd95_penalised: bool = False
    nsd: float = math.nan
    nsd_tolerance_px: float
    tp_px: int | None = None
    fp_px: int | None = None
    fn_px: int | None = None
    tn_px: int | None = None
    reference_px: int | None = None
    predicted_px: int
    valid_px: int
    relative_polyp_area: float = math.nan
    fp_area_fraction: float = math.nan
    fp_components: int | None = None
    specks: int | None = None
    reference_outside_share: float = math.nan
    positive: bool
    negative: bool
    missed: bool
    false_positive_frame: bool
    lesions_reference: int
    lesions_predicted: int
    lesions_hit_10: int
    lesions_hit_50: int
    lesion_specks_reference: int
    lesion_specks_predicted: int
    reliability: Reliability


def frame_metrics(
    probability: NDArray[np.floating],
    reference: NDArray[np.uint8] | NDArray[np.bool_],
    valid: NDArray[np.bool_],
    threshold: float = DEFAULT_THRESHOLD,
    *,
    frame: str = "",
) -> FrameMetrics:
    """Score one frame against its mask.

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
    check_frame(probability, reference, valid, threshold, frame)
    actual = reference.astype(bool)
    clipped = np.clip(probability, 0.0, 1.0)
    mae = float(np.sum(np.abs(clipped - actual), where=valid, dtype=np.float64) / np.count_nonzero(valid))
    predicted = (probability >= threshold) & valid
    inside = actual & valid
    tp = int(np.count_nonzero(predicted & inside))
    reference_px, predicted_px = int(np.count_nonzero(inside)), int(np.count_nonzero(predicted))
    valid_px, whole_reference_px = int(np.count_nonzero(valid)), int(np.count_nonzero(actual))
    fp, fn = predicted_px - tp, reference_px - tp
    negative = whole_reference_px == 0
    missed = reference_px > 0 and predicted_px == 0
    lesions, found = find_lesions(inside, valid_px), find_lesions(predicted, valid_px)
    return FrameMetrics(
        width_px=actual.shape[1],
        height_px=actual.shape[0],
        threshold=float(threshold),
        **_overlap(tp, fp, fn, valid_px - tp - fp - fn),
        mae=mae,
        **_surface(inside, predicted, bounding_box(valid), reference_px, predicted_px),
        hd95_penalised=missed,
        reference_px=reference_px,
        predicted_px=predicted_px,
        valid_px=valid_px,
        relative_polyp_area=reference_px / valid_px,
        fp_area_fraction=fp / valid_px,
        **_false_positives(found, negative),
        reference_outside_share=0.0 if negative else 1.0 - reference_px / whole_reference_px,
        positive=reference_px > 0,
        negative=negative,
        missed=missed,
        false_positive_frame=fp > FALSE_POSITIVE_FRAME_FRACTION * valid_px,
        **_lesion_counts(lesion_ious(lesions, found), found),
        lesion_specks_reference=lesions.specks,
        reliability=reliability(clipped, actual, valid),
    )


def _overlap(tp: int, fp: int, fn: int, tn: int) -> dict[str, Any]:
    """The pixel counts and their ratios; NaN where a ratio has no denominator."""
    # With an empty reference no pixel could be found: Dice and its kin say nothing, whatever was predicted.
    found_or_nan = 1.0 if tp + fn else math.nan
    return {
        "tp_px": tp,
        "fp_px": fp,
        "fn_px": fn,
        "tn_px": tn,
        "dice": found_or_nan * _ratio(2 * tp, 2 * tp + fp + fn),
        "iou": found_or_nan * _ratio(tp, tp + fp + fn),
        "sensitivity": _ratio(tp, tp + fn),
        "ppv": _ratio(tp, tp + fp),
        "specificity": _ratio(tn, tn + fp),
        "f2": found_or_nan * _ratio(5 * tp, 5 * tp + 4 * fn + fp),
    }


def _lesion_counts(ious: NDArray[np.float64], predicted: Lesions) -> dict[str, Any]:
    """The lesion fields that masks and boxes share. ious: float64 [reference lesions, predicted lesions]."""
    return {
        "lesions_reference": ious.shape[0],
        "lesions_predicted": predicted.count,
        "lesions_hit_10": count_hits(ious, HEADLINE_IOU),
        "lesions_hit_50": count_hits(ious, STRICT_IOU),
        "lesion_specks_predicted": predicted.specks,
    }


def _false_positives(predicted: Lesions, negative: bool) -> dict[str, Any]:
    """Components and specks predicted on a frame without a polyp; None on other frames."""
    return {"fp_components": predicted.count if negative else None, "specks": predicted.specks if negative else None}


def _surface(
    inside: NDArray[np.bool_], predicted: NDArray[np.bool_], field: Box, reference_px: int, predicted_px: int
) -> dict[str, Any]:
    """HD95, NSD and its tolerance, with the answers for empty masks: a missed polyp costs the field's diagonal."""
    hd95_px, nsd, tolerance_px = math.nan, math.nan, nsd_tolerance_px(field)
    if reference_px:
        hd95_px, nsd = field_diagonal_px(field), 0.0
        if predicted_px:
            hd95_px, nsd = hd95_and_nsd(inside, predicted, tolerance_px)
    return {"hd95_px": hd95_px, "nsd": nsd, "nsd_tolerance_px": tolerance_px}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def frame_metrics_boxes(
    probability: NDArray[np.floating],
    boxes: ArrayLike,
    valid: NDArray[np.bool_],
    threshold: float = DEFAULT_THRESHOLD,
    *,
    frame: str = "",
) -> FrameMetrics:
    """Score one frame whose polyps are annotated with boxes only: a box says where a polyp is, not which pixels it has.

    Each predicted component is compared by its tight box. A frame without a box has no polyp.

    Args: as for :func:`frame_metrics`, and
        boxes: N×4 numbers x0, y0, x1, y1 in px of the frame, half-open; cut to the bounding box of the valid area.

    Returns: lesion counts; the false-positive block where there is no box. ``positive``: part of a box lies in the
        valid area's bounding box. ``missed``: positive, and no component that is more than a speck was predicted.

    Raises: as :func:`frame_metrics`; DataError E_BOX_SHAPE, E_BOX_RANGE.
    """
    check_frame(probability, np.zeros(probability.shape, bool), valid, threshold, frame)
    annotated = checked_boxes(boxes, probability.shape, frame)
    field = bounding_box(valid)
    known = boxes_inside(annotated, field)
    valid_px = int(np.count_nonzero(valid))
    predicted = (probability >= threshold) & valid
    found = find_lesions(predicted, valid_px)
    predicted_px = int(np.count_nonzero(predicted))
    negative = len(annotated) == 0
    positive = len(known) > 0
    return FrameMetrics(
        width_px=probability.shape[1],
        height_px=probability.shape[0],
        threshold=float(threshold),
        nsd_tolerance_px=nsd_tolerance_px(field),
        predicted_px=predicted_px,
        valid_px=valid_px,
        fp_area_fraction=predicted_px / valid_px if negative else math.nan,
        **_false_positives(found, negative),
        positive=positive,
        negative=negative,
        missed=positive and found.count == 0,
        false_positive_frame=negative and predicted_px > FALSE_POSITIVE_FRAME_FRACTION * valid_px,
        **_lesion_counts(box_ious(known, found.boxes.astype(np.float64)), found),
        lesion_specks_reference=0,
        reliability=reliability(np.clip(probability, 0.0, 1.0), np.zeros(valid.shape, bool), valid),
    )
