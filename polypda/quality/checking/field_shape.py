"""The outline of a field of view as a class: rectangle, cut corners, octagon or circle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import FieldOfView
from polypda.cohorts.manifest import FieldOfViewShape

LEAST_CUT = 0.06
"""Legs of a corner shorter than this share of the shorter side are no cut."""
OCTAGON_CUT = 0.13
"""Corners cut by at least this much make an octagon; a regular one's are cut by 0.29."""
ARC_RATIO = 0.86
"""Where the diagonal meets the outline, over where it would meet a straight cut: 1 for such a one, 0.59 for a quarter
circle, 0.76 for a circle that the frame cuts off above and below."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """shape: None where no field of view was found. share: of the frame. width, height: of its box, shares."""

    shape: FieldOfViewShape | None
    share: float
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
    """Corners: legs along the two sides and depth along the diagonal, in shares of the shorter side."""
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
