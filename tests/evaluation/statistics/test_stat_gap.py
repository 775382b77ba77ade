"""Gap closed: Fieller's interval, and when the gap is too uncertain to divide by."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from polypda.evaluation.statistics.clusters import Clusters, clusters_from_labels, frames_as_clusters
from polypda.evaluation.statistics.comparison import gap_closed


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
    [
        (0.3, 4, "fewer than 5 clusters"),
        (0.0, 20, "includes 0"),
        (-0.3, 20, "the oracle is worse than source-only"),
    ],
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
