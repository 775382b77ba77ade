"""One frame's figures that its label allows: how many polyps, how large, where, and how they stand out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.quality.statistics.image import Map, ReducedImage, coverage_map, reduce_to_common_size

SMALLEST_POLYP_PX = 10
"""Polyp pixels of the reduced frame below which colours are not compared and a component is not counted."""


@dataclass(frozen=True)
class PolypFigures:
    """What a mask, boxes or the statement "no polyp" says of a frame.

    polyps: components of the mask (at least 10 px of the reduced frame), or boxes. area: share (0–1) of the field of
    view that polyps, or the union of their boxes, cover; NaN without a polyp. off_centre: distance of their centre of
    mass from the middle of the field's bounding box, in its half axes (0 middle, 1 rim). contrast_*: polyp − all the
    rest of the field, in L*a*b*; NaN for boxes, which hold mucosa too. place: uint8 48×48 over the field's bounding
    box, the share (0–255) of each cell that polyps cover; None without a polyp.
    """

    polyps: int
    area: float = math.nan
    off_centre: float = math.nan
    contrast_lightness: float = math.nan
    contrast_a: float = math.nan
    contrast_b: float = math.nan
    location_map: Map | None = None


NO_POLYP = PolypFigures(0)


def mask_figures(reduced: ReducedImage, mask: NDArray[np.uint8]) -> PolypFigures:
    """The figures of a mask, uint8 H×W of the frame as stored, polyp where non-zero."""
    polyp = (reduce_to_common_size(mask, cv2.INTER_NEAREST_EXACT) > 0) & reduced.inside
    count = int(np.count_nonzero(polyp))
    if not count:
        return NO_POLYP
    rest = reduced.inside & ~polyp
    contrast = np.full(3, np.nan)
    if count > SMALLEST_POLYP_PX and rest.any():
        contrast = _mean(reduced.lab, polyp) - _mean(reduced.lab, rest)
    return PolypFigures(
        polyps=_components(polyp),
        **_extent(reduced, polyp),
        contrast_lightness=float(contrast[0]),
        contrast_a=float(contrast[1]),
        contrast_b=float(contrast[2]),
    )


def box_figures(
    reduced: ReducedImage, boxes: Sequence[tuple[float, float, float, float]], shape: tuple[int, ...]
) -> PolypFigures:
    """The figures of boxes (x0, y0, x1, y1 in px, half-open) on a frame of ``shape`` (height, width)."""
    height, width = reduced.inside.shape
    across, down = width / shape[1], height / shape[0]
    union = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        rows = slice(max(0, round(y0 * down)), max(round(y0 * down) + 1, round(y1 * down)))
        union[rows, max(0, round(x0 * across)) : max(round(x0 * across) + 1, round(x1 * across))] = True
    union &= reduced.inside
    if not union.any():
        return PolypFigures(len(boxes))
    return PolypFigures(len(boxes), **_extent(reduced, union))


def _extent(reduced: ReducedImage, polyp: NDArray[np.bool_]) -> dict:
    left, top, width, height = cv2.boundingRect(reduced.inside.astype(np.uint8))
    moments = cv2.moments(polyp.astype(np.uint8), binaryImage=True)
    x = (moments["m10"] / moments["m00"] - (left + (width - 1) / 2)) / max(width / 2, 1.0)
    y = (moments["m01"] / moments["m00"] - (top + (height - 1) / 2)) / max(height / 2, 1.0)
    return {
        "area": float(np.count_nonzero(polyp)) / float(np.count_nonzero(reduced.inside)),
        "off_centre": math.hypot(x, y),
        "location_map": coverage_map(polyp[top : top + height, left : left + width]),
    }


def _mean(lab: NDArray[np.float32], region: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(cv2.mean(lab, mask=region.astype(np.uint8))[:3])


def _components(polyp: NDArray[np.bool_]) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(polyp.astype(np.uint8), connectivity=8)
    return int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] >= SMALLEST_POLYP_PX))
