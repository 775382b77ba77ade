"""What a prediction is worth on a frame whose polyps are annotated with boxes only (SUN, PolypsSet, PIBAdb).

A box says where a polyp is, not which pixels it has: no Dice and no other pixel figure is made of it. Each predicted
component is compared by its tight box, with the matching and the hit rules of
:mod:`polypda.evaluation.scoring.lesions`.
A frame without a box has no polyp at all, so that its false positives count as they do with masks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polypda.errors import DataError
from polypda.evaluation.scoring.frame_inputs import check_frame
from polypda.evaluation.scoring.lesions import bounding_box, find_lesions
from polypda.evaluation.scoring.metrics import (
    DEFAULT_THRESHOLD,
    FALSE_POSITIVE_FRAME_FRACTION,
    FrameMetrics,
    Reliability,
    lesion_counts,
    marked_without_a_polyp,
    reliability,
)
from polypda.evaluation.scoring.surface import nsd_tolerance_px


def frame_metrics_boxes(
    probability: NDArray[np.floating],
    boxes: ArrayLike,
    valid: NDArray[np.bool_],
    threshold: float = DEFAULT_THRESHOLD,
    *,
    frame: str = "",
) -> FrameMetrics:
    """Score one frame against boxes; belongs into a case with the annotation "box".

    Args:
        probability: float H×W in [0, 1], at the frame's own resolution. A pixel is polyp from ``threshold`` on.
        boxes: N×4 numbers x0, y0, x1, y1 in px of the frame, half-open (x1 − x0 is the width); none: no polyp.
        valid: bool H×W, True where pixels count. Boxes are cut to the bounding box of this area.
        threshold: in (0, 1].
        frame: the frame's id, for messages.

    Returns: lesion counts; the false-positive block where there is no box; pixel ratios NaN and reference counts None.
        ``positive``: part of a box lies in the valid area's bounding box. ``missed``: positive, and no component that
        is more than a speck was predicted. ``lesion_specks_reference`` is 0: an annotated box is never a speck.

    Raises:
        UsageError: E_THRESHOLD_RANGE.
        DataError: E_METRIC_SIZE, E_METRIC_TYPE, E_PROBABILITY_NAN, E_PROBABILITY_RANGE, E_VALID_AREA_EMPTY,
            E_BOX_SHAPE, E_BOX_RANGE.
    """
    check_frame(probability, np.zeros(probability.shape, bool), valid, threshold, frame)
    annotated = checked_boxes(boxes, probability.shape, frame)
    field = bounding_box(valid)
    known = boxes_inside(annotated, field)
    valid_px = int(np.count_nonzero(valid))
    predicted = (probability >= threshold) & valid
    marked = find_lesions(predicted, valid_px)
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
        **marked_without_a_polyp(marked, negative),
        positive=positive,
        negative=negative,
        missed=positive and marked.count == 0,
        false_positive_frame=negative and predicted_px > FALSE_POSITIVE_FRAME_FRACTION * valid_px,
        **lesion_counts(box_ious(known, marked.boxes.astype(np.float64)), marked),
        lesion_specks_reference=0,
        reliability=_without_reference(probability, valid),
    )


def checked_boxes(boxes: ArrayLike, size: tuple[int, ...], frame: str = "") -> NDArray[np.float64]:
    """Boxes as float64 [N, 4]. Args: size: height and width of the frame, px.

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


def boxes_inside(boxes: NDArray[np.float64], field: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """The boxes' parts within the field (x, y, width, height, px); those wholly outside are left out."""
    left, top, width, height = field
    low, high = np.array([left, top]), np.array([left + width, top + height])
    cut = np.hstack([np.clip(boxes[:, :2], low, high), np.clip(boxes[:, 2:], low, high)])
    return cut[(cut[:, 0] < cut[:, 2]) & (cut[:, 1] < cut[:, 3])]


def box_ious(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of every pair of half-open boxes [N, 4] and [M, 4]: float64 [N, M] in [0, 1]."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    far_corner = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(far_corner - corner, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


def _without_reference(probability: NDArray[np.floating], valid: NDArray[np.bool_]) -> Reliability:
    return reliability(np.clip(probability, 0.0, 1.0), np.zeros(valid.shape, bool), valid)
