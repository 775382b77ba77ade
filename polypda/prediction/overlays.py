"""What a model marked, drawn for a clinician: on an image beside a copy without lines, and on a video's frames.

Lines, colours and lettering are those of every overlay here. Nothing is written over the mucosa.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.prediction.facts import ModelFacts
from polypda.prediction.model import Image, ImagePrediction
from polypda.reporting.overlays.drawing import (
    PAPER,
    Outline,
    Stroke,
    Text,
    View,
    draw_strokes,
    mask_outlines,
    text_block,
)
from polypda.reporting.overlays.frame_overlay import AFTER, FIELD_EDGE, SWATCH

PANEL_SIDE_PX = 640
"""Smaller images are enlarged to this longer side; larger ones are reduced to it twice over, and no further."""
GAP_PX = 14
SWATCH_WIDTH_PX, SWATCH_HEIGHT_PX = 64, 22
GREY = (96, 96, 96)
RENDERED = "This model learnt from rendered phantom frames: what it marks on real ones is no evidence."
LINES_FROM_PX, THINNEST = 130, 0.5
"""Around a region below this on the display lines get thinner, so as not to bury it."""
REFERENCE_SIDE_PX = 720
"""Of a video's frame at which lines have their plain width."""
MARGIN_PX = 16


def image_overlay(image: Image, prediction: ImagePrediction, name: str, words: str, facts: ModelFacts) -> Image:
    """An image with what was marked, beside a copy without lines. words: of the regions. Returns: uint8 RGB picture."""
    height, width = prediction.mask.shape
    scale = PANEL_SIDE_PX / max(height, width)
    scale = max(scale, 0.5) if scale < 1 else scale
    plain = _resized(image, scale)
    marked = plain
    if not prediction.view.mask.all():
        marked = _stroked(marked, mask_outlines(prediction.view.mask), scale, FIELD_EDGE)
    marked = _stroked(marked, mask_outlines(prediction.mask), scale, _line(prediction.mask, scale))
    between = np.full((plain.shape[0], GAP_PX, 3), PAPER, np.uint8)
    pair = np.concatenate([between, marked, between, plain, between], axis=1)
    page_width = pair.shape[1]
    head = [Text(name, 18, bold=True)]
    rendered = any(cohort.rendered for cohort in facts.training.cohorts)
    banner = [Text(RENDERED, 14, colour=GREY)] if rendered else []
    rows = [
        text_block([*head, *banner], page_width, padding_px=GAP_PX),
        pair,
        np.full((GAP_PX // 2, page_width, 3), PAPER, np.uint8),
        _legend(AFTER, f"Marked by {facts.training.model}: {words}", page_width),
    ]
    if not prediction.view.mask.all():
        rows.append(_legend(FIELD_EDGE, "Edge of the field of view; nothing outside is marked", page_width))
    rows.append(
        text_block([Text("Research only. Not a medical device.", 13, colour=GREY)], page_width, padding_px=GAP_PX)
    )
    return np.concatenate(rows, axis=0)


def outlined(image: Image, mask: NDArray[np.bool_]) -> Image:
    """A video's frame with the outline of what was marked, at the frame's own size. mask: bool H×W."""
    factor = max(0.75, max(mask.shape) / REFERENCE_SIDE_PX)
    stroke = _line(mask, 1.0).scaled(factor)
    return _stroked(image, mask_outlines(mask), 1.0, stroke)


def _line(mask: NDArray[np.bool_], scale: float) -> Stroke:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return AFTER
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    return AFTER.scaled(float(np.clip(side * scale / LINES_FROM_PX, THINNEST, 1.0)))


def _stroked(image: Image, outlines: list[Outline], scale: float, stroke: Stroke) -> Image:
    """A copy with outlines of the native frame drawn; only the part around them is gone through."""
    if not outlines:
        return image
    view = View(0, 0, scale)
    lines = [view.to_display(line) for line in outlines]
    height, width = image.shape[:2]
    low = np.floor(np.min([line.min(axis=0) for line in lines], axis=0)).astype(int) - MARGIN_PX
    high = np.ceil(np.max([line.max(axis=0) for line in lines], axis=0)).astype(int) + MARGIN_PX
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    drawn = image.copy()
    part = np.ascontiguousarray(image[top:bottom, left:right])
    drawn[top:bottom, left:right] = draw_strokes(part, [line - (left, top) for line in lines], stroke)
    return drawn


def _resized(image: Image, scale: float) -> Image:
    if scale == 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def _legend(stroke: Stroke, words: str, width: int) -> Image:
    swatch = np.full((SWATCH_HEIGHT_PX, SWATCH_WIDTH_PX, 3), SWATCH, np.uint8)
    middle = SWATCH_HEIGHT_PX / 2
    swatch = draw_strokes(swatch, [np.array([[7.0, middle], [SWATCH_WIDTH_PX - 7.0, middle]])], stroke)
    text = text_block([Text(words, 15)], width - SWATCH_WIDTH_PX - 3 * GAP_PX)
    height = max(text.shape[0], SWATCH_HEIGHT_PX) + 8
    row = np.full((height, width, 3), PAPER, np.uint8)
    top = (height - SWATCH_HEIGHT_PX) // 2
    row[top : top + SWATCH_HEIGHT_PX, GAP_PX : GAP_PX + SWATCH_WIDTH_PX] = swatch
    top, left = (height - text.shape[0]) // 2, 2 * GAP_PX + SWATCH_WIDTH_PX
    row[top : top + text.shape[0], left : left + text.shape[1]] = text
    return row
