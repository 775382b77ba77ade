"""Tables of the page of cohort statistics, as text cells."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from polypda.evaluation.statistics.intervals import IntervalKind
from polypda.quality.frame_table import BY_NAME, FEATURES, Feature
from polypda.reporting.cohort_statistics import CohortStatistics, pair_words
from polypda.reporting.tables.text_table import TextTable
from polypda.reporting.verdict import records
from polypda.reporting.wording import NOT_KNOWN, limit, p_text, plain, signed, whole, with_interval

MOST_COHORTS = 6
"""In one table; more go into a further one, so that none is cut off on paper."""


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
    for cohorts in _chunks(statistics.cohorts):
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
        rows.append(
            [
                _titled(feature),
                plain(row["value"], feature.digits),
                plain(row["other_value"], feature.digits),
                with_interval(signed(row["delta"]), limit(row["low"]), limit(row["high"]), kind=_kind(row)),
                p_text(row["p_holm"]),
                plain(row["wasserstein_sd"]),
                f"{row['n']} / {row['n_other']}",
            ]
        )
    columns = ["feature", one, other, "Cliff’s δ [95 % interval]", "p (Holm)", "W₁ / SD", "frames"]
    return TextTable(columns, rows, left=1)


def pair_table(statistics: CohortStatistics) -> TextTable:
    """One row per pair: the distance and what differs, where there are too many pairs for cards."""
    rows = []
    for row in records(statistics.differences.distances):
        effects = effects_of(statistics, row["cohort"], row["other"])
        sentence = pair_words(effects).sentence if len(effects) else NOT_KNOWN
        rows.append([sentence, distance_text(row), plain(row["auc"])])
    return TextTable(["what differs", "distance [95 % interval]", "told apart, AUC"], rows, left=1)


def effects_of(statistics: CohortStatistics, cohort: str, other: str) -> pd.DataFrame:
    """The rows of one pair."""
    effects = statistics.differences.effects
    return effects[(effects["cohort"] == cohort) & (effects["other"] == other)]


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


def _chunks(cohorts: Sequence[str]) -> list[Sequence[str]]:
    return [cohorts[start : start + MOST_COHORTS] for start in range(0, len(cohorts), MOST_COHORTS)]
