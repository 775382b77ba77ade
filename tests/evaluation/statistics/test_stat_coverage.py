"""Intervals and tests hold what they promise, over thousands of simulated centres with dependent frames.

The frames of a cluster share the cluster's level; levels are Dice-like (bounded, skewed) and clusters unequally large.
Each simulated data set is one column: clusters and their sizes are common, values are not. 2,000 columns per design
(400 for each of five drawings of the sizes) put the Monte-Carlo standard error of a coverage of 95 % at 0.5 points.
Figures are printed by ``pytest -m slow -s tests/evaluation/statistics/test_stat_coverage.py``.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from polypda.evaluation.statistics.clusters import Clusters, clusters_from_labels, frames_as_clusters
from polypda.evaluation.statistics.comparison import gap_closed, paired_comparisons
from polypda.evaluation.statistics.intervals import mean_estimates
from polypda.evaluation.statistics.permutation import sign_flip_tests

pytestmark = pytest.mark.slow

DRAWINGS, COLUMNS = 5, 400
TYPICAL_SIZE = 20
FRAME_PRECISION = 10
"""Of the beta distribution of a frame around its cluster's level: SD 0.15 at a level of 0.5."""

Levels = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def dice(mean: float, precision: float) -> Levels:
    """Cluster levels from a beta distribution: a small precision means that clusters are either good or bad."""
    return lambda generator, shape: generator.beta(mean * precision, (1 - mean) * precision, shape)


def drawn_centres(
    count: int, spread: float, levels: Levels, columns: int = COLUMNS
) -> Iterator[tuple[Clusters, np.ndarray, np.random.Generator]]:
    """Clusters of log-normal sizes and Dice-like values [N, columns] around their levels."""
    for drawing in range(DRAWINGS):
        generator = np.random.default_rng([drawing, count, round(10 * spread)])
        sizes = np.maximum(1, np.round(TYPICAL_SIZE * np.exp(generator.normal(0, spread, count)))).astype(int)
        codes = np.repeat(np.arange(count), sizes)
        level = np.clip(levels(generator, (count, columns)), 1e-3, 1 - 1e-3)[codes]
        values = generator.beta(FRAME_PRECISION * level, FRAME_PRECISION * (1 - level))
        yield clusters_from_labels([f"{code:03d}" for code in codes], "sequence"), values, generator


def percent_covering(estimates: list, truth: float) -> float:
    return 100 * float(np.mean([estimate.low <= truth <= estimate.high for estimate in estimates]))


@pytest.mark.parametrize("count", [20, 40])
@pytest.mark.parametrize("spread", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("mean", "precision"), [(0.6, 6.0), (0.75, 6.0), (0.6, 3.0), (0.75, 2.0)])
def test_printed_interval_covers_at_20_clusters_and_more(
    count: int, spread: float, mean: float, precision: float
) -> None:
    printed, naive = [], []
    for clusters, values, _ in drawn_centres(count, spread, dice(mean, precision)):
        printed += mean_estimates(values, clusters)
        half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
        naive.append(100 * np.mean(np.abs(values.mean(axis=0) - mean) <= half))
    covered = percent_covering(printed, mean)
    print(
        f"{count} clusters, sizes σ {spread}, Dice {mean}/{precision}: {covered:.1f}, frames alone {np.mean(naive):.1f}"
    )
    assert 93 <= covered <= 97
    assert np.mean(naive) < 60


@pytest.mark.parametrize("count", [10, 14])
@pytest.mark.parametrize("spread", [0.0, 0.6])
@pytest.mark.parametrize(("mean", "precision"), [(0.6, 6.0), (0.75, 6.0), (0.6, 3.0)])
def test_printed_interval_covers_at_10_clusters(count: int, spread: float, mean: float, precision: float) -> None:
    printed = [
        estimate
        for clusters, values, _ in drawn_centres(count, spread, dice(mean, precision))
        for estimate in mean_estimates(values, clusters)
    ]
    covered = percent_covering(printed, mean)
    print(f"{count} clusters, sizes σ {spread}, Dice {mean}/{precision}: {covered:.1f}")
    assert 93 <= covered <= 97.5


@pytest.mark.parametrize("count", [5, 7, 9])
@pytest.mark.parametrize("spread", [0.0, 0.4, 0.8])
@pytest.mark.parametrize(("mean", "precision"), [(0.6, 6.0), (0.6, 3.0)])
def test_cluster_t_covers_at_5_to_9_clusters(count: int, spread: float, mean: float, precision: float) -> None:
    printed = [
        estimate
        for clusters, values, _ in drawn_centres(count, spread, dice(mean, precision), columns=2000)
        for estimate in mean_estimates(values, clusters)
    ]
    assert {estimate.kind for estimate in printed} == {"cluster t"}
    covered = percent_covering(printed, mean)
    print(f"{count} clusters, sizes σ {spread}, Dice {mean}/{precision}: cluster-t {covered:.1f}")
    assert covered >= 93


def other_model(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Differences of two models of one quality: each is good or bad in a cluster by chance."""
    first, second = generator.beta(1.8, 1.2, (2, *shape))
    return second - first


def rare_large_moves(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Most clusters hardly move, some gain, some lose as much."""
    size = np.where(generator.random(shape) < 0.6, generator.normal(0, 0.02, shape), generator.exponential(0.15, shape))
    return size * generator.choice([-1, 1], shape)


def lopsided(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Mean 0 but no symmetry, which the test assumes: six in ten hardly move, many gain a little, few lose much."""
    kind = generator.random(shape)
    gain, loss = generator.exponential(0.12, shape), -generator.exponential(0.2, shape)
    return np.where(kind < 0.6, generator.normal(0, 0.02, shape), np.where(kind < 0.85, gain, loss))


@pytest.mark.parametrize("count", [10, 12, 20, 40])
@pytest.mark.parametrize("spread", [0.0, 0.8])
@pytest.mark.parametrize(("effect", "most_alarms"), [(other_model, 6.5), (rare_large_moves, 6.5), (lopsided, 8.5)])
def test_false_alarms_and_covered_differences(count: int, spread: float, effect: Levels, most_alarms: float) -> None:
    rejected, covered, both = [], [], []
    for clusters, values, generator in drawn_centres(count, spread, dice(0.6, 3.0)):
        change = effect(generator, (count, COLUMNS))[clusters.codes] + generator.normal(0, 0.05, values.shape)
        for comparison in paired_comparisons(np.zeros(len(clusters)), change, clusters, flips=2000):
            rejected.append(comparison.p_value <= 0.05)
            covered.append(not (comparison.delta.low > 0 or comparison.delta.high < 0))
            both.append(rejected[-1] and not covered[-1])
    alarms = 100 * float(np.mean(rejected))
    print(
        f"{count} clusters, sizes σ {spread}, {effect.__name__}: false alarms {alarms:.1f}, "
        f"with the interval {100 * np.mean(both):.1f}, Δ covered {100 * np.mean(covered):.1f}"
    )
    assert alarms <= most_alarms
    assert np.mean(both) <= 0.06
    assert np.mean(covered) >= 0.93


def test_frames_as_independent_raise_false_alarms() -> None:
    rejected = []
    for clusters, values, generator in drawn_centres(20, 0.6, dice(0.6, 3.0)):
        change = other_model(generator, (20, COLUMNS))[clusters.codes] + generator.normal(0, 0.05, values.shape)
        rejected += [test.p_value <= 0.05 for test in sign_flip_tests(change, frames_as_clusters(len(clusters)))]
    print(f"20 clusters, frames flipped: false alarms {100 * np.mean(rejected):.1f}")
    assert np.mean(rejected) > 0.3


@pytest.mark.parametrize("count", [7, 12, 25])
@pytest.mark.parametrize("spread", [0.0, 0.8])
def test_gap_closed_covers(count: int, spread: float) -> None:
    results = []
    for clusters, values, generator in drawn_centres(count, spread, dice(0.4, 6.0)):
        for column in range(0, COLUMNS, 10):
            gap = generator.normal(0.25, 0.1, count)[clusters.codes]
            change = 0.4 * gap + generator.normal(0, 0.08, count)[clusters.codes]
            start = values[:, column]
            results += gap_closed(start, start + change, start + gap, clusters, resamples=1000)
    estimable = [result for result in results if result.estimable]
    covered = 100 * np.mean([result.low <= 0.4 <= result.high for result in estimable])
    print(f"{count} clusters, sizes σ {spread}: gap closed {covered:.1f}, estimable {len(estimable)} of {len(results)}")
    assert len(estimable) > 0.6 * len(results)
    assert covered >= 90  # 200 simulations: standard error 1.5 points
