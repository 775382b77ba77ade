"""Cohort statistics as a folder: a page that tells in what two centres differ before anything is trained, figures,
tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from polypda.cohorts.tables import harmless
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.evaluation.cohort_differences import ALPHA, SUPPORTED_FROM
from polypda.evaluation.statistics.intervals import IntervalKind
from polypda.files import write_whole
from polypda.quality.frame_table import BY_NAME, FEATURES, IN_DISTANCE, Feature
from polypda.reporting.cohort_statistics import CohortStatistics, MeasuredCohort, pair_words
from polypda.reporting.figures.cohort_figures import cohort_drawings
from polypda.reporting.figures.figure_style import NARROW_FOLDER, ReportFigure, write_drawings
from polypda.reporting.pages.page import data_uri, embedded, render_page, shrink_png
from polypda.reporting.report_folders import new_folder
from polypda.reporting.tables.table_files import json_rows
from polypda.reporting.tables.text_table import TextTable
from polypda.reporting.verdict import records
from polypda.reporting.wording import (
    FRAMES_NOTE,
    NOT_KNOWN,
    limit,
    listed,
    p_text,
    plain,
    signed,
    whole,
    with_interval,
)

MOST_CARDS = 6
MOST_COHORTS = 6
"""In one table; more go into a further one, so that none is cut off on paper."""
SAMPLES_BANNER = "Contains frames of the cohorts: do not publish"
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
    with new_folder(folder, replace=replace, former=STATS_FILES) as work:
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
            write_whole(work / name, harmless(stated).to_csv(index=False, lineterminator="\n", float_format="%.6g"))
        write_whole(work / "stats.json", statistics_json(statistics))
        write_whole(work / "index.html", render_cohort_page(statistics, figures))
        shutil.rmtree(work / "figures" / NARROW_FOLDER)
        for figure in figures:
            figure.svg.unlink()  # the page holds them
            write_whole(figure.png, shrink_png(figure.png))
    return folder / "index.html"


def statistics_json(statistics: CohortStatistics) -> str:
    """The statistics as one JSON document; a number that does not exist is null.

    summary, differences, distances, halves: tables as {columns, rows}. Maps: 48×48 fractions in percent.
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
        "cohorts": [_cohort(statistics, facts) for facts in statistics.facts],
        "summary": _rows(differences.summary),
        "differences": _rows(differences.effects),
        "distances": _rows(differences.distances),
        "halves": _rows(differences.halves),
    }
    return json.dumps(document, ensure_ascii=False, indent=None, separators=(",", ":"), allow_nan=False) + "\n"


def headlines(statistics: CohortStatistics) -> list[str]:
    """One sentence per pair, in order."""
    effects = [effects_of(statistics, row) for row in records(statistics.differences.distances)]
    return [pair_words(one).sentence for one in effects if len(one)]


def _rows(table: pd.DataFrame) -> dict[str, list]:
    """A table as its columns' names and its rows' values, with six digits as in the CSV files."""
    rows = [
        [float(f"{value:.6g}") if isinstance(value, float) else value for value in row.values()]
        for row in json_rows(table)
    ]
    return {"columns": [str(name) for name in table.columns], "rows": rows}


def _cohort(statistics: CohortStatistics, facts: MeasuredCohort) -> dict[str, Any]:
    maps = statistics.maps.get(facts.cohort)
    return {
        "cohort": facts.cohort, "frames": facts.frames, "measured": facts.measured, "phantom": facts.phantom,
        "labels": facts.labels, "clusters": facts.clusters, "sizes": facts.sizes, "problems": list(facts.problems),
        "field_map": None if maps is None else _percent(maps.field),
        "polyp_map": None if maps is None or maps.polyps is None else _percent(maps.polyps),
    }  # fmt: skip


def _percent(fractions: np.ndarray) -> list[list[int]]:
    return [[round(100 * float(value)) for value in row] for row in fractions]


def render_cohort_page(statistics: CohortStatistics, figures: Sequence[ReportFigure]) -> str:
    """The page's HTML; the figures' SVG files must exist, they are embedded."""
    pairs = records(statistics.differences.distances)
    many = len(pairs) > MOST_CARDS
    known = statistics.differences.effects["clusters_known"].all() if pairs else True
    texts = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    facts = {
        "supported_from": SUPPORTED_FROM, "alpha": ALPHA, "features": ", ".join(one.title for one in IN_DISTANCE),
    }  # fmt: skip
    definitions = [(name, text.format(**facts)) for name, text in texts["definitions"].items()]
    return render_page(
        "cohort_page.html.jinja",
        title=page_title(statistics.cohorts),
        phantom=statistics.phantom,
        samples_banner=SAMPLES_BANNER if statistics.samples else "",
        labels=statistics.labels_sentence,
        cards=[] if many else [_card(statistics, row) for row in pairs],
        pair_table=pair_table(statistics) if many else None,
        pair_notes=[] if known else [FRAMES_NOTE],
        notes=notes(statistics)[1:],  # the banner says whose labels were read
        facts_table=facts_table(statistics),
        figures=[embedded(figure, svg_kept=False) for figure in figures],
        quantiles=quantile_tables(statistics),
        effect_tables=[] if many else [(_pair_title(row), effect_table(effects_of(statistics, row))) for row in pairs],
        samples={cohort: [data_uri(one, "jpeg") for one in images] for cohort, images in statistics.samples.items()},
        settings=[*statistics.settings.items(), *definitions],
        files=texts["files"].items(),
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
            "intervals are likely too narrow and p values too small."
        )
    found += [f"{one.cohort}: {problem}" for one in statistics.facts for problem in one.problems]
    found.append("Figures describe the files as they are here (reduced, recompressed, cropped), not the scopes.")
    return found


def _card(statistics: CohortStatistics, row: dict[str, Any]) -> dict[str, Any]:
    """A pair as the page shows it."""
    words = pair_words(effects_of(statistics, row))
    parts = [f"Distance {distance_text(row)} of 1"]
    if pd.notna(row["p_value"]):
        p = p_text(row["p_value"])
        parts.append(f"p {p if p.startswith('<') else f'= {p}'}")
    if pd.notna(row["auc"]):
        parts.append(f"a linear classifier tells their frames apart with an AUC of {plain(row['auc'])}")
    if pd.isna(row["distance"]):
        parts = ["No distance: fewer than two patients, sequences or frames on one side"]
    distance = f"{'; '.join(parts)}."
    return {"title": _pair_title(row), "sentence": words.sentence, "distance": distance, "lines": words.lines}


def _pair_title(row: dict[str, Any]) -> str:
    return f"{row['cohort']} and {row['other']}"


def facts_table(statistics: CohortStatistics) -> TextTable:
    """What was measured of each cohort."""
    rows = [
        [
            one.cohort, one.labels, one.sizes, one.clusters,
            whole(one.measured) if one.measured == one.frames else f"{one.measured} of {one.frames}",
        ]
        for one in statistics.facts
    ]  # fmt: skip
    return TextTable(["cohort", "labels", "sizes of frames", "clusters", "frames measured"], rows, left=4)


def quantile_tables(statistics: CohortStatistics) -> list[TextTable]:
    """Rows: features; columns: cohorts; the median with the 10th and 90th percentile, or the mean of counts."""
    summary = statistics.differences.summary
    cells = {(row["cohort"], row["feature"]): row for row in records(summary)}
    named = [feature for feature in FEATURES if feature.name in set(summary["feature"])]
    tables = []
    for start in range(0, len(statistics.cohorts), MOST_COHORTS):
        cohorts = statistics.cohorts[start : start + MOST_COHORTS]
        rows = [
            [_titled(feature), *(_quantiles(cells.get((cohort, feature.name)), feature) for cohort in cohorts)]
            for feature in named
        ]
        tables.append(TextTable(["median (q10–q90)", *cohorts], rows, left=1))
    return tables


def effect_table(effects: pd.DataFrame) -> TextTable:
    """All differences of one pair, the largest first."""
    one, other = str(effects["cohort"].iloc[0]), str(effects["other"].iloc[0])
    rows = []
    for row in sorted(records(effects), key=lambda row: -abs(row["delta"])):
        feature = BY_NAME[row["feature"]]
        values = (plain(row[name], feature.digits) for name in ("value", "other_value"))
        delta = with_interval(signed(row["delta"]), limit(row["low"]), limit(row["high"]), kind=_kind(row))
        further = (p_text(row["p_holm"]), plain(row["wasserstein_sd"]), f"{row['n']} / {row['n_other']}")
        rows.append([_titled(feature), *values, delta, *further])
    columns = ["feature", one, other, "Cliff’s δ [95 % interval]", "p (Holm)", "W₁ / SD", "frames"]
    return TextTable(columns, rows, left=1)


def pair_table(statistics: CohortStatistics) -> TextTable:
    """One row per pair: the distance and what differs, where there are too many pairs for cards."""
    rows = []
    for row in records(statistics.differences.distances):
        effects = effects_of(statistics, row)
        sentence = pair_words(effects).sentence if len(effects) else NOT_KNOWN
        rows.append([sentence, distance_text(row), plain(row["auc"])])
    return TextTable(["what differs", "distance [95 % interval]", "told apart, AUC"], rows, left=1)


def effects_of(statistics: CohortStatistics, pair: dict[str, Any]) -> pd.DataFrame:
    """The effects of one pair of cohorts."""
    effects = statistics.differences.effects
    return effects[(effects["cohort"] == pair["cohort"]) & (effects["other"] == pair["other"])]


def distance_text(row: dict) -> str:
    """ "0.40 [0.37, 0.43]*", the mark where frames were treated as independent."""
    return with_interval(*(plain(row[name]) for name in ("distance", "low", "high")), kind=_kind(row))


def _kind(row: dict) -> str:
    return "" if row["clusters_known"] else IntervalKind.FRAMES


def _titled(feature: Feature) -> str:
    return f"{feature.title}, {feature.unit}" if feature.unit else feature.title


def _quantiles(row: dict | None, feature: Feature) -> str:
    if row is None:
        return NOT_KNOWN
    if feature.mean:
        return f"mean {plain(row['mean'], feature.digits)}"
    low, middle, high = (plain(row[name], feature.digits) for name in ("q10", "q50", "q90"))
    return f"{middle} ({low}–{high})" if low != high else middle
