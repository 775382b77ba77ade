"""A report of one run or of several as one HTML page: the answer first, then every table, figure and fact behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.clinical_review import ReviewFindings
from polypda.evaluation.cases.run_metadata import ORACLE, RunMetadata
from polypda.evaluation.scoring.mask_geometry import LESION_RULE
from polypda.reporting.documents.report_facts import flattened
from polypda.reporting.figures.figure_style import ReportFigure
from polypda.reporting.pages.answer import answer
from polypda.reporting.pages.centre_cards import centre_cards
from polypda.reporting.pages.page import Gallery, Section, embedded, render_page
from polypda.reporting.pages.review_sections import review_sections
from polypda.reporting.tables.columns import (
    AGGREGATES,
    BY_ORIGIN,
    BY_PAIR,
    BY_SOURCE,
    CENTRE_BLOCKS,
    COMPARISONS,
    LESIONS,
    MODEL,
    NEGATIVES,
    POSITIVES,
    Block,
    View,
)
from polypda.reporting.tables.result_tables import (
    INTERVAL_NOTE,
    MATRIX_NOTE,
    MATRIX_TITLE,
    STRATA_NOTE,
    STRATA_TITLE,
    block_table,
    interval_notes,
    matrix_table,
    once,
    selector_table,
    strata_table,
)
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
MOST_MATRIX_COLUMNS = 6
"""More centres go into a further table, so that none is cut off on paper."""
AT_HOME = "Back in {}, where they were trained: does adapting cost anything there?"
FURTHER = "In {}, neither source nor target"
ALWAYS_TOLD = (POSITIVES, NEGATIVES)
"""Blocks whose absence a report of one run tells, too."""


@dataclass(frozen=True)
class PageParts:
    """What the page shows beside the results. run: what the run says of itself, where the report is that of one run:
    then its answer stands first in place of a card for each centre. reviews: what clinicians said of the runs."""

    title: str
    figures: Sequence[ReportFigure] = ()
    gallery: Gallery = field(default_factory=Gallery)
    run: RunMetadata | None = None
    reviews: Sequence[ReviewFindings] = ()


def render_report_page(results: CrossCentreResults, parts: PageParts) -> str:
    """The page's HTML; the figures' SVG files must exist, they are embedded."""
    figures = {figure.svg.stem: embedded(figure) for figure in parts.figures}
    run = parts.run
    family = results.comparisons["family_size"].max() if len(results.comparisons) else 0
    return render_page(
        "report_page.html.jinja",
        title=parts.title,
        run=run,
        phantom=results.phantom,
        banners=list(_banners(results, run)),
        answer=answer(results.centres, run) if run else None,
        cards=[] if run else centre_cards(results),
        family_size=int(family) if family else 0,
        several_seeds=bool((results.centres["n_seeds"] > 1).any()),
        notes=results.notes,
        sections=[*report_sections(results, figures, run), *review_sections(parts.reviews)],
        stated="; ".join(f"{name}: {results.stated[name]}" for name in STATED if name in results.stated),
        gallery=parts.gallery.entries(),
        gallery_left_out=parts.gallery.left_out,
        no_gallery=parts.gallery.absent,
        facts=[*(_facts(run) if run else results.stated.items()), *DEFINITIONS.items()],
        runs=run_table(results),
        files=TABLE_FILES if run else (*TABLE_FILES, *DOCUMENTS),
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
    if run.accepted:
        yield "labels", f"Reviewers looked at training frames of the target centre: {run.accepted_text}"
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
        centres = _named_or_counted(results.centres["cohort"], "centre")
        return f"Polyp segmentation in {centres}: {_named_or_counted(results.centres['model'], 'model')}"
    if len(targets) == 1 and len(sources) == 1:
        return f"Adapting polyp segmentation from {sources[0]} to {targets[0]}"
    return f"Polyp segmentation across centres: {counted(len(sources), 'source')}, {counted(len(targets), 'target')}"


def _named_or_counted(names: Iterable[str], noun: str) -> str:
    distinct = list(dict.fromkeys(map(str, names)))
    return distinct[0] if len(distinct) == 1 else counted(len(distinct), noun)


def run_table(results: CrossCentreResults) -> TextTable:
    """What each run says of itself, one evaluation per row."""
    headings = ["run", "adaptation", "method", "checkpoint rule", "seed", "resolution", "target labels"]
    rows = [
        [
            run.run, f"{run.source} → {run.target}", run.method, run.selector_text,
            NOT_KNOWN if run.external else ", ".join(map(str, run.seeds)), run.resolution_text, run.labels_text,
        ]
        for run in results.metadata_of_runs
    ]  # fmt: skip
    return TextTable(headings, rows, left=len(headings))


Figures = Mapping[str, dict[str, Any]]
"""Stem of the file → what the template embeds."""


def report_sections(results: CrossCentreResults, figures: Figures, run: RunMetadata | None = None) -> list[Section]:
    """All sections that have something to show, in reading order.

    run: what a single run says of itself, where the report is that run's; it has one centre to adapt to, so the tables
    over centres are left out, and the adapted model's rows stand out.
    """
    parts = [
        *(_over_centres(results, figures) if run is None else ()),
        *_comparisons(results, figures),
        *_centres(results, figures, run),
        *([_block(*selector_table(results.selectors, View.PAGE))] if len(results.selectors) else ()),
    ]
    filled = [replace(part, tables=[(head, table) for head, table in part.tables if table.rows]) for part in parts]
    return [part for part in filled if part.figures or part.tables or (run and part.notes)]


def _over_centres(results: CrossCentreResults, figures: Figures) -> Iterator[Section]:
    yield Section(
        MATRIX_TITLE,
        [("", table) for table in matrix_table(results, most_columns=MOST_MATRIX_COLUMNS)],
        _drawn(figures, "matrix"),
        [MATRIX_NOTE, *interval_notes(results.matrix["interval"])],
    )
    yield _block(AGGREGATES, block_table(AGGREGATES, results.aggregates, View.PAGE, BY_SOURCE))
    yield Section("Before and after", (), _drawn(figures, "slopes", "seeds"))


def _comparisons(results: CrossCentreResults, figures: Figures) -> Iterator[Section]:
    comparisons = results.comparisons
    adapted = comparisons[comparisons["model"] != ORACLE]  # of one centre: in another it is no bound
    at_home = adapted[adapted["cohort"] == adapted["source"]]
    further = adapted[(adapted["cohort"] != adapted["source"]) & (adapted["cohort"] != adapted["target"])]
    tables = [
        ("", _by_effect(at_target(comparisons))),
        *((AT_HOME.format(cohort), _by_effect(rows)) for cohort, rows in at_home.groupby("cohort", sort=False)),
        *((FURTHER.format(cohort), _by_effect(rows)) for cohort, rows in further.groupby("cohort", sort=False)),
    ]
    shown = [(heading, block_table(COMPARISONS, rows, View.PAGE, BY_PAIR)) for heading, rows in tables]
    headings = [name for _, table in shown for name in table.headings]
    notes = [COMPARISONS.caption(headings), *interval_notes(comparisons["interval"])] if len(comparisons) else []
    yield Section(COMPARISONS.title, shown, _drawn(figures, "forest"), notes, anchor="comparisons")


def _by_effect(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Centre by centre, the largest gain first, the oracle last."""
    centres = {centre: number for number, centre in enumerate(dict.fromkeys(comparisons["target"]))}
    order = comparisons.assign(centre=comparisons["target"].map(centres), bound=comparisons["model"] == ORACLE)
    order = order.sort_values(["centre", "bound", "delta"], ascending=[True, True, False], kind="stable")
    return comparisons.loc[order.index]


def _centres(results: CrossCentreResults, figures: Figures, run: RunMetadata | None) -> Iterator[Section]:
    centres, strata = once(results.centres), once(results.strata)
    drawn = {
        POSITIVES: _drawn(figures, "paired-dice", "dice-distribution", "reliability"),
        LESIONS: _drawn(figures, "polyps-found"),
    }
    kinds = {
        POSITIVES: "dice_interval", NEGATIVES: "frame_specificity_interval", LESIONS: "lesion_sensitivity_10_interval"
    }  # fmt: skip
    for block in CENTRE_BLOCKS:
        table = block_table(block, centres, View.PAGE, BY_ORIGIN)
        table = _standing_out(table, run.method) if run else table
        rows = block.rows(centres)
        notes = interval_notes(rows[kinds[block]]) if block in kinds else []
        if table.rows or block in ALWAYS_TOLD:
            yield _block(block, table, drawn.get(block, []), notes)
        if block is POSITIVES:
            yield Section(
                STRATA_TITLE,
                [("", strata_table(strata, BY_ORIGIN))],
                _drawn(figures, "dice-by-size"),
                [STRATA_NOTE, *interval_notes(strata.loc[strata["n"] > 0, "interval"])] if len(strata) else [],
            )


def _block(
    block: Block, table: TextTable, figures: Sequence[dict[str, Any]] = (), notes: Sequence[str] = ()
) -> Section:
    shown = [block.caption(table.headings), *notes] if table.rows else [block.absent]
    return Section(block.title, [("", table)], figures, shown)


def _standing_out(table: TextTable, model: str) -> TextTable:
    index = table.headings.index(MODEL.heading)
    return replace(table, tones=tuple("adapted" if row[index] == model else "" for row in table.rows))


def _drawn(figures: Figures, *stems: str) -> list[dict[str, Any]]:
    return [figure for name, figure in figures.items() if name.startswith(stems)]
