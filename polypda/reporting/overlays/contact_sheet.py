"""Sixteen frames of a cohort on one page, with their labels drawn: what a person looks at after an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.reporting.overlays.drawing import (
    GREY,
    Colour,
    DecodedImage,
    Stroke,
    Text,
    View,
    box_outlines,
    draw_strokes,
    mask_outlines,
    on_paper,
    resized,
    text_block,
)
from polypda.reporting.overlays.frame_overlay import REFERENCE

SHOWN = 16
COLUMNS = 4
CELL_WIDTH_PX = 440
CELL_SHAPES = (0.5, 1.0)
"""Lowest and highest space for a frame, in widths; within these it has the frames' usual shape."""
GAP_PX = 20
MARGIN_PX = 32
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
    """Indices of the frames to show: each kind of label in proportion, but at least once, spread over its frames.

    Returns: ascending, at most ``count``; the same for the same kinds.
    """
    indices: dict[str, list[int]] = {}
    for index, kind in enumerate(kinds):
        indices.setdefault(kind, []).append(index)
    seats = _seats({kind: len(found) for kind, found in indices.items()}, min(count, len(kinds)))
    drawn = [
        found[round((seat + 0.5) * len(found) / seats[kind] - 0.5)]
        for kind, found in indices.items()
        for seat in range(seats[kind])
    ]
    return sorted(set(drawn))


def _seats(sizes: dict[str, int], count: int) -> dict[str, int]:
    """``count`` seats among kinds by size (largest remainder), one for each kind first."""
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
    placed, top = [], MARGIN_PX
    for block in (head, *rows, legend):
        placed.append((block, MARGIN_PX, top))
        top += block.shape[0] + GAP_PX
    return on_paper(top - GAP_PX + MARGIN_PX, width + 2 * MARGIN_PX, *placed)


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
    placed = [(cell, index * (CELL_WIDTH_PX + GAP_PX), 0) for index, cell in enumerate(cells)]
    return on_paper(max(cell.shape[0] for cell in cells), len(cells) * (CELL_WIDTH_PX + GAP_PX) - GAP_PX, *placed)


def _cell(frame: SheetFrame, height: int) -> DecodedImage:
    words = text_block([Text(frame.name, 17, bold=True), Text(frame.kind, 16, colour=GREY)], CELL_WIDTH_PX)
    return np.concatenate([_with_label(frame, height), on_paper(6, CELL_WIDTH_PX), words], axis=0)


def _with_label(frame: SheetFrame, cell_height: int) -> DecodedImage:
    height, width = frame.pixels.shape[:2]
    scale = min(CELL_WIDTH_PX / width, cell_height / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image, view = resized(frame.pixels, size), View(0.0, 0.0, scale)
    for outlines, stroke in (
        ([] if frame.ignored is None else mask_outlines(frame.ignored), IGNORED_LINE),
        ([] if frame.mask is None else mask_outlines(frame.mask), MASK_LINE),
        (box_outlines(np.array(frame.boxes)), BOX_LINE),
    ):
        image = draw_strokes(image, [view.to_display(line) for line in outlines], stroke)
    left, top = (CELL_WIDTH_PX - size[0]) // 2, (cell_height - size[1]) // 2
    return on_paper(cell_height, CELL_WIDTH_PX, (image, left, top), paper=BACKDROP)
