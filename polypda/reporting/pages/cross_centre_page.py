"""The cross-centre report as one HTML page: the answer first, then every table, figure and fact behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.statement import ORACLE, PHANTOM_BANNER
from polypda.evaluation.scoring.lesions import LESION_RULE
from polypda.reporting.figures.figure_style import ReportFigure
from polypda.reporting.pages.centre_cards import centre_cards
from polypda.reporting.pages.page import GalleryPicture, data_uri, gallery_entries, page_environment
from polypda.reporting.pages.page_sections import page_sections
from polypda.reporting.pages.wording import NOT_KNOWN, counted
from polypda.reporting.tables.difference_rows import at_target
from polypda.reporting.tables.page_tables import PageTable

DEFINITIONS = {
    "Dice": "2·overlap / (marked + reference), per frame at its own resolution, inside the field of view; its mean is "
    "over frames with a polyp, each counted once (dice_frame)",
    "interval": "95 %, resampling patients (else sequences), never single frames: bootstrap from 10 clusters on, t for "
    "5–9, none below 5",
    "Δ, finding": "adapted − source-only on the same frames; better or worse: by more than 0.05 Dice",
    "Holm p": "sign-flip test over clusters, adjusted for all adaptations in this report",
    "polyps gained, lost": "frames with a polyp on which no lesion was hit before and one was after, and the reverse",
    "gap closed": "Δ / (oracle − source-only); only where the interval of that gap excludes 0; never clipped",
    "left clean": "frames without a polyp on which no region of at least 20 px and 0.02 % of the field is marked",
    "lesions": LESION_RULE,
}
FILES = (
    ("cases.csv", "one row per model, training and frame; everything here is made from it"),
    ("centers.csv", "per centre and model, all aggregates at full precision (also .md, .tex, .json)"),
    ("matrix.csv", "source × centre × model (also .md, .tex)"),
    ("comparisons.csv", "each model beside source-only"),
    ("summary.json", "all of it for programs, with a schema version"),
    ("model_card.md", "model card"),
    ("checklist.md", "reporting checklist, with what is not reported"),
)
NO_OVERLAYS = "Numbers and plots only: no frame is shown in this report."


@dataclass(frozen=True)
class Gallery:
    """Overlays on the page; left_out: what is not shown, in words; absent: what stands there when there is none."""

    pictures: Sequence[GalleryPicture] = ()
    left_out: str = ""
    absent: str = NO_OVERLAYS


@dataclass(frozen=True)
class PageParts:
    """What the page shows beside the results."""

    title: str
    figures: Sequence[ReportFigure] = ()
    gallery: Gallery = field(default_factory=Gallery)


def render_cross_centre_page(results: CrossCentreResults, parts: PageParts) -> str:
    """The page's HTML; the figures' SVG files must exist, they are embedded."""
    figures = {figure.svg.stem: _embedded(figure) for figure in parts.figures}
    family = results.comparisons["family_size"].max() if len(results.comparisons) else 0
    return (
        page_environment()
        .get_template("cross_centre_page.html.jinja")
        .render(
            title=parts.title,
            phantom=results.phantom,
            phantom_banner=PHANTOM_BANNER,
            leakage=results.stated.get("leakage", ""),
            labels_used=bool((results.cases["model"] == ORACLE).any()),
            cards=centre_cards(results),
            family_size=int(family) if family else 0,
            several_seeds=bool((results.centres["n_seeds"] > 1).any()),
            notes=results.notes,
            sections=page_sections(results, figures),
            stated=_stated(results),
            gallery=gallery_entries(parts.gallery.pictures),
            gallery_left_out=parts.gallery.left_out,
            no_gallery=parts.gallery.absent,
            facts=[*results.stated.items(), *DEFINITIONS.items()],
            runs=run_table(results),
            files=FILES,
        )
    )


def default_title(results: CrossCentreResults) -> str:
    """What the page is called when nobody names it."""
    targets = list(dict.fromkeys(at_target(results.comparisons)["target"]))
    sources = list(dict.fromkeys(results.comparisons["source"])) if len(results.comparisons) else []
    if not targets:
        return f"Polyp segmentation in {_named_or_counted(results, 'cohort', 'centre')}: " + _named_or_counted(
            results, "model", "model"
        )
    if len(targets) == 1 and len(sources) == 1:
        return f"Adapting polyp segmentation from {sources[0]} to {targets[0]}"
    return f"Polyp segmentation across centres: {counted(len(sources), 'source')}, {counted(len(targets), 'target')}"


def _named_or_counted(results: CrossCentreResults, column: str, noun: str) -> str:
    names = list(dict.fromkeys(map(str, results.centres[column])))
    return names[0] if len(names) == 1 else counted(len(names), noun)


def run_table(results: CrossCentreResults) -> PageTable:
    """What each run says of itself, one evaluation per row."""
    columns = ["run", "adaptation", "method", "checkpoint rule", "seed", "resolution", "target labels"]
    rows = [
        [
            said.run, f"{said.source} → {said.target}", said.method, said.selector_text,
            NOT_KNOWN if said.foreign else ", ".join(map(str, said.seeds)), said.resolution_text, said.labels_text,
        ]
        for said in results.statements
    ]  # fmt: skip
    return PageTable(columns, rows, left=len(columns))


def _stated(results: CrossCentreResults) -> str:
    names = ("protocol", "checkpoint rule", "seeds", "resolution", "threshold", "split")
    return "; ".join(f"{name}: {results.stated[name]}" for name in names if name in results.stated)


def _embedded(figure: ReportFigure) -> dict[str, Any]:
    return {
        "title": figure.title,
        "caption": figure.caption,
        "source": data_uri(figure.svg.read_bytes(), "svg+xml"),
        "narrow": data_uri(figure.narrow.read_bytes(), "svg+xml") if figure.narrow else "",
        "svg": quote(f"figures/{figure.svg.name}"),
        "png": quote(f"figures/{figure.png.name}"),
    }
