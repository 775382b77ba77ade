"""Statistics of frame-weighted means whose frames come in clusters; pure functions of arrays."""

from polypda.evaluation.statistics.clusters import (
    Clusters,
    cluster_means,
    clusters_from_labels,
    clusters_of,
    frames_as_clusters,
)
from polypda.evaluation.statistics.comparison import (
    Comparison,
    GapClosed,
    SeedSpread,
    gap_closed,
    paired_comparisons,
    seed_spread,
)
from polypda.evaluation.statistics.intervals import Estimate, IntervalKind, cluster_t_estimates, mean_estimates
from polypda.evaluation.statistics.permutation import SignFlipTest, holm, sign_flip_p_value, sign_flip_tests

__all__ = [
    "Clusters",
    "Comparison",
    "Estimate",
    "GapClosed",
    "IntervalKind",
    "SeedSpread",
    "SignFlipTest",
    "cluster_means",
    "cluster_t_estimates",
    "clusters_from_labels",
    "clusters_of",
    "frames_as_clusters",
    "gap_closed",
    "holm",
    "mean_estimates",
    "paired_comparisons",
    "seed_spread",
    "sign_flip_p_value",
    "sign_flip_tests",
]
