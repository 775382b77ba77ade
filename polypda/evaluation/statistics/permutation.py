"""The cluster sign-flip test: if a method changed nothing, each cluster's difference could as well have the other sign.

The statistic is the frame-weighted mean difference over its standard error; a flipped cluster's sum of differences
changes sign. Two-sided. Exact where a cluster's difference is symmetric around 0 when nothing changed; divided by the
standard error it also errs less where it is not (DiCiccio and Romano, *JASA* 112, 2017). False alarms are measured by
``benchmarks/coverage.py``; 77 % when frames are flipped as if independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypda.errors import DataError, UsageError
from polypda.evaluation.statistics.clusters import Clusters, ClusterSums, FloatArray, checked_values, cluster_sums

FLIPS = 10_000
FEWEST_FLIPS = 1_000
EXACT_UP_TO = 14
"""Clusters up to which all 2^C sign patterns are tried."""
TIE = 1e-9
"""Statistics within this fraction of each other count as equal: rounding must not decide a tie."""
NO_SPREAD = 1e-12
"""Squared spreads below this fraction of the largest possible one are rounding."""
SIGNS_IN_A_BLOCK = 1 << 18


@dataclass(frozen=True)
class SignFlipTest:
    """p_value: NaN without frames. exact: whether every sign pattern was tried. words: what must stand beside it."""

    p_value: float
    exact: bool
    words: str


def sign_flip_tests(
    differences: npt.ArrayLike, clusters: Clusters, *, flips: int = FLIPS, seed: int = 0
) -> list[SignFlipTest]:
    """Test each of M quantities' mean difference against 0.

    differences: [N] or [N, M], after − before per frame, finite. All quantities see the same sign patterns, which
    depend on ``flips``, ``seed`` and the number of clusters alone. Up to 14 clusters the test is exact; beyond, p is
    (b + 1)/(flips + 1) with b of the drawn patterns at least as extreme (Phipson and Smyth, *Statistical Applications
    in Genetics and Molecular Biology* 9, 2010). Without any difference p is 1.

    Raises: DataError of :func:`~polypda.evaluation.statistics.clusters.checked_values`; UsageError E_STAT_FLIPS.
    """
    if flips < FEWEST_FLIPS:
        raise UsageError(
            "E_STAT_FLIPS", f"{flips} sign patterns are too few.", fix=f"use {FLIPS} (at least {FEWEST_FLIPS})."
        )
    table = checked_values(differences, clusters, "differences")
    if not len(clusters):
        return [SignFlipTest(np.nan, True, "no frame")] * table.shape[1]
    totals = cluster_sums(table, clusters)
    exact = clusters.count <= EXACT_UP_TO
    patterns = _all_patterns(clusters.count) if exact else _drawn_patterns(clusters.count, flips, seed)
    extreme, tried = _count_extreme(totals, patterns)
    p_values = extreme / tried if exact else (extreme + 1) / (tried + 1)
    words = _words(clusters, smallest_p_value(clusters.count, flips=flips))
    return [SignFlipTest(float(p), exact, words) for p in p_values]


def smallest_p_value(clusters: int, *, flips: int = FLIPS) -> float:
    """The least p that the test can give with this number of clusters (at least 1), whatever the differences."""
    return 2.0 ** (1 - clusters) if clusters <= EXACT_UP_TO else 1 / (flips + 1)


def _count_extreme(totals: ClusterSums, patterns: Iterator[FloatArray]) -> tuple[npt.NDArray[np.int64], int]:
    """How many of the sign patterns give a statistic at least as far from 0 as the observed one, and of how many."""
    observed = _squared_t(np.ones((1, len(totals.sizes))), totals)[0] * (1 - TIE)
    extreme, tried = np.zeros(totals.sums.shape[1], dtype=np.int64), 0
    for signs in patterns:
        extreme += (_squared_t(signs, totals) >= observed).sum(axis=0)
        tried += len(signs)
    return extreme, tried


def _squared_t(signs: FloatArray, totals: ClusterSums) -> FloatArray:
    """(mean/SE)² of each quantity under each sign pattern, float64 [rows, M]: 0 where the mean is, infinite where all
    clusters agree.

    SE² = Σ (sum_c − mean · size_c)² / n², multiplied out so that signs meet constants only (a sign's square is 1).
    """
    n = totals.sizes.sum()
    moves, fraction = totals.sums / n, totals.sizes[:, None] / n
    whole = (moves**2).sum(axis=0)
    mean = signs @ moves
    mean[np.abs(mean) <= TIE * np.abs(moves).sum(axis=0)] = 0.0
    square = mean**2
    spread = whole - 2 * mean * (signs @ (moves * fraction)) + square * (fraction**2).sum()
    spread[spread <= NO_SPREAD * whole] = 0.0
    return np.divide(square, spread, out=np.where(square > 0, np.inf, 0.0), where=spread > 0)


def _all_patterns(clusters: int) -> Iterator[FloatArray]:
    """Half of all sign patterns, ±1 as float64 [rows, clusters]: the other half mirrors them, and |total| is equal."""
    numbers = np.arange(1 << (clusters - 1))
    yield _signs((numbers[:, None] >> np.arange(clusters)) & 1)


def _drawn_patterns(clusters: int, flips: int, seed: int) -> Iterator[FloatArray]:
    """Random sign patterns, ±1 as float64 [rows, clusters] in blocks of rows."""
    generator = np.random.default_rng(seed)
    octets = -(-clusters // 8)
    rows = max(1, SIGNS_IN_A_BLOCK // clusters)
    for start in range(0, flips, rows):
        drawn = generator.integers(0, 256, size=(min(rows, flips - start), octets), dtype=np.uint8)
        yield _signs(np.unpackbits(drawn, axis=1, count=clusters))


def _signs(bits: npt.NDArray[np.integer]) -> FloatArray:
    return 1 - 2 * bits.astype(np.float64)


def _words(clusters: Clusters, smallest: float) -> str:
    words = [] if clusters.known else ["frames flipped as if independent: p likely too small"]
    if smallest > 0.05:
        unit = "clusters" if clusters.known else "frames"
        words.append(f"{clusters.count} {unit}: no p below {smallest:.3g} is possible")
    return "; ".join(words)


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Adjusted p values of a family of M comparisons, float64 [M], in the order given (Holm, 1979).

    A comparison that was declared but has no p value (NaN) stays counted: leaving it out after the fact would let a
    family shrink to its fortunate members. It is treated as the least significant, and its own result stays NaN.

    Raises: DataError E_STAT_P_VALUE when a value lies outside [0, 1] or the family is no list.
    """
    family = np.asarray(p_values, dtype=np.float64)
    if family.ndim != 1 or ((family < 0) | (family > 1)).any():
        raise DataError(
            "E_STAT_P_VALUE",
            "p values must be a list of numbers in [0, 1].",
            where="statistics",
            fix="check the tests.",
        )
    order = np.argsort(family, kind="stable")  # NaN sorts last
    factors = len(family) - np.arange(len(family))
    adjusted = np.empty_like(family)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * family[order]), 1.0)
    return adjusted
