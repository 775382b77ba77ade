"""How far apart two outlines are: HD95 and normalised surface distance (NSD) of two masks, in pixels.

An outline is made of the mask's edge pixels: those that a binary erosion by the 3×3 cross removes, where everything
beyond the frame's rim counts as background (MONAI's definition, whose values these are). Pixels are square.
Distances run between pixel centres and are exact: a k-d tree over the outline's points, not a distance transform of
the whole picture. The outlines have thousands of points where the picture has millions, which is what makes it fast.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from polypda.evaluation.lesions import Box, bounding_box

TOLERANCE_SHARE = 0.01
LEAST_TOLERANCE_PX = 2.0
PERCENTILE = 95.0

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def nsd_tolerance_px(field: Box) -> float:
    """1 % of the field of view's diameter (the larger side of its bounding box, px), at least 2 px."""
    return max(LEAST_TOLERANCE_PX, TOLERANCE_SHARE * max(field[2], field[3]))


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
    hd95 = max(float(np.percentile(there, PERCENTILE)), float(np.percentile(back, PERCENTILE)))
    near = np.count_nonzero(there <= tolerance_px) + np.count_nonzero(back <= tolerance_px)
    return hd95, near / (there.size + back.size)


def outline_distances(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances (px) from each edge pixel of ``first`` to the outline of ``second``, and the other way round.

    Masks: bool H×W of one size, neither empty. Returns: float64[edge pixels], float64[edge pixels].
    """
    outlines = edge_pixels(first), edge_pixels(second)
    points = [_points(outline) for outline in outlines]
    trees = [KDTree(each, balanced_tree=False, compact_nodes=False) for each in points]
    there, _ = trees[1].query(points[0])
    back, _ = trees[0].query(points[1])
    return there, back


def edge_pixels(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Box]:
    """The edge pixels of a bool H×W mask: bool h×w over the mask's bounding box, and that box."""
    left, top, width, height = box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[top : top + height, left : left + width]).view(np.uint8)
    # beyond the box there is only background, so the box's rim is edge as the frame's rim is
    core = cv2.erode(inside, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.not_equal(inside, core), box


def _points(outline: tuple[NDArray[np.bool_], Box]) -> NDArray[np.float64]:
    edge, (left, top, _, _) = outline
    found = cv2.findNonZero(edge.view(np.uint8)).reshape(-1, 2).astype(np.float64)
    return found + np.array([left, top], dtype=np.float64)
