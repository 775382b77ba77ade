"""The cluster sign-flip test by enumeration and against scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from polypda.errors import DataError, UsageError
from polypda.evaluation.statistics.clusters import clusters_from_labels, frames_as_clusters
from polypda.evaluation.statistics.comparison import seed_spread
from polypda.evaluation.statistics.permutation import holm, sign_flip_tests, smallest_p_value


def sign_flip_p_value(differences, clusters, **settings) -> float:
    return sign_flip_tests(np.asarray(differences), clusters, **settings)[0].p_value


def test_three_clusters_by_hand() -> None:
    """Sums 3, 2, −1 of 2, 1 and 1 frames: of the 4 means up to sign (4, 2, 0, 6 quarters) two are at least 1 away from
    0; squared standard errors of these are (1 + 1 + 4)/16 and (0 + 1/4 + 1/4)/16, so the order is theirs."""
    clusters = clusters_from_labels(["a", "a", "b", "c"])
    test = sign_flip_tests([1.0, 2.0, 2.0, -1.0], clusters)[0]
    assert (test.p_value, smallest_p_value(3), test.exact) == (0.5, 0.25, True)
    assert test.words == "3 clusters: no p below 0.25 is possible"


def test_exact_p_equals_enumeration_over_all_patterns() -> None:
    generator = np.random.default_rng(2)
    clusters = clusters_from_labels([f"{k}" for k in np.repeat(np.arange(8), [1, 5, 2, 2, 3, 9, 1, 4])])
    differences = generator.normal(0.02, 0.3, 27)
    sums, sizes = np.bincount(clusters.codes, weights=differences), np.bincount(clusters.codes)

    def statistic(signs: tuple[int, ...]) -> float:
        mean = np.dot(signs, sums) / 27
        return abs(mean) / math.sqrt(
            sum(
                (sign * total / 27 - mean * size / 27) ** 2
                for sign, total, size in zip(signs, sums, sizes, strict=True)
            )
        )

    values = np.array([statistic(signs) for signs in itertools.product([1, -1], repeat=8)])
    assert sign_flip_p_value(differences, clusters) == np.mean(values >= statistic((1,) * 8) - 1e-9)
    plain = np.array([abs(np.dot(signs, sums)) for signs in itertools.product([1, -1], repeat=8)])
    assert sign_flip_p_value(differences, clusters) != np.mean(plain >= abs(sums.sum()) - 1e-9)


def test_clusters_of_one_size_are_tested_by_their_mean_alone() -> None:
    generator = np.random.default_rng(3)
    clusters = clusters_from_labels([f"{k}" for k in np.repeat(np.arange(9), 4)])
    differences = generator.normal(0.05, 0.2, 36)
    sums = np.bincount(clusters.codes, weights=differences)
    totals = np.array([abs(np.dot(signs, sums)) for signs in itertools.product([1, -1], repeat=9)])
    assert sign_flip_p_value(differences, clusters) == np.mean(totals >= abs(sums.sum()) - 1e-9)


def test_large_clusters_that_gain_more_raise_fewer_false_alarms_than_their_mean_would() -> None:
    """Size and effect go together, the frame-weighted mean effect is 0."""
    studentised, plain = [], []
    for drawing in range(150):
        generator = np.random.default_rng(drawing)
        sizes = np.maximum(1, np.round(20 * np.exp(generator.normal(0, 1, 12)))).astype(int)
        effects = np.log(sizes / 20)[:, None] - 1 + generator.normal(0, 0.5, (12, 4))
        clusters = clusters_from_labels([f"{k:02d}" for k in np.repeat(np.arange(12), sizes)])
        values = np.repeat(effects, sizes, axis=0)
        studentised += [test.p_value <= 0.05 for test in sign_flip_tests(values, clusters)]
        signs = np.array(list(itertools.product([1, -1], repeat=12)))
        totals = np.abs(signs @ (effects * sizes[:, None]))
        plain += list((totals >= totals[0] - 1e-9).mean(axis=0) <= 0.05)
    assert np.mean(plain) > 0.3 and np.mean(studentised) < 0.85 * np.mean(plain)


def test_ties_are_not_decided_by_rounding() -> None:
    """0.1 + 0.2 − 0.3 is not exactly 0 in binary fractions."""
    assert sign_flip_p_value([0.1, 0.2, -0.3], frames_as_clusters(3)) == 1
    assert sign_flip_p_value([0.1] * 6, frames_as_clusters(6)) == 2 / 64


def test_single_frames_agree_with_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.1, 0.3, 13)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip_p_value(differences, frames_as_clusters(13)) == pytest.approx(expected.pvalue)


def test_drawn_patterns_approach_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(0).normal(0.1, 0.3, 13)
    clusters = frames_as_clusters(13)
    exact = sign_flip_tests(differences, clusters)[0]
    monkeypatch.setattr("polypda.evaluation.statistics.permutation.EXACT_UP_TO", 12)
    drawn = sign_flip_tests(differences, clusters, flips=20_000)[0]
    assert exact.exact
    assert not drawn.exact
    assert drawn.p_value == pytest.approx(exact.p_value, abs=4 * math.sqrt(0.25 / 20_000))


def test_a_drawn_p_is_never_zero() -> None:
    test = sign_flip_tests(np.ones(40), frames_as_clusters(40), flips=1000)[0]
    assert test.p_value == smallest_p_value(40, flips=1000) == pytest.approx(1 / 1001)


def test_patterns_are_shared_and_reproducible() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.3, (60, 3))
    clusters = clusters_from_labels([f"{k:02d}" for k in np.repeat(np.arange(20), 3)])
    together = [test.p_value for test in sign_flip_tests(differences, clusters, seed=1)]
    assert together == [sign_flip_p_value(differences[:, k], clusters, seed=1) for k in range(3)]
    assert together != [test.p_value for test in sign_flip_tests(differences, clusters, seed=2)]


def test_flipping_whole_clusters_is_stricter_than_flipping_frames() -> None:
    differences = np.repeat(np.array([0.3, 0.1, 0.2, -0.1, 0.2, 0.1]), 30)
    clusters = clusters_from_labels([f"{k}" for k in np.repeat(np.arange(6), 30)])
    by_frame = sign_flip_tests(differences, frames_as_clusters(180))[0]
    assert sign_flip_p_value(differences, clusters) == 8 / 64  # none or one of the 0.1s flipped, and mirrored
    assert by_frame.p_value < 0.001
    assert by_frame.words == "frames flipped as if independent: p likely too small"


@pytest.mark.parametrize(("count", "said"), [(1, True), (5, True), (6, False)])
def test_too_few_clusters_for_significance_are_named(count: int, said: bool) -> None:
    test = sign_flip_tests(np.ones(count), clusters_from_labels([str(k) for k in range(count)]))[0]
    assert test.p_value == smallest_p_value(count) == 2.0 ** (1 - count)
    assert ("is possible" in test.words) is said


def test_no_difference_and_no_frame() -> None:
    assert sign_flip_p_value(np.zeros(30), frames_as_clusters(30)) == 1
    assert math.isnan(sign_flip_p_value([], frames_as_clusters(0)))


def test_too_few_patterns_are_refused() -> None:
    with pytest.raises(UsageError, match="E_STAT_FLIPS"):
        sign_flip_p_value(np.ones(30), frames_as_clusters(30), flips=10)


def test_holm_by_hand_in_the_order_given() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


def test_holm_rejects_as_the_step_down_rule_does() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        family = generator.random(7) ** 3
        rejected = np.zeros(7, dtype=bool)
        for step, index in enumerate(np.argsort(family)):
            if family[index] > 0.05 / (7 - step):
                break
            rejected[index] = True
        np.testing.assert_array_equal(holm(family) <= 0.05, rejected)


def test_a_declared_comparison_without_p_stays_counted() -> None:
    np.testing.assert_allclose(holm([0.01, math.nan, 0.03]), [0.03, math.nan, 0.06])


def test_holm_never_exceeds_one_and_takes_an_empty_family() -> None:
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@pytest.mark.parametrize("family", [[1.2], [-0.1], [[0.1]], 0.3])
def test_values_that_are_no_p_are_refused(family: object) -> None:
    with pytest.raises(DataError, match="E_STAT_P_VALUE"):
        holm(family)  # type: ignore[arg-type]


def test_seed_spread_is_the_sample_sd() -> None:
    spread = seed_spread([0.40, 0.44, 0.48])
    assert (spread.mean, spread.sd, spread.n) == (pytest.approx(0.44), pytest.approx(0.04), 3)
    assert spread.words == "SD over 3 trainings (seeds)"


def test_one_seed_says_that_training_variability_is_unknown() -> None:
    spread = seed_spread([0.4])
    assert (spread.mean, spread.n, spread.words) == (0.4, 1, "training variability not assessed")
    assert math.isnan(spread.sd)


def test_no_training() -> None:
    spread = seed_spread([])
    assert math.isnan(spread.mean)
    assert spread.n == 0


def test_a_training_without_a_value_is_not_left_out_in_silence() -> None:
    with pytest.raises(DataError, match=r"E_STAT_NOT_FINITE.*1 of 2"):
        seed_spread([0.4, math.nan])
    with pytest.raises(DataError, match="E_STAT_LENGTH"):
        seed_spread([[0.4]])
