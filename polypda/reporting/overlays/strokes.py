"""Lines on a picture: outlines of native masks as smooth, cased, solid or dashed strokes.

Regions that do not count, as they are shown: dimmed, with slanting lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

Colour = tuple[int, int, int]
Outline = NDArray[np.float64]
"""N×2, (x, y) in native pixels, pixel centres at whole numbers; closed."""

CASING: Colour = (0, 0, 0)
CASING_OPACITY = 0.8
SUPERSAMPLING = 2
SUBPIXEL_BITS = 4
SHORTEST_SMOOTHED = 12
"""Outlines of fewer points are drawn as they are."""
FEWEST_DASHES = 6
"""Even the outline of a tiny polyp is seen to be dashed."""


@dataclass(frozen=True)
class Stroke:
    """A line's look; widths and lengths in display px. casing_px: dark rim on each side. dash_px: None is solid."""

    colour: Colour
    width_px: float
    casing_px: float
    dash_px: float | None = None
    gap_px: float = 0.0

    def scaled(self, factor: float) -> Stroke:
        """The same look on a larger display."""
        dash = None if self.dash_px is None else self.dash_px * factor
        return Stroke(self.colour, self.width_px * factor, self.casing_px * factor, dash, self.gap_px * factor)


@dataclass(frozen=True)
class View:
    """A cut-out of the native frame, enlarged: left and top in native px, display px per native px."""

    left: float
    top: float
    scale: float

    def to_display(self, outline: Outline) -> Outline:
        """Native pixel centres to display coordinates (pixel corners at whole numbers)."""
        return (outline + 0.5 - (self.left, self.top)) * self.scale


def box_outlines(boxes: NDArray[np.float64]) -> tuple[Outline, ...]:
    """The rectangles of half-open boxes N×4 (x0, y0, x1, y1 in native px), each closed."""
    turns = ((0, 1), (2, 1), (2, 3), (0, 3), (0, 1))
    return tuple(np.array([(box[x], box[y]) for x, y in turns], np.float64) - 0.5 for box in boxes)


def boxes_inside_mask(boxes: NDArray[np.float64] | None, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bool H×W: the pixels that half-open boxes touch; nothing without boxes."""
    mask = np.zeros(size[:2], bool)
    for x0, y0, x1, y1 in boxes if boxes is not None else ():
        mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    return mask


def mask_outlines(mask: NDArray[np.bool_]) -> list[Outline]:
    """Outlines of a bool H×W mask, holes too, between its pixels; closed also where it touches the frame's border.

    The pixels' stairs are smoothed by less than half a pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return []
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    outlines = find_contours(np.pad(box.astype(np.float32), 1), 0.5)
    offset = np.array([columns[0] - 1, rows[0] - 1], float)
    return [_without_stairs(outline[:, ::-1] + offset) for outline in outlines]


def _without_stairs(outline: Outline) -> Outline:
    if len(outline) < SHORTEST_SMOOTHED:
        return outline
    ring = outline[:-1]  # the last point repeats the first
    for _ in range(2):
        ring = (np.roll(ring, 1, axis=0) + 2 * ring + np.roll(ring, -1, axis=0)) / 4
    return np.concatenate([ring, ring[:1]])


def draw_strokes(image: NDArray[np.uint8], lines: list[Outline], stroke: Stroke) -> NDArray[np.uint8]:
    """Return the picture with the lines drawn; lines in display coordinates (pixel corners at whole numbers).

    Args:
        picture: uint8 H×W×3, RGB.
    """
    if not lines:
        return image
    pieces = lines if stroke.dash_px is None else [dash for line in lines for dash in dashes(line, stroke)]
    casing = _coverage(image.shape[:2], pieces, stroke.width_px + 2 * stroke.casing_px)
    core = _coverage(image.shape[:2], pieces, stroke.width_px)
    cased = _painted(image.astype(np.float32), casing * CASING_OPACITY, CASING)
    return np.rint(_painted(cased, core, stroke.colour)).astype(np.uint8)


def dashes(line: Outline, stroke: Stroke) -> list[Outline]:
    """Cut a line into dashes; the pattern is fitted so that a closed line shows no odd dash."""
    if stroke.dash_px is None:
        return [line]
    steps = np.hypot(*np.diff(line, axis=0).T)
    line, steps = line[np.r_[True, steps > 0]], steps[steps > 0]
    along = np.r_[0.0, np.cumsum(steps)]
    length = float(along[-1])
    if length == 0.0:
        return [line]
    closed = bool(np.allclose(line[0], line[-1]))
    count = max(FEWEST_DASHES if closed else 1, round(length / (stroke.dash_px + stroke.gap_px)))
    period = length / count
    drawn = period * stroke.dash_px / (stroke.dash_px + stroke.gap_px)
    pieces = []
    for start in np.arange(count) * period:
        inner = line[(along > start) & (along < start + drawn)]
        ends = np.stack([np.interp([start, start + drawn], along, line[:, axis]) for axis in (0, 1)], axis=1)
        pieces.append(np.concatenate([ends[:1], inner, ends[1:]]))
    return pieces


def _coverage(size: tuple[int, ...], lines: list[Outline], width_px: float) -> NDArray[np.float32]:
    """Share of each pixel that the lines cover, float32 H×W in [0, 1]."""
    canvas = np.zeros((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), np.uint8)
    fixed_point = float(1 << SUBPIXEL_BITS)
    points = [np.rint((line * SUPERSAMPLING - 0.5) * fixed_point).astype(np.int32)[:, None] for line in lines]
    thickness = max(1, round(width_px * SUPERSAMPLING))
    cv2.polylines(canvas, points, False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    return cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0


def _painted(image: NDArray[np.float32], opacity: NDArray[np.float32], colour: Colour) -> NDArray[np.float32]:
    share = opacity[..., None]
    return image * (1.0 - share) + np.asarray(colour, np.float32) * share


DIMMED = 0.45
LINE_LEVEL = 190
PERIOD_PX, LINE_PX = 11, 2
"""Display px from line to line along a row, and the width of one."""


def hatched(image: NDArray[np.uint8], region: NDArray[np.bool_], scale: float = 1.0) -> NDArray[np.uint8]:
    """A copy of a displayed RGB picture h×w×3 with a region hatched.

    Args: region: bool, of any size; it covers the picture as a whole. scale: of the lines, as of the other strokes.
    """
    height, width = image.shape[:2]
    covered = cv2.resize(region.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    y, x = np.mgrid[:height, :width]
    period = max(4, round(PERIOD_PX * scale))
    lines = (x + y) % period < max(1, round(LINE_PX * scale))
    dimmed = np.where(lines[..., None], LINE_LEVEL, image * DIMMED)
    return np.where(covered[..., None], np.rint(dimmed), image).astype(np.uint8)
