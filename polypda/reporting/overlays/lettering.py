"""Text in pictures: DejaVu as matplotlib ships it, another installed font where it lacks a character."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
INK: Colour = (24, 24, 24)
PAPER: Colour = (255, 255, 255)
LINE_HEIGHT = 1.3

# Cohorts come from everywhere, and DejaVu has no Chinese: fonts that usual systems carry, in order of preference.
OTHER_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Arial Unicode MS",
)


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
