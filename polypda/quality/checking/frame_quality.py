"""A frame's glare and blur, the outline of its field of view, and how its mask was drawn."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import FieldOfView
from polypda.cohorts.phantom_look import FieldOfViewShape
from polypda.cohorts.stored_masks import border_fraction
from polypda.quality.frame_figures import reduce_to_common_size

WHITE = 250
"""A pixel is over-exposed when its darkest channel reaches this (0–255)."""
GLARE_FRACTION = 0.10
"""A frame with more of its field of view over-exposed than this is an over-exposed frame; highlights stay below 5 %."""
BLUR_RATIO = 0.4
"""A frame less sharp than this fraction of its cohort's median is a blurred frame."""


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """overexposed: fraction of the field of view. sharpness: SD of the Laplacian in grey levels at 512 px."""

    overexposed: float
    sharpness: float


def judge_image(image: NDArray[np.uint8], inside: NDArray[np.bool_]) -> ImageQuality:
    """Judge an RGB frame, uint8 H×W×3; inside: bool H×W, its field of view."""
    small = reduce_to_common_size(image, cv2.INTER_AREA)
    field = cv2.resize(inside.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    core = cv2.erode(field, np.ones((9, 9), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if not core.any():
        core = np.ones(core.shape, bool)
    darkest = cv2.min(cv2.min(small[..., 0], small[..., 1]), small[..., 2])
    laplacian = cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return ImageQuality(float(np.mean(darkest[core] >= WHITE)), float(laplacian[core].std()))


LEAST_CUT = 0.06
"""Legs of a corner shorter than this fraction of the shorter side are no cut."""
OCTAGON_CUT = 0.13
"""Corners cut by at least this much make an octagon; a regular one's are cut by 0.29."""
ARC_RATIO = 0.86
"""Where the diagonal meets the outline, over where it would meet a straight cut: 1 for such a one, 0.59 for a quarter
circle, 0.76 for a circle that the frame cuts off above and below."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field of view's class (None where none was found), and its and its box's extent as fractions of the frame."""

    shape: FieldOfViewShape | None
    fraction: float
    width: float
    height: float


def shape_of(view: FieldOfView) -> FieldShape:
    """Class and extent of a field of view."""
    height, width = view.mask.shape
    box = view.box
    extent = (float(np.mean(view.mask)), box.width / width, box.height / height)
    if not view.found:
        return FieldShape(None, *extent)
    cut = view.mask[box.top : box.bottom, box.left : box.right]
    corners = [_corner(cut), _corner(cut[:, ::-1]), _corner(cut[::-1]), _corner(cut[::-1, ::-1])]
    return FieldShape(_class_of(corners), *extent)


def _class_of(corners: list[tuple[float, float, float]]) -> FieldOfViewShape:
    """Corners: legs along the two sides and depth along the diagonal, as fractions of the shorter side."""
    real = [corner for corner in corners if (corner[0] + corner[1]) / 2 >= LEAST_CUT]
    if len(real) < 2:
        return FieldOfViewShape.RECTANGLE
    legs = [(across + down) / 2 for across, down, _ in real]
    ratio = float(np.median([depth * (across + down) / max(across * down, 1e-9) for across, down, depth in real]))
    size = float(np.median(legs))
    if ratio < ARC_RATIO and size >= OCTAGON_CUT:
        return FieldOfViewShape.CIRCLE
    return FieldOfViewShape.OCTAGON if size >= OCTAGON_CUT and len(real) >= 3 else FieldOfViewShape.CUT_CORNERS


def _corner(cut: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Upper left corner: how far the field begins along the top, along the left side, along the diagonal."""
    shorter = min(cut.shape)
    edge = max(1, round(shorter * 0.01))
    across = _first(cut[edge - 1 if edge > 1 else 0])
    down = _first(cut[:, edge - 1 if edge > 1 else 0])
    depth = _first(np.diagonal(cut))
    return across / shorter, down / shorter, depth / shorter


def _first(line: NDArray[np.bool_]) -> int:
    return int(np.argmax(line)) if line.any() else len(line)


SPECK_PX = 20
SPECK_FRACTION = 0.01
"""A region smaller than both this many pixels and this fraction of the largest region is a speck…"""
SMALLEST_POLYP_FRACTION = 2e-5
"""…and so is one below this fraction of the frame, beside a larger one."""
SMOOTHING = 2.0
"""Standard deviation (px) of the smoothing along an outline that takes the stairs of a clean edge away."""
JAGGED_EXCESS = 1.25
"""An outline that is this many times as long as its smoothed self is jagged: stairs of a clean edge stay below 1.12."""
LEAST_STEP_PX, MOST_CORNERS = 3, 8
"""An outline with this many right angles between straight runs of such a length was drawn with larger pixels: that of
a digitised curve turns by 45° at once, a box has four."""
SHORTEST_OUTLINE_PX = 40
BORDER_RUN_FRACTION = 0.02
"""A mask touches the frame's border when so much of the border's length is polyp."""


@dataclass(frozen=True, slots=True)
class MaskQuality:
    """How a mask was drawn: polyps: regions without specks; jagged: the longest outline's excess length; on_border:
    fraction of the frame's border that is polyp; corners: right angles of the longest outline."""

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
        return self.on_border >= BORDER_RUN_FRACTION


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
    small = (areas < SPECK_PX) & (areas < SPECK_FRACTION * largest)
    small |= (areas < SMALLEST_POLYP_FRACTION * mask.size) & (areas < largest)
    contours, hierarchy = cv2.findContours(
        cv2.copyMakeBorder(cut, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    holes = int((hierarchy[0, :, 3] >= 0).sum()) if hierarchy is not None else 0
    outer = [one for one, entry in zip(contours, hierarchy[0], strict=True) if entry[3] < 0]
    longest = max(outer, key=len)[:, 0]
    return MaskQuality(
        area_px=area,
        polyps=int((~small).sum()),
        specks=int(small.sum()),
        holes=holes,
        jagged=_excess(longest),
        on_border=border_fraction(mask),
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
