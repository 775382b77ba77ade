"""Gap closed: which share of the way from the source-only model to the oracle a method has gone.

gap closed = mean(adapted − source-only) / mean(oracle − source-only), over the same frames; never cut to [0, 1]: below
0 the method harms, above 1 it passes the oracle. Where the gap itself may be nothing the ratio means nothing, so it is
estimable only if the gap's 95 % interval lies above 0.

Intervals. From 10 clusters on: the ratio in each bootstrap resample, between the tails that the bootstrap uses for
means. 5–9 clusters: Fieller's set of ratios r for which Δ − r·gap may be 0 by cluster-t (Fieller, *Journal of the
Royal Statistical Society B* 16, 1954): it is a bounded interval exactly where the gap's cluster-t interval excludes 0,
which the rule above has already asked for; the delta method would deny the skew of a ratio with a shaky denominator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypda.evaluation.statistics.bootstrap import RESAMPLES, expanded_tail, resampled_means
from polypda.evaluation.statistics.cluster_t import influences, t_quantile
from polypda.evaluation.statistics.clusters import Clusters, ClusterSums, FloatArray, cluster_sums
from polypda.evaluation.statistics.comparison import paired_differences
from polypda.evaluation.statistics.intervals import BOOTSTRAP_FROM, Estimate, IntervalKind, estimates_from_sums

NOT_ESTIMABLE = "not estimable"


@dataclass(frozen=True)
class GapClosed:
    """Share of the gap that one method closed, with its 95 % interval.

    value, low, high: NaN where not estimable. words: what must stand beside it, "not estimable: …" with the reason
    where it is not. gap: the mean of oracle − source-only that it rests on.
    """

    value: float
    low: float
    high: float
    estimable: bool
    words: str
    gap: Estimate


def gap_closed(
    source_only: npt.ArrayLike,
    adapted: npt.ArrayLike,
    oracle: npt.ArrayLike,
    clusters: Clusters,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[GapClosed]:
    """Gap closed by each of M methods.

    source_only, oracle: [N]; adapted: [N] or [N, M]; finite, the same frames in the same order. The resamples are those
    of the estimates and comparisons with the same seed.

    Raises: DataError E_STAT_LENGTH, E_STAT_NOT_FINITE; UsageError E_STAT_RESAMPLES.
    """
    deltas = paired_differences(source_only, adapted, clusters)
    gaps = paired_differences(source_only, oracle, clusters)
    totals = cluster_sums(np.column_stack([gaps, deltas]), clusters)
    gap_totals = ClusterSums(totals.sums[:, :1], totals.sizes)
    gap = estimates_from_sums(gap_totals, clusters, resamples=resamples, seed=seed)[0]
    methods = deltas.shape[1]
    reason = _why_not(gap)
    if reason:
        return [GapClosed(math.nan, math.nan, math.nan, False, f"{NOT_ESTIMABLE}: {reason}", gap)] * methods
    if clusters.count >= BOOTSTRAP_FROM:
        low, high = _resampled_limits(resampled_means(totals, resamples, seed), clusters.count)
    else:
        low, high = _fieller_limits(totals)
    values = totals.means[1:] / totals.means[0]
    return [GapClosed(float(values[m]), float(low[m]), float(high[m]), True, gap.words, gap) for m in range(methods)]


def _why_not(gap: Estimate) -> str:
    """Why the gap cannot be divided by; "" if it can."""
    if gap.kind is IntervalKind.NONE:
        return gap.words
    if gap.high < 0:
        return "the oracle is worse than source-only"
    if not gap.low > 0:
        return f"the interval of oracle − source-only, {gap.low:.3f} to {gap.high:.3f}, includes 0"
    return ""


def _resampled_limits(means: FloatArray, clusters: int) -> tuple[FloatArray, FloatArray]:
    """Ends, each float64 [M], of the ratios of resampled means [resamples, 1 + M] (the gap first).

    A resample whose gap is not above 0 says nothing about the ratio; it is counted as −∞ at the lower end and as +∞ at
    the upper one, so that it can only widen the interval.
    """
    gap, deltas = means[:, :1], means[:, 1:]
    usable = gap > 0
    ratios = np.divide(deltas, gap, out=np.full_like(deltas, np.nan), where=usable)
    tail = expanded_tail(clusters)
    # An order statistic, not an interpolation: between a number and ∞ there is nothing to interpolate.
    low = np.quantile(np.where(usable, ratios, -np.inf), tail, axis=0, method="lower")
    high = np.quantile(np.where(usable, ratios, np.inf), 1 - tail, axis=0, method="higher")
    return low, high


def _fieller_limits(totals: ClusterSums) -> tuple[FloatArray, FloatArray]:
    """Ends, each float64 [M], of Fieller's intervals; the first quantity of ``totals`` is the gap, above 0 by cluster-t.

    They are the roots in r of (Δ − r·gap)² = t²·Var(Δ − r·gap).
    """
    moves = influences(totals) * t_quantile(len(totals.sizes))
    gap, deltas = totals.means[0], totals.means[1:]
    gap_move, delta_moves = moves[:, :1], moves[:, 1:]
    square = gap**2 - (gap_move**2).sum()
    middle = gap * deltas - (gap_move * delta_moves).sum(axis=0)
    constant = deltas**2 - (delta_moves**2).sum(axis=0)
    root = np.sqrt(np.maximum(middle**2 - square * constant, 0))
    return (middle - root) / square, (middle + root) / square
