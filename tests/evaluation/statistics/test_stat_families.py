"""Holm's adjustment over the declared family, and the spread over seeds."""

import math

import numpy as np
import pytest

from polypda.errors import DataError
from polypda.evaluation.statistics.comparison import seed_spread
from polypda.evaluation.statistics.permutation import holm


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
