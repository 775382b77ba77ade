"""A frame in four panels for a slide: as it is, with the reference, with what was marked before, and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
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
from polypda.reporting.overlays.frame_overlay import AFTER, BEFORE, FIELD_EDGE, REFERENCE, stroke_scale

PANEL_WIDTH_PX = 560
GAP_PX = 12
GREY = (96, 96, 96)
BANNER = (255, 214, 102)
DecodedImage = NDArray[np.uint8]


@dataclass(frozen=True)
class PanelWords:
    """What stands on the slide. title: cohort and frame. before, after: below their panels, with model and figure.

    reference: below its panel; what stands there when nothing is known.
    """

    title: str
    reference: str
    before: str
    after: str
    phantom: bool


def draw_four_panels(
    frame: DecodedImage,
    reference: Sequence[Outline] | None,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    field: NDArray[np.bool_],
    words: PanelWords,
) -> DecodedImage:
    """Draw the panels side by side on white.

    Args: frame: uint8 H×W×3, RGB, native. reference: outlines in native px, none of them where there is no polyp; None:
    not known. before, after, field: bool H×W; what was marked outside the field of view is not drawn.

    Returns: uint8 RGB.
    """
    scale = PANEL_WIDTH_PX / frame.shape[1]
    size = (PANEL_WIDTH_PX, round(frame.shape[0] * scale))
    plain = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC).astype(np.uint8)
    edge = [] if field.all() else mask_outlines(field)
    lines: list[list[tuple[Sequence[Outline], Stroke]]] = [
        [],
        [(reference or (), REFERENCE)],
        [(reference or (), REFERENCE), (mask_outlines(before & field), BEFORE)],
        [(reference or (), REFERENCE), (mask_outlines(after & field), AFTER)],
    ]
    view, thinner = View(0, 0, scale), stroke_scale(max(size))
    captions = ["Frame", words.reference, words.before, words.after]
    panels = []
    for drawn, caption in zip(lines, captions, strict=True):
        image = plain
        if drawn and edge:
            image = draw_strokes(image, [view.to_display(line) for line in edge], FIELD_EDGE)
        for outlines, stroke in drawn:
            image = draw_strokes(image, [view.to_display(line) for line in outlines], stroke.scaled(thinner))
        panels.append(_over_caption(image, caption))
    return _composed(panels, words)


def _over_caption(image: DecodedImage, caption: str) -> DecodedImage:
    return np.concatenate([image, text_block([Text(caption, 19)], PANEL_WIDTH_PX, padding_px=4)], axis=0)


def _composed(panels: list[DecodedImage], words: PanelWords) -> DecodedImage:
    height = max(panel.shape[0] for panel in panels)
    width = len(panels) * PANEL_WIDTH_PX + (len(panels) + 1) * GAP_PX
    head = [text_block([Text(words.title, 24, bold=True)], width, padding_px=GAP_PX)]
    if words.phantom:
        banner = [Text(PHANTOM_BANNER, 19, bold=True)]
        head.insert(0, text_block(banner, width, paper=BANNER, padding_px=6, centred=True))
    page = np.full((height + GAP_PX, width, 3), PAPER, np.uint8)
    for index, panel in enumerate(panels):
        left = GAP_PX + index * (PANEL_WIDTH_PX + GAP_PX)
        page[: panel.shape[0], left : left + PANEL_WIDTH_PX] = panel
    return np.concatenate([*head, page], axis=0)
