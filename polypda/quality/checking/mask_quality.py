"""How a mask was drawn: regions, specks, holes, a jagged outline, contact with the frame's border."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SPECK_PX = 20
SPECK_SHARE = 0.01
"""A region smaller than both this many pixels and this share of the largest region is a speck…"""
SMALLEST_POLYP_SHARE = 2e-5
"""…and so is one below this share of the frame, beside a larger one."""
SMOOTHING = 2.0
"""Standard deviation (px) of the smoothing along an outline that takes the stairs of a clean edge away."""
JAGGED_EXCESS = 1.25
"""An outline that is this many times as long as its smoothed self is jagged: stairs of a clean edge stay below 1.12."""
LEAST_STEP_PX, MOST_CORNERS = 3, 8
"""An outline with this many right angles between straight runs of such a length was drawn with larger pixels: that of
a digitised curve turns by 45° at once, a box has four."""
SHORTEST_OUTLINE_PX = 40
BORDER_RUN_SHARE = 0.02
"""A mask touches the frame's border when so much of the border's length is polyp."""


@dataclass(frozen=True, slots=True)
class MaskQuality:
    """area_px: all polyp. polyps: regions without specks. specks, holes: their numbers. jagged: outline's excess.
    corners: right angles of
    the largest region's outline.

    on_border: share of the frame's border that is polyp.
    """

    area_px: int
    polyps: int
    specks: int
    holes: int
    jagged: float
    on_border: float
    corners: int = 0

    @property
    def is_jagged(self) -> bool:
        return self.jagged >= JAGGED_EXCESS or self.corners >= MOST_CORNERS

    @property
    def touches_border(self) -> bool:
        return self.on_border >= BORDER_RUN_SHARE


def judge_mask(mask: NDArray[np.uint8]) -> MaskQuality:
    """Judge a mask, uint8 H×W with 1 for polyp."""
    area = int(np.count_nonzero(mask))
    if not area:
        return MaskQuality(0, 0, 0, 0, 1.0, 0.0)
    left, top, width, height = cv2.boundingRect(mask)
    cut = np.ascontiguousarray(mask[top : top + height, left : left + width])
    count, _, stats, _ = cv2.connectedComponentsWithStats(cut, connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    largest = int(areas.max())
    small = (areas < SPECK_PX) & (areas < SPECK_SHARE * largest)
    small |= (areas < SMALLEST_POLYP_SHARE * mask.size) & (areas < largest)
    contours, hierarchy = cv2.findContours(
        cv2.copyMakeBorder(cut, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    holes = int((hierarchy[0, :, 3] >= 0).sum()) if hierarchy is not None else 0
    outer = [one for one, entry in zip(contours, hierarchy[0], strict=True) if entry[3] < 0]
    edges = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    longest = max(outer, key=len)[:, 0]
    return MaskQuality(
        area_px=area,
        polyps=int((~small).sum()),
        specks=int(small.sum()),
        holes=holes,
        jagged=_excess(longest),
        on_border=float(np.mean(edges > 0)),
        corners=_corners(longest),
    )


def _corners(outline: NDArray) -> int:
    """Right angles between two straight runs along the axes, each of at least ``LEAST_STEP_PX``."""
    steps = np.roll(outline, -1, axis=0) - outline
    turns = np.flatnonzero((steps != np.roll(steps, 1, axis=0)).any(axis=1))
    if len(turns) < 3:
        return 0
    vertices = outline[turns]
    sides = np.roll(vertices, -1, axis=0) - vertices
    straight = ((sides == 0).sum(axis=1) == 1) & (np.abs(sides).max(axis=1) >= LEAST_STEP_PX)
    before = np.roll(straight, 1)
    turned = (sides * np.roll(sides, 1, axis=0)).sum(axis=1) == 0
    return int((straight & before & turned).sum())


def _excess(outline: NDArray) -> float:
    """Length of a closed outline (N×2 px) over that of its smoothed self; 1 for one too short to judge."""
    if len(outline) < SHORTEST_OUTLINE_PX:
        return 1.0
    points = outline.astype(np.float32)
    reach = round(3 * SMOOTHING)
    kernel = cv2.getGaussianKernel(2 * reach + 1, SMOOTHING).astype(np.float32)[:, 0]
    padded = np.concatenate([points[-reach:], points, points[:reach]])
    smooth = np.stack([np.convolve(padded[:, axis], kernel, mode="valid") for axis in (0, 1)], axis=1)
    return _length(points) / max(_length(smooth), 1.0)


def _length(points: NDArray[np.float32]) -> float:
    return float(np.hypot(*(np.roll(points, -1, axis=0) - points).T).sum())
