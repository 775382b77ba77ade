"""Small images of what a check found: the frame, reduced, with the finding drawn on it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from polypda.cohorts.field_of_view import find_field_of_view
from polypda.cohorts.frames import Frame
from polypda.cohorts.images import read_image, read_mask
from polypda.errors import DataError
from polypda.quality.checking.cohort_view import Drawing, Finding, FrameName, OverlayMap, Severity
from polypda.quality.checking.frame_quality import SPECK_FRACTION, SPECK_PX, WHITE
from polypda.reporting.overlays.drawing import on_paper, resized

WIDTH_PX = 340
PAIR_GAP_PX = 6
QUALITY = 80
MOST_IMAGES = {Severity.ERROR: 6, Severity.WARNING: 6, Severity.NOTE: 3}
COMB_ZOOM = 4
CASING, OUTLINE, ALARM, FIELD = (0, 0, 0), (255, 255, 255), (255, 64, 160), (0, 220, 255)
"""White outline on black: the mask. Magenta: what is wrong. Cyan: the field of view."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class FindingImage:
    """caption: the frame's name (or both) and its figure. jpeg: bytes. wide: two frames side by side."""

    caption: str
    jpeg: bytes
    wide: bool = False


def finding_images(finding: Finding, frames: Mapping[FrameName, Frame], cohort: str) -> list[FindingImage]:
    """Images of the first frames of a finding; a frame that cannot be read has none."""
    most = MOST_IMAGES[finding.severity]
    if finding.drawing is Drawing.PAIRS:
        pairs = finding.pairs[:most]
        return [drawing for pair in pairs if (drawing := _pair(finding, pair, frames)) is not None]
    if finding.drawing is Drawing.MAP:
        return [drawing for one in finding.maps if (drawing := _map(finding, one, frames)) is not None]
    if finding.drawing is Drawing.NOTHING:
        return []
    return list(islice(_single(finding, frames, cohort), most))


def _single(finding: Finding, frames: Mapping[FrameName, Frame], cohort: str) -> Iterator[FindingImage]:
    for name in finding.frames:
        if (cohort, name) in frames:
            with suppress(DataError):
                drawn = DRAWN[finding.drawing](frames[cohort, name])
                yield FindingImage(f"{name}: {finding.values.get(name, '')}".removesuffix(": "), _jpeg(drawn))


def _with_mask(frame: Frame) -> Pixels:
    image, mask = read_image(frame.image), _mask_of(frame)
    drawing = _reduced(image)
    if mask is not None:
        _outline(drawing, mask, OUTLINE)
    scale_x, scale_y = drawing.shape[1] / image.shape[1], drawing.shape[0] / image.shape[0]
    for box in frame.boxes:
        corners = (round(box.x0 * scale_x), round(box.y0 * scale_y)), (round(box.x1 * scale_x), round(box.y1 * scale_y))
        cv2.rectangle(drawing, *corners, CASING, 3)
        cv2.rectangle(drawing, *corners, FIELD, 1)
    return drawing


def _defects(frame: Frame) -> Pixels:
    mask = _mask_of(frame)
    drawing = _with_mask(frame)
    if mask is None:
        return drawing
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    largest = int(areas[1:].max(initial=1))
    small = [k for k in range(1, count) if areas[k] < max(SPECK_PX, SPECK_FRACTION * largest) and areas[k] < largest]
    filled = np.zeros_like(mask)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    wrong = (np.isin(labels, small) | ((filled > 0) & (mask == 0))).astype(np.uint8)
    _, _, indices, centres = cv2.connectedComponentsWithStats(wrong, connectivity=8)
    scale = drawing.shape[1] / mask.shape[1], drawing.shape[0] / mask.shape[0]
    for (x, y), index in list(zip(centres, indices, strict=True))[1:25]:
        radius = max(5, round(max(index[cv2.CC_STAT_WIDTH], index[cv2.CC_STAT_HEIGHT]) * scale[0] / 2) + 3)
        cv2.circle(drawing, (round(x * scale[0]), round(y * scale[1])), radius, ALARM, 2, cv2.LINE_AA)
    return drawing


def _outside(frame: Frame) -> Pixels:
    image, mask = read_image(frame.image), _mask_of(frame)
    view = find_field_of_view(image)
    drawing = _reduced(image)
    if mask is not None and mask.shape == view.mask.shape:
        _tint(drawing, (mask > 0) & ~view.mask, ALARM)
        _outline(drawing, mask, OUTLINE)
    _outline(drawing, view.mask.astype(np.uint8), FIELD)
    return drawing


def _field(frame: Frame) -> Pixels:
    image = read_image(frame.image)
    drawing = _reduced(image)
    _outline(drawing, find_field_of_view(image).mask.astype(np.uint8), FIELD)
    return drawing


def _glare(frame: Frame) -> Pixels:
    image = read_image(frame.image)
    drawing = _reduced(image)
    _tint(drawing, (image.min(axis=2) >= WHITE) & find_field_of_view(image).mask, ALARM)
    return drawing


def _comb(frame: Frame) -> Pixels:
    """The middle, enlarged without smoothing: the comb is only seen in single lines."""
    image = read_image(frame.image)
    side = WIDTH_PX // COMB_ZOOM
    top, left = max(0, image.shape[0] - side) // 2, max(0, image.shape[1] - side) // 2
    cut = np.ascontiguousarray(image[top : top + side, left : left + side])
    size = (cut.shape[1] * COMB_ZOOM, cut.shape[0] * COMB_ZOOM)
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_NEAREST), np.uint8)


DRAWN: dict[Drawing, Callable[[Frame], Pixels]] = {
    Drawing.FRAME: lambda frame: _reduced(read_image(frame.image)),
    Drawing.MASK: _with_mask,
    Drawing.DEFECTS: _defects,
    Drawing.OUTSIDE: _outside,
    Drawing.FIELD: _field,
    Drawing.GLARE: _glare,
    Drawing.COMB: _comb,
}


def _pair(
    finding: Finding, pair: tuple[FrameName, FrameName], frames: Mapping[FrameName, Frame]
) -> FindingImage | None:
    try:
        left, right = (_reduced(read_image(frames[name].image)) for name in pair)
    except (DataError, KeyError):
        return None
    height = max(left.shape[0], right.shape[0])
    canvas = on_paper(height, 2 * WIDTH_PX + PAIR_GAP_PX, (left, 0, 0), (right, WIDTH_PX + PAIR_GAP_PX, 0))
    across = pair[0][0] != pair[1][0]
    names = ["/".join(name) if across else name[1] for name in pair]
    value = finding.values.get(f"{names[0]} ≈ {names[1]}") or finding.values.get(f"{names[0]} = {names[1]}", "")
    return FindingImage(f"{names[0]} and {names[1]}: {value}".removesuffix(": "), _jpeg(canvas), wide=True)


def _map(finding: Finding, one: OverlayMap, frames: Mapping[FrameName, Frame]) -> FindingImage | None:
    """The map over a dimmed frame: the brighter, the more frames show something there."""
    try:
        drawing = _reduced(read_image(frames[one.example].image))
    except (DataError, KeyError):
        return None
    chosen = {"W_TEXT": one.text, "N_TEXT": one.text, "N_INSET": one.inset}.get(finding.code)
    heat = one.still.astype(np.float32) if chosen is None else chosen
    grey = cv2.cvtColor(cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32) * 0.6
    opacity = cv2.resize(heat, (drawing.shape[1], drawing.shape[0]), interpolation=cv2.INTER_LINEAR)[..., None] * 0.85
    drawn = grey * (1 - opacity) + np.array(ALARM, np.float32) * opacity
    where = "the same in all" if chosen is None else f"in up to {float(heat.max()):.0%}"
    caption = f"frames of {one.size[0]}×{one.size[1]}: {where} of {one.frames}"
    return FindingImage(caption, _jpeg(np.clip(drawn, 0, 255).astype(np.uint8)))


def _mask_of(frame: Frame) -> NDArray[np.uint8] | None:
    if frame.mask is None:
        return None
    try:
        return read_mask(frame.mask, frame.fellows)
    except DataError:
        return None


def _reduced(image: Pixels) -> Pixels:
    scale = WIDTH_PX / image.shape[1]
    return resized(image, (WIDTH_PX, max(1, round(image.shape[0] * scale))))


def _outline(drawing: Pixels, mask: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    scale = np.array([drawing.shape[1] / mask.shape[1], drawing.shape[0] / mask.shape[0]])
    points = [np.rint((contour + 0.5) * scale - 0.5).astype(np.int32) for contour in contours]
    cv2.polylines(drawing, points, True, CASING, 3, cv2.LINE_AA)
    cv2.polylines(drawing, points, True, colour, 1, cv2.LINE_AA)


def _tint(drawing: Pixels, where: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    size = (drawing.shape[1], drawing.shape[0])
    opacity = cv2.resize(where.astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None] * 0.75
    drawing[...] = np.rint(drawing * (1 - opacity) + np.array(colour, np.float32) * opacity).astype(np.uint8)


def _jpeg(drawing: Pixels) -> bytes:
    buffer = io.BytesIO()
    PilImage.fromarray(drawing).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
