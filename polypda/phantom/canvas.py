"""The lit part of a frame: its place, its outline, and the coarse grid on which geometry is worked out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import FieldOfViewLook
from polypda.cohorts.phantom_look import FieldOfViewShape as FieldShape
from polypda.phantom.tube import Plane, Rays, camera_rays

WORK_LONGER_SIDE_PX = 272
"""Longer side of the coarse grid: light and shape are smooth, and outlines are carried by signed distances."""
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Canvas:
    """Where a scope's picture lies in its frame.

    left, top, width, height: the field's bounding box in native pixels, cut at the frame's border.
    outline: uint8 height×width×3, 255 inside the field, anti-aliased.
    rays: the coarse grid's view directions. coarse_inside: bool, the field on the coarse grid.
    radius: float32 h×w, distance from the field's centre in half axes of the box. zoom: native px per coarse px.
    """

    left: int
    top: int
    width: int
    height: int
    outline: NDArray[np.uint8]
    rays: Rays
    coarse_inside: NDArray[np.bool_]
    radius: Plane
    zoom: float


@lru_cache(maxsize=16)
def canvas_of(size: tuple[int, int], field: FieldOfViewLook) -> Canvas:
    """The canvas of a frame of ``size`` (width, height)."""
    frame = _field_outline(size, field)
    left, top, width, height = cv2.boundingRect((frame > 127).astype(np.uint8))
    outline = frame[top : top + height, left : left + width]
    zoom = max(width, height) / WORK_LONGER_SIDE_PX
    coarse = (max(8, round(width / zoom)), max(8, round(height / zoom)))
    # The view is centred on the scope's own field, not on what the frame shows of it.
    centre = ((size[0] * field.centre_x - left) / zoom, (size[1] * field.centre_y - top) / zoom)
    _, field_height = _field_size(size, field)
    rays = camera_rays(coarse[0], coarse[1], field_height / 2 / zoom, centre)
    inside = cv2.resize(outline, coarse, interpolation=cv2.INTER_AREA) > 127
    x = (np.arange(coarse[0], dtype=np.float32) + 0.5) / coarse[0] * 2 - 1
    y = (np.arange(coarse[1], dtype=np.float32) + 0.5) / coarse[1] * 2 - 1
    radius = np.hypot(x[None, :], y[:, None])
    return Canvas(left, top, width, height, np.repeat(outline[..., None], 3, axis=2), rays, inside, radius, zoom)


def _field_size(size: tuple[int, int], field: FieldOfViewLook) -> tuple[float, float]:
    width = size[0] * field.width_fraction
    return width, width if field.shape is FieldShape.CIRCLE else size[1] * field.height_fraction


def _field_outline(size: tuple[int, int], field: FieldOfViewLook) -> NDArray[np.uint8]:
    """uint8 height×width: 255 inside the field of view, anti-aliased at its edge."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    centre_x, centre_y = size[0] * field.centre_x, size[1] * field.centre_y
    width, height = _field_size(size, field)
    unit = 1 << _SUBPIXEL_BITS
    if field.shape is FieldShape.CIRCLE:
        centre = (round((centre_x - 0.5) * unit), round((centre_y - 0.5) * unit))
        cv2.circle(mask, centre, round(width / 2 * unit), 255, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
        return mask
    cut = 0.0 if field.shape is FieldShape.RECTANGLE else field.corner_fraction * height
    x, y = width / 2, height / 2
    corners = [(x - cut, -y), (x, -y + cut), (x, y - cut), (x - cut, y), (cut - x, y), (-x, y - cut), (-x, cut - y)]
    corners.append((cut - x, -y))
    points = np.array([(centre_x + i - 0.5, centre_y + j - 0.5) for i, j in corners])
    cv2.fillPoly(mask, [np.rint(points * unit).astype(np.int32)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return mask
