"""Agreement of reviewers: published figures, extremes, reviewers who left cases out, intervals over clusters."""

import math

import numpy as np
import pytest
from scipy import stats

from polypda.errors import DataError
from polypda.evaluation.statistics.agreement import UNRATED, agreements, cohen_kappa, fleiss_kappa, gwet_ac1


def table(counts: list[list[int]]) -> np.ndarray:
    """Ratings of two reviewers with a given table of counts."""
    return np.array([(i, j) for i, row in enumerate(counts) for j, count in enumerate(row) for _ in range(count)])


def test_a_published_table_where_kappa_fails_and_ac1_does_not() -> None:
    # the paradox of Feinstein and Cicchetti: 94.4 % agreement, kappa below 0
    ratings = table([[118, 5], [2, 0]])
    assert cohen_kappa(ratings, 2) == pytest.approx(-0.0234, abs=5e-5)
    assert gwet_ac1(ratings, 2) == pytest.approx(0.9408, abs=5e-5)


def test_fleiss_own_example() -> None:
    # Fleiss 1971: 10 subjects, 14 raters, 5 categories; kappa 0.210
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    ratings = np.array([np.repeat(np.arange(5), row) for row in counts])
    assert fleiss_kappa(ratings, 5) == pytest.approx(0.210, abs=5e-4)


def test_full_agreement_is_one_and_pure_chance_is_about_zero() -> None:
    same = np.repeat(np.arange(3), 20)[:, None].repeat(3, axis=1)
    for one in agreements(same, 3, [f"p{n}" for n in range(60)]):
        assert one.value == pytest.approx(1.0) and one.low == one.high == pytest.approx(1.0)
    drawn = np.random.default_rng(0).integers(0, 3, (4000, 2))
    for one in agreements(drawn, 3, [f"p{n}" for n in range(4000)])[1:]:
        assert abs(one.value) < 0.05 and one.low < 0 < one.high


def test_cases_of_one_reviewer_count_for_nothing_and_gaps_are_allowed() -> None:
    ratings = np.array([[0, 0, UNRATED], [1, UNRATED, UNRATED], [1, 1, 1], [0, 1, UNRATED], [2, UNRATED, 2]])
    found = agreements(ratings, 3, list("abcde"))
    assert [one.name for one in found] == ["agreement", "Gwet's AC1", "Fleiss' kappa"]
    assert all(one.cases == 4 for one in found) and found[0].value == pytest.approx(0.75)
    assert all(math.isnan(one.low) and "clusters" in one.words for one in found)


def test_intervals_are_over_clusters_and_wider_where_frames_repeat() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 2, 40)
    second = np.where(rng.random(40) < 0.8, first, 1 - first)
    ratings = np.stack([first, second], axis=1)
    alone = agreements(ratings, 2, [f"p{n}" for n in range(40)])[0]
    share = float(np.mean(first == second))
    half = stats.t.ppf(0.975, 39) * math.sqrt(share * (1 - share) / 39)
    assert (alone.low, alone.high) == pytest.approx((share - half, share + half), abs=1e-9)
    repeated = agreements(ratings.repeat(4, axis=0), 2, [f"p{n // 4}" for n in range(160)])[0]
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


def test_answers_that_are_all_the_same_leave_kappa_undefined() -> None:
    found = agreements(np.zeros((30, 2), int), 3, [f"p{n}" for n in range(30)])
    assert [one.value for one in found[:2]] == [1.0, 1.0] and math.isnan(found[2].value)
    assert "not defined" in found[2].words


def test_no_common_case_has_no_value() -> None:
    found = agreements(np.array([[0, UNRATED], [UNRATED, 1]]), 3, ["a", "b"])
    assert all(math.isnan(one.value) and one.cases == 0 for one in found)
    with pytest.raises(DataError, match="E_AGREEMENT_RATINGS"):
        agreements(np.array([[0, 5]]), 3, ["a"])
