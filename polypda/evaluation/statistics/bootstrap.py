"""The cluster bootstrap of frame-weighted means: whole clusters are drawn with replacement.

A frame-weighted mean is a ratio of sums over clusters, so a resample needs only how often each cluster was drawn:
(resamples × clusters) counts times (clusters × quantities) sums. All quantities share the same resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import stats

from polypda.errors import UsageError
from polypda.evaluation.statistics.clusters import ClusterSums, FloatArray

RESAMPLES = 10_000
CONFIDENCE = 0.95
FEWEST_RESAMPLES = 1_000
"""Fewer leave the tails of a 95 % interval to a handful of resamples."""
COUNTS_IN_A_BLOCK = 1 << 18
"""2 MiB of float64 counts at a time: they stay in the processor's cache, and memory does not grow with resamples."""


def resampled_means(totals: ClusterSums, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Frame-weighted means of cluster resamples, float64 [resamples, M].

    totals: sums [C, M] and sizes [C], C ≥ 1. The draws depend on ``resamples``, ``seed`` and C alone: two calls with
    the same clusters see the same resamples, whatever the number of quantities.

    Raises: UsageError E_STAT_RESAMPLES.
    """
    if resamples < FEWEST_RESAMPLES:
        raise UsageError(
            "E_STAT_RESAMPLES",
            f"{resamples} resamples are too few for a 95 % interval.",
            fix=f"use {RESAMPLES} (at least {FEWEST_RESAMPLES}).",
        )
    table = np.column_stack([totals.sums, totals.sizes])
    means = np.empty((resamples, totals.sums.shape[1]))
    start = 0
    for counts in _draw_counts(len(table), resamples, seed):
        drawn = counts @ table
        means[start : start + len(counts)] = drawn[:, :-1] / drawn[:, -1:]
        start += len(counts)
    return means


def expanded_tail(clusters: int, confidence: float = CONFIDENCE) -> float:
    """Tail probability at which the bootstrap distribution of ``clusters`` clusters is cut on each side."""
    t = float(stats.t.ppf((1 + confidence) / 2, clusters - 1))
    return float(stats.norm.cdf(-t * math.sqrt(clusters / (clusters - 1))))


def percentile_limits(means: FloatArray, clusters: int) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends, each float64 [M], of resampled means [resamples, M]."""
    tail = expanded_tail(clusters)
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def _draw_counts(clusters: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each cluster was drawn, float64 [rows, clusters] in blocks of rows."""
    generator = np.random.default_rng(seed)
    rows = max(1, COUNTS_IN_A_BLOCK // clusters)
    for start in range(0, resamples, rows):
        height = min(rows, resamples - start)
        drawn = generator.integers(0, clusters, size=(height, clusters))
        drawn += clusters * np.arange(height)[:, None]
        yield np.bincount(drawn.ravel(), minlength=height * clusters).reshape(height, clusters).astype(np.float64)


def bootstrap_limits(totals: ClusterSums, resamples: int = RESAMPLES, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of the 95 % bootstrap intervals of the frame-weighted means, each float64 [M]."""
    return percentile_limits(resampled_means(totals, resamples, seed), len(totals.sizes))
