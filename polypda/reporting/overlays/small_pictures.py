"""Figures made small: a page that is mailed and kept holds them all, and none needs a tenth of a point's accuracy."""

from __future__ import annotations

import io
import re
from pathlib import Path

from markupsafe import Markup
from PIL import Image

COLOURS = 128
"""Of a palette; drawings of lines, areas and one scale of colours look the same and take a third of the room."""
_BETWEEN_TAGS = re.compile(r">\s+<")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_PATH = re.compile(r' d="[^"]*"')
_LONG_NUMBER = re.compile(r"(\d+\.\d)\d+")
_ENCODED = str.maketrans({"%": "%25", "#": "%23", "<": "%3C", ">": "%3E", '"': "'", "\n": " "})


def svg_in_page(svg: Path, *, in_set: bool = False) -> Markup:
    """A drawing as a data URI of text for a double-quoted attribute; base64 would be longer.

    in_set: for a srcset, in which a space would end it.
    """
    text = svg.read_text(encoding="utf-8").partition("<svg")[2]
    text = _BETWEEN_TAGS.sub("><", _COMMENT.sub("", f"<svg{text}"))
    text = _PATH.sub(lambda path: _LONG_NUMBER.sub(r"\1", path[0]), text)
    uri = "data:image/svg+xml;utf8," + text.translate(_ENCODED)
    return Markup(uri.replace(" ", "%20") if in_set else uri)  # a drawing of our own


def shrink_png(png: Path) -> bytes:
    """A drawing's PNG with a palette of 128 colours."""
    buffer = io.BytesIO()
    picture = Image.open(png).convert("RGB")
    picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()
