"""The cluster-t interval of a frame-weighted mean: the t interval for few clusters.

The mean is a ratio of cluster sums, so it is linearised: cluster c moves it by about (sum_c − mean · size_c)/n, its
residual (Cochran, *Sampling Techniques*, 3rd ed., section 6.3). Each residual is divided by 1 − size_c/n, as in the
delete-one-cluster jackknife (CR3; Bell and McCaffrey, *Survey Methodology* 28, 2002; MacKinnon, Nielsen and Webb,
*Journal of Econometrics* 232, 2023), since a large cluster pulls the mean towards itself and so hides its own
residual. Variance: (C − 1)/C times the sum of squares; quantiles: t with C − 1 degrees of freedom. With equally large
clusters this is the usual t interval of the cluster means, whose variance carries C/(C − 1).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from polypda.evaluation.statistics.clusters import ClusterSums, FloatArray

CONFIDENCE = 0.95
NO_SPREAD = 1e-12
"""Standard errors below this share of the largest cluster mean are rounding, not spread."""


def influences(totals: ClusterSums) -> FloatArray:
    """Each cluster's scaled residual, float64 [C, M]; their cross products are the covariances of the means.

    totals: C ≥ 2 clusters.
    """
    n, count = totals.sizes.sum(), len(totals.sizes)
    residuals = (totals.sums - totals.means * totals.sizes[:, None]) / n
    return residuals / (1 - totals.sizes / n)[:, None] * math.sqrt((count - 1) / count)


def standard_errors(totals: ClusterSums) -> FloatArray:
    """Standard errors of the frame-weighted means, float64 [M]; exactly 0 where all cluster means are equal."""
    errors = np.sqrt((influences(totals) ** 2).sum(axis=0))
    scale = np.abs(totals.sums / totals.sizes[:, None]).max(axis=0)
    return np.where(errors <= NO_SPREAD * scale, 0.0, errors)


def t_quantile(clusters: int, confidence: float = CONFIDENCE) -> float:
    """The factor of the standard error: two-sided t quantile with ``clusters`` − 1 degrees of freedom."""
    return float(stats.t.ppf((1 + confidence) / 2, clusters - 1))


def t_limits(totals: ClusterSums) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of the 95 % cluster-t intervals, each float64 [M]."""
    half = t_quantile(len(totals.sizes)) * standard_errors(totals)
    return totals.means - half, totals.means + half
