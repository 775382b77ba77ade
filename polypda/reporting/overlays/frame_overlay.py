"""One image per frame for a clinician: the frame, its reference, and what was predicted before and after adaptation.

Nothing is written over the mucosa: names, Dice and legend stand beside the frame, next to a copy without lines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.evaluation.scoring.mask_geometry import find_lesions
from polypda.reporting.overlays.drawing import (
    GREY,
    Colour,
    DecodedImage,
    Outline,
    Stroke,
    Text,
    View,
    box_outlines,
    boxes_inside_mask,
    draw_strokes,
    hatched,
    mask_outlines,
    on_paper,
    resized,
    text_block,
)
from polypda.reporting.wording import counted, signed

Box = tuple[int, int, int, int]
"""left, top, right, bottom in native px, right and bottom exclusive."""
MaskArray = NDArray[np.bool_] | NDArray[np.uint8]

LEAST_LONGER_SIDE_PX = FULL_STROKES_FROM_PX = 900
"""Smaller frames are enlarged to this; larger ones keep their native size."""
LARGEST_LETTERING = 1.6
PANEL_WIDTH_PX = 400
TALLEST_COPY = 1.0
"""The copy without lines is at most this high, in panel widths."""
GAP_PX = 14
SMALL_REGION = 0.2
"""A reference (or else a predicted region) below this fraction of the frame's longer side is also shown enlarged."""
DETAIL_CONTEXT = 2.6
"""A detail shows this many times the region's size."""
LEAST_DETAIL_PX = 24
LEAST_DETAIL_GAIN = 1.3
"""A detail is shown when it is this much larger than the annotated frame."""
FULL_LINES_FROM_PX = 130
THINNEST_LINES = 0.5
"""Around a region below FULL_LINES_FROM_PX on the display lines get thinner, down to this, so as not to bury it."""

BANNER: Colour = (255, 214, 102)
# Okabe–Ito: told apart with every common colour deficiency; width and dash tell them apart in grey.
# The dark casing carries a line over tissue of its own colour: orange dashes under orange light, white on a highlight.
# The reference is wider than a cased prediction: where both agree, white is still seen on either side.
REFERENCE = Stroke((255, 255, 255), 7.0, 1.5)
AFTER = Stroke((0x56, 0xB4, 0xE9), 2.6, 1.3)
BEFORE = Stroke((0xE6, 0x9F, 0x00), 2.8, 1.3, dash_px=11.0, gap_px=9.0)
THINNEST_STROKES = 0.75
"""On frames shown at less than FULL_STROKES_FROM_PX strokes get thinner, down to this, and are still told apart."""
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


def stroke_scale(longer_side_px: float) -> float:
    """How much thinner strokes are on a frame shown at a size, in display px."""
    return min(1.0, max(THINNEST_STROKES, longer_side_px / FULL_STROKES_FROM_PX))


def draw_overlay(
    frame_rgb: DecodedImage,
    reference: MaskArray | None,
    before: MaskArray,
    after: MaskArray,
    fov: NDArray[np.bool_],
    caption: OverlayCaption,
    *,
    boxes: NDArray[np.float64] | None = None,
    ignored: NDArray[np.bool_] | None = None,
) -> DecodedImage:
    """Draw a frame with its reference and two predictions.

    Args:
        frame_rgb: uint8 H×W×3, RGB, native.
        reference, before, after: bool or 0/1, H×W, native. No reference and no boxes: the frame has no label.
        fov: bool H×W; what lies outside was not scored and is not outlined.
        boxes: instead of a reference: N×4 numbers x0, y0, x1, y1 in px, half-open; none of them: no polyp.
        ignored: bool H×W, pixels that were not scored either; shown hatched.

    Returns: uint8 RGB, larger than the frame. Raises: DataError E_OVERLAY_SIZE.
    """
    known = reference if reference is not None else boxes_inside_mask(boxes, before.shape)
    masks = {"reference": known, "before": before, "after": after, "field of view": fov}
    _check_sizes(frame_rgb, masks if ignored is None else {**masks, "ignored region": ignored})
    field = fov.astype(bool)
    scored = field if ignored is None else field & ~ignored
    lines = FrameLines(
        known.astype(bool) & scored,
        before.astype(bool) & scored,
        after.astype(bool) & scored,
        field,
        bool(known.any()),
        () if reference is not None or boxes is None else box_outlines(boxes),
        labelled=reference is not None or boxes is not None,
        ignored=ignored if ignored is not None and ignored.any() else None,
    )
    height, width = field.shape
    scale = max(1.0, LEAST_LONGER_SIDE_PX / max(height, width))
    lettering = float(np.clip(max(height, width) * scale / LEAST_LONGER_SIDE_PX, 1.0, LARGEST_LETTERING))
    whole = (0, 0, width, height)
    thinner = np.clip(_region_px(lines) * scale / (FULL_LINES_FROM_PX * lettering), THINNEST_LINES, 1.0)
    annotated = _with_lines(frame_rgb, lines, whole, scale, lettering * float(thinner))
    panel = _panel(frame_rgb, lines, caption, scale, lettering)
    return _composed(annotated, panel, caption, lettering)


def _with_lines(frame: DecodedImage, lines: FrameLines, box: Box, scale: float, line_scale: float) -> DecodedImage:
    """A cut-out (left, top, right, bottom) of the frame, enlarged, with all lines."""
    view = View(box[0], box[1], scale)
    image = _enlarged(frame, box, scale)
    if lines.ignored is not None:
        image = hatched(image, lines.ignored[box[1] : box[3], box[0] : box[2]], line_scale)
    if not lines.field.all():
        outlines = [view.to_display(line) for line in mask_outlines(lines.field)]
        image = draw_strokes(image, outlines, FIELD_EDGE)
    # Before lies on top of after: where both agree, orange dashes on a blue line still show both.
    reference = list(lines.boxes) or mask_outlines(lines.reference)
    drawn = ((reference, REFERENCE), (mask_outlines(lines.after), AFTER), (mask_outlines(lines.before), BEFORE))
    for outlines, stroke in drawn:
        image = draw_strokes(image, [view.to_display(line) for line in outlines], stroke.scaled(line_scale))
    return image


def _panel(
    frame: DecodedImage, lines: FrameLines, caption: OverlayCaption, scale: float, lettering: float
) -> DecodedImage:
    width = round(PANEL_WIDTH_PX * lettering)
    height_px, width_px = frame.shape[:2]
    small = Text("Frame without lines", 14 * lettering, colour=GREY)
    fitting = min(width / width_px, TALLEST_COPY * width / height_px)
    plain = _enlarged(frame, (0, 0, width_px, height_px), fitting)
    blocks = [text_block([small], width), on_paper(plain.shape[0], width, (plain, 0, 0))]
    box = _detail_box(lines)
    gap = round(6 * lettering)
    detail_scale = (width - gap) / 2 / (box[2] - box[0]) if box else 0.0
    if box and detail_scale >= LEAST_DETAIL_GAIN * scale:
        bare, lined = _enlarged(frame, box, detail_scale), _with_lines(frame, lines, box, detail_scale, lettering * 0.8)
        label = Text(f"Detail, {detail_scale:.1f} × native, without and with lines", 14 * lettering, colour=GREY)
        pair = on_paper(bare.shape[0], width, (bare, 0, 0), (lined, width - bare.shape[1], 0))
        blocks += [text_block([label], width), pair]
    blocks += _legend(lines, caption, width, lettering)
    spacer = on_paper(round(10 * lettering), width)
    return np.concatenate([part for block in blocks for part in (block, spacer)][:-1], axis=0)


def _region(lines: FrameLines) -> Box | None:
    """The bounding box of the reference; without one, of what was predicted; None where nothing is."""
    mask = lines.reference if lines.reference.any() else lines.before | lines.after
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return (left, top, left + width, top + height) if width else None


def _region_px(lines: FrameLines) -> float:
    region = _region(lines)
    return max(region[2] - region[0], region[3] - region[1]) if region else float("inf")


def _detail_box(lines: FrameLines) -> Box | None:
    """A square around a small region; None where nothing is small."""
    height, width = lines.field.shape
    region, size = _region(lines), _region_px(lines)
    if region is None or size > SMALL_REGION * max(height, width):
        return None
    side = int(min(height, width, max(DETAIL_CONTEXT * size, LEAST_DETAIL_PX)))
    left = int(np.clip((region[0] + region[2] - side) // 2, 0, width - side))
    top = int(np.clip((region[1] + region[3] - side) // 2, 0, height - side))
    return left, top, left + side, top + side


def _composed(annotated: DecodedImage, panel: DecodedImage, caption: OverlayCaption, lettering: float) -> DecodedImage:
    gap = round(GAP_PX * lettering)
    height = max(annotated.shape[0], panel.shape[0])
    width = annotated.shape[1] + panel.shape[1] + 3 * gap
    title = [Text(f"{caption.cohort} · {caption.frame}", 20 * lettering, bold=True)]
    if caption.why:
        title.append(Text(f"Shown because: {caption.why}", 15 * lettering, colour=GREY))
    head = [text_block(title, width, padding_px=gap)]
    if caption.phantom:
        banner = [Text(PHANTOM_BANNER, 16 * lettering, bold=True)]
        head.insert(0, text_block(banner, width, paper=BANNER, padding_px=gap // 2, centred=True))
    page = on_paper(height + gap, width, (annotated, gap, 0), (panel, width - gap - panel.shape[1], 0))
    return np.concatenate([*head, page], axis=0)


def _enlarged(frame: DecodedImage, box: Box, scale: float) -> DecodedImage:
    left, top, right, bottom = box
    size = (round((right - left) * scale), round((bottom - top) * scale))
    return resized(np.ascontiguousarray(frame[top:bottom, left:right]), size)


def _check_sizes(frame: DecodedImage, masks: dict[str, MaskArray | NDArray[np.bool_]]) -> None:
    wrong = {name: mask.shape for name, mask in masks.items() if mask.shape != frame.shape[:2]}
    if wrong or frame.ndim != 3:
        sizes = ", ".join(f"{name} {'×'.join(map(str, shape[::-1]))}" for name, shape in wrong.items())
        raise DataError(
            "E_OVERLAY_SIZE",
            f"the frame is {frame.shape[1]}×{frame.shape[0]} px, but {sizes or 'it is not RGB'}.",
            fix="draw masks at the frame's own resolution.",
        )


def _legend(lines: FrameLines, caption: OverlayCaption, width: int, lettering: float) -> list[DecodedImage]:
    """One image per kind of line: a sample of it, what it is, and what it is worth on this frame."""
    field_px = max(1, int(np.count_nonzero(lines.field)))
    negative = not lines.reference.any()
    rows = [(REFERENCE, "Reference", _reference_text(lines, field_px))]
    change = caption.dice_after - caption.dice_before
    for stroke, when, model, mask, dice, found in (
        (BEFORE, "Before", caption.before_model, lines.before, caption.dice_before, caption.found_before),
        (AFTER, "After", caption.after_model, lines.after, caption.dice_after, caption.found_after),
    ):
        predicted_px = np.count_nonzero(mask)
        verdict = found if math.isnan(dice) else f"Dice {dice:.2f}"
        if stroke is AFTER and not math.isnan(change):
            verdict += f" ({signed(change)})"
        if predicted_px and dice == 0:
            verdict = _missed(lines, mask, change if stroke is AFTER else 0.0)
        if not predicted_px:
            verdict = f"{verdict} · no region predicted".removeprefix(" · ")
        elif negative:
            verdict = f"{predicted_px / field_px * 100:.1f} % of the field {'wrongly ' if lines.labelled else ''}marked"
        rows.append((stroke, f"{when}: {model}", verdict))
    blocks = [_row(stroke, name, verdict, width, lettering) for stroke, name, verdict in rows]
    if not lines.field.all():
        blocks.append(_row(FIELD_EDGE, "Edge of the scored field of view", "", width, lettering))
    if lines.ignored is not None:
        blocks.append(_row(None, "Ignored: counts nowhere", "", width, lettering))
    return blocks


def _missed(lines: FrameLines, mask: NDArray[np.bool_], change: float) -> str:
    """A polyp that no predicted region touches: how many regions there are instead; specks do not count."""
    false_regions = find_lesions(mask, int(np.count_nonzero(lines.field))).count
    said = f"missed; {counted(false_regions, 'false region')}" if false_regions else "missed; only specks predicted"
    return f"{said} ({signed(change)} Dice)" if change else said


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
    left, top = swatch_width + gap, (height - text.shape[0]) // 2
    return on_paper(height, width, (swatch, 0, (height - swatch_height) // 2), (text, left, top))


def _reference_text(lines: FrameLines, field_px: int) -> str:
    if not lines.labelled:
        return "none: this frame has no label"
    if lines.boxes and lines.reference.any():
        return f"{len(lines.boxes)} {'box' if len(lines.boxes) == 1 else 'boxes'}; outlines are not known"
    if lines.reference.any():
        return f"polyp, {100 * np.count_nonzero(lines.reference) / field_px:.1f} % of the field"
    return "polyp outside the scored field" if lines.polyp else "no polyp in this frame"
