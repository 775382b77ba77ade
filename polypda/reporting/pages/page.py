"""The report as one HTML page: styles and pictures inside the file, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image

from polypda.evaluation.aggregation.cell_text import INTERVAL_NOTE
from polypda.evaluation.aggregation.centre_cells import METRIC_NOTES, lesion_cells, negative_cells, positive_cells
from polypda.evaluation.aggregation.centre_files import NO_LESIONS, NO_NEGATIVES, NO_POSITIVES
from polypda.evaluation.cases.case_values import MASK
from polypda.evaluation.cases.statement import PHANTOM_BANNER, ReportStatement
from polypda.evaluation.scoring.lesions import LESION_RULE
from polypda.reporting.figures.figure_style import ReportFigure
from polypda.reporting.pages.answer import answer
from polypda.reporting.tables.selector_tables import EXPLAINED, NOT_JUDGED, run_selector_cells

PREVIEW_WIDTH_PX = 1100
PREVIEW_QUALITY = 82
MOST_EMBEDDED_PREVIEWS = 24
"""Further overlays are linked from the folder, so that the page stays small enough to mail."""


@dataclass(frozen=True)
class GalleryPicture:
    """An overlay on the page. href: its full-size file, relative to the page. preview: JPEG bytes, or None to link."""

    cohort: str
    frame: str
    why: str
    href: str
    preview: bytes | None


def preview(picture: NDArray[np.uint8]) -> bytes:
    """A JPEG of an overlay, reduced to the page's width; picture is uint8 H×W×3 RGB."""
    image = Image.fromarray(picture)
    if image.width > PREVIEW_WIDTH_PX:
        size = (PREVIEW_WIDTH_PX, round(image.height * PREVIEW_WIDTH_PX / image.width))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=PREVIEW_QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def render_page(
    table: pd.DataFrame,
    statement: ReportStatement,
    figures: Sequence[ReportFigure],
    gallery: Sequence[GalleryPicture],
    selectors: pd.DataFrame | None = None,
) -> str:
    """The page's HTML.

    Args:
        table: as :func:`polypda.evaluation.aggregation.centers.centre_table` makes it.
        figures: their SVG files must exist; they are embedded.
        gallery: in order of showing.
        selectors: what each checkpoint rule cost (:mod:`polypda.evaluation.aggregation.selector_regret`);
            None: nothing was chosen.
    """
    lines = statement.lines()
    boxes = [("Lesions", lesion_cells(table), f"{LESION_RULE}. {METRIC_NOTES[4]}", NO_LESIONS)]
    return (
        page_environment()
        .get_template("page.html.jinja")
        .render(
            statement=statement,
            phantom_banner=PHANTOM_BANNER,
            answer=answer(table, statement),
            tables=[
                ("Frames with a polyp", positive_cells(table), f"{METRIC_NOTES[0]} {INTERVAL_NOTE}", NO_POSITIVES),
                *(boxes if (table["annotation"] != MASK).any() else []),
                ("Frames without a polyp", negative_cells(table), METRIC_NOTES[1], NO_NEGATIVES),
                *_checkpoint_rules(selectors),
            ],
            stated="; ".join(
                f"{name}: {lines[name]}"
                for name in ("protocol", "checkpoint rule", "seeds", "resolution", "source labels", "leakage")
                if name in lines
            ),
            figures=[
                {
                    "title": figure.title,
                    "caption": figure.caption,
                    "source": data_uri(figure.svg.read_bytes(), "svg+xml"),
                }
                for figure in figures
            ],
            gallery=gallery_entries(gallery),
            facts=list(_facts(statement)),
        )
    )


def _checkpoint_rules(selectors: pd.DataFrame | None) -> list[tuple[str, pd.DataFrame, str, str]]:
    return [] if selectors is None else [("Checkpoint rules", run_selector_cells(selectors), EXPLAINED, NOT_JUDGED)]


def page_environment() -> jinja2.Environment:
    """Templates of this folder; what they show is escaped, a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name is None or not name.endswith(".css"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["joints"] = joints
    return environment


def joints(cell: object) -> Markup:
    """A cell in which a sum of methods may be broken between its parts, and nowhere else."""
    parts = re.split(r"(?<=[a-z0-9]\+)(?=[a-z])", str(cell))
    if len(parts) == 1:
        return escape(cell)
    return Markup("").join(Markup('<span class="part">{}</span><wbr>').format(part) for part in parts)


def gallery_entries(gallery: Sequence[GalleryPicture]) -> list[dict[str, str]]:
    """The pictures as the templates take them: small copies inside the page, links to the files."""
    return [
        {
            "cohort": picture.cohort,
            "frame": picture.frame,
            "why": picture.why,
            "href": quote(picture.href),
            "source": data_uri(picture.preview, "jpeg") if picture.preview else quote(picture.href),
        }
        for picture in gallery
    ]


def _facts(statement: ReportStatement) -> Iterator[tuple[str, str]]:
    yield from statement.lines().items()
    if statement.duration_s is not None:
        minutes, seconds = divmod(round(statement.duration_s), 60)
        yield "training time (since last resumed)", f"{minutes} min {seconds} s"
    yield from _flattened(statement.settings)
    if statement.versions:
        yield "versions", ", ".join(f"{name} {version}" for name, version in statement.versions.items())


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", "none" if value is None else str(value)


def data_uri(content: bytes, kind: str) -> str:
    """A picture inside the page; kind: its MIME subtype."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
