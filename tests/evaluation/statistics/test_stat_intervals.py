"""The number of clusters decides the interval; means, cluster-t and its caveats against independent references."""

import math

import numpy as np
import pytest
from scipy import stats

from polypda.errors import DataError
from polypda.evaluation.statistics.clusters import (
    Clusters,
    cluster_sums,
    clusters_from_labels,
    frames_as_clusters,
    t_limits,
)
from polypda.evaluation.statistics.intervals import IntervalKind, mean_estimates


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
