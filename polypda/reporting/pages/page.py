"""What all pages share: their templates, and pictures inside the file, so that nothing is fetched from anywhere.

Figures made small: a page that is mailed and kept holds them all, and none needs a tenth of a point's accuracy.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape
from PIL import Image

from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.reporting.figures.figure_style import ReportFigure
from polypda.reporting.tables.text_table import STRONG_END, STRONG_START


def page_environment() -> jinja2.Environment:
    """Templates of this folder; what they show is escaped, a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name is None or not name.endswith(".css"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["cell"] = cell_html
    environment.globals["phantom_banner"] = PHANTOM_BANNER
    return environment


def cell_html(cell: str) -> Markup:
    """A cell of a table: marked parts bold; a sum of methods may be broken between its parts, and nowhere else."""
    parts = re.split(r"(?<=[a-z0-9]\+)(?=[a-z])", cell)
    broken = Markup('<span class="part">{}</span><wbr>')
    text = escape(cell) if len(parts) == 1 else Markup("").join(broken.format(part) for part in parts)
    return text.replace(STRONG_START, Markup("<b>")).replace(STRONG_END, Markup("</b>"))


def data_uri(content: bytes, kind: str) -> str:
    """A picture inside the page; kind: its MIME subtype."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def embedded(figure: ReportFigure) -> dict[str, Any]:
    """A figure as the template draws it; its SVG files must exist, they are put into the page."""
    return {
        "title": figure.title,
        "caption": figure.caption,
        "source": data_uri(figure.svg.read_bytes(), "svg+xml"),
        "narrow": data_uri(figure.narrow.read_bytes(), "svg+xml") if figure.narrow else "",
        "svg": quote(f"figures/{figure.svg.name}"),
        "png": quote(f"figures/{figure.png.name}"),
    }


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
    image = Image.open(png).convert("RGB")
    image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()
