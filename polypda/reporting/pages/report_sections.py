"""The parts of a report below its first screen: tables with the figures that belong to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.run_metadata import ORACLE, RunMetadata
from polypda.reporting.tables.column import Block, View
from polypda.reporting.tables.columns import (
    AGGREGATES,
    BY_ORIGIN,
    BY_PAIR,
    BY_SOURCE,
    COMPARISONS,
    LESIONS,
    MODEL,
    NEGATIVES,
    PIXELS,
    POSITIVES,
)
from polypda.reporting.tables.result_tables import (
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

MOST_MATRIX_COLUMNS = 6
"""More centres go into a further table, so that none is cut off on paper."""
AT_HOME = "Back in {}, where they were trained: does adapting cost anything there?"
FURTHER = "In {}, neither source nor target"
ALWAYS_TOLD = (POSITIVES, NEGATIVES)
"""Blocks whose absence a report of one run tells, too."""

Figures = Mapping[str, dict[str, Any]]
"""Stem of the file → what the template embeds."""


@dataclass(frozen=True)
class Section:
    """A part of the page. tables: (heading or "", table). notes: lines after the tables, or in the place of them."""

    title: str
    tables: Sequence[tuple[str, TextTable]] = ()
    figures: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()
    anchor: str = ""


def report_sections(results: CrossCentreResults, figures: Figures, run: RunMetadata | None = None) -> list[Section]:
    """All sections that have something to show, in reading order.

    run: what a single run says of itself, where the report is that run's; it has one centre to adapt to, so the tables
    over centres are left out, and the adapted model's rows stand out.
    """
    parts = [
        *(_over_centres(results, figures) if run is None else ()),
        *_comparisons(results, figures),
        *_centres(results, figures, run),
        *_checkpoint_rules(results),
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
        ("", at_target(comparisons)),
        *((AT_HOME.format(cohort), rows) for cohort, rows in at_home.groupby("cohort", sort=False)),
        *((FURTHER.format(cohort), rows) for cohort, rows in further.groupby("cohort", sort=False)),
    ]
    shown = [(heading, block_table(COMPARISONS, rows, View.PAGE, BY_PAIR)) for heading, rows in tables]
    headings = [name for _, table in shown for name in table.headings]
    notes = [COMPARISONS.caption(headings), *interval_notes(comparisons["interval"])] if len(comparisons) else []
    yield Section(COMPARISONS.title, shown, _drawn(figures, "forest"), notes, anchor="comparisons")


def _centres(results: CrossCentreResults, figures: Figures, run: RunMetadata | None) -> Iterator[Section]:
    centres, strata = once(results.centres), once(results.strata)
    drawn = {
        POSITIVES: _drawn(figures, "paired-dice", "dice-distribution", "reliability"),
        LESIONS: _drawn(figures, "polyps-found"),
    }
    kinds = {
        POSITIVES: "dice_interval", NEGATIVES: "frame_specificity_interval", LESIONS: "lesion_sensitivity_10_interval"
    }  # fmt: skip
    for block in (POSITIVES, PIXELS, NEGATIVES, LESIONS):
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


def _checkpoint_rules(results: CrossCentreResults) -> Iterator[Section]:
    if len(results.selectors):
        yield _block(*selector_table(results.selectors, View.PAGE))


def _block(
    block: Block, table: TextTable, figures: Sequence[dict[str, Any]] = (), notes: Sequence[str] = ()
) -> Section:
    told = [block.caption(table.headings), *notes] if table.rows else [block.absent]
    return Section(block.title, [("", table)], figures, told)


def _standing_out(table: TextTable, model: str) -> TextTable:
    index = table.headings.index(MODEL.heading)
    return replace(table, tones=tuple("adapted" if row[index] == model else "" for row in table.rows))


def _drawn(figures: Figures, *stems: str) -> list[dict[str, Any]]:
    return [figure for name, figure in figures.items() if name.startswith(stems)]
