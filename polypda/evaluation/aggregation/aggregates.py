"""The aggregates of `polypda-metrics v1`: what a panel scores, per training, and its means with their intervals.

Arrays are float64 [..., N] with frames last, usually [trainings, N]; an aggregate drops that axis. Means over nothing
are NaN. Frames with a polyp (positive) and frames without (negative) never meet in one mean. A cohort annotated with
boxes has no pixel figure: there every aggregate of pixels is NaN and its lesions speak.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from polypda.evaluation.aggregation.panels import FloatArray, Panel
from polypda.evaluation.cases.case_table import MASK
from polypda.evaluation.scoring.frame_metric import FRAME_METRICS
from polypda.evaluation.statistics.clusters import Clusters, cluster_means, clusters_of
from polypda.evaluation.statistics.intervals import Estimate, IntervalKind, mean_estimates

FAILED_BELOW_DICE = 0.5
SIZE_LIMITS = (0.01, 0.05, 0.15)
"""Relative polyp area, as a fraction of the field of view, at which a size stratum ends."""
SIZE_STRATA = ("<1 %", "1–5 %", "5–15 %", ">15 %")
NO_STRATUM = -1

Block = dict[str, FloatArray]
PerFrame = tuple[NDArray[np.intp], FloatArray]
"""Rows of a panel's frames (repeated where a frame counts several times) and a value for each, in [0, 1]."""
Choice = Callable[[Panel], PerFrame]


def mean_over_frames(values: npt.ArrayLike) -> FloatArray:
    """Mean over the last axis; NaN where it is empty."""
    numbers = np.asarray(values, dtype=np.float64)
    return numbers.mean(axis=-1) if numbers.shape[-1] else np.full(numbers.shape[:-1], math.nan)


def fail_rate(dice: FloatArray) -> FloatArray:
    """Fraction of positive frames with Dice < 0.5."""
    return mean_over_frames(np.asarray(dice) < FAILED_BELOW_DICE)


def lesion_fp_per_frame(hits: FloatArray, predicted: FloatArray) -> FloatArray:
    """Predicted lesions without a reference lesion of their own, per frame (frames with and without a polyp)."""
    return mean_over_frames(predicted - hits)


def size_stratum(relative_area: FloatArray) -> NDArray[np.int64]:
    """Index in SIZE_STRATA of each frame's relative polyp area, int64 [N]; NO_STRATUM without a polyp.

    A frame of exactly 1 % or 5 % belongs to the stratum that begins there, one of exactly 15 % to 5–15 %.
    """
    area = np.asarray(relative_area, dtype=np.float64)
    small, middle, large = SIZE_LIMITS
    strata = (area >= small).astype(np.int64) + (area >= middle) + (area > large)
    return np.where(area > 0, strata, NO_STRATUM)


def dice_frames(panel: Panel) -> NDArray[np.bool_]:
    """Which frames enter Dice, bool [N]: those with a polyp that is annotated by a mask."""
    return panel.mask("positive") & (panel.frames["annotation"] == MASK).to_numpy()


def positive_block(panel: Panel) -> Block:
    """Aggregates over the frames that enter Dice; ``mae_frame`` is over all frames with a mask.

    dice_sequence: mean of the sequences' means, so that a long video weighs no more than a short one. dice_pixel:
    2ΣTP / (2ΣTP + ΣFP + ΣFN), where large polyps outweigh small ones. dice_p10: the 10th percentile of Dice.
    """
    chosen = dice_frames(panel)
    dice, ppv, hd95, nsd = (panel.values(column)[:, chosen] for column in ("dice", "ppv", "hd95_px", "nsd"))
    tp, fp, fn = (panel.values(column)[:, chosen].sum(axis=-1) for column in ("tp_px", "fp_px", "fn_px"))
    masked = (panel.frames["annotation"] == MASK).to_numpy()
    return {
        "dice_frame": mean_over_frames(dice),
        "iou_frame": mean_over_frames(panel.values("iou")[:, chosen]),
        "sensitivity_frame": mean_over_frames(panel.values("sensitivity")[:, chosen]),
        "ppv_frame": _of_defined(np.nanmean, ppv),
        "ppv_undefined": _undefined(ppv),
        "f2_frame": mean_over_frames(panel.values("f2")[:, chosen]),
        "dice_sequence": _per_sequence(panel, dice, chosen),
        "dice_pixel": _ratio(2 * tp, 2 * tp + fp + fn),
        "dice_p10": np.percentile(dice, 10, axis=-1) if dice.shape[-1] else np.full(len(dice), math.nan),
        "fail_rate": fail_rate(dice),
        "zero_rate": mean_over_frames(dice == 0),
        "hd95_mean_px": _of_defined(np.nanmean, hd95),
        "hd95_median_px": _of_defined(np.nanmedian, hd95),
        "hd95_undefined": _undefined(hd95),
        "hd95_penalised": panel.values("hd95_penalised")[:, chosen].sum(axis=-1),
        "nsd_frame": _of_defined(np.nanmean, nsd),
        "nsd_undefined": _undefined(nsd),
        "mae_frame": _of_defined(np.nanmean, panel.values("mae")[:, masked]),
        "missed": panel.values("missed")[:, panel.mask("positive")].sum(axis=-1),
        **{metric.mean_name: _added(panel, name, chosen) for name, metric in FRAME_METRICS.items()},
    }


def _added(panel: Panel, metric: str, chosen: NDArray[np.bool_]) -> FloatArray:
    """The mean of an added metric over the frames where it is defined; NaN where the cases do not hold it."""
    if not panel.holds(metric):
        return np.full(len(panel.trainings), math.nan)
    return _of_defined(np.nanmean, panel.values(metric)[:, chosen])


def negative_block(panel: Panel) -> Block:
    """Aggregates over the frames without a polyp; frame_specificity: the fraction with no component but specks."""
    chosen = panel.mask("negative")
    components = panel.values("fp_components")[:, chosen]
    return {
        "frame_specificity": mean_over_frames(components == 0),
        "fp_components_per_frame": mean_over_frames(components),
        "specks_per_frame": mean_over_frames(panel.values("specks")[:, chosen]),
        "fp_area_fraction": mean_over_frames(panel.values("fp_area_fraction")[:, chosen]),
        "share_fp_over_1pct": mean_over_frames(panel.values("false_positive_frame")[:, chosen]),
    }


def lesion_block(panel: Panel) -> Block:
    """Lesions hit, wrongly predicted and dropped, over all frames whose reference is empty or in the valid area."""
    chosen = panel.mask("positive") | panel.mask("negative")
    reference, predicted = (panel.values(f"lesions_{which}")[:, chosen] for which in ("reference", "predicted"))
    block = {
        "lesions_predicted": predicted.sum(axis=-1),
        "lesion_specks_predicted": panel.values("lesion_specks_predicted")[:, chosen].sum(axis=-1),
    }
    for rule in ("10", "50"):
        hits = panel.values(f"lesions_hit_{rule}")[:, chosen]
        block |= {
            f"lesions_hit_{rule}": hits.sum(axis=-1),
            f"lesion_sensitivity_{rule}": _ratio(hits.sum(axis=-1), reference.sum(axis=-1)),
            f"lesion_ppv_{rule}": _ratio(hits.sum(axis=-1), predicted.sum(axis=-1)),
            f"lesion_fp_per_frame_{rule}": lesion_fp_per_frame(hits, predicted),
        }
    return block


def _per_sequence(panel: Panel, dice: FloatArray, chosen: NDArray[np.bool_]) -> FloatArray:
    frames = panel.frames.loc[chosen, ["patient", "sequence"]]
    if not len(frames) or (frames["sequence"] == "").any():  # over some of the frames it would be another n
        return np.full(len(dice), math.nan)
    codes = frames.groupby(["patient", "sequence"], sort=False).ngroup().to_numpy()  # names count within their patient
    sizes = np.bincount(codes)
    return np.stack([np.bincount(codes, weights=row) / sizes for row in dice]).mean(axis=-1)


def _undefined(values: FloatArray) -> FloatArray:
    return np.isnan(values).sum(axis=-1).astype(np.float64)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, math.nan), where=whole != 0)


def _of_defined(statistic: Callable[..., FloatArray], values: FloatArray) -> FloatArray:
    """A NaN-skipping statistic over the last axis, without NumPy's warning where everything is NaN."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(statistic(values, axis=-1))


def dice_values(panel: Panel) -> PerFrame:
    """Dice of the frames that enter it, averaged over the trainings."""
    rows = np.flatnonzero(dice_frames(panel))
    return rows, panel.mean_values("dice")[rows]


def clean_values(panel: Panel) -> PerFrame:
    """Fraction of trainings that left a frame without a polyp clean (no component predicted)."""
    rows = np.flatnonzero(panel.mask("negative"))
    return rows, (panel.values("fp_components")[:, rows] == 0).mean(axis=0)


def hit_values(panel: Panel) -> PerFrame:
    """Per reference lesion the fraction of trainings (and of its frame's lesions) that were hit at IoU ≥ 0.1.

    A frame with two lesions counts twice, so that the mean is the lesion sensitivity.
    """
    lesions = np.where(panel.mask("positive"), panel.frames["lesions_reference"].to_numpy(dtype=np.int64), 0)
    rows = np.repeat(np.arange(len(lesions)), lesions)
    return rows, panel.mean_values("lesions_hit_10")[rows] / lesions[rows]


def estimates(panels: Sequence[Panel], choice: Choice) -> list[Estimate]:
    """One estimate per panel of the mean of the chosen values; models of one cohort share its clusters and resamples.

    Panels of one cohort and split must hold the same frames.
    """
    by_cohort: dict[tuple[str, str], list[int]] = {}
    for index, panel in enumerate(panels):
        by_cohort.setdefault((panel.key.cohort, panel.key.split), []).append(index)
    found: dict[int, Estimate] = {}
    for indices in by_cohort.values():
        chosen = [choice(panels[index]) for index in indices]
        clusters = panel_clusters(panels[indices[0]], chosen[0][0])
        values = np.stack([per_frame for _, per_frame in chosen], axis=1)
        found |= dict(zip(indices, mean_estimates(values, clusters), strict=True))
    return [found[index] for index in range(len(panels))]


def interval_columns(estimate: Estimate, prefix: str = "") -> dict[str, Any]:
    """low, high, interval (its kind) and words of an estimate."""
    found = {"low": estimate.low, "high": estimate.high, "interval": str(estimate.kind), "words": estimate.words}
    return {f"{prefix}{name}": value for name, value in found.items()}


def panel_clusters(panel: Panel, rows: NDArray[np.intp]) -> Clusters:
    """Clusters of some rows of a panel's frames."""
    return clusters_of(panel.frames.iloc[rows])


def cluster_means_instead(estimate: Estimate, panel: Panel, values: PerFrame, *, signed: bool = False) -> str:
    """The clusters' means in words where no interval can be given, else ""; no cluster is named."""
    clusters = panel_clusters(panel, values[0])
    if estimate.kind is not IntervalKind.NONE or not clusters.known or not len(clusters):
        return ""
    pattern = "{:+.3f}" if signed else "{:.3f}"
    means = ", ".join(pattern.format(mean) for mean in cluster_means(values[1], clusters)[:, 0])
    return f"{clusters.unit if clusters.unit != 'mixed' else 'cluster'} means {means}".replace("-", "−")
