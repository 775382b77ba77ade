"""Whether intervals and tests of paired differences hold what they say, where clusters differ in more than their mean.

    python benchmarks/coverage.py [--clusters 8 12 20 40] [--drawings 100] [--columns 20] [--resamples 2000]

A data set: clusters (patients) of unequal size, each with an effect of its own, frames around it. Designs:

    symmetric        normal effects of one spread
    heavy tails      Student t effects with 3 degrees of freedom
    few large losses log-normal effects: most clusters gain a little, few lose much
    one in ten       nine clusters in ten do not move, the tenth does
    spread by size   the larger the cluster, the larger the spread of its effect
    large gain more  the larger the cluster, the larger its effect (sizes are informative)

Cluster sizes are log-normal with σ = 1 in all designs but `equal sizes`. Per design and number of clusters: coverage of
the 95 % intervals (`printed` is the product's: from 10 clusters on the symmetric studentised bootstrap, below
cluster-t), and how often tests at 5 % speak where the mean effect is 0. `sign flip` is the product's, `mean flip` the
same on the mean alone; `and interval` asks that the printed interval excludes 0 as well, as bold figures do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from polypda.evaluation.statistics.clusters import (
    ClusterSums,
    FloatArray,
    cluster_sums,
    clusters_from_labels,
    influences,
    residuals,
    standard_errors,
    t_limits,
)
from polypda.evaluation.statistics.intervals import _draw_counts, mean_estimates
from polypda.evaluation.statistics.permutation import sign_flip_tests

Effects = Callable[[np.random.Generator, FloatArray, int], FloatArray]
"""Cluster effects [C, columns] with mean 0 over frames, from (generator, sizes [C], columns)."""
SIZE_SIGMA, TYPICAL_SIZE, SPREAD, FRAME_SPREAD = 1.0, 20, 0.05, 0.1


def main() -> None:
    """Print one table of coverages and one of error rates."""
    given = _options()
    print(f"{given.drawings} x {given.columns} data sets, {given.resamples} resamples")
    names = [*INTERVALS, "| sign flip", "mean flip", "and interval"]
    print(f"{'design':18} {'C':>3}  " + "  ".join(f"{name:>15}" for name in names))
    for design in DESIGNS:
        for count in given.clusters:
            print(f"{design:18} {count:>3}  " + "  ".join(f"{value:15.1f}" for value in measured(design, count, given)))


def measured(design: str, count: int, given: argparse.Namespace) -> list[float]:
    """Percent of covering intervals, each kind; then percent of false alarms, each test."""
    covering: list[list[float]] = [[] for _ in INTERVALS]
    alarms: list[list[float]] = [[], [], []]
    for drawing in range(given.drawings):
        generator = np.random.default_rng([drawing, count, sorted(DESIGNS).index(design)])
        sigma = 0.0 if design == "equal sizes" else SIZE_SIGMA
        sizes = np.maximum(1, np.round(TYPICAL_SIZE * np.exp(generator.normal(0, sigma, count)))).astype(int)
        effects = DESIGNS[design](generator, sizes.astype(float), given.columns)
        codes = np.repeat(np.arange(count), sizes)
        values = effects[codes] + generator.normal(0, FRAME_SPREAD, (len(codes), given.columns))
        clusters = clusters_from_labels([f"{code:03d}" for code in codes], "patient")
        totals = cluster_sums(values, clusters)
        draws = signed_deviations(totals, given.resamples)
        for kept, interval in zip(covering, INTERVALS.values(), strict=True):
            low, high = interval(values, clusters, totals, draws, given.resamples)
            kept += list((low <= 0) & (high >= 0))
        p = np.array([test.p_value for test in sign_flip_tests(values, clusters, flips=given.resamples)])
        low, high = printed(values, clusters, totals, draws, given.resamples)
        alarms[0] += list(p <= 0.05)
        alarms[1] += list(mean_flip(totals, given.resamples) <= 0.05)
        alarms[2] += list((p <= 0.05) & ((low > 0) | (high < 0)))
    return [100 * float(np.mean(values)) for values in [*covering, *alarms]]


def signed_deviations(totals: ClusterSums, resamples: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(mean* − mean)/SE* of each resample without a floor, its floored form's SE*/SE, and the resamples' skewness."""
    moves, share = residuals(totals), (totals.sizes / totals.sizes.sum())[:, None]
    powers = [moves, moves**2, moves**3, moves * share, moves**2 * share, moves * share**2]
    shares = np.hstack([share, share**2, share**3])
    parts = []
    for counts in _draw_counts(len(totals.sizes), resamples, 0):
        one, two, three, one_s, two_s, one_ss = (counts @ power for power in powers)
        weight, weight_2, weight_3 = (counts @ shares).T[:, :, None]
        shift = one / weight
        second = two - 2 * shift * one_s + shift**2 * weight_2
        third = three - 3 * shift * two_s + 3 * shift**2 * one_ss - shift**3 * weight_3
        parts.append((shift, np.sqrt(np.maximum(second, 0)) / weight, third / np.maximum(second, 1e-30) ** 1.5))
    shift, spread, skew = (np.concatenate(part) for part in zip(*parts, strict=True))
    return shift, spread, skew


def printed(values, clusters, totals, draws, resamples):
    """The product's interval."""
    estimates = mean_estimates(values, clusters, limits=None, resamples=max(resamples, 1000))
    return np.array([one.low for one in estimates]), np.array([one.high for one in estimates])


def cluster_t(values, clusters, totals, draws, resamples):
    """Cluster-t whatever the number of clusters."""
    return t_limits(totals)


def _floored(totals, draws, floor):
    shift, spread, _ = draws
    own = np.sqrt((residuals(totals) ** 2).sum(axis=0))
    return shift / np.maximum(spread, np.sqrt(floor) * own), standard_errors(totals) * _plain(totals)


def _plain(totals):
    count = len(totals.sizes)
    return np.sqrt((count - 1) / count)


def low_floor(values, clusters, totals, draws, resamples):
    """Symmetric studentised, with a floor of 1/20 of the variance instead of a quarter."""
    deviations, error = _floored(totals, draws, 0.05)
    half = np.quantile(np.abs(deviations), 0.95, axis=0) * error
    return totals.means - half, totals.means + half


def equal_tails(values, clusters, totals, draws, resamples):
    """Studentised, equal tails."""
    deviations, error = _floored(totals, draws, 0.25)
    low, high = np.quantile(deviations, [0.025, 0.975], axis=0)
    return totals.means - high * error, totals.means - low * error


def hull(values, clusters, totals, draws, resamples):
    """From the lower of the symmetric and the equal-tailed interval's ends to the higher."""
    one, other = printed(values, clusters, totals, draws, resamples), equal_tails(*_same(locals()))
    return np.minimum(one[0], other[0]), np.maximum(one[1], other[1])


def _same(scope):
    return tuple(scope[name] for name in ("values", "clusters", "totals", "draws", "resamples"))


def transformed(values, clusters, totals, draws, resamples):
    """Hall, J. R. Statist. Soc. B 54, 1992: studentised after a cubic transformation that takes the skewness away."""
    skew = draws[2]
    moves = influences(totals)
    own = (moves**3).sum(axis=0) / np.maximum((moves**2).sum(axis=0), 1e-30) ** 1.5
    deviations, error = _floored(totals, draws, 0.05)
    low, high = np.quantile(_cubic(deviations, skew), [0.025, 0.975], axis=0)
    return totals.means - _back(high, own) * error, totals.means - _back(low, own) * error


def wild(values, clusters, totals, draws, resamples):
    """Wild cluster bootstrap of the scores, symmetric; six-point weights of Webb (Can. J. Econ. 56, 2023)."""
    weights = np.sqrt(np.array([0.5, 1.0, 1.5]))
    drawn = np.random.default_rng(0).choice([*weights, *-weights], (resamples, len(totals.sizes)))
    scores, share = influences(totals), (totals.sizes / totals.sizes.sum())[:, None]
    shift = drawn @ scores
    spread = drawn**2 @ scores**2 - 2 * shift * (drawn @ (scores * share)) + shift**2 * (share**2).sum()
    half = np.quantile(np.abs(shift) / np.sqrt(np.maximum(spread, 1e-30)), 0.95, axis=0) * standard_errors(totals)
    return totals.means - half, totals.means + half


def bca(values, clusters, totals, draws, resamples):
    """Bias-corrected and accelerated percentile interval, Efron, JASA 82, 1987."""
    shift, moves = draws[0], influences(totals)
    bias = stats.norm.ppf(np.clip((shift < 0).mean(axis=0), 1e-3, 1 - 1e-3))
    acceleration = (moves**3).sum(axis=0) / (6 * np.maximum((moves**2).sum(axis=0), 1e-30) ** 1.5)
    ends = []
    for z in stats.norm.ppf([0.025, 0.975]):
        level = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        ends.append([np.quantile(shift[:, column], level[column]) for column in range(shift.shape[1])])
    return totals.means + np.array(ends[0]), totals.means + np.array(ends[1])


def _cubic(t, skew):
    return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6


def _back(x, skew):
    small = np.abs(skew) < 1e-6
    safe = np.where(small, 1.0, skew)
    return np.where(small, x, 3 / safe * (np.cbrt(1 + safe * (x - safe / 6)) - 1))


def mean_flip(totals: ClusterSums, flips: int) -> FloatArray:
    """p of the sign flips of |mean| instead of |mean|/SE."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (flips, len(totals.sizes)))
    extreme = (np.abs(signs @ totals.sums) >= np.abs(totals.sums.sum(axis=0)) * (1 - 1e-12)).sum(axis=0)
    return (extreme + 1) / (flips + 1)


def _centred(draw: Callable[[np.random.Generator, tuple[int, int]], FloatArray], mean: float, sd: float) -> Effects:
    return lambda generator, sizes, columns: SPREAD * (draw(generator, (len(sizes), columns)) - mean) / sd


def _spread_by_size(generator: np.random.Generator, sizes: FloatArray, columns: int) -> FloatArray:
    return SPREAD * generator.normal(0, 1, (len(sizes), columns)) * np.sqrt(sizes / TYPICAL_SIZE)[:, None]


def _large_gain_more(generator: np.random.Generator, sizes: FloatArray, columns: int) -> FloatArray:
    # log sizes are normal; weighted by size their mean moves from 0 to σ²
    own = np.log(sizes / TYPICAL_SIZE) - SIZE_SIGMA**2
    return SPREAD * (own[:, None] + generator.normal(0, 0.5, (len(sizes), columns)))


LOSSES = stats.lognorm(0.9)
DESIGNS: dict[str, Effects] = {
    "equal sizes": _centred(lambda g, s: g.normal(size=s), 0, 1),
    "symmetric": _centred(lambda g, s: g.normal(size=s), 0, 1),
    "heavy tails": _centred(lambda g, s: g.standard_t(3, s), 0, np.sqrt(3)),
    "few large losses": _centred(lambda g, s: -np.exp(0.9 * g.normal(size=s)), -LOSSES.mean(), LOSSES.std()),
    "one in ten": _centred(lambda g, s: (g.random(s) < 0.1).astype(float), 0.1, 0.3),
    "spread by size": _spread_by_size,
    "large gain more": _large_gain_more,
}
INTERVALS = {
    "printed": printed,
    "cluster-t": cluster_t,
    "low floor": low_floor,
    "equal tails": equal_tails,
    "hull": hull,
    "transformed": transformed,
    "wild": wild,
    "BCa": bca,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, nargs="+", default=[8, 12, 20, 40])
    parser.add_argument("--drawings", type=int, default=100)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=2000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
