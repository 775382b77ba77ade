"""The parts of the cross-centre page below its first screen: tables with the figures that belong to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.statement import ORACLE, SOURCE_ONLY
from polypda.evaluation.scoring.lesions import LESION_RULE
from polypda.reporting.tables.difference_rows import at_target
from polypda.reporting.tables.page_tables import (
    PageTable,
    aggregate_cells,
    centre_cells,
    comparison_cells,
    lesion_cells,
    matrix_tables,
    negative_cells,
    strata_cells,
    table_notes,
)
from polypda.reporting.tables.selector_tables import EXPLAINED, selector_page_table

AT_HOME = "Back in {}, where they were trained: does adapting cost anything there?"
NO_INTERVAL_OVER_CENTRES = "Mean Δ over centres carries no interval: how it would vary with other centres is not known."
FURTHER = "In {}, neither source nor target"

Figures = Mapping[str, dict[str, str]]
"""Stem of the file → what the template embeds."""


@dataclass(frozen=True)
class Section:
    """A part of the page. tables: (heading or "", table). lead: a sentence before, notes: lines after the tables."""

    title: str
    tables: Sequence[tuple[str, PageTable]] = ()
    figures: Sequence[dict[str, str]] = ()
    notes: Sequence[str] = ()
    lead: str = ""
    anchor: str = ""


def page_sections(results: CrossCentreResults, figures: Figures) -> list[Section]:
    """All sections that have something to show, in reading order."""
    everything = (
        *_matrix_and_comparisons(results, figures),
        *_centre_sections(results, figures),
        *_checkpoint_rules(results),
    )
    filled = [
        replace(part, tables=[(heading, table.without_empty_columns()) for heading, table in part.tables if table.rows])
        for part in everything
    ]
    return [part for part in filled if part.figures or part.tables]


def _matrix_and_comparisons(results: CrossCentreResults, figures: Figures) -> Iterator[Section]:
    comparisons = results.comparisons
    yield Section(
        "Every model in every centre",
        [("", table) for table in matrix_tables(results)],
        _drawn(figures, "matrix"),
        ["In [ ]: trained on this centre's own labels.", *table_notes(results.matrix["interval"])],
    )
    if len(comparisons):
        adapted = comparisons[comparisons["model"] != ORACLE]  # of one centre: in another it is no bound
        at_home = adapted[adapted["cohort"] == adapted["source"]]
        further = adapted[(adapted["cohort"] != adapted["source"]) & (adapted["cohort"] != adapted["target"])]
        others = [
            (heading.format(cohort), comparison_cells(part))
            for heading, rows in ((AT_HOME, at_home), (FURTHER, further))
            for cohort, part in rows.groupby("cohort", sort=False)
        ]
        yield Section(
            "Beside source-only",
            [("", comparison_cells(at_target(comparisons))), *others],
            _drawn(figures, "forest"),
            table_notes(comparisons["interval"]),
            anchor="comparisons",
        )
    yield Section(
        "Over all target centres",
        [("", aggregate_cells(results.aggregates))],
        notes=[NO_INTERVAL_OVER_CENTRES] if results.aggregates["delta_center"].notna().any() else (),
        lead="Each centre weighs the same, however many frames it gave; the worst centre is named.",
    )
    yield Section("Before and after", (), _drawn(figures, "slopes", "seeds"))


def _centre_sections(results: CrossCentreResults, figures: Figures) -> Iterator[Section]:
    centres, strata, lesions = _once(results.centres), _once(results.strata), _once(results.lesions)
    yield Section(
        "Frames with a polyp",
        [("", centre_cells(centres))],
        _drawn(figures, "dice-distribution", "reliability"),
        table_notes(centres.loc[centres["n_dice"] > 0, "dice_interval"]),
    )
    yield Section(
        "By polyp size",
        [("", strata_cells(strata))],
        _drawn(figures, "dice-by-size"),
        [
            "Relative area of the field of view: an endoscope gives no millimetres.",
            *table_notes(strata.loc[strata["n"] > 0, "interval"]),
        ],
    )
    yield Section(
        "Frames without a polyp",
        [("", negative_cells(centres))],
        (),
        [
            "They never enter Dice.",
            *table_notes(centres.loc[centres["n_negative"] > 0, "frame_specificity_interval"]),
        ],
    )
    yield Section(
        "Lesions",
        [("", lesion_cells(lesions))],
        (),
        [f"Rule: {LESION_RULE}.", *table_notes(lesions["lesion_sensitivity_10_interval"])],
    )


def _checkpoint_rules(results: CrossCentreResults) -> Iterator[Section]:
    if len(results.selectors):
        yield Section("Checkpoint rules", [("", selector_page_table(results.selectors))], lead=EXPLAINED)


def _drawn(figures: Figures, *stems: str) -> list[dict[str, str]]:
    return [figure for name, figure in figures.items() if name.startswith(stems)]


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """source-only once per source, the oracle once per target, however many adaptations use them; cohorts together."""
    values = [name for name in ("dice_frame", "dice", "lesion_sensitivity_10", "n_seeds") if name in rows]
    same = [name for name in ("cohort", "split", "model", "stratum") if name in rows] + values
    control = (rows["model"] == SOURCE_ONLY) & rows.duplicated(["source", *same])
    bound = (rows["model"] == ORACLE) & rows.duplicated(["target", *same])
    order = rows[~(control | bound)]
    place = {name: number for number, name in enumerate(dict.fromkeys(order["cohort"]))}
    return order.sort_values("cohort", key=lambda names: names.map(place), kind="stable")
