"""What overlays and sheets are drawn with: text, outlines of masks as smooth strokes, hatched regions, images on paper.

Text is set in DejaVu as matplotlib ships it, in another installed font where that lacks a character.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

Colour = tuple[int, int, int]
DecodedImage = NDArray[np.uint8]
"""H×W×3, RGB."""
Outline = NDArray[np.float64]
"""N×2, (x, y) in native pixels, pixel centres at whole numbers; closed."""

INK: Colour = (24, 24, 24)
GREY: Colour = (96, 96, 96)
PAPER: Colour = (255, 255, 255)
LINE_HEIGHT = 1.3
# Cohorts come from everywhere, and DejaVu has no Chinese: fonts that usual systems carry, in order of preference.
OTHER_FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Arial Unicode MS"),
)
CASING: Colour = (0, 0, 0)
CASING_OPACITY = 0.8
SUPERSAMPLING = 2
SUBPIXEL_BITS = 4
SHORTEST_SMOOTHED = 12
"""Outlines of fewer points are drawn as they are."""
FEWEST_DASHES = 6
"""Even the outline of a tiny polyp is seen to be dashed."""
DIMMED = 0.45
LINE_LEVEL = 190
PERIOD_PX, LINE_PX = 11, 2
"""Display px from line to line along a row, and the width of one."""


def on_paper(height: int, width: int, *placed: tuple[DecodedImage, int, int], paper: Colour = PAPER) -> DecodedImage:
    """A sheet with images on it, each with its left and top."""
    sheet = np.full((height, width, 3), paper, np.uint8)
    for image, left, top in placed:
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def resized(image: DecodedImage, size: tuple[int, int]) -> DecodedImage:
    """An image at another size (width, height in px)."""
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return np.ascontiguousarray(scaled, dtype=np.uint8)


class Text(NamedTuple):
    """A line of text. size_px: height of the em square."""

    content: str
    size_px: float
    bold: bool = False
    colour: Colour = INK


def text_block(
    lines: list[Text], width_px: int, paper: Colour = PAPER, padding_px: int = 0, centred: bool = False
) -> NDArray[np.uint8]:
    """Set lines below each other, wrapped to a width.

    Returns: uint8 H×``width_px``×3, as high as the text needs: nothing is ever cut off.
    """
    inner = width_px - 2 * padding_px
    set_lines = []
    for line in lines:
        content, path = legible(line.content, line.bold)
        font = _font(path, round(line.size_px))
        set_lines += [(part, font, line) for part in _wrapped(content, font, inner)]
    height = round(sum(LINE_HEIGHT * line.size_px for _, _, line in set_lines)) + 2 * padding_px
    page = Image.new("RGB", (width_px, max(height, 1)), paper)
    draw = ImageDraw.Draw(page)
    top = float(padding_px)
    for part, font, line in set_lines:
        left = padding_px + (max(0.0, inner - font.getlength(part)) / 2 if centred else 0.0)
        middle = top + LINE_HEIGHT * line.size_px / 2
        draw.text((left, middle), part, font=font, fill=line.colour, anchor="lm")
        top += LINE_HEIGHT * line.size_px
    return np.asarray(page)


@lru_cache(maxsize=512)
def legible(text: str, bold: bool = False) -> tuple[str, str]:
    """The text as it can be set, and the path of a font that has its characters.

    Where no installed font has a character it is written as its code point (``\\u606f``), never as an empty box.
    """
    text = "".join(character if character.isprintable() else " " for character in text)
    usual = _dejavu(bold)
    if not _lacking(text, usual):
        return text, usual
    for path in _other_fonts():
        if not _lacking(text, path):
            return text, path
    lacking = _lacking(text, usual)
    spelled = [
        character.encode("ascii", "backslashreplace").decode() if character in lacking else character
        for character in text
    ]
    return "".join(spelled), usual


def _dejavu(bold: bool) -> str:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name)


@lru_cache(maxsize=1)
def _other_fonts() -> tuple[str, ...]:
    installed = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    return tuple(installed[family] for family in OTHER_FAMILIES if family in installed)


@lru_cache(maxsize=1024)
def _lacking(text: str, path: str) -> frozenset[str]:
    face = FT2Font(path)
    return frozenset(character for character in text if not face.get_char_index(ord(character)))


@lru_cache(maxsize=64)
def _font(path: str, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size_px)


def _wrapped(content: str, font: ImageFont.FreeTypeFont, width_px: float) -> list[str]:
    lines, current = [], ""
    for word in content.split(" "):
        candidate = f"{current} {word}" if current else word
        if font.getlength(candidate) <= width_px:
            current = candidate
            continue
        if current:
            lines.append(current)
        # A frame id or a sum of methods may be longer than the line: broken after a joint, else where it has to be.
        while font.getlength(word) > width_px and len(word) > 1:
            fitting = max(1, sum(font.getlength(word[:end]) <= width_px for end in range(1, len(word) + 1)))
            fitting = 1 + max(word.rfind(joint, 0, fitting) for joint in "+_/") or fitting
            lines.append(word[:fitting])
            word = word[fitting:]
        current = word
    return [*lines, current]


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
    """The image with the lines drawn; lines in display coordinates (pixel corners at whole numbers)."""
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
    """Fraction of each pixel that the lines cover, float32 H×W in [0, 1]."""
    canvas = np.zeros((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), np.uint8)
    fixed_point = float(1 << SUBPIXEL_BITS)
    points = [np.rint((line * SUPERSAMPLING - 0.5) * fixed_point).astype(np.int32)[:, None] for line in lines]
    thickness = max(1, round(width_px * SUPERSAMPLING))
    cv2.polylines(canvas, points, False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    return cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0


def _painted(image: NDArray[np.float32], opacity: NDArray[np.float32], colour: Colour) -> NDArray[np.float32]:
    weight = opacity[..., None]
    return image * (1.0 - weight) + np.asarray(colour, np.float32) * weight


def hatched(image: NDArray[np.uint8], region: NDArray[np.bool_], scale: float = 1.0) -> NDArray[np.uint8]:
    """A copy of a displayed image with a region dimmed and hatched, for pixels that do not count.

    Args: region: bool, of any size; it covers the image as a whole. scale: of the lines, as of the other strokes.
    """
    height, width = image.shape[:2]
    covered = cv2.resize(region.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    y, x = np.mgrid[:height, :width]
    period = max(4, round(PERIOD_PX * scale))
    lines = (x + y) % period < max(1, round(LINE_PX * scale))
    dimmed = np.where(lines[..., None], LINE_LEVEL, image * DIMMED)
    return np.where(covered[..., None], np.rint(dimmed), image).astype(np.uint8)
