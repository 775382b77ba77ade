"""The number of clusters decides the interval; means, cluster-t and its caveats against independent references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from polypda.errors import DataError, UsageError
from polypda.evaluation.statistics.clusters import (
    Clusters,
    ClusterSums,
    cluster_sums,
    clusters_from_labels,
    frames_as_clusters,
    t_limits,
)
from polypda.evaluation.statistics.intervals import (
    LEAST_VARIANCE,
    IntervalKind,
    bootstrap_limits,
    mean_estimates,
    studentised_deviations,
)


def clusters_of_sizes(*sizes: int) -> Clusters:
    return clusters_from_labels([f"{k:03d}" for k, size in enumerate(sizes) for _ in range(size)], "sequence")


def dice_like(clusters: Clusters, quantities: int = 1, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centre = generator.beta(3, 2, (clusters.count, quantities))
    return np.clip(centre[clusters.codes] + generator.normal(0, 0.05, (len(clusters), quantities)), 0, 1)


@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (1, "none"),
        (4, "none"),
        (5, "cluster t"),
        (9, "cluster t"),
        (10, "cluster bootstrap"),
        (40, "cluster bootstrap"),
    ],
)
def test_the_number_of_clusters_decides(count: int, kind: str) -> None:
    clusters = clusters_of_sizes(*[3] * count)
    estimate = mean_estimates(dice_like(clusters), clusters)[0]
    assert estimate.kind == kind
    assert (estimate.n, estimate.clusters) == (3 * count, count)
    assert math.isnan(estimate.low) == math.isnan(estimate.high) == (kind == "none")
    assert estimate.words == ("fewer than 5 clusters: no interval" if kind == "none" else "")


@pytest.mark.parametrize("n", [5, 300])
def test_unknown_clusters_say_that_frames_were_taken_as_independent(n: int) -> None:
    clusters = frames_as_clusters(n)
    estimate = mean_estimates(dice_like(clusters), clusters)[0]
    assert estimate.kind is IntervalKind.FRAMES
    assert estimate.clusters is None
    assert estimate.words.startswith("frames treated as independent: likely too narrow")
    assert estimate.low < estimate.value < estimate.high


def test_few_frames_of_unknown_clusters_have_no_interval() -> None:
    estimate = mean_estimates([0.1, 0.5, 0.9], frames_as_clusters(3))[0]
    assert (estimate.kind, estimate.words) == ("none", "clusters unknown and fewer than 5 frames: no interval")


def test_no_frame_has_no_mean() -> None:
    estimate = mean_estimates([], frames_as_clusters(0))[0]
    assert math.isnan(estimate.value)
    assert (estimate.n, estimate.kind, estimate.words) == (0, "none", "no frame")


def test_no_quantity_has_no_estimate() -> None:
    assert mean_estimates(np.empty((30, 0)), clusters_of_sizes(*[2] * 15)) == []


def test_the_mean_weighs_frames_and_not_clusters() -> None:
    clusters = clusters_of_sizes(1, 4)
    assert mean_estimates([1.0, 0.5, 0.5, 0.5, 0.5], clusters)[0].value == pytest.approx(0.6)


def test_cluster_t_of_single_frames_is_the_t_interval() -> None:
    values = dice_like(clusters_of_sizes(*[1] * 8))[:, 0]
    estimate = mean_estimates(values, clusters_of_sizes(*[1] * 8))[0]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_cluster_t_of_equal_clusters_is_the_t_interval_of_their_means() -> None:
    clusters = clusters_of_sizes(*[6] * 9)
    values = dice_like(clusters)[:, 0]
    estimate = mean_estimates(values, clusters)[0]
    expected = stats.ttest_1samp(values.reshape(9, 6).mean(axis=1), 0).confidence_interval(0.95)
    assert estimate.kind is IntervalKind.CLUSTER_T
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_cluster_t_of_unequal_clusters_is_the_jackknife_with_effective_clusters() -> None:
    clusters = clusters_of_sizes(9, 2, 5, 4, 3, 7)
    values = dice_like(clusters)[:, 0]
    left_out = np.array([values[clusters.codes != cluster].mean() for cluster in range(6)])
    error = math.sqrt(5 / 6 * ((left_out - values.mean()) ** 2).sum())
    freedom = 30**2 / (81 + 4 + 25 + 16 + 9 + 49) - 1
    half = stats.t.ppf(0.975, freedom) * error
    estimate = mean_estimates(values, clusters)[0]
    assert (estimate.low, estimate.high) == pytest.approx((values.mean() - half, values.mean() + half))


def test_order_of_frames_and_names_of_clusters_do_not_matter() -> None:
    clusters = clusters_of_sizes(9, 2, 5, 4, 3, 7, 1, 8, 6, 2, 4)
    values = dice_like(clusters, 2)
    shuffled = np.random.default_rng(1).permutation(len(values))
    again = mean_estimates(values[shuffled], clusters.subset(shuffled))
    for first, second in zip(mean_estimates(values, clusters), again, strict=True):
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high))

    renamed = clusters_from_labels([f"{(code * 7) % 11}" for code in clusters.codes], "sequence")
    totals = [cluster_sums(values, each) for each in (clusters, renamed)]
    assert np.ravel(t_limits(totals[0])) == pytest.approx(np.ravel(t_limits(totals[1])))
    # Another naming draws other resamples: equal but for Monte-Carlo error.
    first, second = mean_estimates(values, clusters)[0], mean_estimates(values, renamed)[0]
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=0.02)


def test_clusters_of_one_mean_have_no_interval() -> None:
    clusters = clusters_of_sizes(*[3] * 20)
    spread = dice_like(clusters)[:, 0]
    flat, rounding, normal = mean_estimates(
        np.column_stack([np.full(60, 0.3), np.tile([0.1, 0.2, 0.3], 20), spread]), clusters
    )
    for estimate in (flat, rounding):
        assert (estimate.kind, estimate.words) == ("none", "all clusters have the same mean: no interval")
        assert math.isnan(estimate.low)
    assert normal.kind is IntervalKind.BOOTSTRAP


def test_an_interval_past_the_range_is_cut_and_says_so() -> None:
    clusters = clusters_of_sizes(*[1] * 6)
    values = [1.0, 1.0, 1.0, 0.99, 1.0, 0.5]
    cut, whole = mean_estimates(values, clusters)[0], mean_estimates(values, clusters, limits=None)[0]
    assert whole.high > 1
    assert cut.high == 1
    assert cut.low == whole.low
    assert cut.words == "interval cut at the quantity's range 0 to 1"
    assert whole.words == ""


def test_values_outside_the_declared_range_are_refused() -> None:
    with pytest.raises(DataError, match=r"E_STAT_RANGE.*1 of 2 frames"):
        mean_estimates([0.5, 3.0], frames_as_clusters(2))
    assert mean_estimates([0.5, 3.0], frames_as_clusters(2), limits=None)[0].value == pytest.approx(1.75)


def test_rounding_past_the_range_is_neither_refused_nor_spoken_of() -> None:
    values = np.r_[np.full(6, 1 + 2e-16), np.linspace(0.9, 1, 6)]
    estimate = mean_estimates(values, frames_as_clusters(12))[0]
    assert estimate.value == pytest.approx(values.mean())


def test_dominating_clusters_are_named() -> None:
    clusters = clusters_of_sizes(200, *[2] * 11)
    assert mean_estimates(dice_like(clusters), clusters)[0].words.startswith(
        "one or two large clusters dominate: 12 weigh as 1.2 equal ones"
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
