"""A report of one run or of several as one HTML page: the answer first, then every table, figure and fact behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.run_metadata import ORACLE, RunMetadata
from polypda.evaluation.scoring.mask_geometry import LESION_RULE
from polypda.reporting.documents.report_facts import flattened
from polypda.reporting.figures.figure_style import ReportFigure
from polypda.reporting.pages.answer import answer
from polypda.reporting.pages.centre_cards import centre_cards
from polypda.reporting.pages.gallery import Gallery
from polypda.reporting.pages.page import embedded, page_environment
from polypda.reporting.pages.report_sections import report_sections
from polypda.reporting.tables.result_tables import INTERVAL_NOTE
from polypda.reporting.tables.text_table import TextTable
from polypda.reporting.verdict import at_target
from polypda.reporting.wording import NOT_KNOWN, counted

DEFINITIONS = {
    "Dice": "2·overlap / (marked + reference), per frame at its own resolution, inside the field of view; its mean is "
    "over frames with a polyp, each counted once (dice_frame)",
    "interval": INTERVAL_NOTE,
    "Δ, finding": "adapted − source-only on the same frames; better or worse: by more than 0.05 Dice",
    "lesions": LESION_RULE,
}
TABLE_FILES = (
    ("cases.csv", "one row per model, training and frame; everything here is made from it"),
    ("centers.csv", "per centre and model, all aggregates at full precision (also .md, .tex, .json)"),
    ("matrix.csv", "source × centre × model (also .md, .tex)"),
    ("comparisons.csv", "each model beside source-only"),
    ("summary.json", "all of it for programs, with a schema version"),
)
DOCUMENTS = (
    ("model_card.md", "model card"),
    ("checklist.md", "reporting checklist, with what is not reported"),
)
STATED = ("protocol", "checkpoint rule", "seeds", "resolution", "threshold", "split", "source labels", "leakage")


@dataclass(frozen=True)
class PageParts:
    """What the page shows beside the results. run: what the run says of itself, where the report is that of one run:
    then its answer stands first in place of a card for each centre."""

    title: str
    figures: Sequence[ReportFigure] = ()
    gallery: Gallery = field(default_factory=Gallery)
    run: RunMetadata | None = None


def render_report_page(results: CrossCentreResults, parts: PageParts) -> str:
    """The page's HTML; the figures' SVG files must exist, they are embedded."""
    figures = {figure.svg.stem: embedded(figure) for figure in parts.figures}
    run = parts.run
    family = results.comparisons["family_size"].max() if len(results.comparisons) else 0
    return (
        page_environment()
        .get_template("report_page.html.jinja")
        .render(
            title=parts.title,
            run=run,
            phantom=results.phantom,
            banners=list(_banners(results, run)),
            answer=answer(results.centres, run) if run else None,
            cards=[] if run else centre_cards(results),
            family_size=int(family) if family else 0,
            several_seeds=bool((results.centres["n_seeds"] > 1).any()),
            notes=results.notes,
            sections=report_sections(results, figures, run),
            stated="; ".join(f"{name}: {results.stated[name]}" for name in STATED if name in results.stated),
            gallery=parts.gallery.entries(),
            gallery_left_out=parts.gallery.left_out,
            no_gallery=parts.gallery.absent,
            facts=[*(_facts(run) if run else results.stated.items()), *DEFINITIONS.items()],
            runs=run_table(results),
            files=TABLE_FILES if run else (*TABLE_FILES, *DOCUMENTS),
        )
    )


def _banners(results: CrossCentreResults, run: RunMetadata | None) -> Iterator[tuple[str, str]]:
    """(kind, text) of what must be read before anything else."""
    if leakage := results.stated.get("leakage", ""):
        yield "leak", leakage
    if run is None:
        if (results.cases["model"] == ORACLE).any():
            yield "labels", "Labels of a target centre were used, for the upper bound “oracle” only"
        return
    if run.target_labels_used or run.target_labels_trained_on or ORACLE in (run.method, run.selector):
        yield "labels", f"Labels of the target centre were used: {run.labels_text}"
    if run.supervision:
        yield "labels", f"Labels of the source: {run.supervision}"


def _facts(run: RunMetadata) -> Iterator[tuple[str, str]]:
    yield from run.lines().items()
    if run.duration_s is not None:
        minutes, seconds = divmod(round(run.duration_s), 60)
        yield "training time (since last resumed)", f"{minutes} min {seconds} s"
    yield from flattened(run.settings)
    if run.versions:
        yield "versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())


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


def run_table(results: CrossCentreResults) -> TextTable:
    """What each run says of itself, one evaluation per row."""
    headings = ["run", "adaptation", "method", "checkpoint rule", "seed", "resolution", "target labels"]
    rows = [
        [
            said.run, f"{said.source} → {said.target}", said.method, said.selector_text,
            NOT_KNOWN if said.external else ", ".join(map(str, said.seeds)), said.resolution_text, said.labels_text,
        ]
        for said in results.metadata_of_runs
    ]  # fmt: skip
    return TextTable(headings, rows, left=len(headings))
