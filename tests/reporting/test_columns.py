"""The registry of columns: every figure that is computed is in a table, and is written in one way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.reporting.pages.report_page import PageParts, render_report_page
from polypda.reporting.tables.columns import (
    BLOCKS,
    BY_ADAPTATION,
    BY_ORIGIN,
    BY_PAIR,
    CENTRE_BLOCKS,
    COMPARISONS,
    LESIONS,
    NEGATIVES,
    PIXELS,
    POSITIVES,
    Column,
    View,
)
from polypda.reporting.tables.result_tables import block_table, is_improvement, sections, strata_table
from polypda.reporting.tables.table_files import centres_markdown
from polypda.reporting.tables.text_table import STRONG_START

ADA, BEA = (SyntheticCohort(name, patients=11, frames_per_patient=4) for name in ("ada", "bea"))


@pytest.fixture(scope="module")
def results() -> CrossCentreResults:
    return cross_centre_results(SyntheticStudy([ADA, BEA], ("adabn",)).evaluations())


def test_every_column_is_a_column_of_the_data(results: CrossCentreResults) -> None:
    for block in CENTRE_BLOCKS:
        assert {column.name for column in block.columns} <= set(results.centres.columns), block.title
    names = {column.name for column in COMPARISONS.columns} - {"finding"}
    assert names <= set(results.comparisons.columns)


def test_every_mean_that_is_computed_has_a_column(results: CrossCentreResults) -> None:
    shown = {column.name for block in CENTRE_BLOCKS for column in block.columns}
    shown |= {"zero_rate", "lesions_predicted", "lesion_specks_predicted"}  # beside another in its cell
    computed = [name for name in results.centres if name.endswith(("_frame", "_px", "_rate", "_10", "_50"))]
    beside = ("delta_", "lesions_hit_", "dice_frame_seed")
    assert [name for name in computed if name not in shown and not name.startswith(beside)] == []


def test_headings_are_unique_within_a_table_and_costs_are_told() -> None:
    for block in BLOCKS.values():
        for view in View:
            titles = [column.title for column in block.shown(view)]
            assert len(titles) == len(set(titles)), (block.title, view)
    assert "Lower is better: MAE, HD95 mean, HD95 median" in PIXELS.caption([c.title for c in PIXELS.columns])


def test_a_new_figure_is_in_every_table(results: CrossCentreResults, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Column("boundary_iou", "boundary IoU", note="IoU of the outlines")
    monkeypatch.setitem(PIXELS.__dict__, "columns", (*PIXELS.columns, figure))
    scored = replace(results, centres=results.centres.assign(boundary_iou=0.4321))
    page = render_report_page(scored, PageParts("page"))
    for text in (centres_markdown(scored), "\n".join(sections(scored)), page):
        assert "boundary IoU" in text and "0.432" in text and "IoU of the outlines" in text


def test_numbers_are_written_by_their_unit() -> None:
    assert Column("x", "x").text({"x": 0.12345}) == "0.123"
    assert Column("x", "x", "%", 0).text({"x": 0.12345}) == "12\u00a0%"
    assert Column("x", "x", "px", 1).title == "x (px)" and Column("x", "x", "px", 1).text({"x": 12.34}) == "12.3"
    assert Column("x", "x", "n").text({"x": 2.0}) == "2" and Column("x", "x", "p").text({"x": 0.0001}) == "<0.001"
    span = Column("x", "x", "pp", 0, signed=True, limits=("a", "b", "kind"))
    row = {"x": 0.1, "a": 0.002, "b": 0.2, "kind": "cluster t"}
    assert span.text(row) == "+10\u00a0pp [+0.2, +20]", "rounding must not hide on which side of 0 a limit lies"
    assert span.text({**row, "kind": "frames as independent"}).endswith("]*")
    assert span.text({**row, "x": np.nan}) == "–" and span.text({**row, "kind": "none"}) == "+10\u00a0pp"


def test_only_an_improvement_is_bold_in_the_comparisons(results: CrossCentreResults) -> None:
    table = block_table(COMPARISONS, results.comparisons, View.PAGE, BY_PAIR)
    index = table.headings.index("Δ Dice")
    marked = [row[index].startswith(STRONG_START) for row in table.rows]
    rows = results.comparisons[["low", "interval", "p_holm"]].itertuples(index=False)
    assert marked == [is_improvement(*row) for row in rows] and any(marked) and not all(marked)
    assert set(table.tones) <= {"better", "worse", "unchanged", "unknown", "bound"}


def test_the_adaptation_stands_in_a_row_where_there_are_several(results: CrossCentreResults) -> None:
    several = block_table(POSITIVES, results.centres, View.FILE, BY_ADAPTATION)
    assert several.headings[:3] == ["adaptation", "centre", "model"] and several.left == 3
    one = cross_centre_results([synthetic_run(ADA, BEA)])
    assert block_table(POSITIVES, one.centres, View.FILE, BY_ADAPTATION).headings[:2] == ["centre", "model"]
    assert strata_table(one.strata, BY_ADAPTATION).headings[:2] == ["centre", "model"]


def test_a_block_without_rows_has_no_table_and_boxes_no_dice() -> None:
    box = SyntheticCohort("sun", annotation="box", negatives=0)
    boxes = cross_centre_results([synthetic_run(ADA, box, on=[("target", box)])])
    assert block_table(NEGATIVES, boxes.centres, View.PAGE, BY_ORIGIN).rows == []
    assert block_table(PIXELS, boxes.centres, View.PAGE, BY_ORIGIN).rows == []
    table = block_table(POSITIVES, boxes.centres, View.PAGE, BY_ORIGIN)
    assert {row[table.headings.index("Dice")] for row in table.rows} == {"boxes only"}
    assert len(block_table(LESIONS, boxes.centres, View.PAGE, BY_ORIGIN).rows) == 2


def test_a_paper_has_few_columns() -> None:
    paper = [column.heading for column in POSITIVES.shown(View.PAPER)]
    assert paper == ["n", "clusters", "Dice", "Δ Dice", "p (Holm)", "better / worse"]
