"""Sixteen frames of a cohort on one page, with their labels drawn: what a person looks at after an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.reporting.overlays.lettering import PAPER, Colour, Text, text_block
from polypda.reporting.overlays.overlay_legend import REFERENCE
from polypda.reporting.overlays.strokes import Outline, Stroke, View, draw_strokes, mask_outlines

DecodedImage = NDArray[np.uint8]

SHOWN = 16
COLUMNS = 4
CELL_WIDTH_PX = 440
CELL_SHAPES = (0.5, 1.0)
"""Lowest and highest space for a frame, in widths; within these it has the frames' usual shape."""
GAP_PX = 20
MARGIN_PX = 32
GREY: Colour = (96, 96, 96)
BACKDROP: Colour = (236, 236, 236)
"""Beside a frame of another shape than its space, so that black borders of frames stay visible."""
MASK_LINE = REFERENCE.scaled(0.45)
BOX_LINE = Stroke((0xF0, 0xE4, 0x42), 2.4, 0.9)
IGNORED_LINE = Stroke((0xCC, 0x79, 0xA7), 2.0, 0.8, dash_px=7.0, gap_px=6.0)


@dataclass(frozen=True)
class SheetFrame:
    """A frame on the sheet. pixels: uint8 H×W×3; mask, ignored: bool H×W or None; boxes: x0, y0, x1, y1 in px.

    kind: what its label is, in words.
    """

    name: str
    kind: str
    pixels: DecodedImage
    mask: NDArray[np.bool_] | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    ignored: NDArray[np.bool_] | None = None


def evenly_drawn(kinds: Sequence[str], count: int = SHOWN) -> list[int]:
    """Places of the frames to show: each kind of label in proportion, but at least once, spread over its frames.

    Returns: ascending places, at most ``count``; the same for the same kinds.
    """
    paths: dict[str, list[int]] = {}
    for index, kind in enumerate(kinds):
        paths.setdefault(kind, []).append(index)
    seats = _seats({kind: len(own) for kind, own in paths.items()}, min(count, len(kinds)))
    drawn = [
        own[round((seat + 0.5) * len(own) / seats[kind] - 0.5)]
        for kind, own in paths.items()
        for seat in range(seats[kind])
    ]
    return sorted(set(drawn))


def _seats(sizes: dict[str, int], count: int) -> dict[str, int]:
    """Share ``count`` seats among kinds by size (largest remainder), one for each kind first."""
    largest_first = sorted(sizes, key=lambda kind: -sizes[kind])[:count]
    total, left = sum(sizes.values()), count - len(largest_first)
    wished = {kind: min(sizes[kind] - 1, left * sizes[kind] / total) for kind in largest_first}
    seats = {kind: 1 + int(wished[kind]) for kind in largest_first}
    while sum(seats.values()) < count:
        open_kinds = [kind for kind in largest_first if seats[kind] < sizes[kind]]
        seats[max(open_kinds, key=lambda kind: 1 + wished[kind] - seats[kind])] += 1
    return {kind: seats.get(kind, 0) for kind in sizes}


def draw_contact_sheet(title: str, subtitle: str, frames: Sequence[SheetFrame]) -> DecodedImage:
    """Draw the sheet. Returns: uint8 RGB, about 1900 px wide."""
    width = COLUMNS * CELL_WIDTH_PX + (COLUMNS - 1) * GAP_PX
    shapes = [frame.pixels.shape[0] / frame.pixels.shape[1] for frame in frames]
    cell_height = round(CELL_WIDTH_PX * float(np.clip(np.median(shapes), *CELL_SHAPES)))
    head = text_block([Text(title, 30, bold=True), Text(subtitle, 19, colour=GREY)], width)
    legend = text_block([Text(_legend(frames), 17, colour=GREY)], width)
    rows = [
        _row([_cell(frame, cell_height) for frame in frames[start : start + COLUMNS]])
        for start in range(0, len(frames), COLUMNS)
    ]
    blocks = [head, *rows, legend]
    height = sum(block.shape[0] for block in blocks) + GAP_PX * (len(blocks) - 1) + 2 * MARGIN_PX
    page = np.full((height, width + 2 * MARGIN_PX, 3), PAPER, np.uint8)
    top = MARGIN_PX
    for block in blocks:
        page[top : top + block.shape[0], MARGIN_PX : MARGIN_PX + block.shape[1]] = block
        top += block.shape[0] + GAP_PX
    return page


def _legend(frames: Sequence[SheetFrame]) -> str:
    parts = []
    if any(frame.mask is not None for frame in frames):
        parts.append("white line: edge of the mask")
    if any(frame.boxes for frame in frames):
        parts.append("yellow line: box")
    if any(frame.ignored is not None for frame in frames):
        parts.append("pink dashes: pixels that do not count")
    lines = "; ".join(parts)
    return (
        f"{lines[:1].upper()}{lines[1:]}. Frames are drawn evenly over the cohort." if parts else "No label is drawn."
    )


def _row(cells: list[DecodedImage]) -> DecodedImage:
    height = max(cell.shape[0] for cell in cells)
    spaced = []
    for cell in cells:
        below = np.full((height - cell.shape[0], cell.shape[1], 3), PAPER, np.uint8)
        spaced += [np.concatenate([cell, below], axis=0), np.full((height, GAP_PX, 3), PAPER, np.uint8)]
    return np.concatenate(spaced[:-1], axis=1)


def _cell(frame: SheetFrame, height: int) -> DecodedImage:
    words = text_block([Text(frame.name, 17, bold=True), Text(frame.kind, 16, colour=GREY)], CELL_WIDTH_PX)
    gap = np.full((6, CELL_WIDTH_PX, 3), PAPER, np.uint8)
    return np.concatenate([_with_label(frame, height), gap, words], axis=0)


def _with_label(frame: SheetFrame, cell_height: int) -> DecodedImage:
    height, width = frame.pixels.shape[:2]
    scale = min(CELL_WIDTH_PX / width, cell_height / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = cv2.resize(frame.pixels, size, interpolation=way).astype(np.uint8, copy=False)
    view = View(0.0, 0.0, scale)
    lines = [] if frame.mask is None else mask_outlines(frame.mask)
    ignored = [] if frame.ignored is None else mask_outlines(frame.ignored)
    image = draw_strokes(image, [view.to_display(line) for line in ignored], IGNORED_LINE)
    image = draw_strokes(image, [view.to_display(line) for line in lines], MASK_LINE)
    image = draw_strokes(image, [view.to_display(_box_outline(box)) for box in frame.boxes], BOX_LINE)
    cell = np.full((cell_height, CELL_WIDTH_PX, 3), BACKDROP, np.uint8)
    left, top = (CELL_WIDTH_PX - size[0]) // 2, (cell_height - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = image
    return cell


def _box_outline(box: tuple[float, float, float, float]) -> Outline:
    """A box's rim as a closed line; pixel centres lie at whole numbers."""
    x0, y0, x1, y1 = (value - 0.5 for value in box)
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    return np.concatenate([np.linspace(one, other, 20) for one, other in pairwise(corners)])
