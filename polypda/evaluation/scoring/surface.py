"""How far apart two outlines are: HD95 and normalised surface distance (NSD) of two masks, in pixels.

An outline is made of the mask's edge pixels: those that a binary erosion by the 3×3 cross removes, where everything
beyond the frame's rim counts as background (MONAI's definition, whose values these are). Pixels are square.
Distances run between pixel centres and are exact. They are found from the outlines' points alone, never by a distance
transform: outlines have thousands of points where the picture has millions.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from polypda.evaluation.scoring.lesions import Box, bounding_box

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
    to the nearest edge pixel of the other mask. NSD is the share of both outlines' pixels that lie within
    ``tolerance_px`` of the other outline.
    """
    there, back = outline_distances(reference, predicted)
    hd95 = max(percentile_95(there), percentile_95(back))
    near = np.count_nonzero(there <= tolerance_px) + np.count_nonzero(back <= tolerance_px)
    return hd95, near / (there.size + back.size)


def outline_distances(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances (px) from each edge pixel of ``first`` to the outline of ``second``, and the other way round.

    Masks: bool H×W of one size, neither empty. Returns: float64[edge pixels], float64[edge pixels].
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
