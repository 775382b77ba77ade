"""What all pages share: their templates, and images inside the file, so that nothing is fetched from anywhere: figures,
and the overlays that a report shows, drawn for one run, or copied from the runs' own reports, the worst first."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image

from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.files import write_failed, write_png, write_whole
from polypda.reporting.figures.figure_style import ReportFigure
from polypda.reporting.tables.text_table import STRONG_END, STRONG_START, TextTable

COLOURS = 128
"""Of a palette; drawings of lines, areas and one scale of colours look the same and take a third of the room."""
PREVIEW_WIDTH_PX = 1100
PREVIEW_QUALITY = 82
MOST_EMBEDDED_PREVIEWS = 24
"""Further overlays are linked from the folder, so that the page stays small enough to mail."""
MOST_COPIED = 48
LONGEST_NAME = 60
OVERLAY_LIST = "overlays/overlays.json"
BAD_NEWS = ("worst after", "most harmed", "largest false positive")
"""Reasons of :mod:`polypda.reporting.overlays.frame_choice` that come first."""
NO_OVERLAYS = "Numbers and plots only: no frame is shown in this report."
NOT_ASKED_FOR = "No overlay was asked for."
NONE_FOUND = "The runs hold no overlays to show."
_BETWEEN_TAGS = re.compile(r">\s+<")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_PATH = re.compile(r' d="[^"]*"')
_LONG_NUMBER = re.compile(r"(\d+\.\d)\d+")
_ENCODED = str.maketrans({"%": "%25", "#": "%23", "<": "%3C", ">": "%3E", '"': "'", "\n": " "})


@dataclass(frozen=True)
class Section:
    """A part of the page. tables: (heading or "", table). notes: lines after the tables, or in the place of them."""

    title: str
    tables: Sequence[tuple[str, TextTable]] = ()
    figures: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()
    anchor: str = ""


def render_page(template: str, **facts: Any) -> str:
    """A page by a template of this folder; what it shows is escaped, a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name is None or not name.endswith(".css"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["cell"] = cell_html
    environment.globals["phantom_banner"] = PHANTOM_BANNER
    return environment.get_template(template).render(**facts)


def cell_html(cell: str) -> Markup:
    """A cell of a table: strong parts bold; a sum of methods may be broken between its parts, and nowhere else."""
    parts = re.split(r"(?<=[a-z0-9]\+)(?=[a-z])", cell)
    broken = Markup('<span class="part">{}</span><wbr>')
    text = escape(cell) if len(parts) == 1 else Markup("").join(broken.format(part) for part in parts)
    return text.replace(STRONG_START, Markup("<b>")).replace(STRONG_END, Markup("</b>"))


def data_uri(content: bytes, kind: str) -> str:
    """An image inside the page; kind: its MIME subtype."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def embedded(figure: ReportFigure, *, svg_kept: bool = True) -> dict[str, Any]:
    """A figure as the templates draw it; its SVG files must exist, they are put into the page.

    svg_kept: they also stay beside it and are linked; else they are put in as text, which is shorter.
    """

    def source(svg: Path, *, in_set: bool = False) -> str:
        return data_uri(svg.read_bytes(), "svg+xml") if svg_kept else svg_in_page(svg, in_set=in_set)

    return {
        "title": figure.title,
        "caption": figure.caption,
        "source": source(figure.svg),
        "narrow": source(figure.narrow, in_set=True) if figure.narrow else "",
        "svg": quote(f"figures/{figure.svg.name}") if svg_kept else "",
        "png": quote(f"figures/{figure.png.name}"),
    }


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


@dataclass(frozen=True)
class OverlayImage:
    """A drawn overlay: uint8 H×W×3 RGB, its frame and the reason for showing it ("" for none)."""

    cohort: str
    frame: str
    why: str
    shown: NDArray[np.uint8]


@dataclass(frozen=True)
class GalleryImage:
    """An overlay on the page. href: its full-size file, relative to the page. preview: JPEG bytes, or None to link."""

    cohort: str
    frame: str
    why: str
    href: str
    preview: bytes | None


@dataclass(frozen=True)
class Gallery:
    """Overlays on the page; left_out: what is not shown, in words; absent: what stands there when there is none."""

    images: Sequence[GalleryImage] = ()
    left_out: str = ""
    absent: str = NO_OVERLAYS

    def entries(self) -> list[dict[str, str]]:
        """The images as the templates take them: small copies inside the page, links to the files."""
        return [
            {
                "cohort": image.cohort, "frame": image.frame, "why": image.why, "href": quote(image.href),
                "source": data_uri(image.preview, "jpeg") if image.preview else quote(image.href),
            }
            for image in self.images
        ]  # fmt: skip


def preview(shown: NDArray[np.uint8]) -> bytes:
    """A JPEG of an overlay (uint8 H×W×3 RGB), reduced to the page's width."""
    image = Image.fromarray(shown)
    if image.width > PREVIEW_WIDTH_PX:
        size = (PREVIEW_WIDTH_PX, round(image.height * PREVIEW_WIDTH_PX / image.width))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=PREVIEW_QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def draw_gallery(overlays: Iterable[OverlayImage], folder: Path) -> Gallery:
    """Write overlays/*.png, consumed one by one, so that a generator never holds more than one image, and the list of
    what each shows and why, for reports of several runs.

    Raises: DataError E_WRITE_FAILED.
    """
    (folder / "overlays").mkdir()
    images = list(_drawn(folder, overlays))
    if images:
        listed = [
            {"file": Path(shown.href).name, "cohort": shown.cohort, "frame": shown.frame, "why": shown.why}
            for shown in images
        ]
        write_whole(folder / OVERLAY_LIST, json.dumps(listed, ensure_ascii=False, indent=1) + "\n")
    return Gallery(images, absent=NOT_ASKED_FOR)


def _drawn(folder: Path, overlays: Iterable[OverlayImage]) -> Iterator[GalleryImage]:
    for index, overlay in enumerate(overlays, 1):
        name = f"overlays/{index:03d}-{file_name(f'{overlay.cohort}-{overlay.frame}')}.png"
        write_png(folder / name, overlay.shown)
        small = preview(overlay.shown) if index <= MOST_EMBEDDED_PREVIEWS else None
        yield GalleryImage(overlay.cohort, overlay.frame, overlay.why, name, small)


def copy_gallery(evaluations: Sequence[Evaluation], folder: Path) -> Gallery:
    """Copy overlays of the target centres into ``folder``/overlays, the worst of every run before the second worst.

    Raises: DataError E_WRITE_FAILED.
    """
    ranks = zip_longest(*map(_overlays_of, evaluations))
    found = [overlay for overlay in chain.from_iterable(ranks) if overlay is not None]
    if not found:
        return Gallery(absent=NONE_FOUND)
    (folder / "overlays").mkdir()
    images = [_copy(overlay, folder, index) for index, overlay in enumerate(found[:MOST_COPIED], 1)]
    left = len(found) - len(images)
    words = f"{left} further overlays of these centres lie in the runs' own reports." if left else ""
    return Gallery(images, words)


class _RunOverlay(NamedTuple):
    path: Path
    run: str
    cohort: str
    frame: str
    why: str


def _overlays_of(evaluation: Evaluation) -> list[_RunOverlay]:
    """The target's overlays of one run, bad news first; [] where there are none."""
    listing, run = evaluation.folder / OVERLAY_LIST, evaluation.run_metadata
    try:
        overlays = [
            _RunOverlay(
                listing.parent / Path(entry["file"]).name, run.run, entry["cohort"], entry["frame"], entry["why"]
            )
            for entry in json.loads(listing.read_text(encoding="utf-8"))
            if entry["cohort"] == run.target
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # images are an extra: a report of numbers does not fail for want of them
    return sorted((one for one in overlays if one.path.is_file()), key=lambda one: not one.why.startswith(BAD_NEWS))


def _copy(overlay: _RunOverlay, folder: Path, index: int) -> GalleryImage:
    name = f"overlays/{index:03d}-{file_name(f'{overlay.run}-{overlay.cohort}-{overlay.frame}')}{overlay.path.suffix}"
    try:
        shutil.copyfile(overlay.path, folder / name)
        small = None
        if index <= MOST_EMBEDDED_PREVIEWS:
            with Image.open(overlay.path) as shown:
                small = preview(np.asarray(shown.convert("RGB")))
    except OSError as error:
        raise write_failed(folder / name, error) from error
    why = f"{overlay.run}: {overlay.why}" if overlay.why else overlay.run
    return GalleryImage(overlay.cohort, overlay.frame, why, name, small)


def file_name(text: str) -> str:
    """Text as part of a file name on every system: letters and digits of any script, '-', '_' and '.'."""
    plain = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    return plain[:LONGEST_NAME].rstrip("-.") or "frame"
