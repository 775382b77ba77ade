"""Paired comparison with the source-only model on the same frames."""

import math

import numpy as np
import pytest

from polypda.errors import DataError
from polypda.evaluation.statistics.clusters import clusters_from_labels, frames_as_clusters
from polypda.evaluation.statistics.comparison import paired_comparisons
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
