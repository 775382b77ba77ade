"""What is resampled: frames of one patient (or one sequence) stay together, because they resemble one another.

And the cluster-t interval of a frame-weighted mean. The mean is a ratio of cluster sums, so it is linearised: cluster c
moves it by its residual, about (sum_c − mean · size_c)/n (Cochran, *Sampling Techniques*, 3rd ed., section 6.3). Each
residual is divided by 1 − size_c/n, as in the delete-one-cluster jackknife (CR3; Bell and McCaffrey, *Survey
Methodology* 28, 2002; MacKinnon, Nielsen and Webb, *Journal of Econometrics* 232, 2023), since a large cluster pulls
the mean towards itself. The variance is (C − 1)/C times their sum of squares, and t has (effective clusters − 1)
degrees of freedom, at least 1, with effective clusters = n² / Σ size² (Kish). With equally large clusters this is the
usual t interval of the cluster means.

Coverage of 95 % intervals at 5–9 clusters in percent, 20,000 simulated data sets each (Dice-like values of mean 0.6 or
0.75, intra-cluster correlation 0.65–0.8; sizes equal to log-normal with σ = 1): 92.9–95.6; with C − 1 degrees of
freedom 89.0–94.6, and without the division by 1 − size_c/n 83.7–94.6. Skewed values, most near 1, some near 0: 88–92.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from polypda.errors import DataError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PATIENT, SEQUENCE, MIXED, UNKNOWN = "patient", "sequence", "mixed", "unknown"
UNITS = (PATIENT, SEQUENCE, MIXED, UNKNOWN)


@dataclass(frozen=True, eq=False)
class Clusters:
    """To which cluster each of N frames belongs.

    codes: int64 [N], each in 0 … count − 1, every code used. unit: one of UNITS; "mixed": patients where known, else
    sequences. known: if not, every frame stands alone and results must say so. names: by code; () where unknown.

    Raises: DataError E_STAT_CLUSTERS when the fields contradict one another.
    """

    codes: IntArray
    count: int
    unit: str
    known: bool
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.codes.ndim != 1 or self.codes.dtype.kind not in "iu":
            raise _bad_clusters(
                f"codes must be whole numbers in one dimension, not {self.codes.dtype} {self.codes.shape}"
            )
        if not np.array_equal(np.unique(self.codes), np.arange(self.count)):
            raise _bad_clusters(f"codes must use each of 0 … {self.count - 1}")
        if self.unit not in UNITS or self.known == (self.unit == UNKNOWN):
            raise _bad_clusters(f"unit '{self.unit}' does not go with known={self.known}")
        if self.names and len(self.names) != self.count:
            raise _bad_clusters(f"{len(self.names)} names for {self.count} clusters")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.codes)

    @property
    def sizes(self) -> IntArray:
        """Frames per cluster, int64 [count]."""
        return np.bincount(self.codes, minlength=self.count).astype(np.int64)

    @property
    def effective_count(self) -> float:
        """How many equally large clusters would weigh as much (see :func:`effective_count`)."""
        return effective_count(self.sizes)

    def subset(self, rows: npt.NDArray[np.bool_] | IntArray) -> Clusters:
        """The clusters of some of the frames (``rows``: mask or positions); clusters without a frame drop out."""
        used, codes = np.unique(self.codes[rows], return_inverse=True)
        names = tuple(self.names[code] for code in used) if self.names else ()
        return Clusters(codes.astype(np.int64), len(used), self.unit, self.known, names)


def effective_count(sizes: npt.NDArray[np.float64] | IntArray) -> float:
    """Kish's effective number of clusters, (Σ size)² / Σ size², from frames per cluster; 0 without frames."""
    squares = float((sizes.astype(np.float64) ** 2).sum())
    return float(sizes.sum()) ** 2 / squares if squares else 0.0


def frames_as_clusters(n: int) -> Clusters:
    """Every one of ``n`` frames as a cluster of its own, unknown."""
    return Clusters(np.arange(n, dtype=np.int64), n, UNKNOWN, known=False)


def clusters_from_labels(labels: Sequence[str] | npt.NDArray[np.str_], unit: str = PATIENT) -> Clusters:
    """Clusters of frames by a label per frame; one empty label makes all of them unknown.

    Codes follow the sorted labels, so that the order of the frames does not change any result.
    """
    names = np.asarray(labels, dtype=str)
    if names.size == 0 or (names == "").any():
        return frames_as_clusters(names.size)
    used, codes = np.unique(names, return_inverse=True)
    return Clusters(codes.astype(np.int64), len(used), unit, known=True, names=tuple(str(name) for name in used))


def clusters_of(cases: pd.DataFrame) -> Clusters:
    """Clusters of a table with one row per frame, from its columns cohort, patient and cluster.

    A frame whose cluster is "" makes all unknown: an interval over some of the frames would rest on a silently smaller
    n. Equal names in two cohorts, or of a patient and a sequence, are different clusters.

    Raises: DataError E_STAT_CLUSTERS when a column is missing.
    """
    missing = [name for name in ("cohort", "patient", "cluster") if name not in cases.columns]
    if missing:
        raise _bad_clusters(f"the cases lack the columns {', '.join(missing)}")
    cluster = cases["cluster"].astype(str).to_numpy(dtype=str)
    if cluster.size == 0 or (cluster == "").any():
        return frames_as_clusters(cluster.size)
    patient = (cases["patient"].astype(str) != "").to_numpy(dtype=bool)
    unit = PATIENT if patient.all() else MIXED if patient.any() else SEQUENCE
    cohort = cases["cohort"].astype(str).to_numpy(dtype=str)
    keys = list(zip(cohort, np.where(patient, PATIENT, SEQUENCE), cluster, strict=True))
    used = sorted(set(keys))
    index = {key: code for code, key in enumerate(used)}
    codes = np.array([index[key] for key in keys], dtype=np.int64)
    several = len(set(cohort)) > 1
    names = tuple(f"{key[0]}/{key[2]}" if several else str(key[2]) for key in used)
    return Clusters(codes, len(used), unit, known=True, names=names)


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """All that a frame-weighted mean needs: sums, float64 [C, M], over each cluster's frames; sizes, float64 [C]."""

    sums: FloatArray
    sizes: FloatArray

    @property
    def means(self) -> FloatArray:
        """Frame-weighted means, float64 [M]; NaN without frames."""
        n = self.sizes.sum()
        return self.sums.sum(axis=0) / n if n else np.full(self.sums.shape[1], np.nan)


def cluster_sums(values: FloatArray, clusters: Clusters) -> ClusterSums:
    """Sums per cluster of checked values [N, M]."""
    sums = np.zeros((clusters.count, values.shape[1]))
    for index, column in enumerate(values.T):
        sums[:, index] = np.bincount(clusters.codes, weights=column, minlength=clusters.count)
    return ClusterSums(sums, clusters.sizes.astype(np.float64))


def cluster_means(values: npt.ArrayLike, clusters: Clusters) -> FloatArray:
    """Mean of each cluster, float64 [C, M] from values [N] or [N, M]: what is shown where no interval can be given.

    Raises: DataError of :func:`checked_values`.
    """
    totals = cluster_sums(checked_values(values, clusters), clusters)
    return totals.sums / totals.sizes[:, None]


def checked_values(values: npt.ArrayLike, clusters: Clusters, name: str = "values") -> FloatArray:
    """The values as float64 [N, M] ([N] becomes [N, 1]).

    Raises: DataError E_STAT_LENGTH (not one row per frame), E_STAT_NOT_FINITE (NaN or infinite values).
    """
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != len(clusters):
        raise DataError(
            "E_STAT_LENGTH",
            f"{name} have shape {np.shape(values)} but there are {len(clusters)} frames.",
            where="statistics",
            fix="give one row per frame, in the order of the clusters.",
        )
    bad = int((~np.isfinite(table)).any(axis=1).sum())
    if bad:
        raise DataError(
            "E_STAT_NOT_FINITE",
            f"{name} of {bad} of {len(table)} frames are not finite numbers.",
            where="statistics",
            fix="choose the frames where the metric is defined first (Dice: frames with a polyp), and state their n.",
        )
    return table


def _bad_clusters(what: str) -> DataError:
    return DataError(
        "E_STAT_CLUSTERS", f"{what}.", where="statistics", fix="build clusters by clusters_of(cases) or from labels."
    )


CONFIDENCE = 0.95
NO_SPREAD = 1e-12
"""Standard errors below this fraction of the largest cluster mean are rounding, not spread."""


def residuals(totals: ClusterSums) -> FloatArray:
    """By how much each cluster moves the means, float64 [C, M]; they add up to 0 over clusters."""
    return (totals.sums - totals.means * totals.sizes[:, None]) / totals.sizes.sum()


def influences(totals: ClusterSums) -> FloatArray:
    """Each cluster's scaled residual, float64 [C, M]; sums of their products are (co)variances of the means.

    totals: C ≥ 2 clusters.
    """
    count = len(totals.sizes)
    leverage = totals.sizes / totals.sizes.sum()
    return residuals(totals) / (1 - leverage)[:, None] * math.sqrt((count - 1) / count)


def standard_errors(totals: ClusterSums) -> FloatArray:
    """Standard errors of the frame-weighted means, float64 [M]; exactly 0 where all cluster means are equal."""
    errors = np.sqrt((influences(totals) ** 2).sum(axis=0))
    scale = np.abs(totals.sums / totals.sizes[:, None]).max(axis=0)
    return np.where(errors <= NO_SPREAD * scale, 0.0, errors)


def t_quantile(totals: ClusterSums, confidence: float = CONFIDENCE) -> float:
    """The two-sided factor of the standard error, from the effective number of clusters."""
    return float(stats.t.ppf((1 + confidence) / 2, max(effective_count(totals.sizes) - 1, 1.0)))


def t_limits(totals: ClusterSums) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of the 95 % cluster-t intervals, each float64 [M]."""
    half = t_quantile(totals) * standard_errors(totals)
    return totals.means - half, totals.means + half
