"""One picture per frame for a clinician: the frame, its reference, and what was marked before and after adaptation.

Nothing is written over the mucosa: names, Dice and legend stand beside the frame, next to a copy without lines.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.reporting.overlays.lettering import PAPER, Colour, Text, text_block
from polypda.reporting.overlays.overlay_legend import (
    AFTER,
    BEFORE,
    FIELD_EDGE,
    REFERENCE,
    DecodedImage,
    FrameLines,
    OverlayCaption,
    legend,
)
from polypda.reporting.overlays.strokes import (
    View,
    box_outlines,
    boxes_inside_mask,
    draw_strokes,
    hatched,
    mask_outlines,
)

Box = tuple[int, int, int, int]
"""left, top, right, bottom in native px, right and bottom exclusive."""
MaskArray = NDArray[np.bool_] | NDArray[np.uint8]

LEAST_LONGER_SIDE_PX = 900
"""Smaller frames are enlarged to this; larger ones keep their native size."""
LARGEST_LETTERING = 1.6
PANEL_WIDTH_PX = 400
TALLEST_COPY = 1.0
"""The copy without lines is at most this high, in panel widths."""
GAP_PX = 14
SMALL_REGION = 0.2
"""A reference (or, without one, a marked region) below this share of the frame's longer side is also shown enlarged."""
DETAIL_CONTEXT = 2.6
"""A detail shows this many times the region's size."""
LEAST_DETAIL_PX = 24
LEAST_DETAIL_GAIN = 1.3
"""A detail is worth its place when it is this much larger than the annotated frame."""
FULL_LINES_FROM_PX = 130
THINNEST_LINES = 0.5
"""Around a region below FULL_LINES_FROM_PX on the display lines get thinner, down to this, so as not to bury it."""

GREY: Colour = (96, 96, 96)
BANNER: Colour = (255, 214, 102)


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

    Returns: uint8 RGB picture, larger than the frame. Raises: DataError E_OVERLAY_SIZE.
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
    beside = np.full((plain.shape[0], width - plain.shape[1], 3), PAPER, np.uint8)
    blocks = [text_block([small], width), np.concatenate([plain, beside], axis=1)]
    box = _detail_box(lines)
    gap = round(6 * lettering)
    detail_scale = (width - gap) / 2 / (box[2] - box[0]) if box else 0.0
    if box and detail_scale >= LEAST_DETAIL_GAIN * scale:
        pair = [_enlarged(frame, box, detail_scale), _with_lines(frame, lines, box, detail_scale, lettering * 0.8)]
        space = np.full((pair[0].shape[0], width - 2 * pair[0].shape[1], 3), PAPER, np.uint8)
        label = Text(f"Detail, {detail_scale:.1f} × native, without and with lines", 14 * lettering, colour=GREY)
        blocks += [text_block([label], width), np.concatenate([pair[0], space, pair[1]], axis=1)]
    blocks += legend(lines, caption, width, lettering)
    return _stacked(blocks, round(10 * lettering))


def _region(lines: FrameLines) -> Box | None:
    """The bounding box of the reference; without one, of what was marked; None where nothing is."""
    marked = lines.reference if lines.reference.any() else lines.before | lines.after
    if not marked.any():
        return None
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


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
    page = np.full((height + gap, width, 3), PAPER, np.uint8)
    page[: annotated.shape[0], gap : gap + annotated.shape[1]] = annotated
    page[: panel.shape[0], width - gap - panel.shape[1] : width - gap] = panel
    return np.concatenate([*head, page], axis=0)


def _stacked(blocks: list[DecodedImage], gap: int) -> DecodedImage:
    spacer = np.full((gap, blocks[0].shape[1], 3), PAPER, np.uint8)
    return np.concatenate([part for block in blocks for part in (block, spacer)][:-1], axis=0)


def _enlarged(frame: DecodedImage, box: Box, scale: float) -> DecodedImage:
    left, top, right, bottom = box
    size = (round((right - left) * scale), round((bottom - top) * scale))
    cut = np.ascontiguousarray(frame[top:bottom, left:right])
    if size == (cut.shape[1], cut.shape[0]):
        return cut
    resized = cv2.resize(cut, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def _check_sizes(frame: DecodedImage, masks: dict[str, MaskArray | NDArray[np.bool_]]) -> None:
    wrong = {name: mask.shape for name, mask in masks.items() if mask.shape != frame.shape[:2]}
    if wrong or frame.ndim != 3:
        sizes = ", ".join(f"{name} {'×'.join(map(str, shape[::-1]))}" for name, shape in wrong.items())
        raise DataError(
            "E_OVERLAY_SIZE",
            f"the frame is {frame.shape[1]}×{frame.shape[0]} px, but {sizes or 'it is not RGB'}.",
            fix="draw masks at the frame's own resolution.",
        )
