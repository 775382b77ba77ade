"""The geometry of masks: lesions and which of them a prediction finds, and how far apart two outlines are.

A component is 8-connected. One below max(20 px, 0.02 % of the valid area) is a speck: dropped from reference and
prediction alike, but counted. Lesions are paired one to one by maximum total IoU; "any overlap" would let one blob over
two polyps score 2 of 2.
An outline is a mask's edge pixels: those that an erosion by the 3×3 cross removes, where all beyond the frame's rim is
background (MONAI's definition). Distances run between pixel centres and are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

SPECK_PX = 20
SPECK_FRACTION = 0.0002
"""A component below max(SPECK_PX, SPECK_FRACTION of the valid area) is a speck: dropped, but counted."""
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
    large = areas_px >= max(SPECK_PX, SPECK_FRACTION * valid_px)
    if not large.all():
        renumbered = np.zeros(count, np.int32)
        renumbered[1:][large] = np.arange(1, large.sum() + 1)
        labels = renumbered[labels]
    corner = statistics[1:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]].astype(np.int64)
    size = statistics[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].astype(np.int64)
    boxes = np.hstack([corner, corner + size])[large] + [left, top, left, top]
    return Lesions(labels.astype(np.int32, copy=False), box, areas_px[large], boxes, int(np.count_nonzero(~large)))


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
    """Hits of the one-to-one matching of greatest total IoU among pairs (float [references, predictions]) of at least
    ``least_iou``, in (0, 1]."""
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
    # only the rows that hold anything: reading the image once is what this costs
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return left, top, right - left, bottom - top


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


def _common_part(one: Lesions, other: Lesions) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The labels of both where their boxes overlap (perhaps nowhere: empty arrays)."""
    left, top = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    right = max(left, min(one.box[0] + one.box[2], other.box[0] + other.box[2]))
    bottom = max(top, min(one.box[1] + one.box[3], other.box[1] + other.box[3]))

    def part(of: Lesions) -> NDArray[np.int32]:
        return of.labels[top - of.box[1] : bottom - of.box[1], left - of.box[0] : right - of.box[0]]

    return part(one), part(other)


TOLERANCE_FRACTION = 0.01
LEAST_TOLERANCE_PX = 2.0
PERCENTILE = 95.0
FEW_PAIRS = 4_000_000
"""Up to so many pairs of points all squared distances together cost less than two searches in a tree."""
EXACT_FLOAT32 = 2**24
"""Whole numbers below this have no rounding in float32."""
ROWS_AT_ONCE = 64
"""So many rows of squared distances stay in the processor's cache."""
POINTS_PER_LEAF = 32

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def nsd_tolerance_px(field: Box) -> float:
    """1 % of the field of view's diameter (the larger side of its bounding box, px), at least 2 px."""
    return max(LEAST_TOLERANCE_PX, TOLERANCE_FRACTION * max(field[2], field[3]))


def field_diagonal_px(field: Box) -> float:
    """Diagonal of the field of view's bounding box, px: the HD95 of a polyp that was missed."""
    return math.hypot(field[2], field[3])


def hd95_and_nsd(
    reference: NDArray[np.bool_], predicted: NDArray[np.bool_], tolerance_px: float
) -> tuple[float, float]:
    """HD95 (px) and NSD (in [0, 1]) of two bool H×W masks, neither of them empty.

    HD95 is the larger of the two directed 95th percentiles (linear interpolation) of the distances from each edge pixel
    to the nearest one of the other mask. NSD is the fraction of both outlines' pixels within ``tolerance_px`` of the
    other outline.
    """
    there, back = outline_distances(reference, predicted)
    hd95 = max(percentile_95(there), percentile_95(back))
    near = np.count_nonzero(there <= tolerance_px) + np.count_nonzero(back <= tolerance_px)
    return hd95, near / (there.size + back.size)


def outline_distances(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances (px) from each edge pixel of ``first`` to the outline of ``second``, and the other way round.

    Masks: bool H×W of one size, neither empty. Found from the outlines' points alone: a distance transform would cost
    a pass over the whole image.
    """
    here, other = (_points(*edge_pixels(mask)) for mask in (first, second))
    if len(here) * len(other) <= FEW_PAIRS:
        middle = np.rint((here.mean(axis=0) + other.mean(axis=0)) / 2)
        reach = np.abs(here - middle).max(axis=0) + np.abs(other - middle).max(axis=0)
        if float(reach @ reach) < EXACT_FLOAT32:
            return _all_pairs((here - middle).astype(np.float32), (other - middle).astype(np.float32))
    return _nearest(here, other), _nearest(other, here)


def percentile_95(values: NDArray[np.float64]) -> float:
    """95th percentile of at least one value, linear between ranks: ``np.percentile``, for a tenth of its cost."""
    rank = PERCENTILE / 100 * (values.size - 1)
    below = math.floor(rank)
    above = min(below + 1, values.size - 1)
    ranked = np.partition(values, (below, above))
    return float(ranked[below] + (rank - below) * (ranked[above] - ranked[below]))


def _all_pairs(
    here: NDArray[np.float32], other: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances from each point to the nearest of the other set, both ways, from all squared distances.

    |a − b|² = |a|² + |b|² − 2ab is one matrix product. Points: float32 [N, 2] and [M, 2], whole numbers small enough
    that every partial sum is a whole number below 2²⁴: float32 then holds it without rounding.
    """
    left = np.ones((len(here), 4), np.float32)
    left[:, :2], left[:, 2] = here, (here * here).sum(axis=1)
    right = np.ones((4, len(other)), np.float32)
    right[:2], right[3] = -2 * other.T, (other * other).sum(axis=1)
    there = np.empty(len(here), np.float32)
    back = np.full(len(other), np.inf, np.float32)
    squares = np.empty((ROWS_AT_ONCE, len(other)), np.float32)
    for start in range(0, len(here), ROWS_AT_ONCE):
        rows = left[start : start + ROWS_AT_ONCE]
        part = np.matmul(rows, right, out=squares[: len(rows)])
        part.min(axis=1, out=there[start : start + ROWS_AT_ONCE])
        np.minimum(back, part.min(axis=0), out=back)
    return np.sqrt(there, dtype=np.float64), np.sqrt(back, dtype=np.float64)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each of ``points``, float64 [N, 2], to the nearest of ``others``."""
    # a tree that is asked once is not worth balancing
    tree = cKDTree(others, leafsize=POINTS_PER_LEAF, balanced_tree=False, compact_nodes=False)
    distances, _ = tree.query(points)
    return distances


def edge_pixels(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Box]:
    """The edge pixels of a bool H×W mask: bool h×w over the mask's bounding box, and that box."""
    left, top, width, height = box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[top : top + height, left : left + width]).view(np.uint8)
    # beyond the box there is only background, so the box's rim is edge as the frame's rim is
    core = cv2.erode(inside, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.not_equal(inside, core), box


def _points(edge: NDArray[np.bool_], box: Box) -> NDArray[np.float64]:
    """x and y of the True pixels, float64 [N, 2], px of the whole mask."""
    y, x = np.divmod(np.flatnonzero(edge), edge.shape[1])
    return np.stack([x + box[0], y + box[1]], axis=1).astype(np.float64)
