"""Paired comparison of models on the same frames: every model sees the same resampled clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypda.evaluation.statistics.bootstrap import RESAMPLES
from polypda.evaluation.statistics.clusters import Clusters, FloatArray, checked_values, cluster_sums
from polypda.evaluation.statistics.intervals import Estimate, estimates_from_sums
from polypda.evaluation.statistics.permutation import FLIPS, sign_flip_tests

CHANGED_BY = 0.05
"""A frame counts as better or worse when its value moves by more than this."""
ROUNDING = 1e-9
"""0.55 − 0.50 is no move by more than 0.05, whatever binary fractions make of it."""


@dataclass(frozen=True)
class Comparison:
    """One model against the one before, over n frames.

    delta: mean of after − before; its interval is never cut. p_value: cluster sign-flip test, two-sided; NaN without
    frames. share_better, share_worse: share of frames that moved by more than 0.05; NaN without frames.
    p_words: what must stand beside the p value; "" where nothing must.
    """

    delta: Estimate
    p_value: float
    share_better: float
    share_worse: float
    n: int
    p_words: str


def paired_comparisons(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    clusters: Clusters,
    *,
    resamples: int = RESAMPLES,
    flips: int = FLIPS,
    seed: int = 0,
) -> list[Comparison]:
    """Compare M models with the one before.

    before: [N]; after: [N] or [N, M]; finite, the same frames in the same order.

    Raises: DataError E_STAT_LENGTH, E_STAT_NOT_FINITE; UsageError E_STAT_RESAMPLES, E_STAT_FLIPS.
    """
    differences = paired_differences(before, after, clusters)
    deltas = estimates_from_sums(cluster_sums(differences, clusters), clusters, resamples=resamples, seed=seed)
    tests = sign_flip_tests(differences, clusters, flips=flips, seed=seed)
    better = _share(differences > CHANGED_BY + ROUNDING)
    worse = _share(differences < -CHANGED_BY - ROUNDING)
    return [
        Comparison(delta, test.p_value, float(more), float(less), len(clusters), test.words)
        for delta, test, more, less in zip(deltas, tests, better, worse, strict=True)
    ]


def paired_differences(before: npt.ArrayLike, after: npt.ArrayLike, clusters: Clusters) -> FloatArray:
    """after − before per frame, float64 [N, M]. Raises: DataError of ``checked_values``."""
    start = checked_values(before, clusters, "values before")
    return checked_values(after, clusters, "values after") - start


def _share(moved: npt.NDArray[np.bool_]) -> FloatArray:
    return moved.mean(axis=0) if len(moved) else np.full(moved.shape[1], math.nan)
