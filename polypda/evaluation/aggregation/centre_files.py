"""The per-centre table as files: centers.csv for spreadsheets, centers.json for programs, centers.md for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from polypda.evaluation.aggregation.cell_text import INTERVAL_NOTE, plain_rows
from polypda.evaluation.aggregation.centre_cells import (
    METRIC_NOTES,
    cluster_mean_lines,
    lesion_cells,
    negative_cells,
    positive_cells,
    strata_cells,
    surface_cells,
)
from polypda.evaluation.aggregation.table_facts import TableFacts, markdown_table, run_facts
from polypda.evaluation.cases.statement import ReportStatement
from polypda.evaluation.scoring.lesions import LESION_RULE
from polypda.files import write_whole

JSON_SCHEMA = "polypda-centres v2"
NO_POSITIVES = "No frame with a polyp and a mask was scored."
NO_NEGATIVES = "No frame without a polyp was scored: false alarms were not measured."
NO_LESIONS = "No reference lesion was scored."

__all__ = ["INTERVAL_NOTE", "METRIC_NOTES", "NO_NEGATIVES", "negative_cells", "positive_cells", "write_centres"]


def write_centres(table: pd.DataFrame, folder: Path, statement: ReportStatement) -> list[Path]:
    """Write a single run's centers.csv, centers.json and centers.md; each states how its numbers came about.

    Args:
        table: as :func:`polypda.evaluation.aggregation.centers.centre_table` makes it.

    Raises: DataError E_WRITE_FAILED.
    """
    facts = run_facts(statement)
    contents = {
        "centers.csv": facts.csv(table),
        "centers.json": centres_json(table, facts, statement=statement.model_dump(mode="json")),
        "centers.md": centres_markdown(table, facts),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def centres_json(table: pd.DataFrame, facts: TableFacts, **further: Any) -> str:
    """The table at full precision beside what was stated; a number that does not exist is null."""
    document = {
        "schema": JSON_SCHEMA,
        "stated": dict(facts.stated),
        "banner": facts.banner or None,
        "notes": list(facts.notes),
        **further,
        "rows": plain_rows(table),
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def centres_markdown(table: pd.DataFrame, facts: TableFacts, strata: pd.DataFrame | None = None) -> str:
    """The blocks as tables for people. strata: as :mod:`polypda.evaluation.cases.size_strata` makes it, if wanted."""
    blocks = [
        ("Frames with a polyp", positive_cells(table), METRIC_NOTES[0], NO_POSITIVES),
        ("Frames without a polyp", negative_cells(table), METRIC_NOTES[1], NO_NEGATIVES),
        ("Pixels and outlines", surface_cells(table), METRIC_NOTES[2], NO_POSITIVES),
        ("Lesions", lesion_cells(table), f"{LESION_RULE}. {METRIC_NOTES[4]}", NO_LESIONS),
    ]
    if strata is not None:
        sized = strata[strata.groupby("cohort")["n"].transform("sum") > 0]
        cells = strata_cells(sized) if len(sized) else sized
        blocks.append(("Size of the polyp", cells, METRIC_NOTES[3], NO_POSITIVES))
    parts = facts.markdown_head()
    for title, cells, note, absent in blocks:
        parts += [f"## {title}", markdown_table(cells) if len(cells) else absent, note]
    means = cluster_mean_lines(table)
    if means:
        parts += ["## Means of the clusters, where there are too few for an interval", _listed(means)]
    unscored = int(table.drop_duplicates(["cohort", "split"])["n_unscored"].sum())
    if unscored:
        counted = "1 frame is" if unscored == 1 else f"{unscored} frames are"
        parts.append(f"{counted} in neither block: the whole reference lies outside the field of view.")
    return "\n\n".join([*parts, *facts.markdown_tail(), INTERVAL_NOTE]) + "\n"


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
