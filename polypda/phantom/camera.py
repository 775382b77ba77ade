"""The view: a camera inside a tube with haustral folds, and the canvas that its image fills in the frame.

Coordinates are the tube's: its radius is 1, its axis is +z, and the camera sits inside at ``position``. The projection
is equidistant (angle proportional to the distance from the image's centre), as wide-angle endoscopes nearly are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import FieldOfViewLook, FieldOfViewShape

Plane = NDArray[np.float32]

HALF_HEIGHT_ANGLE = np.deg2rad(54.0)
"""View angle between the centre of the field of view and the middle of its upper edge."""
FARTHEST = 12.0
"""Distances are cut here, in tube radii; the lamp's light has long fallen off."""
STEEPEST = 2.5
"""Tangent of the steepest angle of incidence that is shaded."""
_UNSEEN = 1e3


@dataclass(frozen=True)
class Rays:
    """Unit view directions in camera coordinates (x right, y down, z forward), float32 h×w each.

    angle_step: radians between neighbouring pixels.
    """

    x: Plane
    y: Plane
    z: Plane
    angle_step: float

    def thinned(self, stride: int) -> Rays:
        """Every ``stride``-th ray of every ``stride``-th row."""
        grid = (slice(stride // 2, None, stride),) * 2
        x, y, z = (np.ascontiguousarray(plane[grid]) for plane in (self.x, self.y, self.z))
        return Rays(x, y, z, self.angle_step * stride)

    def part(self, window: tuple[slice, slice]) -> Rays:
        """The rays of a window of the grid."""
        return Rays(self.x[window], self.y[window], self.z[window], self.angle_step)

    def direction(self, row: int, column: int) -> NDArray[np.float64]:
        """One ray's direction, (3,)."""
        return np.array([self.x[row, column], self.y[row, column], self.z[row, column]], np.float64)

    def turned(self, rotation: NDArray[np.float64]) -> Rays:
        """The rays in another frame of reference; ``rotation`` is 3×3."""
        m = rotation.astype(np.float32)
        rows = [m[i, 0] * self.x + m[i, 1] * self.y + m[i, 2] * self.z for i in range(3)]
        return Rays(rows[0], rows[1], rows[2], self.angle_step)


@dataclass(frozen=True)
class Fold:
    """A crescent-shaped ridge across the tube.

    z: where its crest stands. height: how far it reaches inwards (tube radii). width: its thickness along the axis.
    side, reach: direction of its middle (radians) and how much of the circumference it covers (0 all … 1 a third).
    lobes, turn: how triangular the opening is, and its rotation. centre: shift of the opening from the axis.
    """

    z: float
    height: float
    width: float
    side: float
    reach: float
    lobes: float
    turn: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """Where the camera is and how it is turned: position (3,), rotation 3×3 (camera → tube)."""

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]


def camera_rays(width: int, height: int, scale: float, centre: tuple[float, float]) -> Rays:
    """Rays of a grid of width×height pixels.

    scale: pixels from the field's centre to the middle of its upper edge. centre: the field's, in pixels of this grid.
    """
    x = ((np.arange(width, dtype=np.float32) + 0.5 - centre[0]) / scale)[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5 - centre[1]) / scale)[:, None]
    radius = np.maximum(np.hypot(x, y), 1e-6)
    angle = (radius * HALF_HEIGHT_ANGLE).astype(np.float32)
    sine = np.sin(angle) / radius
    step = float(HALF_HEIGHT_ANGLE / scale)
    return Rays((sine * x).astype(np.float32), (sine * y).astype(np.float32), np.cos(angle), step)


def look_towards(angle: float, tilt: float, roll: float) -> NDArray[np.float64]:
    """Rotation (3×3, camera → tube) that puts the tube's far end at polar position (angle, tilt) of the image."""
    cos_a, sin_a = np.cos(angle), np.sin(angle)
    around = np.array([[cos_a, -sin_a, 0], [sin_a, cos_a, 0], [0, 0, 1]])
    cos_t, sin_t = np.cos(tilt), np.sin(tilt)
    tipped = np.array([[cos_t, 0, -sin_t], [0, 1, 0], [sin_t, 0, cos_t]])
    cos_r, sin_r = np.cos(roll), np.sin(roll)
    rolled = np.array([[cos_r, -sin_r, 0], [sin_r, cos_r, 0], [0, 0, 1]])
    return np.asarray(rolled @ around @ tipped @ around.T)


def wall_distance(rays: Rays, position: NDArray[np.float64], folds: tuple[Fold, ...]) -> Plane:
    """Distance along each ray (tube coordinates) to the wall or the fold that hides it; float32 h×w, tube radii."""
    ox, oy = np.float32(position[0]), np.float32(position[1])
    across = np.maximum(rays.x * rays.x + rays.y * rays.y, np.float32(2e-3))
    along = ox * rays.x + oy * rays.y
    room = np.float32(position[0] ** 2 + position[1] ** 2 - 1.0)
    distance = ((np.sqrt(along * along - across * room) - along) / across).astype(np.float32, copy=False)
    np.minimum(distance, np.float32(FARTHEST), out=distance)
    forward = rays.z > 0.04
    inverse_z = np.where(forward, 1.0 / np.where(forward, rays.z, 1.0), np.float32(_UNSEEN)).astype(np.float32)
    off_axis = float(np.hypot(position[0], position[1]))
    for fold in folds:
        nearest = fold.z - 2 * fold.width - position[2]
        if nearest > 0.2:
            # a far fold covers only the middle of the view
            window = grid_window(rays.z[::4, ::4] > np.cos(np.arctan((1.02 + off_axis) / nearest)), 4)
            if window is not None:
                hidden = _fold_distance(rays.part(window), inverse_z[window], position, fold)
                distance[window] = _nearer(distance[window], hidden)
    return distance


def grid_window(seen: NDArray[np.bool_], stride: int) -> tuple[slice, slice] | None:
    """The part of a grid around what is True on its every ``stride``-th row and column; None where nothing is."""
    if not seen.any():
        return None
    ends = (np.flatnonzero(seen.any(axis=axis))[[0, -1]] for axis in (1, 0))
    rows, columns = (slice(max(0, stride * int(low) - stride), stride * int(high) + 2 * stride) for low, high in ends)
    return rows, columns


def _fold_distance(rays: Rays, inverse_z: Plane, position: NDArray[np.float64], fold: Fold) -> Plane:
    """Distance to one fold's front; large where the ray passes through its opening."""
    ahead = np.float32(fold.z - position[2])
    reach = ahead * inverse_z
    px = reach * rays.x + np.float32(position[0] - fold.centre[0])
    py = reach * rays.y + np.float32(position[1] - fold.centre[1])
    squared = px * px + py * py + np.float32(1e-6)
    radius = np.sqrt(squared)
    middle = (np.float32(np.cos(fold.side)) * px + np.float32(np.sin(fold.side)) * py) / radius
    presence = np.clip(1.0 + np.float32(fold.reach) * (middle - 1.0), 0.0, 1.0)
    cubed = squared * radius
    cosine3 = (px * px - 3 * py * py) * px / cubed
    sine3 = (3 * px * px - py * py) * py / cubed
    lobes = np.float32(fold.lobes) * (np.float32(np.cos(fold.turn)) * cosine3 + np.float32(np.sin(fold.turn)) * sine3)
    depth_inwards = np.float32(fold.height) * presence * (1.0 + lobes)
    into = (radius - (1.0 - depth_inwards)) / np.float32(fold.height)
    inside = np.maximum(into, 0.0)
    # A rounded lip: from its crest the front leans towards the camera, ever more, down to the wall.
    lean = inside * inside / (0.3 + np.float32(0.5) * inside + inside * inside)
    front = np.maximum(ahead - np.float32(2.0 * fold.width) * lean, 0.15)
    return np.where(into > 0, front * inverse_z, np.float32(_UNSEEN))


def _nearer(first: Plane, second: Plane) -> Plane:
    """The nearer of wall and fold, the crease between them rounded; a ray through the opening keeps the wall."""
    softness = np.float32(0.10) * first
    overlap = np.clip(0.5 + 0.5 * (second - first) / softness, 0.0, 1.0)
    far = np.where(second >= _UNSEEN * 0.5, first, second)
    return np.asarray(far + (first - far) * overlap - softness * overlap * (1.0 - overlap), np.float32)


def facing(distance: Plane, angle_step: float, lamp: tuple[float, float]) -> Plane:
    """Cosine between surface and lamp from the distances alone; float32 h×w in 0–1.

    With an equidistant projection the slope of log-distance per radian is the tangent of the angle of incidence.
    lamp: its offset from the lens as a fraction of the viewing distance (x, y).
    """
    log_distance = cv2.log(distance)
    slope_x = cv2.Scharr(log_distance, cv2.CV_32F, 1, 0, scale=1.0 / (32 * angle_step), borderType=cv2.BORDER_REPLICATE)
    slope_y = cv2.Scharr(log_distance, cv2.CV_32F, 0, 1, scale=1.0 / (32 * angle_step), borderType=cv2.BORDER_REPLICATE)
    # A jump in distance is an edge, not a slope: unlimited, every crest would be drawn with a black line.
    np.clip(slope_x, -STEEPEST, STEEPEST, out=slope_x)
    np.clip(slope_y, -STEEPEST, STEEPEST, out=slope_y)
    towards = 1.0 - np.float32(lamp[0]) * slope_x - np.float32(lamp[1]) * slope_y
    return np.clip(towards / np.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y), 0.02, 1.0).astype(np.float32)


WORK_LONGER_SIDE_PX = 272
"""Longer side of the coarse grid: light and shape are smooth, and outlines are carried by signed distances."""
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Canvas:
    """Where a scope's image lies in its frame, and the coarse grid on which its geometry is worked out.

    left, top, width, height: the field's bounding box in native pixels, cut at the frame's border. outline: uint8
    height×width×3, 255 inside the field, anti-aliased. coarse_inside: bool h×w, the field on the coarse grid. radius:
    float32 h×w, distance from the field's centre in half axes of the box. zoom: native px per coarse px.
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
    return width, width if field.shape is FieldOfViewShape.CIRCLE else size[1] * field.height_fraction


def _field_outline(size: tuple[int, int], field: FieldOfViewLook) -> NDArray[np.uint8]:
    """uint8 height×width: 255 inside the field of view, anti-aliased at its edge."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    centre_x, centre_y = size[0] * field.centre_x, size[1] * field.centre_y
    width, height = _field_size(size, field)
    unit = 1 << _SUBPIXEL_BITS
    if field.shape is FieldOfViewShape.CIRCLE:
        centre = (round((centre_x - 0.5) * unit), round((centre_y - 0.5) * unit))
        cv2.circle(mask, centre, round(width / 2 * unit), 255, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
        return mask
    cut = 0.0 if field.shape is FieldOfViewShape.RECTANGLE else field.corner_fraction * height
    x, y = width / 2, height / 2
    corners = [(x - cut, -y), (x, -y + cut), (x, y - cut), (x - cut, y), (cut - x, y), (-x, y - cut), (-x, cut - y)]
    corners.append((cut - x, -y))
    points = np.array([(centre_x + i - 0.5, centre_y + j - 0.5) for i, j in corners])
    cv2.fillPoly(mask, [np.rint(points * unit).astype(np.int32)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return mask
