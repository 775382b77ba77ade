"""How well a simple classifier tells two cohorts' frames apart: 0.5 not at all, 1 without an error.

A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017) by its AUC: linear discriminant analysis with a shrunken
covariance (Friedman, *JASA* 84, 1989), trained on four fifths of the clusters and scored on the rest, so no frame is
judged by a classifier that has seen its patient or sequence. A linear classifier sees shifts of the means (of
logarithms, where features are skewed), not differences in spread alone; the energy distance sees both. No interval:
the folds' classifiers depend on one another's test frames, and with two equal cohorts of 15 and 20 clusters an interval
that ignores this left 0.5 outside in 15 of 100 simulations. The test is the energy distance's.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from polypda.evaluation.cohort_differences.clustered_auc import placements
from polypda.evaluation.statistics.clusters import Clusters, FloatArray

FOLDS = 5
REPEATS = 4
"""Deals of clusters into folds; the AUC is the mean over all folds."""
SHRINKAGE = 0.1
"""Share by which the covariance is drawn to its diagonal."""
FEWEST_CLUSTERS = FOLDS


def told_apart(x: FloatArray, of_x: Clusters, y: FloatArray, of_y: Clusters, *, seed: int = 0) -> float:
    """The cross-fitted AUC of x, float64 [N, F], over y, [M, F]; NaN with fewer than 5 clusters on a side."""
    if min(of_x.count, of_y.count) < FEWEST_CLUSTERS:
        return math.nan
    generator = np.random.default_rng(seed)
    areas = []
    for _ in range(REPEATS):
        fold_x, fold_y = dealt_folds(of_x, generator), dealt_folds(of_y, generator)
        for fold in range(FOLDS):
            out_x, out_y = fold_x == fold, fold_y == fold
            weights = _discriminant(x[~out_x], y[~out_y])
            # Within a fold only: scores of two classifiers are not on one scale
            areas.append(placements(x[out_x] @ weights, y[out_y] @ weights)[0].mean())
    return float(np.mean(areas))


def dealt_folds(clusters: Clusters, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """A fold 0 … 4 for each frame; clusters stay whole, every fold gets one at least, and frames are spread evenly."""
    order = generator.permutation(clusters.count)
    order = order[np.argsort(-clusters.sizes[order], kind="stable")]
    held, fold_of = np.zeros(FOLDS, dtype=np.int64), np.zeros(clusters.count, dtype=np.int64)
    for cluster in order:
        fold = int(np.argmin(held))
        fold_of[cluster] = fold
        held[fold] += clusters.sizes[cluster]
    return fold_of[clusters.codes]


def _discriminant(x: FloatArray, y: FloatArray) -> FloatArray:
    """Direction in which the means differ most, in units of the spread within; float64 [F]."""
    within = [one - one.mean(axis=0) for one in (x, y)]
    covariance = sum(one.T @ one / len(one) for one in within) / 2  # both cohorts weigh the same
    spread = np.diag(covariance).copy()
    shrunken = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(spread)
    # A feature without any spread within must not make the matrix singular
    shrunken[np.diag_indices_from(shrunken)] += 1e-6 * max(float(spread.mean()), 1e-12)
    return np.asarray(np.linalg.solve(shrunken, x.mean(axis=0) - y.mean(axis=0)))
