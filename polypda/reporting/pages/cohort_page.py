"""Cohort statistics as a folder: a page that tells in what two centres differ before anything is trained, figures,
tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.evaluation.cohort_differences import ALPHA, SUPPORTED_FROM
from polypda.files import write_whole
from polypda.quality.frame_table import IN_DISTANCE
from polypda.reporting.cohort_statistics import CohortStatistics, pair_words
from polypda.reporting.figures.cohort_drawings import cohort_drawings
from polypda.reporting.figures.figure_style import NARROW_FOLDER, ReportFigure, write_drawings
from polypda.reporting.pages.page import data_uri, page_environment, shrink_png, svg_in_page
from polypda.reporting.report_folders import whole_folder
from polypda.reporting.tables.cohort_tables import (
    distance_text,
    effect_table,
    effects_of,
    facts_table,
    pair_table,
    quantile_tables,
)
from polypda.reporting.tables.table_files import json_rows
from polypda.reporting.verdict import records
from polypda.reporting.wording import FRAMES_NOTE, listed, p_text, plain

MOST_CARDS = 6
SAMPLES_BANNER = "Contains frames of the cohorts: do not publish"
DEFINITIONS = {
    "field of view": "convex hull of the largest lit region; insets and text left out; the whole frame where none is "
    "found",
    "L*, a*, b*": "CIE 1976, means over the field of view (a* red, b* yellow), frames reduced to a longer side of "
    "512 px",
    "rim / centre": "mean L* beyond 0.8 and within 0.4 of the half axes of the field’s box",
    "highlights": "share of the field with HSV value above 240 and saturation below 50 (of 255)",
    "sharpness": "SD of the Laplacian over the field, on frames reduced or enlarged to a longer side of 512 px",
    "noise": "Immerkær 1996 on the frame as stored, median over blocks of 16 px in the field; compression removes "
    "noise",
    "polyp − rest": "mean L*, a*, b* of the polyp less that of all the rest of the field of view",
    "polyp area": "share of the field of view; boxes hold mucosa too, so box areas have a row of their own",
    "Cliff’s δ": "P(higher) − P(lower) of a frame of the second cohort beside one of the first; interval over "
    "patients, "
    "else sequences, by a cluster-robust logit-t (Obuchowski 1997), from 5 clusters on each side",
    "told in words": f"|δ| ≥ {SUPPORTED_FROM:g} (Romano et al. 2006) and p < {ALPHA:g} after Holm’s correction over "
    "all pairs "
    "and features; size and outline of the field of view last, and one of them",
    "W₁ / SD": "Wasserstein-1 distance in units of the SD within cohorts",
    "distance": "energy coefficient (Székely and Rizzo 2013): share of the mean distance between frames of two cohorts "
    "that comes from the cohort; pairs within one patient or sequence left out; interval by jackknife over clusters, "
    "p by "
    "dealing clusters to cohorts at random. Over: "
    + ", ".join(feature.title for feature in IN_DISTANCE)
    + "; each in units of a typical SD between frames of one cohort (fixed in the program)",
    "AUC": "classifier two-sample test (Lopez-Paz and Oquab 2017): shrunken linear discriminant on the same figures, "
    "cross-fitted by cluster; 0.5 not told apart, 1 always; no interval",
}
FILES = (
    ("stats.csv", "n, clusters, mean, SD and quantiles of every cohort and figure"),
    ("differences.csv", "every pair and figure: Cliff’s δ, interval, p, Wasserstein distance"),
    ("distances.csv", "every pair: energy coefficient, interval, p, AUC"),
    ("stats.json", "all of it for programs, with maps, settings and what could not be read"),
)


@dataclass(frozen=True)
class PairCard:
    """A pair on the page."""

    title: str
    sentence: str
    distance: str
    lines: tuple[str, ...]


def render_cohort_page(statistics: CohortStatistics, figures: Sequence[ReportFigure]) -> str:
    """The page's HTML; the figures' SVG files must exist, they are embedded."""
    pairs = records(statistics.differences.distances)
    many = len(pairs) > MOST_CARDS
    known = statistics.differences.effects["clusters_known"].all() if pairs else True
    return (
        page_environment()
        .get_template("cohort_page.html.jinja")
        .render(
            title=page_title(statistics.cohorts),
            phantom=statistics.phantom,
            samples_banner=SAMPLES_BANNER if statistics.samples else "",
            labels=statistics.labels_sentence,
            cards=[] if many else [_card(statistics, row) for row in pairs],
            pair_table=pair_table(statistics) if many else None,
            pair_notes=[] if known else [FRAMES_NOTE],
            notes=notes(statistics)[1:],  # the banner says whose labels were read
            facts_table=facts_table(statistics),
            figures=[_embedded(figure) for figure in figures],
            quantiles=quantile_tables(statistics),
            effect_tables=[] if many else _effect_tables(statistics, pairs),
            samples={
                cohort: [data_uri(one, "jpeg") for one in images] for cohort, images in statistics.samples.items()
            },
            settings=[*statistics.settings.items(), *DEFINITIONS.items()],
            files=FILES,
        )
    )


def page_title(cohorts: Sequence[str]) -> str:
    """ "How a, b and c differ"."""
    return f"{cohorts[0]} in numbers" if len(cohorts) == 1 else f"How {listed(list(cohorts))} differ"


def notes(statistics: CohortStatistics) -> list[str]:
    """What must be read with the numbers; first, whose labels were."""
    found = [statistics.labels_sentence]
    parts = [one.cohort for one in statistics.facts if one.measured < one.frames]
    if parts:
        found.append(f"Of {listed(parts)} a part of the frames was measured, drawn evenly over the cohort.")
    unknown = [one.cohort for one in statistics.facts if one.clusters == "unknown"]
    if unknown:
        found.append(
            f"Neither patient nor sequence is known of {listed(unknown)}: frames are treated as independent, so "
            "intervals "
            "are likely too narrow and p values too small."
        )
    found += [f"{one.cohort}: {problem}" for one in statistics.facts for problem in one.problems]
    found.append("Figures describe the files as they are here (reduced, recompressed, cropped), not the scopes.")
    return found


def _card(statistics: CohortStatistics, row: dict[str, Any]) -> PairCard:
    effects = effects_of(statistics, row["cohort"], row["other"])
    words = pair_words(effects)
    told = [f"Distance {distance_text(row)} of 1"]
    if pd.notna(row["p_value"]):
        told.append(f"p {_equal(p_text(row['p_value']))}")
    if pd.notna(row["auc"]):
        told.append(f"a linear classifier tells their frames apart with an AUC of {plain(row['auc'])}")
    if pd.isna(row["distance"]):
        told = ["No distance: fewer than two patients, sequences or frames on one side"]
    return PairCard(f"{row['cohort']} and {row['other']}", words.sentence, f"{'; '.join(told)}.", words.lines)


def _equal(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"


def _effect_tables(statistics: CohortStatistics, pairs: Sequence[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [
        (f"{row['cohort']} and {row['other']}", effect_table(effects_of(statistics, row["cohort"], row["other"])))
        for row in pairs
    ]


def _embedded(figure: ReportFigure) -> dict[str, str]:
    return {
        "title": figure.title,
        "caption": figure.caption,
        "source": svg_in_page(figure.svg),
        "narrow": svg_in_page(figure.narrow, in_set=True) if figure.narrow else "",
        "svg": "",
        "png": quote(f"figures/{figure.png.name}"),
    }


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
        "cohorts": [_cohort(statistics, index) for index in range(len(statistics.facts))],
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
    return {"columns": [str(name) for name in table.columns], "rows": [_values(row) for row in json_rows(table)]}


def _values(row: dict[str, Any]) -> list[Any]:
    return [float(f"{value:.6g}") if isinstance(value, float) else value for value in row.values()]


def _cohort(statistics: CohortStatistics, index: int) -> dict[str, Any]:
    facts = statistics.facts[index]
    maps = statistics.maps.get(facts.cohort)
    return {
        "cohort": facts.cohort, "frames": facts.frames, "measured": facts.measured, "phantom": facts.phantom,
        "labels": facts.labels, "clusters": facts.clusters, "sizes": facts.sizes, "problems": list(facts.problems),
        "field_map": None if maps is None else _percent(maps.field),
        "polyp_map": None if maps is None or maps.polyps is None else _percent(maps.polyps),
    }  # fmt: skip


def _percent(shares: np.ndarray) -> list[list[int]]:
    return [[round(100 * float(share)) for share in row] for row in shares]
