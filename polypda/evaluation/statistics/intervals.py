"""Frame-weighted means with the interval that their number of clusters allows.

≥ 10 clusters: cluster bootstrap; 5–9: cluster-t; fewer: no interval, the cluster means are shown instead
(:func:`polypda.evaluation.statistics.clusters.cluster_means`). Unknown clusters: the same rule with every frame as a
cluster, and the words that the interval is likely too narrow. All intervals are two-sided, 95 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from polypda.errors import DataError
from polypda.evaluation.statistics.bootstrap import RESAMPLES, bootstrap_limits
from polypda.evaluation.statistics.clusters import (
    Clusters,
    ClusterSums,
    FloatArray,
    checked_values,
    cluster_sums,
    standard_errors,
    t_limits,
)

BOOTSTRAP_FROM = 10
"""Fewest clusters for a bootstrap interval."""
CLUSTER_T_FROM = 5
"""Fewest clusters for any interval."""
DOMINATED_BELOW = 3.0
"""Effective clusters below which the result is said to rest on one or two large ones. The intervals allow for unequal
sizes (in simulation one of 20 clusters may hold half of the frames), but a reader must know."""
ROUNDING = 1e-9
"""A mean of seeds may pass 1 by binary fractions; that is neither an error nor worth a word."""
UNIT_RANGE: tuple[float, float] = (0.0, 1.0)

INDEPENDENT_FRAMES = "frames treated as independent: likely too narrow"
TOO_FEW_CLUSTERS = f"fewer than {CLUSTER_T_FROM} clusters: no interval"
TOO_FEW_FRAMES = f"clusters unknown and fewer than {CLUSTER_T_FROM} frames: no interval"
NO_SPREAD_WORDS = "all clusters have the same mean: no interval"
NO_FRAME = "no frame"


class IntervalKind(StrEnum):
    """How an interval was made."""

    BOOTSTRAP = "cluster bootstrap"
    CLUSTER_T = "cluster t"
    FRAMES = "frames as independent"
    NONE = "none"


@dataclass(frozen=True)
class Estimate:
    """A frame-weighted mean and its 95 % interval.

    value: NaN without frames. low, high: NaN where ``kind`` is "none". n: frames. clusters: None where unknown.
    words: what must stand beside the figure; "" where nothing must.
    """

    value: float
    low: float
    high: float
    kind: IntervalKind
    n: int
    clusters: int | None
    words: str

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval and it lies on one side of 0."""
        return self.low > 0 or self.high < 0


def mean_estimates(
    values: npt.ArrayLike,
    clusters: Clusters,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    limits: tuple[float, float] | None = UNIT_RANGE,
) -> list[Estimate]:
    """The mean over frames of each of M quantities, with its interval; the same resamples for all.

    values: [N] or [N, M], finite, within ``limits``. limits: the quantity's range, at which an interval is cut (it may
    overshoot where means lie near the end; a Dice above 1 says nothing), and its words say so; None: no range.

    Raises: DataError E_STAT_RANGE and those of :func:`~polypda.evaluation.statistics.clusters.checked_values`;
    UsageError E_STAT_RESAMPLES.
    """
    table = checked_values(values, clusters)
    if limits is not None:
        _require_within(table, limits)
    return estimates_from_sums(cluster_sums(table, clusters), clusters, resamples=resamples, seed=seed, limits=limits)


def cluster_t_estimates(
    values: npt.ArrayLike, clusters: Clusters, *, limits: tuple[float, float] | None = UNIT_RANGE
) -> list[Estimate]:
    """As :func:`mean_estimates`, but by cluster-t from 5 clusters on, however many there are."""
    table = checked_values(values, clusters)
    if limits is not None:
        _require_within(table, limits)
    return _estimates(cluster_sums(table, clusters), clusters, limits, None)


def estimates_from_sums(
    totals: ClusterSums,
    clusters: Clusters,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    limits: tuple[float, float] | None = None,
) -> list[Estimate]:
    """As :func:`mean_estimates`, from sums per cluster."""
    return _estimates(totals, clusters, limits, (resamples, seed))


def _estimates(
    totals: ClusterSums, clusters: Clusters, limits: tuple[float, float] | None, draws: tuple[int, int] | None
) -> list[Estimate]:
    kind = interval_kind(clusters, by_bootstrap=draws is not None)
    quantities = totals.sums.shape[1]
    low, high = np.full((2, quantities), math.nan)
    spread = np.zeros(quantities)
    if clusters.count >= CLUSTER_T_FROM and quantities:
        spread = standard_errors(totals)
        by_bootstrap = draws is not None and clusters.count >= BOOTSTRAP_FROM
        low, high = bootstrap_limits(totals, *draws) if by_bootstrap and draws else t_limits(totals)
    means = totals.means
    return [
        _estimate(float(means[m]), float(low[m]), float(high[m]), bool(spread[m] > 0), kind, clusters, limits)
        for m in range(quantities)
    ]


def interval_kind(clusters: Clusters, *, by_bootstrap: bool = True) -> IntervalKind:
    """The kind of interval that the number of clusters allows."""
    if clusters.count < CLUSTER_T_FROM:
        return IntervalKind.NONE
    if not clusters.known:
        return IntervalKind.FRAMES
    return IntervalKind.BOOTSTRAP if by_bootstrap and clusters.count >= BOOTSTRAP_FROM else IntervalKind.CLUSTER_T


def caveat(clusters: Clusters) -> str:
    """What must be said beside any result that rests on these clusters; "" where nothing must."""
    if not len(clusters):
        return NO_FRAME
    if clusters.count < CLUSTER_T_FROM:
        return TOO_FEW_CLUSTERS if clusters.known else TOO_FEW_FRAMES
    if not clusters.known:
        return INDEPENDENT_FRAMES
    effective = clusters.effective_count
    if effective < DOMINATED_BELOW:
        return f"one or two large clusters dominate: {clusters.count} weigh as {effective:.1f} equal ones"
    return ""


def _estimate(
    value: float,
    low: float,
    high: float,
    spread: bool,
    kind: IntervalKind,
    clusters: Clusters,
    limits: tuple[float, float] | None,
) -> Estimate:
    count = clusters.count if clusters.known else None
    words = [caveat(clusters)]
    if kind is not IntervalKind.NONE and not spread:
        kind, low, high, words = IntervalKind.NONE, math.nan, math.nan, [NO_SPREAD_WORDS]
    if limits is not None and kind is not IntervalKind.NONE:
        beyond = low < limits[0] - ROUNDING or high > limits[1] + ROUNDING
        low, high = max(low, limits[0]), min(high, limits[1])
        words += [f"interval cut at the quantity's range {limits[0]:g} to {limits[1]:g}"] if beyond else []
    return Estimate(value, low, high, kind, len(clusters), count, "; ".join(filter(None, words)))


def _require_within(table: FloatArray, limits: tuple[float, float]) -> None:
    outside = int(((table < limits[0] - ROUNDING) | (table > limits[1] + ROUNDING)).any(axis=1).sum())
    if outside:
        raise DataError(
            "E_STAT_RANGE",
            f"{outside} of {len(table)} frames lie outside the range {limits[0]:g} to {limits[1]:g}.",
            where="statistics",
            fix="give limits=None for quantities without a range (counts, differences).",
        )
