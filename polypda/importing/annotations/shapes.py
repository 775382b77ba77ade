"""What a person drew on a frame, whatever the tool: a polygon, an ellipse, painted pixels, or a box.

Coordinates are continuous px of the frame (see :mod:`polypda.importing.annotations.polygons`); boxes are half-open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from polypda.cohorts.stored_pixels import MOST_PIXELS
from polypda.errors import DataError
from polypda.importing.annotations.json_values import items, number
from polypda.importing.annotations.polygons import LARGEST_COORDINATE_PX, Ring, fill_ellipse, fill_ring, ring_area_px2
from polypda.importing.contract import MaskPixels

Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1 in px, half-open."""
LEAST_AREA_PX2 = 1e-6


class Shape(ABC):
    """One drawn region."""

    @abstractmethod
    def corners(self) -> Corners:
        """The smallest box around it, not cut to the frame. Raises: DataError where pixels cannot be decoded."""

    @abstractmethod
    def broken(self) -> bool:
        """Whether its numbers make no sense (NaN, infinite, absurdly large)."""

    @abstractmethod
    def flat(self) -> bool:
        """Whether it has no area: a stray click."""

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

    def broken(self) -> bool:
        return False

    def flat(self) -> bool:
        return False  # known only once it is decoded

    def pixels(self, size: tuple[int, int]) -> MaskPixels:
        return self.decode(size)


@dataclass(frozen=True)
class Unpaintable(Shape):
    """A kind of shape that encloses nothing (points, lines) or that is not read: there is a polyp, but not where."""

    kind: str

    def corners(self) -> Corners:
        return (0.0, 0.0, 0.0, 0.0)

    def broken(self) -> bool:
        return True

    def flat(self) -> bool:
        return False


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
