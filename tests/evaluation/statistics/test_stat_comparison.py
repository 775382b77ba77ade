"""Paired comparison with the source-only model on the same frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from polypda.errors import DataError
from polypda.evaluation.statistics.clusters import Clusters, clusters_from_labels, frames_as_clusters
from polypda.evaluation.statistics.comparison import gap_closed, paired_comparisons
from polypda.evaluation.statistics.intervals import mean_estimates
from polypda.evaluation.statistics.permutation import sign_flip_tests


def test_fractions_count_moves_over_five_hundredths_and_not_of_it() -> None:
    before = [0.50, 0.50, 0.50, 0.55, 0.90]
    after = [0.55, 0.56, 0.45, 0.49, 0.90]
    comparison = paired_comparisons(before, after, frames_as_clusters(5))[0]
    assert (comparison.share_better, comparison.share_worse, comparison.n) == (0.2, 0.2, 5)


def test_delta_and_p_value_are_those_of_the_differences() -> None:
    generator = np.random.default_rng(0)
    clusters = clusters_from_labels([f"{k:02d}" for k in np.repeat(np.arange(18), 4)])
    before, after = generator.random(72), generator.random((72, 3))
    for column, comparison in enumerate(paired_comparisons(before, after, clusters, seed=3)):
        differences = after[:, column] - before
        expected = mean_estimates(differences, clusters, seed=3, limits=None)[0]
        assert (comparison.delta.low, comparison.delta.high) == pytest.approx((expected.low, expected.high))
        assert comparison.delta.value == pytest.approx(differences.mean())
        assert comparison.p_value == sign_flip_tests(differences, clusters, seed=3)[0].p_value


def test_pairing_is_tighter_than_the_models_alone() -> None:
    generator = np.random.default_rng(1)
    clusters = clusters_from_labels([f"{k:02d}" for k in np.repeat(np.arange(20), 5)])
    before = np.clip(generator.beta(2, 2, 20)[clusters.codes], 0, 0.9)
    after = before + 0.05 + generator.normal(0, 0.01, 100)
    delta = paired_comparisons(before, after, clusters)[0].delta
    alone = mean_estimates(before, clusters)[0]
    assert delta.low > 0
    assert delta.high - delta.low < 0.2 * (alone.high - alone.low)


def test_a_method_that_changes_nothing_is_not_significant() -> None:
    clusters = clusters_from_labels([f"{k:02d}" for k in range(12)])
    same = np.linspace(0, 1, 12)
    comparison = paired_comparisons(same, same, clusters)[0]
    assert (comparison.delta.value, comparison.delta.kind, comparison.p_value) == (0, "none", 1)
    assert comparison.delta.words == "all clusters have the same mean: no interval"


def test_the_difference_is_never_cut() -> None:
    clusters = frames_as_clusters(6)
    comparison = paired_comparisons(np.zeros(6), [1.0, 1.0, 1.0, 1.0, 1.0, 0.2], clusters)[0]
    assert comparison.delta.high > 1
    assert "cut" not in comparison.delta.words


def test_no_frame_is_no_comparison() -> None:
    comparison = paired_comparisons([], np.empty((0, 2)), frames_as_clusters(0))[1]
    assert comparison.n == 0
    assert math.isnan(comparison.p_value)
    assert math.isnan(comparison.share_worse)
    assert comparison.delta.words == "no frame"


def test_models_scored_on_other_frames_are_refused() -> None:
    with pytest.raises(DataError, match="E_STAT_LENGTH"):
        paired_comparisons([0.1, 0.2], [0.1, 0.2, 0.3], frames_as_clusters(2))
    with pytest.raises(DataError, match=r"E_STAT_NOT_FINITE.*before"):
        paired_comparisons([0.1, math.nan], [0.1, 0.2], frames_as_clusters(2))


def sequences(*sizes: int) -> Clusters:
    return clusters_from_labels([f"{k:02d}" for k, size in enumerate(sizes) for _ in range(size)], "sequence")


def pair(clusters: Clusters, gap: float = 0.3, closed: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source-only, adapted, oracle per frame: the gap varies by cluster, the method closes about ``closed`` of it."""
    generator = np.random.default_rng(3)
    start = generator.uniform(0.2, 0.5, clusters.count)[clusters.codes]
    way = generator.normal(gap, 0.05, clusters.count)[clusters.codes]
    return start, start + closed * way + generator.normal(0, 0.02, len(clusters)), start + way


@pytest.mark.parametrize("count", [7, 25])
def test_half_the_gap(count: int) -> None:
    clusters = sequences(*[3] * count)
    start, adapted, oracle = pair(clusters)
    result = gap_closed(start, adapted, oracle, clusters)[0]
    assert result.estimable
    assert result.value == pytest.approx((adapted - start).mean() / (oracle - start).mean())
    assert result.low < 0.5 < result.high
    assert result.high - result.low < 0.2
    assert result.words == ""
    assert result.gap.value == pytest.approx((oracle - start).mean())


def test_the_ends_are_where_the_t_test_of_delta_less_r_gaps_turns() -> None:
    clusters = sequences(*[1] * 8)
    start, adapted, oracle = pair(clusters)
    result = gap_closed(start, adapted, oracle, clusters)[0]

    def p_less_5_percent(ratio: float) -> float:
        return float(stats.ttest_1samp((adapted - start) - ratio * (oracle - start), 0).pvalue) - 0.05

    low = optimize.brentq(p_less_5_percent, result.value - 0.5, result.value)
    high = optimize.brentq(p_less_5_percent, result.value, result.value + 0.5)
    assert (result.low, result.high) == pytest.approx((low, high))


def test_the_ratio_is_never_cut() -> None:
    clusters = sequences(*[2] * 12)
    harmed = gap_closed(*pair(clusters, closed=-0.4), clusters)[0]
    passed = gap_closed(*pair(clusters, closed=1.6), clusters)[0]
    assert harmed.value == pytest.approx(-0.4, abs=0.1)
    assert passed.value == pytest.approx(1.6, abs=0.1)
    assert passed.high > 1.6


def test_methods_do_not_disturb_one_another() -> None:
    clusters = sequences(2, 5, 3, 4, 2, 6, 3)
    start, adapted, oracle = pair(clusters)
    both = gap_closed(start, np.column_stack([start, adapted]), oracle, clusters)
    alone = gap_closed(start, adapted, oracle, clusters)[0]
    assert (both[1].low, both[1].high) == pytest.approx((alone.low, alone.high))
    assert both[0].value == both[0].low == both[0].high == 0


@pytest.mark.parametrize(
    ("gap", "count", "reason"),
    [(0.3, 4, "fewer than 5 clusters"), (0.0, 20, "includes 0"), (-0.3, 20, "the oracle is worse than source-only")],
)
def test_a_gap_that_may_be_nothing_is_not_divided_by(gap: float, count: int, reason: str) -> None:
    clusters = sequences(*[3] * count)
    result = gap_closed(*pair(clusters, gap=gap), clusters)[0]
    assert not result.estimable
    assert all(math.isnan(number) for number in (result.value, result.low, result.high))
    assert result.words.startswith("not estimable: ")
    assert reason in result.words


def test_an_oracle_equal_to_source_only_is_not_estimable() -> None:
    clusters = sequences(*[3] * 12)
    start, adapted, _ = pair(clusters)
    assert gap_closed(start, adapted, start, clusters)[0].words == (
        "not estimable: all clusters have the same mean: no interval"
    )


def test_no_frame_is_not_estimable() -> None:
    assert gap_closed([], [], [], frames_as_clusters(0))[0].words == "not estimable: no frame"


def test_unknown_clusters_are_said() -> None:
    clusters = frames_as_clusters(40)
    assert gap_closed(*pair(clusters), clusters)[0].words == "frames treated as independent: likely too narrow"
