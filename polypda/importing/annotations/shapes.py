"""What a person drew on a frame, whatever the tool: a polygon, an ellipse, painted pixels, or a box; and its pixels.

One rule for every tool: coordinates are continuous, pixel (column c, row r) covers [c, c+1) × [r, r+1), and it belongs
to a shape when its centre (c + ½, r + ½) lies inside; boxes are half-open. A centre that lies exactly on an edge
belongs to the shape on its right or below, so shapes that share an edge share no pixel and leave none out. A ring that
crosses itself is filled by the even-odd rule. Drawing libraries are not used: they paint every pixel that an outline
touches, which makes a polyp half a pixel larger on each side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.stored_pixels import MOST_PIXELS
from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import items, number
from polypda.importing.contract import MaskPixels

Ring = NDArray[np.float64]
"""float64 N×2, x and y in px, closed by itself."""

LARGEST_COORDINATE_PX = 1e6
"""Beyond this a coordinate is damage; below, products of coordinates are exact enough in float64."""
MOST_CROSSINGS = 50_000_000
"""Rows that all edges of one ring may cross together: more is no outline that anybody drew."""
_CHUNK = 2_000_000


def ring_area_px2(ring: Ring) -> float:
    """Exact area of a ring that does not cross itself, px², not negative."""
    x, y = (ring - ring[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def fill_ring(ring: Ring, size: tuple[int, int]) -> MaskPixels:
    """The pixels of a ring in a frame of ``size`` (height, width); what lies outside is cut off.

    Raises: DataError E_SHAPE_POINTS for an outline of absurdly many points.
    """
    height, width = size
    start, end = ring, np.roll(ring, -1, axis=0)
    # upper end first, so that an edge has the same crossings whichever way it is walked
    upward = (start[:, 1] > end[:, 1])[:, None]
    upper, lower = np.where(upward, end, start), np.where(upward, start, end)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    rows_per_edge = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64) - first
    reach = np.cumsum(rows_per_edge)
    if len(reach) and reach[-1] > MOST_CROSSINGS:
        what = f"an outline of {len(ring)} points crosses {reach[-1]} rows."
        raise DataError("E_SHAPE_POINTS", what, fix="draw it again, or leave the frame out.")
    toggles = np.zeros((height, width + 1), np.uint8)
    cut = 0
    while cut < len(ring):
        passed = reach[cut - 1] if cut else 0
        stop = max(int(np.searchsorted(reach, passed + _CHUNK, side="right")), cut + 1)
        _toggle(toggles, upper[cut:stop], lower[cut:stop], first[cut:stop], rows_per_edge[cut:stop])
        cut = stop
    return np.bitwise_xor.accumulate(toggles[:, :width], axis=1)


def _toggle(
    toggles: NDArray[np.uint8], upper: Ring, lower: Ring, first: NDArray[np.int64], rows_per_edge: NDArray[np.int64]
) -> None:
    """Mark, for each crossing of an edge with a row of centres, the first column whose centre lies right of it."""
    edge = np.repeat(np.arange(len(upper)), rows_per_edge)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(rows_per_edge) - rows_per_edge, rows_per_edge)
    row = first[edge] + step
    span = lower - upper
    along = (row + 0.5 - upper[edge, 1]) / span[edge, 1]
    column = np.clip(np.ceil(upper[edge, 0] + along * span[edge, 0] - 0.5), 0, toggles.shape[1] - 1)
    np.bitwise_xor.at(toggles, (row, column.astype(np.int64)), 1)


def fill_ellipse(
    centre_px: tuple[float, float], radii_px: tuple[float, float], turned_deg: float, size: tuple[int, int]
) -> MaskPixels:
    """The pixels whose centres lie in an ellipse, turned clockwise (y points down) by ``turned_deg``."""
    height, width = size
    angle = np.deg2rad(turned_deg)
    across = np.arange(width) + 0.5 - centre_px[0]
    down = (np.arange(height) + 0.5 - centre_px[1])[:, None]
    along = (across * np.cos(angle) + down * np.sin(angle)) / radii_px[0]
    beside = (down * np.cos(angle) - across * np.sin(angle)) / radii_px[1]
    return (along**2 + beside**2 <= 1).astype(np.uint8)


Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1 in px, half-open."""
LEAST_AREA_PX2 = 1e-6


class Shape(ABC):
    """One drawn region."""

    @abstractmethod
    def corners(self) -> Corners:
        """The smallest box around it, not cut to the frame. Raises: DataError where pixels cannot be decoded."""

    def broken(self) -> bool:
        """Whether its numbers make no sense (NaN, infinite, absurdly large)."""
        return False

    def flat(self) -> bool:
        """Whether it has no area: a stray click. Of painted pixels that is known only once they are decoded."""
        return False

    def scaled(self, across: float, down: float) -> Shape:
        """The shape with coordinates that many times as large."""
        return self


class Region(Shape):
    """A shape that tells which pixels are polyp."""

    @abstractmethod
    def pixels(self, size: tuple[int, int]) -> MaskPixels:
        """uint8 H×W, 1 inside, in a frame of ``size`` (height, width). Raises: DataError."""


@dataclass(frozen=True)
class Box(Shape):
    """An upright rectangle that was drawn as a box around a polyp."""

    x0: float
    y0: float
    x1: float
    y1: float

    def corners(self) -> Corners:
        return (min(self.x0, self.x1), min(self.y0, self.y1), max(self.x0, self.x1), max(self.y0, self.y1))

    def broken(self) -> bool:
        return not _sound((self.x0, self.y0, self.x1, self.y1))

    def flat(self) -> bool:
        return self.x0 == self.x1 or self.y0 == self.y1

    def scaled(self, across: float, down: float) -> Box:
        return Box(self.x0 * across, self.y0 * down, self.x1 * across, self.y1 * down)


@dataclass(frozen=True)
class Polygon(Region):
    """One or several outlines; the polyp is their union."""

    rings: tuple[Ring, ...]

    def corners(self) -> Corners:
        points = np.concatenate(self.rings)
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return (float(x0), float(y0), float(x1), float(y1))

    def broken(self) -> bool:
        return not self.rings or not all(_sound(ring.ravel()) for ring in self.rings)

    def flat(self) -> bool:
        return all(len(ring) < 3 or ring_area_px2(ring) < LEAST_AREA_PX2 for ring in self.rings)

    def scaled(self, across: float, down: float) -> Polygon:
        return Polygon(tuple(ring * (across, down) for ring in self.rings))

    def pixels(self, size: tuple[int, int]) -> MaskPixels:
        mask = np.zeros(size, np.uint8)
        for ring in self.rings:
            if len(ring) >= 3:
                mask |= fill_ring(ring, size)
        return mask


@dataclass(frozen=True)
class Ellipse(Region):
    """An ellipse or circle; ``turned_deg`` clockwise."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    turned_deg: float = 0.0

    def corners(self) -> Corners:
        angle = np.deg2rad(self.turned_deg)
        across = float(np.hypot(self.radius_x * np.cos(angle), self.radius_y * np.sin(angle)))
        down = float(np.hypot(self.radius_x * np.sin(angle), self.radius_y * np.cos(angle)))
        return (self.x - across, self.y - down, self.x + across, self.y + down)

    def broken(self) -> bool:
        numbers = (self.x, self.y, self.radius_x, self.radius_y, self.turned_deg)
        return not _sound(numbers) or min(self.radius_x, self.radius_y) < 0

    def flat(self) -> bool:
        return min(self.radius_x, self.radius_y) <= 0

    def pixels(self, size: tuple[int, int]) -> MaskPixels:
        return fill_ellipse((self.x, self.y), (self.radius_x, self.radius_y), self.turned_deg, size)


@dataclass(frozen=True)
class Painted(Region):
    """Pixels that the tool stores. decode: from the frame's (height, width) to a mask of that size; drawn_on: the
    (height, width) that the tool painted on, None where it does not say."""

    decode: Callable[[tuple[int, int]], MaskPixels]
    drawn_on: tuple[int, int] | None = None

    def corners(self) -> Corners:
        if self.drawn_on is None:
            raise DataError("E_ANNOTATION_SIZE", "the size of the picture is not told", fix="export it with its size.")
        if self.drawn_on[0] * self.drawn_on[1] > MOST_PIXELS:
            what = f"painted on a picture of {self.drawn_on[1]}×{self.drawn_on[0]}"
            raise DataError("E_ANNOTATION_SIZE", what, fix="export the annotation again.")
        rows, columns = np.nonzero(self.decode(self.drawn_on))
        if not len(rows):
            return (0.0, 0.0, 0.0, 0.0)
        return (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))

    def pixels(self, size: tuple[int, int]) -> MaskPixels:
        return self.decode(size)


@dataclass(frozen=True)
class Unpaintable(Shape):
    """A kind of shape that encloses nothing (points, lines) or that is not read: there is a polyp, but not where."""

    def corners(self) -> Corners:
        return (0.0, 0.0, 0.0, 0.0)

    def broken(self) -> bool:
        return True


def turned_box(x: float, y: float, width: float, height: float, turned_deg: float, *, about_centre: bool) -> Box:
    """The upright box around a rectangle turned clockwise about its centre, or else about its upper left corner."""
    if not _sound((x, y, width, height, turned_deg)):
        return Box(np.nan, np.nan, np.nan, np.nan)
    angle = np.deg2rad(turned_deg)
    corners = np.array([(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)])
    pivot = np.array([width / 2, height / 2]) if about_centre else np.zeros(2)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    turned = (corners - pivot) @ turn + pivot + np.array([x, y])
    return Box(*map(float, (*turned.min(axis=0), *turned.max(axis=0))))


def ring_of_pairs(value: object) -> Ring:
    """An outline from a JSON array of [x, y]; what is no pair of numbers becomes NaN."""
    pairs = [items(pair) for pair in items(value)]
    return np.array(
        [[number(pair[0]), number(pair[1])] if len(pair) == 2 else [np.nan, np.nan] for pair in pairs], np.float64
    ).reshape(-1, 2)


def ring_of_flat(values: Iterable[object]) -> Ring:
    """An outline from x, y, x, y…; an odd number of values gives a NaN."""
    flat = [number(value) for value in values]
    return np.array(flat + [np.nan] * (len(flat) % 2), np.float64).reshape(-1, 2)


def _sound(numbers: Iterable[float]) -> bool:
    found = np.fromiter(numbers, np.float64)
    return bool(np.isfinite(found).all() and (np.abs(found) <= LARGEST_COORDINATE_PX).all())
