"""Polygons and ellipses as pixels.

One rule for every tool: coordinates are continuous, pixel (column c, row r) covers [c, c+1) × [r, r+1), and it belongs
to a shape when its centre (c + ½, r + ½) lies inside. A centre that lies exactly on an edge belongs to the shape on its
right or below, so shapes that share an edge share no pixel and leave none out. A ring that crosses itself is filled by
the even-odd rule. Drawing libraries are not used: they paint every pixel that an outline touches, which makes a polyp
half a pixel larger on each side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError
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
    share = (row + 0.5 - upper[edge, 1]) / span[edge, 1]
    column = np.clip(np.ceil(upper[edge, 0] + share * span[edge, 0] - 0.5), 0, toggles.shape[1] - 1)
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
