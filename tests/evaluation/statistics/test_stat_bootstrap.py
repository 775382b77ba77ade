"""The cluster bootstrap against direct resampling of frames, and its reproducibility."""

import numpy as np
import pytest

from polypda.errors import UsageError
from polypda.evaluation.statistics.clusters import Clusters, ClusterSums, cluster_sums, clusters_from_labels
from polypda.evaluation.statistics.intervals import (
    LEAST_VARIANCE,
    bootstrap_limits,
    mean_estimates,
    studentised_deviations,
)

SIZES = (4, 9, 2, 7, 5, 3, 6, 12, 1, 8, 5)


def unequal_clusters() -> Clusters:
    return clusters_from_labels([f"{k:02d}" for k, size in enumerate(SIZES) for _ in range(size)])


def values_of(clusters: Clusters, quantities: int) -> np.ndarray:
    generator = np.random.default_rng(4)
    centre = generator.beta(3, 2, (clusters.count, quantities))
    return np.clip(centre[clusters.codes] + generator.normal(0, 0.1, (len(clusters), quantities)), 0, 1)


def test_deviations_equal_those_of_resampled_frames() -> None:
    """Frames are really gathered here, cluster by cluster, from the same draws."""
    clusters = unequal_clusters()
    values = values_of(clusters, 1)[:, 0]
    got = studentised_deviations(cluster_sums(values[:, None], clusters), 1000, seed=5)[:20, 0]
    draws = np.random.default_rng(5).integers(0, 11, size=(1000, 11))[:20]
    floor = LEAST_VARIANCE * sum(
        ((values[clusters.codes == c] - values.mean()).sum() / len(values)) ** 2 for c in range(11)
    )
    for row, deviation in zip(draws, got, strict=True):
        groups = [values[clusters.codes == cluster] for cluster in row]
        frames = np.concatenate(groups)
        variance = sum(((group - frames.mean()).sum() / len(frames)) ** 2 for group in groups)
        assert deviation == pytest.approx(abs(frames.mean() - values.mean()) / np.sqrt(max(variance, floor)))


def test_the_interval_is_the_factor_times_the_standard_error() -> None:
    """Equal clusters: mean ± q · (SD of cluster means, dividing by C) / √C, with q from the deviations."""
    generator = np.random.default_rng(0)
    means = generator.random(16)
    totals = ClusterSums(means[:, None] * 5, np.full(16, 5.0))
    low, high = bootstrap_limits(totals, 2000, seed=1)
    factor = np.quantile(studentised_deviations(totals, 2000, seed=1), 0.95)
    half = factor * means.std() / 4
    assert (low[0], high[0]) == pytest.approx((means.mean() - half, means.mean() + half))


def test_many_clusters_come_to_the_normal_interval() -> None:
    means = np.random.default_rng(0).normal(0.5, 0.1, 2000)
    low, high = bootstrap_limits(ClusterSums(means[:, None], np.ones(2000)), 4000)
    half = 1.96 * means.std() / np.sqrt(2000)
    assert (low[0], high[0]) == pytest.approx((means.mean() - half, means.mean() + half), abs=0.1 * half)


def test_the_seed_alone_decides_and_quantities_fraction_resamples() -> None:
    clusters = unequal_clusters()
    values = values_of(clusters, 3)
    together = mean_estimates(values, clusters, seed=2)
    assert together == mean_estimates(values, clusters, seed=2)
    assert together != mean_estimates(values, clusters, seed=3)
    for column, estimate in enumerate(together):
        alone = mean_estimates(values[:, column], clusters, seed=2)[0]
        assert (alone.low, alone.high) == pytest.approx((estimate.low, estimate.high), abs=1e-12)


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = unequal_clusters()
    totals = cluster_sums(values_of(clusters, 2), clusters)
    whole = studentised_deviations(totals, 1000)
    monkeypatch.setattr("polypda.evaluation.statistics.intervals.COUNTS_IN_A_BLOCK", 77)
    np.testing.assert_allclose(studentised_deviations(totals, 1000), whole, rtol=1e-9)


def test_two_differing_clusters_do_not_make_the_interval_infinite() -> None:
    means = np.array([0.4, 0.4] + [0.0] * 8)
    low, high = bootstrap_limits(ClusterSums(means[:, None], np.ones(10)))
    assert np.isfinite([low, high]).all()
    assert low[0] < 0 < high[0]


def test_too_few_resamples_are_refused() -> None:
    with pytest.raises(UsageError, match="E_STAT_RESAMPLES"):
        mean_estimates(values_of(unequal_clusters(), 1), unequal_clusters(), resamples=999)
