"""The folder of cohort statistics, whole or not at all: page, figures, tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.cell_text import plain_rows
from polypda.evaluation.cases.statement import PHANTOM_BANNER
from polypda.files import write_whole
from polypda.reporting.figures.cohort_statistics_figures import cohort_drawings
from polypda.reporting.figures.figure_style import NARROW_FOLDER, write_drawings
from polypda.reporting.overlays.small_pictures import shrink_png
from polypda.reporting.pages.cohort_sentences import pair_words
from polypda.reporting.pages.cohort_statistics import CohortStatistics
from polypda.reporting.pages.cohort_statistics_page import SAMPLES_BANNER, notes, render_cohort_page
from polypda.reporting.pages.new_folder import whole_folder
from polypda.reporting.pages.verdict import records
from polypda.reporting.tables.cohort_statistics_tables import effects_of

STATS_SCHEMA = "polypda-cohort-statistics 1"
STATS_FILES = ("index.html", "stats.csv", "stats.json")
"""What a folder must hold to be known as former statistics, which --force replaces."""
FRAMES_FILE = "frames.csv"


def write_cohort_statistics(
    folder: Path, statistics: CohortStatistics, *, replace: bool = False, per_frame: bool = False
) -> Path:
    """Write the statistics and return their page.

    per_frame: also frames.csv, a row per frame with all of its figures; frames' and patients' names stand in it.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    differences = statistics.differences
    with whole_folder(folder, replace=replace, former=STATS_FILES) as work:
        (work / "figures").mkdir()
        figures = write_drawings(cohort_drawings(statistics), work / "figures")
        tables = {
            "stats.csv": differences.summary, "differences.csv": differences.effects,
            "distances.csv": differences.distances,
        }  # fmt: skip
        if per_frame:
            tables[FRAMES_FILE] = differences.frames
        for name, table in tables.items():
            stated = table.assign(note=PHANTOM_BANNER) if statistics.phantom else table
            write_whole(work / name, stated.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        write_whole(work / "stats.json", statistics_json(statistics))
        write_whole(work / "index.html", render_cohort_page(statistics, figures))
        shutil.rmtree(work / "figures" / NARROW_FOLDER)
        for figure in figures:
            figure.svg.unlink()  # the page holds them
            write_whole(figure.png, shrink_png(figure.png))
    return folder / "index.html"


def statistics_json(statistics: CohortStatistics) -> str:
    """The statistics as one JSON document; a number that does not exist is null.

    summary, differences, distances, halves: tables as {columns, rows}. Maps: 48×48 shares in percent.
    """
    differences = statistics.differences
    document = {
        "schema": STATS_SCHEMA,
        "banner": PHANTOM_BANNER if statistics.phantom else None,
        "samples": SAMPLES_BANNER if statistics.samples else None,
        "labels": statistics.labels_sentence,
        "settings": dict(statistics.settings),
        "notes": notes(statistics),
        "headlines": headlines(statistics),
        "cohorts": [_cohort(statistics, place) for place in range(len(statistics.facts))],
        "summary": _rows(differences.summary),
        "differences": _rows(differences.effects),
        "distances": _rows(differences.distances),
        "halves": _rows(differences.halves),
    }
    return json.dumps(document, ensure_ascii=False, indent=None, separators=(",", ":"), allow_nan=False) + "\n"


def headlines(statistics: CohortStatistics) -> list[str]:
    """One sentence per pair, in order."""
    pairs = records(statistics.differences.distances)
    effects = [effects_of(statistics, row["cohort"], row["other"]) for row in pairs]
    return [pair_words(one).sentence for one in effects if len(one)]


def _rows(table: pd.DataFrame) -> dict[str, list]:
    """A table as its columns' names and its rows' values, with six digits as in the CSV files."""
    return {"columns": [str(name) for name in table.columns], "rows": [_values(row) for row in plain_rows(table)]}


def _values(row: dict[str, Any]) -> list[Any]:
    return [float(f"{value:.6g}") if isinstance(value, float) else value for value in row.values()]


def _cohort(statistics: CohortStatistics, place: int) -> dict[str, Any]:
    facts = statistics.facts[place]
    maps = statistics.maps.get(facts.cohort)
    return {
        "cohort": facts.cohort, "frames": facts.frames, "measured": facts.measured, "phantom": facts.phantom,
        "labels": facts.labels, "clusters": facts.clusters, "sizes": facts.sizes, "problems": list(facts.problems),
        "field_map": None if maps is None else _percent(maps.field),
        "polyp_map": None if maps is None or maps.polyps is None else _percent(maps.polyps),
    }  # fmt: skip


def _percent(shares: np.ndarray) -> list[list[int]]:
    return [[round(100 * float(share)) for share in row] for row in shares]
