"""What a panel scores, block by block: every aggregate once per training, as float64 [trainings].

Blocks: frames with a polyp, frames without, lesions. A cohort annotated with boxes has no pixel figure: there every
aggregate of pixels is NaN and its lesions speak.

Means of panels with their intervals; models of one cohort share its clusters and its resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from polypda.evaluation.aggregation import aggregates
from polypda.evaluation.aggregation.aggregates import FloatArray
from polypda.evaluation.aggregation.panels import Panel
from polypda.evaluation.cases.case_values import MASK
from polypda.evaluation.scoring.frame_metric import FRAME_METRICS
from polypda.evaluation.statistics import Clusters, Estimate, cluster_means, clusters_of, mean_estimates

Block = dict[str, FloatArray]


def dice_frames(panel: Panel) -> NDArray[np.bool_]:
    """Which frames enter Dice, bool [N]: those with a polyp that is annotated by a mask."""
    return panel.mask("positive") & (panel.frames["annotation"] == MASK).to_numpy()


def positive_block(panel: Panel) -> Block:
    """Aggregates over the frames that enter Dice; ``mae_frame`` is over all frames with a mask.

    Of an added metric, too, the mean over frames where it is defined; NaN where the cases do not hold it.
    """
    chosen = dice_frames(panel)

    def values(column: str) -> FloatArray:
        return panel.values(column)[:, chosen]

    dice, ppv, hd95 = values("dice"), values("ppv"), values("hd95_px")
    masked = (panel.frames["annotation"] == MASK).to_numpy()
    unknown = np.full(len(panel.trainings), math.nan)
    added = {
        metric.mean_name: aggregates.mean_of_defined(values(name)) if panel.holds(name) else unknown
        for name, metric in FRAME_METRICS.items()
    }
    return {
        "dice_frame": aggregates.mean_over_frames(dice),
        "iou_frame": aggregates.mean_over_frames(values("iou")),
        "sensitivity_frame": aggregates.mean_over_frames(values("sensitivity")),
        "ppv_frame": aggregates.mean_of_defined(ppv),
        "ppv_undefined": aggregates.undefined_count(ppv),
        "f2_frame": aggregates.mean_over_frames(values("f2")),
        "dice_sequence": _per_sequence(panel, dice, chosen),
        "dice_pixel": aggregates.dice_pixel(values("tp_px"), values("fp_px"), values("fn_px")),
        "dice_p10": aggregates.dice_p10(dice),
        "fail_rate": aggregates.fail_rate(dice),
        "zero_rate": aggregates.zero_rate(dice),
        "hd95_mean_px": aggregates.mean_of_defined(hd95),
        "hd95_median_px": aggregates.median_of_defined(hd95),
        "hd95_undefined": aggregates.undefined_count(hd95),
        "hd95_penalised": values("hd95_penalised").sum(axis=-1),
        "nsd_frame": aggregates.mean_of_defined(values("nsd")),
        "nsd_undefined": aggregates.undefined_count(values("nsd")),
        "mae_frame": aggregates.mean_of_defined(panel.values("mae")[:, masked]),
        "missed": panel.values("missed")[:, panel.mask("positive")].sum(axis=-1),
        **added,
    }


def negative_block(panel: Panel) -> Block:
    """Aggregates over the frames without a polyp."""
    chosen = panel.mask("negative")

    def values(column: str) -> FloatArray:
        return panel.values(column)[:, chosen]

    components = values("fp_components")
    return {
        "frame_specificity": aggregates.frame_specificity(components),
        "fp_components_per_frame": aggregates.mean_over_frames(components),
        "specks_per_frame": aggregates.mean_over_frames(values("specks")),
        "fp_area_fraction": aggregates.mean_over_frames(values("fp_area_fraction")),
        "share_fp_over_1pct": aggregates.mean_over_frames(values("false_positive_frame")),
    }


def lesion_block(panel: Panel) -> Block:
    """Lesions hit, wrongly marked and dropped over all frames but those whose reference lies outside the valid area."""
    chosen = panel.mask("positive") | panel.mask("negative")

    def values(column: str) -> FloatArray:
        return panel.values(column)[:, chosen]

    reference, predicted = values("lesions_reference"), values("lesions_predicted")
    block = {
        "lesions_predicted": predicted.sum(axis=-1),
        "lesion_specks_predicted": values("lesion_specks_predicted").sum(axis=-1),
    }
    for rule in ("10", "50"):
        hits = values(f"lesions_hit_{rule}")
        block |= {
            f"lesions_hit_{rule}": hits.sum(axis=-1),
            f"lesion_sensitivity_{rule}": aggregates.lesion_sensitivity(hits, reference),
            f"lesion_ppv_{rule}": aggregates.lesion_ppv(hits, predicted),
            f"lesion_fp_per_frame_{rule}": aggregates.lesion_fp_per_frame(hits, predicted),
        }
    return block


def _per_sequence(panel: Panel, dice: FloatArray, chosen: NDArray[np.bool_]) -> FloatArray:
    sequences = panel.frames["sequence"].to_numpy(dtype=str)[chosen]
    if not len(sequences) or (sequences == "").any():  # over some of the frames it would be another n
        return np.full(len(dice), math.nan)
    return aggregates.mean_over_sequences(dice, np.unique(sequences, return_inverse=True)[1])


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
    for indices in _by_cohort(panels):
        chosen = [choice(panels[index]) for index in indices]
        clusters = panel_clusters(panels[indices[0]], chosen[0][0])
        values = np.stack([per_frame for _, per_frame in chosen], axis=1)
        for index, estimate in zip(indices, mean_estimates(values, clusters), strict=True):
            found[index] = estimate
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
    indices: dict[tuple[str, str], list[int]] = {}
    for index, panel in enumerate(panels):
        indices.setdefault((panel.key.cohort, panel.key.split), []).append(index)
    return indices.values()
