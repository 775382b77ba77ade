"""Agreement of reviewers beyond chance: Gwet's AC1 and kappa, with intervals over clusters.

AC1 (Gwet, *Br J Math Stat Psychol* 61, 2008) takes chance agreement from cases that are hard to rate; kappa (Cohen 1960
of two reviewers, Fleiss 1971 of more) from how often each answer was given, and falls to 0 where nearly all answers are
the same, however well reviewers agree. Both are given, and neither alone.

Intervals: the clusters are left out one at a time (jackknife), Student's t with C − 1 degrees of freedom; none from
fewer than five clusters. Ends are cut at −1 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from polypda.errors import DataError

FEWEST_CLUSTERS = 5
CONFIDENCE = 0.95
UNRATED = -1


@dataclass(frozen=True)
class Agreement:
    """A coefficient with its 95 % interval, NaN where it cannot be known. cases: that two or more reviewers rated.

    words: why there is no interval, or no value; "" where there are both.
    """

    name: str
    value: float
    low: float
    high: float
    cases: int
    words: str = ""


def agreements(ratings: NDArray[np.integer], categories: int, clusters: Sequence[str]) -> list[Agreement]:
    """Share of agreement, AC1 and kappa.

    Args: ratings: N×R, category of each case by each reviewer, 0 … categories − 1, or −1 where it was not rated.
    categories: how many answers there are to choose from. clusters: of each case.

    Raises: DataError E_AGREEMENT_RATINGS.
    """
    table = np.asarray(ratings)
    if table.ndim != 2 or len(clusters) != len(table) or categories < 2 or table.max(initial=0) >= categories:
        raise DataError("E_AGREEMENT_RATINGS", "ratings, categories and clusters do not fit together.")
    rated = (table != UNRATED).sum(axis=1) >= 2
    table, named = table[rated], np.asarray(clusters)[rated]
    kappa = "Cohen's kappa" if table.shape[1] == 2 else "Fleiss' kappa"
    measures: list[tuple[str, Callable[[NDArray[np.integer], int], float]]] = [
        ("agreement", observed_agreement),
        ("Gwet's AC1", gwet_ac1),
        (kappa, cohen_kappa if table.shape[1] == 2 else fleiss_kappa),
    ]
    return [_with_interval(name, measure, table, categories, named) for name, measure in measures]


def observed_agreement(ratings: NDArray[np.integer], categories: int) -> float:
    """Share of pairs of reviewers that agree, mean over cases with two or more ratings; NaN without such cases."""
    counts = _counts(ratings, categories)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return math.nan
    raters = counts.sum(axis=1)
    return float(np.mean((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))))


def gwet_ac1(ratings: NDArray[np.integer], categories: int) -> float:
    """Gwet's AC1, any number of reviewers, cases left out allowed."""
    shares = _fractions(ratings, categories)
    return _beyond(observed_agreement(ratings, categories), float((shares * (1 - shares)).sum() / (categories - 1)))


def fleiss_kappa(ratings: NDArray[np.integer], categories: int) -> float:
    """Fleiss' kappa, any number of reviewers."""
    shares = _fractions(ratings, categories)
    return _beyond(observed_agreement(ratings, categories), float((shares**2).sum()))


def cohen_kappa(ratings: NDArray[np.integer], categories: int) -> float:
    """Cohen's kappa of two reviewers, over the cases that both rated."""
    both = ratings[(ratings != UNRATED).all(axis=1)]
    if not len(both):
        return math.nan
    margins = [np.bincount(both[:, reviewer], minlength=categories) / len(both) for reviewer in (0, 1)]
    return _beyond(float(np.mean(both[:, 0] == both[:, 1])), float((margins[0] * margins[1]).sum()))


def _beyond(observed: float, chance: float) -> float:
    return (observed - chance) / (1 - chance) if chance < 1 else math.nan


def _counts(ratings: NDArray[np.integer], categories: int) -> NDArray[np.int64]:
    return np.stack([(ratings == category).sum(axis=1) for category in range(categories)], axis=1)


def _fractions(ratings: NDArray[np.integer], categories: int) -> NDArray[np.float64]:
    """How often each answer was given, every case counted once."""
    counts = _counts(ratings, categories)
    counts = counts[counts.sum(axis=1) > 0]
    return (counts / counts.sum(axis=1, keepdims=True)).mean(axis=0) if len(counts) else np.full(categories, math.nan)


def _with_interval(
    name: str,
    measure: Callable[[NDArray[np.integer], int], float],
    table: NDArray[np.integer],
    categories: int,
    clusters: NDArray[np.str_],
) -> Agreement:
    value, units = measure(table, categories), np.unique(clusters)
    count = len(units)
    if not len(table):
        return Agreement(name, math.nan, math.nan, math.nan, 0, "no case was rated by two reviewers")
    if math.isnan(value):
        return Agreement(name, value, math.nan, math.nan, len(table), "all answers are the same: not defined")
    if count < FEWEST_CLUSTERS:
        return Agreement(name, value, math.nan, math.nan, len(table), f"no interval from {count} clusters")
    without = np.array([measure(table[clusters != unit], categories) for unit in units])
    if np.isnan(without).any():
        return Agreement(name, value, math.nan, math.nan, len(table), "one cluster alone decides: no interval")
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * error
    return Agreement(name, value, max(-1.0, value - half), min(1.0, value + half), len(table))
