"""The per-centre table: what each model scores in each cohort, and how that compares with the source-only model.

Aggregates are those of `polypda-metrics v1`. Frames with a polyp and frames without one never meet in one mean.
No interval is given here: ``n_positive`` and ``clusters`` say how much a mean rests on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from polypda.errors import DataError
from polypda.evaluation.cases import checked_cases
from polypda.evaluation.statement import SOURCE_ONLY

FAILED_BELOW_DICE = 0.5
CHANGED_BY_DICE = 0.05
"""A frame counts as better or worse when its Dice moves by more than this."""
ROUNDING = 1e-9
GROUP = ["source", "target", "role", "cohort", "split", "model"]
REPLICATE = ["run", "seed"]
"""One training: aggregates are formed within it, then averaged over trainings."""

DELTA_COLUMNS = (
    "delta_dice_frame",
    "delta_iou_frame",
    "share_better",
    "share_worse",
    "delta_frame_specificity",
    "delta_fp_components_per_frame",
    "delta_fp_area_fraction",
)


def centre_table(cases: pd.DataFrame, source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """Aggregate cases: one row per cohort and model (and source, target, split where there are several).

    Columns beside the group: phantom, n_seeds, n_frames, n_positive, n_negative, n_unscored; clusters and
    clusters_negative (those that positive and negative frames come from; NA if unknown), cluster_unit.
    Positive frames: dice_frame, iou_frame, sensitivity_frame, ppv_frame, ppv_undefined, dice_sequence (NaN if
    sequences are unknown), dice_p10, fail_rate (Dice < 0.5), zero_rate (Dice = 0), missed.
    Negative frames: frame_specificity (share without a false-positive component), fp_components_per_frame,
    specks_per_frame, fp_area_fraction, share_fp_over_1pct.
    Against source-only on the same frames: the columns of DELTA_COLUMNS.
    With several trainings (seeds) a value is the mean of the trainings' values and ``dice_frame_seed_sd`` their SD.

    Raises: DataError of :func:`polypda.evaluation.cases.checked_cases`; E_CASES_FRAMES_DIFFER.
    """
    cases = checked_cases(cases)
    rows = []
    for key, group in cases.groupby(GROUP, sort=False):
        identity = dict(zip(GROUP, key, strict=True))
        _require_same_frames(group, identity)
        rows.append(identity | _aggregate_over_trainings(group) | _against_source_only(cases, group, source_only))
    table = pd.DataFrame(rows).astype({"clusters": "Int64", "clusters_negative": "Int64"})
    return table.iloc[_reading_order(table, source_only)].reset_index(drop=True)


def paired_cases(cases: pd.DataFrame, before: str, after: str) -> pd.DataFrame:
    """Two models' cases side by side: one row per run, seed, cohort and frame; suffixes _before and _after.

    Raises: DataError E_CASES_FRAMES_DIFFER when one model was not scored on a frame of the other.
    """
    keys = ["run", "seed", "source", "target", "role", "cohort", "split", "frame", "patient", "sequence", "cluster"]
    keys += ["phantom", "positive", "negative", "relative_polyp_area", "valid_px"]
    values = ["dice", "iou", "missed", "fp_area_fraction", "fp_components", "specks", "false_positive_frame"]
    first, second = (cases.loc[cases["model"] == model, keys + values] for model in (before, after))
    pairs = first.merge(second, on=keys, how="outer", suffixes=("_before", "_after"), indicator=True)
    alone = pairs[pairs["_merge"] != "both"]
    if not alone.empty:
        raise _frames_differ(f"{before} and {after}", alone["frame"])
    return pairs.drop(columns="_merge")


def positive_block(cases: pd.DataFrame) -> dict[str, float]:
    """Means over the positive frames of one training; NaN where there is none."""
    positive = cases[cases["positive"]]
    dice = positive["dice"].to_numpy()
    known = bool(len(positive)) and bool((positive["sequence"] != "").all())
    return {
        "dice_frame": _mean(dice),
        "iou_frame": _mean(positive["iou"].to_numpy()),
        "sensitivity_frame": _mean(positive["sensitivity"].to_numpy()),
        "ppv_frame": _mean(positive["ppv"].dropna().to_numpy()),
        "ppv_undefined": float(positive["ppv"].isna().sum()),
        "dice_sequence": float(positive.groupby("sequence")["dice"].mean().mean()) if known else math.nan,
        "dice_p10": float(np.percentile(dice, 10)) if dice.size else math.nan,
        "fail_rate": _mean(dice < FAILED_BELOW_DICE),
        "zero_rate": _mean(dice == 0),
        "missed": float(positive["missed"].sum()),
    }


def negative_block(cases: pd.DataFrame) -> dict[str, float]:
    """Means over the negative frames of one training; NaN where there is none."""
    negative = cases[cases["negative"]]
    components = negative["fp_components"].to_numpy(dtype=float)
    return {
        "frame_specificity": _mean(components == 0),
        "fp_components_per_frame": _mean(components),
        "specks_per_frame": _mean(negative["specks"].to_numpy(dtype=float)),
        "fp_area_fraction": _mean(negative["fp_area_fraction"].to_numpy()),
        "share_fp_over_1pct": _mean(negative["false_positive_frame"].to_numpy()),
    }


def cluster_count(frames: pd.DataFrame) -> tuple[int | None, str]:
    """Number of clusters and their unit (patient, sequence, mixed) of one row per frame; else (None, "unknown")."""
    if frames.empty or (frames["cluster"] == "").any():
        return None, "unknown"
    patients = frames["patient"] != ""
    unit = "patient" if patients.all() else "mixed" if patients.any() else "sequence"
    return int(frames["cluster"].nunique()), unit


def _aggregate_over_trainings(group: pd.DataFrame) -> dict[str, Any]:
    blocks = pd.DataFrame(
        [positive_block(cases) | negative_block(cases) for _, cases in group.groupby(REPLICATE, sort=False)]
    )
    frames = group.drop_duplicates("frame")
    clusters, unit = cluster_count(frames[frames["positive"]])
    clusters_negative, _ = cluster_count(frames[frames["negative"]])
    positive, negative = int(frames["positive"].sum()), int(frames["negative"].sum())
    return {
        "phantom": bool(group["phantom"].any()),
        "n_seeds": len(blocks),
        "n_frames": len(frames),
        "n_positive": positive,
        "n_negative": negative,
        "n_unscored": len(frames) - positive - negative,
        "clusters": clusters,
        "clusters_negative": clusters_negative,
        "cluster_unit": unit,
        **{str(name): float(value) for name, value in blocks.mean().items()},
        "dice_frame_seed_sd": float(blocks["dice_frame"].std(ddof=1)) if len(blocks) > 1 else math.nan,
    }


def _against_source_only(cases: pd.DataFrame, group: pd.DataFrame, source_only: str) -> dict[str, float]:
    first = group.iloc[0]
    unknown = dict.fromkeys(DELTA_COLUMNS, math.nan)
    if first["model"] == source_only:
        return unknown
    same = (cases[["source", "target", "role", "cohort", "split"]] == first[GROUP[:-1]].to_list()).all(axis=1)
    start = cases[same & (cases["model"] == source_only)]
    if start.empty:
        return unknown
    pairs = paired_cases(pd.concat([start, group]), source_only, str(first["model"]))
    blocks = pd.DataFrame([paired_block(part) for _, part in pairs.groupby(REPLICATE, sort=False)])
    return {str(name): float(value) for name, value in blocks.mean().items()}


def paired_block(pairs: pd.DataFrame) -> dict[str, float]:
    """Differences after − before of one training over the same frames (see :func:`paired_cases`)."""
    positive, negative = pairs[pairs["positive"]], pairs[pairs["negative"]]
    change = (positive["dice_after"] - positive["dice_before"]).to_numpy()
    components = {
        when: negative[f"fp_components_{when}"].to_numpy(dtype=float, na_value=math.nan) for when in ("before", "after")
    }
    return {
        "delta_dice_frame": _mean(change),
        "delta_iou_frame": _mean((positive["iou_after"] - positive["iou_before"]).to_numpy()),
        "share_better": _mean(change > CHANGED_BY_DICE + ROUNDING),
        "share_worse": _mean(change < -CHANGED_BY_DICE - ROUNDING),
        "delta_frame_specificity": _mean((components["after"] == 0).astype(float) - (components["before"] == 0)),
        "delta_fp_components_per_frame": _mean(components["after"] - components["before"]),
        "delta_fp_area_fraction": _mean(
            (negative["fp_area_fraction_after"] - negative["fp_area_fraction_before"]).to_numpy()
        ),
    }


def _require_same_frames(group: pd.DataFrame, identity: dict[str, Any]) -> None:
    trainings = group.groupby(REPLICATE, sort=False).ngroups
    counts = group["frame"].value_counts()
    if (counts != trainings).any():
        name = f"the {trainings} trainings of {identity['model']} on {identity['cohort']}"
        raise _frames_differ(name, counts.index[counts != trainings].to_series())


def _frames_differ(who: str, frames: pd.Series) -> DataError:
    names = sorted(set(frames))
    return DataError(
        "E_CASES_FRAMES_DIFFER",
        f"{who} were not scored on the same frames: {len(names)} differ, such as {', '.join(names[:3])}.",
        where="cases",
        fix="evaluate all models of the comparison on the same split again.",
    )


def _reading_order(table: pd.DataFrame, source_only: str) -> list[int]:
    """Target before source; source-only first, oracle last; otherwise as the cases came."""
    rank = {source_only: 0, "oracle": 2}
    position = {model: place for place, model in enumerate(dict.fromkeys(table["model"]))}
    keys = [
        (source, target, role != "target", cohort, split, rank.get(model, 1), position[model])
        for source, target, role, cohort, split, model in table[GROUP].itertuples(index=False)
    ]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan
