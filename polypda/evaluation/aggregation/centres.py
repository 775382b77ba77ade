"""The per-centre table: what each model scores in each cohort, and how that compares with the source-only model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.aggregates import (
    SIZE_STRATA,
    Choice,
    PerFrame,
    clean_values,
    cluster_means_instead,
    dice_frames,
    dice_values,
    estimates,
    fail_rate,
    hit_values,
    interval_columns,
    lesion_block,
    mean_over_frames,
    negative_block,
    positive_block,
    size_stratum,
)
from polypda.evaluation.aggregation.panels import GROUP, Panel, frames_differ
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.statistics.comparison import CHANGED_BY

CHANGED_BY_DICE = CHANGED_BY
"""A frame counts as better or worse when its Dice moves by more than this."""

DELTA_COLUMNS = {
    "delta": "delta_dice_frame",
    **{name: f"delta_{name}" for name in ("low", "high", "interval", "words", "cluster_means", "seed_sd")},
    **{
        name: name
        for name in (
            *("p_value", "p_holm", "family_size", "share_better", "share_worse", "polyps_gained", "polyps_lost"),
            *("gap_closed", "gap_low", "gap_high", "gap_estimable", "gap_words"),
            *("delta_iou_frame", "delta_lesion_sensitivity_10", "delta_lesion_sensitivity_10_low"),
            *("delta_lesion_sensitivity_10_high", "delta_lesion_sensitivity_10_interval"),
            *("delta_lesion_fp_per_frame_10", "delta_frame_specificity"),
            *("delta_frame_specificity_low", "delta_frame_specificity_high", "delta_frame_specificity_interval"),
            *("delta_fp_components_per_frame", "delta_fp_area_fraction"),
        )
    },
}
"""Column of :func:`polypda.evaluation.aggregation.comparisons.comparison_table` → its name in the per-centre table."""
DELTA_TEXT = (
    *("delta_interval", "delta_words", "delta_cluster_means", "delta_lesion_sensitivity_10_interval"),
    *("delta_frame_specificity_interval", "gap_words"),
)


def centre_table(groups: Sequence[Panel], comparisons: pd.DataFrame, source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """One row per cohort and model (and source, target, split where there are several).

    Columns beside the group: those of :func:`panel_counts`; the blocks of :mod:`.aggregates`, a training's value
    averaged over the trainings; intervals dice_low, dice_high, dice_interval (its kind), dice_words,
    dice_cluster_means, frame_specificity_…, lesion_sensitivity_10_…; dice_frame_seed_sd: SD over seeds; the values of
    DELTA_COLUMNS against source-only on the same frames, empty where there is no control.

    groups: panels whose frames were checked. comparisons: their :func:`.comparisons.comparison_table`.
    """
    intervals = {
        "dice": estimates(groups, dice_values),
        "frame_specificity": estimates(groups, clean_values),
        "lesion_sensitivity_10": estimates(groups, hit_values),
    }
    rows = []
    for index, panel in enumerate(groups):
        row = panel.key._asdict() | panel_counts(panel)
        for block in (positive_block(panel), negative_block(panel), lesion_block(panel)):
            row |= {name: float(np.mean(values)) for name, values in block.items()}
        for name, found in intervals.items():
            row |= interval_columns(found[index], f"{name}_")
        row["dice_cluster_means"] = cluster_means_instead(intervals["dice"][index], panel, dice_values(panel))
        row["dice_frame_seed_sd"] = dice_seed_sd(panel)
        rows.append(row)
    table = pd.DataFrame(rows).astype({"clusters": "Int64", "clusters_negative": "Int64"})
    table = _with_comparisons(table, comparisons)
    return table.iloc[_reading_order(table, source_only)].reset_index(drop=True)


def panel_counts(panel: Panel) -> dict[str, Any]:
    """How much a row rests on: frames, clusters, trainings.

    n_dice: positive frames with a mask, the n of every Dice. n_missing: scored as empty because there was no
    prediction, per training. clusters, clusters_negative: those that positive and negative frames come from; None if
    unknown.
    """
    frames, positive, negative = panel.frames, panel.mask("positive"), panel.mask("negative")
    clusters, unit = cluster_count(frames[positive])
    clusters_negative, unit_negative = cluster_count(frames[negative])
    return {
        "phantom": panel.phantom,
        "annotation": panel.annotation,
        "n_seeds": panel.n_seeds,
        "n_trainings": len(panel.trainings),
        "n_frames": len(frames),
        "n_positive": int(positive.sum()),
        "n_dice": int(dice_frames(panel).sum()),
        "n_negative": int(negative.sum()),
        "n_unscored": int((~positive & ~negative).sum()),
        "n_missing": float(panel.values("prediction_missing").sum(axis=1).mean()),
        "clusters": clusters,
        "clusters_negative": clusters_negative,
        "cluster_unit": unit if positive.any() else unit_negative,
        "lesions_reference": int(frames.loc[positive, "lesions_reference"].sum()),
        "lesion_specks_reference": int(frames["lesion_specks_reference"].sum()),
    }


def paired_cases(cases: pd.DataFrame, before: str, after: str) -> pd.DataFrame:
    """Two models' cases side by side: one row per run, seed, cohort and frame; suffixes _before and _after.

    Raises: DataError E_CASES_FRAMES_DIFFER when one model was not scored on a frame of the other.
    """
    keys = ["run", "seed", "source", "target", "role", "cohort", "split", "frame", "patient", "sequence", "cluster"]
    keys += ["phantom", "positive", "negative", "relative_polyp_area", "valid_px"]
    keys += ["annotation", "lesions_reference"]
    values = ["dice", "iou", "missed", "fp_area_fraction", "fp_components", "specks", "false_positive_frame"]
    values += ["lesions_predicted", "lesions_hit_10"]
    first, second = (cases.loc[cases["model"] == model, keys + values] for model in (before, after))
    pairs = first.merge(second, on=keys, how="outer", suffixes=("_before", "_after"), indicator=True)
    alone = pairs[pairs["_merge"] != "both"]
    if not alone.empty:
        raise frames_differ(f"{before} and {after}", list(alone["frame"]))
    return pairs.drop(columns="_merge")


def cluster_count(frames: pd.DataFrame) -> tuple[int | None, str]:
    """Number of clusters and their unit (patient, sequence, mixed) of one row per frame; else (None, "unknown")."""
    if frames.empty or (frames["cluster"] == "").any():
        return None, "unknown"
    patients = frames["patient"] != ""
    unit = "patient" if patients.all() else "mixed" if patients.any() else "sequence"
    return int(frames["cluster"].nunique()), unit


def dice_seed_sd(panel: Panel) -> float:
    """SD over seeds of dice_frame; NaN for one seed or without a frame."""
    per_seed = panel.seed_means(mean_over_frames(panel.values("dice")[:, dice_frames(panel)]))
    return float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else math.nan


def _with_comparisons(table: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    found = comparisons.reindex(columns=[*GROUP, *DELTA_COLUMNS]).rename(columns=DELTA_COLUMNS)
    table = table.merge(found.drop_duplicates(GROUP), how="left", on=GROUP)
    absent = table["delta_interval"].isna()
    table[list(DELTA_TEXT)] = table[list(DELTA_TEXT)].astype(object).where(~absent, "")
    table["gap_estimable"] = table["gap_estimable"].eq(True)
    numbers = [name for name in DELTA_COLUMNS.values() if name not in (*DELTA_TEXT, "gap_estimable")]
    return table.astype(dict.fromkeys(numbers, "float64"))


def _reading_order(table: pd.DataFrame, source_only: str) -> list[int]:
    """Target before source; source-only first, oracle last; otherwise as the cases came."""
    rank = {source_only: 0, ORACLE: 2}
    position = {model: index for index, model in enumerate(dict.fromkeys(table["model"]))}
    keys = [
        (source, target, role != "target", cohort, split, rank.get(model, 1), position[model])
        for source, target, role, cohort, split, model in table[GROUP].itertuples(index=False)
    ]
    return sorted(range(len(keys)), key=keys.__getitem__)


def strata_table(panels: Sequence[Panel]) -> pd.DataFrame:
    """One row per panel and stratum of relative polyp area, also where it holds no frame (n 0, Dice NaN).

    A mean over all sizes hides that small polyps are missed. Columns beside the group: stratum, stratum_place (0
    smallest), n, clusters (NA if unknown), dice, low, high, interval, words, cluster_means, fail_rate.
    """
    rows = []
    for index, stratum in enumerate(SIZE_STRATA):
        choice = _dice_of(index)
        for panel, estimate in zip(panels, estimates(panels, choice), strict=True):
            chosen, values = choice(panel)
            rows.append(
                panel.key._asdict()
                | {"stratum": stratum, "stratum_place": index, "n": estimate.n, "clusters": estimate.clusters}
                | {"dice": estimate.value}
                | interval_columns(estimate)
                | {"cluster_means": cluster_means_instead(estimate, panel, (chosen, values))}
                | {"fail_rate": float(np.mean(fail_rate(panel.values("dice")[:, chosen])))}
            )
    return pd.DataFrame(rows).astype({"clusters": "Int64"})


def _dice_of(index: int) -> Choice:
    def choose(panel: Panel) -> PerFrame:
        areas = panel.frames["relative_polyp_area"].to_numpy(dtype=np.float64)
        rows = np.flatnonzero(dice_frames(panel) & (size_stratum(areas) == index))
        return rows, panel.mean_values("dice")[rows]

    return choose
