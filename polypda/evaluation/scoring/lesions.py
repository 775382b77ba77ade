"""Lesions: connected components of a mask, and which of them a prediction finds.

A component is 8-connected. One below max(20 px, 0.02 % of the valid area) is a speck: dropped from reference and
prediction alike, but counted. Lesions are paired one to one by maximum total IoU; "any overlap" would let one blob over
two polyps score 2 of 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

SPECK_PX = 20
SPECK_FRACTION = 0.0002
"""A component below max(SPECK_PX, SPECK_SHARE of the valid area) is a speck: dropped, but counted."""
HEADLINE_IOU = 0.1
STRICT_IOU = 0.5
LESION_RULE = "8-connected, matched one to one, hit at IoU ≥ 0.1 (strict: ≥ 0.5)"
"""What must stand beside a lesion figure."""
MORE_HITS = 1e-9
"""Added to each allowed pair: between matchings of equal total IoU the one with more hits wins."""

Box = tuple[int, int, int, int]
"""x, y, width, height, px."""


@dataclass(frozen=True)
class Lesions:
    """The components of one mask.

    labels: int32 h×w over ``box`` of the mask; 0 is background and specks, lesions are 1…count.
    areas_px: int64[count]. boxes: int64[count, 4], half-open x0, y0, x1, y1 in px of the whole mask, tight.
    specks: how many components were dropped.
    """

    labels: NDArray[np.int32]
    box: Box
    areas_px: NDArray[np.int64]
    boxes: NDArray[np.int64]
    specks: int

    @property
    def count(self) -> int:
        return len(self.areas_px)


def find_lesions(mask: NDArray[np.bool_], valid_px: int) -> Lesions:
    """The lesions of a bool H×W mask. ``valid_px``: size of the valid area, which the speck rule refers to."""
    left, top, width, height = box = bounding_box(mask)
    if not width:
        nothing = np.zeros(0, np.int64)
        return Lesions(np.zeros((0, 0), np.int32), box, nothing, nothing.reshape(0, 4), 0)
    found = np.ascontiguousarray(mask[top : top + height, left : left + width]).view(np.uint8)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    areas_px = statistics[1:, cv2.CC_STAT_AREA].astype(np.int64)
    kept = areas_px >= max(SPECK_PX, SPECK_FRACTION * valid_px)
    if not kept.all():
        renumbered = np.zeros(count, np.int32)
        renumbered[1:][kept] = np.arange(1, kept.sum() + 1)
        labels = renumbered[labels]
    corner = statistics[1:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]].astype(np.int64)
    size = statistics[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].astype(np.int64)
    boxes = np.hstack([corner, corner + size])[kept] + [left, top, left, top]
    return Lesions(labels.astype(np.int32, copy=False), box, areas_px[kept], boxes, int(np.count_nonzero(~kept)))


def lesion_ious(reference: Lesions, predicted: Lesions) -> NDArray[np.float64]:
    """IoU of every pair, float64 [reference.count, predicted.count], in [0, 1]. Both of masks of one size."""
    first, second = _common_part(reference, predicted)
    shared = np.bincount(
        (first.astype(np.int64) * (predicted.count + 1) + second).ravel(),
        minlength=(reference.count + 1) * (predicted.count + 1),
    ).reshape(reference.count + 1, predicted.count + 1)[1:, 1:]
    union = reference.areas_px[:, None] + predicted.areas_px[None, :] - shared
    return shared / union


def count_hits(ious: NDArray[np.float64], least_iou: float) -> int:
    """Hits of the one-to-one matching of greatest total IoU among pairs of at least ``least_iou``.

    Args: ious: float [references, predictions]. least_iou: the rule, in (0, 1].
    """
    allowed = ious >= least_iou
    if not allowed.any():
        return 0
    rows, columns = linear_sum_assignment(np.where(allowed, ious + MORE_HITS, 0.0), maximize=True)
    return int(np.count_nonzero(allowed[rows, columns]))


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """Smallest box around the True pixels of a bool H×W mask; width and height 0 where there is none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return 0, 0, 0, 0
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    # only the rows that hold anything: reading the picture once is what this costs
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return left, top, right - left, bottom - top


def _common_part(one: Lesions, other: Lesions) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The labels of both where their boxes overlap (perhaps nowhere: empty arrays)."""
    left, top = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    right = max(left, min(one.box[0] + one.box[2], other.box[0] + other.box[2]))
    bottom = max(top, min(one.box[1] + one.box[3], other.box[1] + other.box[3]))

    def part(of: Lesions) -> NDArray[np.int32]:
        return of.labels[top - of.box[1] : bottom - of.box[1], left - of.box[0] : right - of.box[0]]

    return part(one), part(other)
