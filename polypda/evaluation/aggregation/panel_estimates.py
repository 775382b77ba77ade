"""Means of panels with their intervals; models of one cohort share its clusters and its resamples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from polypda.evaluation.aggregation.aggregates import FloatArray
from polypda.evaluation.aggregation.centre_blocks import dice_frames
from polypda.evaluation.aggregation.panels import Panel
from polypda.evaluation.statistics import Clusters, Estimate, cluster_means, clusters_of, mean_estimates

PerFrame = tuple[NDArray[np.intp], FloatArray]
"""Rows of a panel's frames (repeated where a frame counts several times) and a value for each, in [0, 1]."""
Choice = Callable[[Panel], PerFrame]


def dice_values(panel: Panel) -> PerFrame:
    """Dice of the frames that enter it, averaged over the trainings."""
    rows = np.flatnonzero(dice_frames(panel))
    return rows, panel.mean_values("dice")[rows]


def clean_values(panel: Panel) -> PerFrame:
    """Share of trainings that left a frame without a polyp clean (no component marked)."""
    rows = np.flatnonzero(panel.mask("negative"))
    return rows, (panel.values("fp_components")[:, rows] == 0).mean(axis=0)


def hit_values(panel: Panel) -> PerFrame:
    """Per reference lesion the share of trainings (and of its frame's lesions) that were hit at IoU ≥ 0.1.

    A frame with two lesions counts twice, so that the mean is the lesion sensitivity.
    """
    lesions = np.where(panel.mask("positive"), panel.frames["lesions_reference"].to_numpy(dtype=np.int64), 0)
    rows = np.repeat(np.arange(len(lesions)), lesions)
    return rows, panel.mean_values("lesions_hit_10")[rows] / lesions[rows]


def estimates(panels: Sequence[Panel], choice: Choice) -> list[Estimate]:
    """One estimate per panel of the mean of the chosen values.

    Panels of one cohort and split must hold the same frames
    (:func:`polypda.evaluation.cases.joined_cases.check_comparable`).
    """
    found: list[Estimate | None] = [None] * len(panels)
    for places in _by_cohort(panels):
        chosen = [choice(panels[place]) for place in places]
        clusters = panel_clusters(panels[places[0]], chosen[0][0])
        values = np.stack([per_frame for _, per_frame in chosen], axis=1)
        for place, estimate in zip(places, mean_estimates(values, clusters), strict=True):
            found[place] = estimate
    return [estimate for estimate in found if estimate is not None]


def panel_clusters(panel: Panel, rows: NDArray[np.intp]) -> Clusters:
    """Clusters of some rows of a panel's frames."""
    return clusters_of(panel.frames.iloc[rows])


def cluster_means_text(values: FloatArray, clusters: Clusters, *, signed: bool = False) -> str:
    """The clusters' means in words, for where no interval can be given; no cluster is named."""
    if not clusters.known or not len(clusters):
        return ""
    pattern = "{:+.3f}" if signed else "{:.3f}"
    means = ", ".join(pattern.format(mean) for mean in cluster_means(values, clusters)[:, 0])
    return f"{clusters.unit if clusters.unit != 'mixed' else 'cluster'} means {means}".replace("-", "−")


def _by_cohort(panels: Sequence[Panel]) -> Iterable[list[int]]:
    places: dict[tuple[str, str], list[int]] = {}
    for place, panel in enumerate(panels):
        places.setdefault((panel.key.cohort, panel.key.split), []).append(place)
    return places.values()
