"""The legend of an overlay: a sample of each line beside its name and its Dice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.reporting.overlays.lettering import PAPER, Text, text_block
from polypda.reporting.overlays.strokes import Outline, Stroke, draw_strokes, hatched

DecodedImage = NDArray[np.uint8]

# Okabe–Ito: told apart with every common colour deficiency; width and dash tell them apart in grey.
# The reference is wider than a cased prediction: where both agree, white is still seen on either side.
REFERENCE = Stroke((255, 255, 255), 7.0, 1.5)
AFTER = Stroke((0x56, 0xB4, 0xE9), 2.6, 0.9)
BEFORE = Stroke((0xE6, 0x9F, 0x00), 2.8, 0.9, dash_px=11.0, gap_px=9.0)
FIELD_EDGE = Stroke((200, 200, 200), 1.0, 0.6)
SWATCH: tuple[int, int, int] = (150, 92, 84)


@dataclass(frozen=True)
class OverlayCaption:
    """What stands beside the frame.

    before_model, after_model: the models' names. dice_before, dice_after: NaN where the frame has no polyp or no mask.
    why: the reason for showing this frame, "" for none. found_before, found_after: what stands in the place of Dice
    where the reference is boxes.
    """

    cohort: str
    frame: str
    before_model: str
    after_model: str
    dice_before: float
    dice_after: float
    phantom: bool
    why: str = ""
    found_before: str = ""
    found_after: str = ""


@dataclass(frozen=True)
class FrameLines:
    """Bool H×W masks as they are drawn: only what lies inside the field of view was scored.

    polyp: the reference marks one, be it outside the field of view. boxes: the reference's rectangles where it is not a
    mask; ``reference`` is then their inside. labelled: something is known of the frame's polyps. ignored: pixels that
    do not count; None for none.
    """

    reference: NDArray[np.bool_]
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    field: NDArray[np.bool_]
    polyp: bool
    boxes: tuple[Outline, ...] = ()
    labelled: bool = True
    ignored: NDArray[np.bool_] | None = None


def legend(lines: FrameLines, caption: OverlayCaption, width: int, lettering: float) -> list[DecodedImage]:
    """One picture per line kind: a sample of it, what it is, and what it is worth on this frame."""
    field_px = max(1, int(np.count_nonzero(lines.field)))
    negative = not lines.reference.any()
    rows = [(REFERENCE, "Reference", _reference_text(lines, field_px))]
    change = caption.dice_after - caption.dice_before
    for stroke, when, model, mask, dice, found in (
        (BEFORE, "Before", caption.before_model, lines.before, caption.dice_before, caption.found_before),
        (AFTER, "After", caption.after_model, lines.after, caption.dice_after, caption.found_after),
    ):
        marked = np.count_nonzero(mask)
        verdict = found if math.isnan(dice) else f"Dice {dice:.2f}"
        if stroke is AFTER and not math.isnan(change):
            verdict += f" ({_signed(change)})"
        if not marked:
            verdict = f"{verdict} · no region predicted".removeprefix(" · ")
        elif negative:
            verdict = f"{marked / field_px * 100:.1f} % of the field {'wrongly ' if lines.labelled else ''}marked"
        rows.append((stroke, f"{when}: {model}", verdict))
    blocks = [_row(stroke, name, verdict, width, lettering) for stroke, name, verdict in rows]
    if not lines.field.all():
        blocks.append(_row(FIELD_EDGE, "Edge of the scored field of view", "", width, lettering))
    if lines.ignored is not None:
        blocks.append(_row(None, "Ignored: counts nowhere", "", width, lettering))
    return blocks


def _row(stroke: Stroke | None, name: str, verdict: str, width: int, lettering: float) -> DecodedImage:
    """One row; without a stroke its sample is hatched."""
    swatch_width, swatch_height = round(76 * lettering), round((40 if verdict else 22) * lettering)
    swatch = np.full((swatch_height, swatch_width, 3), SWATCH, np.uint8)
    rim = 7.0 * lettering
    line = np.array([[rim, swatch_height / 2], [swatch_width - rim, swatch_height / 2]])
    if stroke is None:
        swatch = hatched(swatch, np.ones((1, 1), bool), lettering)
    else:
        swatch = draw_strokes(swatch, [line], stroke.scaled(lettering))
    words = [Text(name, 15 * lettering)]
    if verdict:
        words.append(Text(verdict, 18 * lettering, bold=True))
    gap = round(10 * lettering)
    text = text_block(words, width - swatch_width - gap)
    height = max(text.shape[0], swatch_height)
    row = np.full((height, width, 3), PAPER, np.uint8)
    top = (height - swatch_height) // 2
    row[top : top + swatch_height, :swatch_width] = swatch
    top = (height - text.shape[0]) // 2
    row[top : top + text.shape[0], swatch_width + gap :] = text
    return row


def _reference_text(lines: FrameLines, field_px: int) -> str:
    if not lines.labelled:
        return "none: this frame has no label"
    if lines.boxes and lines.reference.any():
        return f"{len(lines.boxes)} {'box' if len(lines.boxes) == 1 else 'boxes'}; outlines are not known"
    if lines.reference.any():
        return f"polyp, {100 * np.count_nonzero(lines.reference) / field_px:.1f} % of the field"
    return "polyp outside the scored field" if lines.polyp else "no polyp in this frame"


def _signed(change: float) -> str:
    text = f"{change:+.2f}"
    return "±0.00" if not float(text) else text.replace("-", "−")
