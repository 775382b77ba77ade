"""Pixels of polygons and ellipses against exact arithmetic, one pixel at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypda.errors import DataError
from polypda.importing.annotations import shapes
from polypda.importing.annotations.shapes import fill_ellipse, fill_ring, ring_area_px2

SIZE = (11, 17)
HALF = Fraction(1, 2)
coordinates = st.fractions(min_value=-4, max_value=21, max_denominator=16)  # exact in float64
rings = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7)


def inside(x, y, ring):
    """Even-odd rule in exact numbers; an edge counts for the points on its right, an upper end for the row below."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if y0 == y1 or not min(y0, y1) <= y < max(y0, y1):
            continue
        crossings += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
    return crossings % 2


def exact(ring, size=SIZE):
    return np.array([[inside(c + HALF, r + HALF, ring) for c in range(size[1])] for r in range(size[0])], np.uint8)


def as_array(ring):
    return np.array([[float(x), float(y)] for x, y in ring])


@settings(max_examples=150)
@given(rings)
def test_pixels_are_those_whose_centres_lie_inside(ring):
    # Crossings are quotients, which float64 rounds: only a centre within that rounding of an edge may differ.
    found, expected = fill_ring(as_array(ring), SIZE), exact(ring)
    for row, column in np.argwhere(found != expected):
        near = [
            abs(x0 + (row + HALF - y0) * (x1 - x0) / (y1 - y0) - column - HALF)
            for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True)
            if y0 != y1
        ]
        assert min(near) < 1e-12


@settings(max_examples=100)
@given(rings)
def test_start_and_direction_do_not_matter(ring):
    points = as_array(ring)
    expected = fill_ring(points, SIZE)
    np.testing.assert_array_equal(fill_ring(points[::-1], SIZE), expected)
    np.testing.assert_array_equal(fill_ring(np.roll(points, 1, axis=0), SIZE), expected)


@settings(max_examples=100)
@given(coordinates, coordinates)
def test_triangles_of_a_rectangle_share_no_pixel_and_leave_none_out(x, y):
    corners = [(-5, -5), (22, -5), (22, 16), (-5, 16)]
    x, y = min(max(float(x), -4), 21), min(max(float(y), -4), 15)
    total = np.zeros(SIZE, int)
    for first, second in zip(corners, [*corners[1:], corners[0]], strict=True):
        total += fill_ring(np.array([first, second, (x, y)]), SIZE)
    assert (total == 1).all()


def test_upright_rectangle_has_its_area_wherever_pixels_are_whole():
    for x0, y0, width, height in ((0, 0, 17, 11), (3, 2, 5, 4), (16, 10, 1, 1)):
        ring = np.array([(x0, y0), (x0 + width, y0), (x0 + width, y0 + height), (x0, y0 + height)], float)
        mask = fill_ring(ring, SIZE)
        assert mask.sum() == width * height == ring_area_px2(ring)
        assert mask[y0 : y0 + height, x0 : x0 + width].all()


def test_area_of_a_large_shape_is_near_its_pixels():
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.stack([360.3 + 200 * np.cos(angles), 288.7 + 150 * np.sin(angles)], axis=1)
    assert fill_ring(ring, (576, 720)).sum() == pytest.approx(ring_area_px2(ring), rel=1e-3)
    ellipse = fill_ellipse((360.3, 288.7), (200, 150), 0, (576, 720))
    assert ellipse.sum() == pytest.approx(np.pi * 200 * 150, rel=1e-3)


def test_turned_ellipse_is_its_polygon():
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    across, down = 60 * np.cos(angles), 20 * np.sin(angles)
    turn = np.deg2rad(30)
    ring = np.stack(
        [100 + across * np.cos(turn) - down * np.sin(turn), 80 + across * np.sin(turn) + down * np.cos(turn)], axis=1
    )
    differs = fill_ellipse((100, 80), (60, 20), 30, (160, 200)) != fill_ring(ring, (160, 200))
    assert differs.sum() <= 4


def test_ring_that_crosses_itself_is_filled_even_odd():
    ring = np.array([(1, 1), (9, 1), (9, 9), (1, 9), (1, 1), (3, 3), (7, 3), (7, 7), (3, 7), (3, 3)], float)
    mask = fill_ring(ring, SIZE)
    assert mask[5, 5] == 0
    assert mask.sum() == 64 - 16


def test_work_is_the_same_in_parts(monkeypatch):
    ring = np.random.default_rng(0).uniform(-5, 25, (200, 2))
    expected = fill_ring(ring, SIZE)
    monkeypatch.setattr(shapes, "_CHUNK", 7)
    np.testing.assert_array_equal(fill_ring(ring, SIZE), expected)


def test_outline_of_absurdly_many_points_is_refused():
    ring = np.tile([(0.0, 0.0), (5.0, 4000.0)], (10_000, 1))
    with pytest.raises(DataError, match="E_SHAPE_POINTS"):
        fill_ring(ring, (4000, 10))
