"""Every model against the source-only training of its own run and seed, on the same frames.

A frame's values are averaged over the trainings first, so that the interval speaks of cases; the spread over seeds
stands beside it. Differences are adapted − source-only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.aggregates import (
    FloatArray,
    clean_values,
    cluster_means_instead,
    dice_frames,
    hit_values,
    interval_columns,
    lesion_fp_per_frame,
    mean_over_frames,
    panel_clusters,
)
from polypda.evaluation.aggregation.panels import GROUP, GroupKey, Panel
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.statistics.comparison import Comparison, gap_closed, paired_comparisons, seed_spread
from polypda.evaluation.statistics.permutation import holm

COLUMNS = [
    *GROUP,
    *("n", "clusters", "cluster_unit", "n_trainings", "n_seeds", "dice_before", "dice_after"),
    *("delta", "low", "high", "interval", "words", "cluster_means", "p_value", "p_words", "in_family"),
    *("share_better", "share_worse", "polyps_gained", "polyps_lost"),
    *("gap", "gap_closed", "gap_low", "gap_high", "gap_estimable", "gap_words", "seed_sd", "seed_words"),
    *("delta_iou_frame", "delta_lesion_sensitivity_10", "delta_lesion_sensitivity_10_low"),
    *("delta_lesion_sensitivity_10_high", "delta_lesion_sensitivity_10_interval", "delta_lesion_fp_per_frame_10"),
    *("n_negative", "delta_frame_specificity"),
    *("delta_frame_specificity_low", "delta_frame_specificity_high", "delta_frame_specificity_interval"),
    *("delta_fp_components_per_frame", "delta_fp_area_fraction"),
]
BOXES_ONLY = "annotated with boxes only: no Dice"
NO_ORACLE = "not estimable: no oracle of this target was scored"
THE_ORACLE = "the oracle itself"
NOT_THE_TARGET = "not estimable: not the target of the adaptation"


def comparison_table(panels: Sequence[Panel], source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """One row per model (but source-only) and cohort that its control was scored on, too.

    Columns: COLUMNS, family_size, p_holm. cluster_means: text, where there are too few clusters for an interval.
    polyps_gained, polyps_lost: frames with a polyp on which no lesion was hit before and one was after, and the
    reverse, mean over trainings. gap: oracle − source-only. seed_sd: SD over seeds of delta.

    The declared family of Holm's adjustment: every adapted model on the target it was adapted to, in Dice.
    """
    oracles = _oracle_dice(panels)
    rows = []
    for controls, members in _pairings(panels, source_only):
        rows += _rows(controls, members, oracles)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return _with_holm(table)


def uncompared(panels: Sequence[Panel], source_only: str = SOURCE_ONLY) -> list[GroupKey]:
    """Models and cohorts without a comparison: their control was not scored there, or does not exist."""
    compared = {member.key for _, members in _pairings(panels, source_only) for member in members}
    return [panel.key for panel in panels if panel.key.model != source_only and panel.key not in compared]


def control_of(panel: Panel, known: Mapping[GroupKey, Panel], source_only: str = SOURCE_ONLY) -> Panel | None:
    """The panel's control with one training for each of the panel's, in its order; None where one is lacking."""
    control = known.get(panel.key._replace(model=source_only))
    if panel.key.model == source_only or control is None or not set(panel.controls) <= set(control.trainings):
        return None
    return control.with_trainings(panel.controls)


def _pairings(panels: Sequence[Panel], source_only: str) -> list[tuple[Panel, list[Panel]]]:
    """Controls with the models that share exactly them, so that one call compares them all."""
    known = {panel.key: panel for panel in panels}
    pairings: dict[tuple, tuple[Panel, list[Panel]]] = {}
    for panel in panels:
        control = control_of(panel, known, source_only)
        if control is not None:
            pairings.setdefault((control.key, tuple(sorted(panel.controls))), (control, []))[1].append(panel)
    return list(pairings.values())


def _rows(control: Panel, members: list[Panel], oracles: dict[str, FloatArray]) -> list[dict[str, Any]]:
    chosen = np.flatnonzero(dice_frames(control))
    clusters = panel_clusters(control, chosen)
    before = control.mean_values("dice")[chosen]
    after = np.stack([member.mean_values("dice")[chosen] for member in members], axis=1)
    compared = paired_comparisons(before, after, clusters)
    gaps = _gaps(control, before, after, chosen, oracles)
    negative = _negative_comparisons(control, members)
    lesions = _lesion_comparisons(control, members)
    boxes_only = not len(chosen) and bool(control.mask("positive").any())
    rows = []
    for index, (member, comparison, gap) in enumerate(zip(members, compared, gaps, strict=True)):
        differences = (chosen, after[:, index] - before)
        aligned = control.with_trainings(member.controls)
        rows.append(
            member.key._asdict()
            | {"n": len(chosen), "clusters": comparison.delta.clusters, "cluster_unit": clusters.unit}
            | {"n_trainings": len(member.trainings), "n_seeds": member.n_seeds}
            | {"dice_before": float(mean_over_frames(before)), "dice_after": float(mean_over_frames(after[:, index]))}
            | _delta_columns(comparison)
            | ({"words": BOXES_ONLY} if boxes_only else {})
            | {"cluster_means": cluster_means_instead(comparison.delta, control, differences, signed=True)}
            # a target without a frame that enters Dice stays in the family, unless its boxes never allowed a Dice
            | {"in_family": _on_target(member) and member.key.model != ORACLE and not boxes_only}
            | _seed_columns(aligned, member, chosen)
            | _found_columns(aligned, member)
            | (_no_gap(THE_ORACLE) if member.key.model == ORACLE else gap)
            | {"delta_iou_frame": _mean_change(aligned, member, "iou", chosen)}
            | lesions[index]
            | negative[index]
        )
    return rows


def _on_target(panel: Panel) -> bool:
    return panel.key.cohort == panel.key.target


def _delta_columns(comparison: Comparison) -> dict[str, Any]:
    names = ("p_value", "p_words", "share_better", "share_worse")
    tests = {name: getattr(comparison, name) for name in names}
    return {"delta": comparison.delta.value} | interval_columns(comparison.delta) | tests


def _seed_columns(control: Panel, member: Panel, chosen: np.ndarray) -> dict[str, Any]:
    changes = member.values("dice")[:, chosen] - control.values("dice")[:, chosen]
    if not len(chosen):
        return {"seed_sd": math.nan, "seed_words": ""}
    spread = seed_spread(member.seed_means(changes.mean(axis=1)))
    return {"seed_sd": spread.sd, "seed_words": spread.words}


def _found_columns(control: Panel, member: Panel) -> dict[str, float]:
    """Frames with a polyp on which any lesion was hit (IoU ≥ 0.1), before and after."""
    positive = member.mask("positive")
    if not positive.any():
        return dict.fromkeys(("polyps_gained", "polyps_lost", "delta_lesion_fp_per_frame_10"), math.nan)
    before, after = (panel.values("lesions_hit_10")[:, positive] > 0 for panel in (control, member))
    scored = positive | member.mask("negative")
    fp_before, fp_after = (
        lesion_fp_per_frame(panel.values("lesions_hit_10")[:, scored], panel.values("lesions_predicted")[:, scored])
        for panel in (control, member)
    )
    return {
        "polyps_gained": float((after & ~before).sum(axis=1).mean()),
        "polyps_lost": float((before & ~after).sum(axis=1).mean()),
        "delta_lesion_fp_per_frame_10": float((fp_after - fp_before).mean()),
    }


def _gaps(
    control: Panel, before: FloatArray, after: FloatArray, chosen: np.ndarray, oracles: dict[str, FloatArray]
) -> list[dict[str, Any]]:
    oracle = oracles.get(control.key.cohort)
    if not _on_target(control) or oracle is None:
        return [_no_gap(NO_ORACLE if _on_target(control) else NOT_THE_TARGET)] * after.shape[1]
    return [
        {"gap": gap.gap.value, "gap_closed": gap.value, "gap_low": gap.low, "gap_high": gap.high}
        | {"gap_estimable": gap.estimable, "gap_words": gap.words}
        for gap in gap_closed(before, after, oracle[chosen], panel_clusters(control, chosen))
    ]


def _no_gap(words: str) -> dict[str, Any]:
    absent = dict.fromkeys(("gap", "gap_closed", "gap_low", "gap_high"), math.nan)
    return absent | {"gap_estimable": False, "gap_words": words}


def _negative_comparisons(control: Panel, members: list[Panel]) -> list[dict[str, Any]]:
    rows, before = clean_values(control)
    after = np.stack([clean_values(member)[1] for member in members], axis=1)
    name = "delta_frame_specificity"
    return [
        {"n_negative": len(rows), name: comparison.delta.value}
        | interval_columns(comparison.delta, f"{name}_")
        | {"delta_fp_components_per_frame": _mean_change(control, member, "fp_components", rows)}
        | {"delta_fp_area_fraction": _mean_change(control, member, "fp_area_fraction", rows)}
        for member, comparison in zip(
            members, paired_comparisons(before, after, panel_clusters(control, rows)), strict=True
        )
    ]


def _lesion_comparisons(control: Panel, members: list[Panel]) -> list[dict[str, Any]]:
    """Lesion sensitivity over lesions, so over clusters of lesions: no p value, it is not in the declared family."""
    rows, before = hit_values(control)
    after = np.stack([hit_values(member)[1] for member in members], axis=1)
    name = "delta_lesion_sensitivity_10"
    return [
        {name: comparison.delta.value} | interval_columns(comparison.delta, f"{name}_")
        for comparison in paired_comparisons(before, after, panel_clusters(control, rows))
    ]


def _mean_change(control: Panel, member: Panel, column: str, rows: np.ndarray) -> float:
    return float(mean_over_frames(member.mean_values(column)[rows] - control.mean_values(column)[rows]))


def _with_holm(table: pd.DataFrame) -> pd.DataFrame:
    family = table["in_family"].to_numpy(dtype=bool)
    adjusted = np.full(len(table), math.nan)
    adjusted[family] = holm(table.loc[family, "p_value"].to_numpy(dtype=np.float64))
    table = table.assign(p_holm=adjusted, family_size=int(family.sum()))
    return table.astype({"clusters": "Int64"})


def _oracle_dice(panels: Sequence[Panel]) -> dict[str, FloatArray]:
    """Cohort → Dice per frame [N] of its oracle, the mean over its trainings, each once in whatever run it appears."""
    trainings: dict[str, dict[str, FloatArray]] = {}
    for panel in panels:
        if panel.key.model == ORACLE and _on_target(panel):
            dice = dict(zip(panel.trainings, panel.values("dice"), strict=True))
            trainings.setdefault(panel.key.cohort, {}).update(dice)
    return {cohort: np.mean(list(dice.values()), axis=0) for cohort, dice in trainings.items()}
