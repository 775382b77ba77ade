"""The energy distance between two cohorts' frames, free of the likeness of frames of one patient or sequence.

With d the Euclidean distance of two frames in scaled features, the energy coefficient is
(2 E d(x, y) − E d(x, x′) − E d(y, y′)) / (2 E d(x, y)): 0 where both cohorts are drawn alike, 1 where all of the
distance between frames of two cohorts comes from the cohort (Székely and Rizzo, *Journal of Statistical Planning and
Inference* 143, 2013). Pairs within a cohort count only when they come from different clusters: frames of one sequence
resemble one another, and with them two halves of one cohort would look apart. So the estimate has no bias towards
apart, and may fall a little below 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

from polypda.evaluation.statistics.clusters import CONFIDENCE, Clusters, FloatArray, effective_count
from polypda.evaluation.statistics.intervals import CLUSTER_T_FROM

PERMUTATIONS = 2_000
FEWEST_CLUSTERS = 2
"""On each side: one cluster alone has no pair of frames from different clusters."""


@dataclass(frozen=True)
class EnergyDistance:
    """coefficient: NaN with fewer than 2 clusters on a side. low, high: 95 %, NaN with fewer than 5.

    p_value: of clusters dealt to the two cohorts at random; NaN with fewer than 5 on a side.
    """

    coefficient: float
    low: float
    high: float
    p_value: float


def energy_distance(
    x: FloatArray, of_x: Clusters, y: FloatArray, of_y: Clusters, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> EnergyDistance:
    """The distance of two cohorts, float64 [N, F] and [M, F] in common units, with their clusters.

    The interval is that of the delete-one-cluster jackknife over both cohorts, with t from the effective number of
    clusters of the smaller one less one. p: (b + 1) / (permutations + 1).
    """
    sizes = np.concatenate([of_x.sizes, of_y.sizes]).astype(np.float64)
    between = _sums_between_clusters(np.vstack([x, y]), np.concatenate([of_x.codes, of_x.count + of_y.codes]), sizes)
    mine = np.arange(len(sizes)) < of_x.count
    if min(of_x.count, of_y.count) < FEWEST_CLUSTERS:
        return EnergyDistance(math.nan, math.nan, math.nan, math.nan)
    value = float(_coefficients(between, sizes, mine[None, :].astype(np.float64))[0])
    if min(of_x.count, of_y.count) < CLUSTER_T_FROM:
        return EnergyDistance(value, math.nan, math.nan, math.nan)
    error = _jackknife_error(between, sizes, mine)
    freedom = max(min(effective_count(of_x.sizes), effective_count(of_y.sizes)) - 1, 1.0)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p = _permutation_p(between, sizes, mine, value, permutations, seed)
    return EnergyDistance(value, value - half, min(value + half, 1.0), p)


def _sums_between_clusters(features: FloatArray, codes: np.ndarray, sizes: FloatArray) -> FloatArray:
    """Sums of the distances between the frames of each two clusters, float64 [C, C]; 0 on the diagonal."""
    by_cluster = np.zeros((len(sizes), len(features)))
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
    distances = cdist(features[order], features[order])
    by_cluster = np.add.reduceat(distances, starts, axis=0)
    sums = np.add.reduceat(by_cluster, starts, axis=1)
    np.fill_diagonal(sums, 0.0)
    return sums


def _coefficients(between: FloatArray, sizes: FloatArray, first: FloatArray) -> FloatArray:
    """The coefficient for each row of ``first`` [P, C], 1 for clusters of the first cohort, 0 of the second."""
    pairs = _pairs(sizes)
    second = 1 - first
    sums, counts = first @ between, first @ pairs
    own = (sums * first).sum(axis=1) / (counts * first).sum(axis=1)
    across = (sums * second).sum(axis=1) / (counts * second).sum(axis=1)
    other = ((second @ between) * second).sum(axis=1) / ((second @ pairs) * second).sum(axis=1)
    return _coefficient(own, across, other)


def _jackknife_error(between: FloatArray, sizes: FloatArray, mine: np.ndarray) -> float:
    """Delete one cluster at a time; the two cohorts' variances add."""
    pairs, variance = _pairs(sizes), 0.0
    for side in (mine, ~mine):
        own, other = side.astype(np.float64), (~side).astype(np.float64)
        sums_own, sums_other, counts_own, counts_other = between @ own, between @ other, pairs @ own, pairs @ other
        # Without a cluster, its pairs within its cohort (each stands twice) and across are gone
        within = (own @ sums_own - 2 * sums_own) / (own @ counts_own - 2 * counts_own)
        across = (own @ sums_other - sums_other) / (own @ counts_other - counts_other)
        elsewhere = np.full(len(own), (other @ sums_other) / (other @ counts_other))
        left_out = _coefficient(within[side], across[side], elsewhere[side])
        count = len(left_out)
        variance += (count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum())
    return math.sqrt(variance)


def _pairs(sizes: FloatArray) -> FloatArray:
    """Numbers of pairs of frames from each two different clusters, float64 [C, C]."""
    pairs = np.outer(sizes, sizes)
    np.fill_diagonal(pairs, 0.0)
    return pairs


def _coefficient(own: FloatArray, across: FloatArray, other: FloatArray) -> FloatArray:
    return np.divide(2 * across - own - other, 2 * across, out=np.zeros_like(across), where=across > 0)


def _permutation_p(
    between: FloatArray, sizes: FloatArray, mine: np.ndarray, value: float, permutations: int, seed: int
) -> float:
    generator = np.random.default_rng(seed)
    dealt = generator.permuted(np.tile(mine.astype(np.float64), (permutations, 1)), axis=1)
    extreme = int((_coefficients(between, sizes, dealt) >= value - 1e-12).sum())
    return (extreme + 1) / (permutations + 1)
