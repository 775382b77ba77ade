"""Cohorts' figures summed up and compared, feature by feature and as a whole, from the table with a row per frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from polypda.evaluation.cohort_distances import auc_of_values, energy_distance, told_apart
from polypda.evaluation.statistics.clusters import Clusters, FloatArray, clusters_of
from polypda.evaluation.statistics.permutation import holm
from polypda.quality.frame_table import FEATURES, IN_DISTANCE, Feature, drawn_evenly

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
MOST_FRAMES_IN_DISTANCE = 1_000
"""Per cohort; more are drawn evenly: the distance needs every pair of frames."""
SUPPORTED_FROM = 0.33
"""Least |Cliff's delta| that counts as a difference, "medium" by Romano et al. (2006); with p after Holm."""
ALPHA = 0.05


@dataclass(frozen=True)
class CohortDifferences:
    """summary: a row per cohort and feature. effects: per pair and feature. distances: per pair. halves: per cohort.

    halves: what the distance says of two halves of one cohort (whole clusters each): 0, but for chance.
    """

    frames: pd.DataFrame
    summary: pd.DataFrame
    effects: pd.DataFrame
    distances: pd.DataFrame
    halves: pd.DataFrame

    @property
    def cohorts(self) -> list[str]:
        return [str(name) for name in dict.fromkeys(self.frames["cohort"])]


def compare_cohorts(frames: pd.DataFrame, *, seed: int = 0) -> CohortDifferences:
    """Sum up and compare the cohorts of a table of :func:`.frame_table.frame_table`.

    Pairs come in the cohorts' order; an effect is positive where ``other``, the second, lies higher. p values are
    adjusted by Holm over all pairs and features.
    """
    parts = [(str(name), part) for name, part in frames.groupby("cohort", sort=False)]
    pairs = list(combinations(parts, 2))
    effects = pd.DataFrame([row for one, other in pairs for row in _effects(one, other)], columns=EFFECT_COLUMNS)
    effects["p_holm"] = holm(effects["p_value"].to_numpy(dtype=np.float64))
    return CohortDifferences(
        frames=frames,
        summary=pd.DataFrame([row for part in parts for row in _summary(*part)], columns=SUMMARY_COLUMNS),
        effects=effects,
        distances=pd.DataFrame([_distance(one, other, seed) for one, other in pairs], columns=DISTANCE_COLUMNS),
        halves=pd.DataFrame([_halves(*part, seed) for part in parts], columns=HALF_COLUMNS),
    )


def supported(effects: pd.DataFrame) -> pd.DataFrame:
    """Effects that count as differences: medium or larger, and p below 0.05 after Holm's correction."""
    return effects[(effects["delta"].abs() >= SUPPORTED_FROM) & (effects["p_holm"] < ALPHA)]


SUMMARY_COLUMNS = (
    "cohort", "feature", "unit", "n", "clusters", "cluster_unit", "mean", "sd", "min",
    *(f"q{round(100 * quantile):02d}" for quantile in QUANTILES), "max",
)  # fmt: skip
EFFECT_COLUMNS = (
    "cohort", "other", "feature", "value", "other_value", "delta", "low", "high", "p_value", "wasserstein_sd",
    "n", "n_other", "clusters", "clusters_other", "clusters_known",
)  # fmt: skip
DISTANCE_COLUMNS = (
    "cohort", "other", "distance", "low", "high", "p_value", "auc", "n", "n_other", "clusters", "clusters_other",
    "clusters_known",
)  # fmt: skip
HALF_COLUMNS = ("cohort", "distance", "auc")
Part = tuple[str, pd.DataFrame]


def typical(feature: Feature, values: FloatArray) -> float:
    """What a cohort is like in a feature: its median, or its mean where the feature says so; NaN without a frame."""
    if not values.size:
        return math.nan
    return float(values.mean() if feature.mean else np.median(values))


def _held(part: pd.DataFrame, feature: Feature) -> tuple[FloatArray, Clusters]:
    """The values of the frames that have the feature, and these frames' clusters."""
    rows = part[np.isfinite(part[feature.name])]
    return rows[feature.name].to_numpy(dtype=np.float64), clusters_of(rows)


def _summary(name: str, part: pd.DataFrame) -> list[dict[str, object]]:
    rows = []
    for feature in FEATURES:
        values, clusters = _held(part, feature)
        if not values.size:
            continue
        quantiles = dict(zip(SUMMARY_COLUMNS[9:-1], np.quantile(values, QUANTILES), strict=True))
        rows.append(
            {
                "cohort": name, "feature": feature.name, "unit": feature.unit, "n": len(values),
                "clusters": clusters.count if clusters.known else math.nan, "cluster_unit": clusters.unit,
                "mean": values.mean(), "sd": values.std(ddof=1) if len(values) > 1 else math.nan,
                "min": values.min(), "max": values.max(), **quantiles,
            }
        )  # fmt: skip
    return rows


def _effects(one: Part, other: Part) -> list[dict[str, object]]:
    rows = []
    for feature in FEATURES:
        (x, of_x), (y, of_y) = _held(one[1], feature), _held(other[1], feature)
        if not x.size or not y.size:
            continue
        area = auc_of_values(y, of_y, x, of_x)
        rows.append(
            {
                "cohort": one[0], "other": other[0], "feature": feature.name,
                "value": typical(feature, x), "other_value": typical(feature, y),
                "delta": 2 * area.auc - 1, "low": 2 * area.low - 1, "high": 2 * area.high - 1, "p_value": area.p_value,
                "wasserstein_sd": _wasserstein(x, y), **_counts(of_x, of_y),
            }
        )  # fmt: skip
    return rows


def _wasserstein(x: FloatArray, y: FloatArray) -> float:
    """Wasserstein-1 distance in units of the SD within, both cohorts weighing the same; NaN without any spread."""
    spread = math.sqrt((float(x.var()) + float(y.var())) / 2)
    return float(wasserstein_distance(x, y)) / spread if spread else math.nan


def _distance(one: Part, other: Part, seed: int) -> dict[str, object]:
    (x, of_x), (y, of_y) = _scaled(one, seed), _scaled(other, seed)
    energy = energy_distance(x, of_x, y, of_y, seed=seed)
    return {
        "cohort": one[0], "other": other[0], "distance": energy.coefficient, "low": energy.low, "high": energy.high,
        "p_value": energy.p_value, "auc": told_apart(x, of_x, y, of_y, seed=seed), **_counts(of_x, of_y),
    }  # fmt: skip


def _halves(name: str, part: pd.DataFrame, seed: int) -> dict[str, object]:
    values, clusters = _scaled((name, part), seed)
    first = np.random.default_rng(seed).permutation(clusters.count) < clusters.count // 2
    mine = first[clusters.codes]
    parts = values[mine], clusters.subset(mine), values[~mine], clusters.subset(~mine)
    if not mine.any() or mine.all():
        return {"cohort": name, "distance": math.nan, "auc": math.nan}
    energy = energy_distance(*parts, seed=seed)
    return {"cohort": name, "distance": energy.coefficient, "auc": told_apart(*parts, seed=seed)}


def _scaled(part: Part, seed: int) -> tuple[FloatArray, Clusters]:
    """The features of the distance in common units, [N, F], and the frames' clusters."""
    rows = part[1]
    chosen = list(drawn_evenly(range(len(rows)), MOST_FRAMES_IN_DISTANCE, name=part[0], seed=seed))
    rows = rows.iloc[chosen]
    columns = []
    for feature in IN_DISTANCE:
        values = feature.scaled(rows[feature.name].to_numpy(dtype=np.float64))
        known = np.isfinite(values)
        columns.append(np.where(known, values, np.median(values[known]) if known.any() else 0.0))
    return np.column_stack(columns), clusters_of(rows)


def _counts(of_x: Clusters, of_y: Clusters) -> dict[str, object]:
    return {
        "n": len(of_x), "n_other": len(of_y), "clusters": of_x.count, "clusters_other": of_y.count,
        "clusters_known": of_x.known and of_y.known,
    }  # fmt: skip
