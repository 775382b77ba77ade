"""Every model against the source-only training of its own run and seed, on the same frames.

Several trainings: a frame's values are averaged over them first, so that the interval speaks of cases; the spread over
seeds is told apart. Differences are adapted − source-only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.aggregates import FloatArray, lesion_fp_per_frame, mean_over_frames
from polypda.evaluation.aggregation.panel_values import cluster_means_text, dice_frames, hit_values, panel_clusters
from polypda.evaluation.aggregation.panels import GROUP, GroupKey, Panel
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.statistics import (
    Comparison,
    GapClosed,
    IntervalKind,
    gap_closed,
    holm,
    paired_comparisons,
    seed_spread,
)

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

    Columns beside the group: n, clusters (NA if unknown), cluster_unit, n_trainings, n_seeds; dice_before, dice_after;
    delta, low, high, interval, words, cluster_means (text; where there are too few for an interval); p_value, p_words;
    in_family, family_size, p_holm; share_better, share_worse; polyps_gained, polyps_lost (frames with a polyp on which
    no lesion was hit before and one was after, and the reverse; mean over trainings); gap (oracle − source-only),
    gap_closed, gap_low, gap_high, gap_estimable, gap_words; seed_sd (SD over seeds of delta), seed_words;
    delta_iou_frame; delta_lesion_sensitivity_10 with _low, _high and _interval, over lesions, masks and boxes alike;
    delta_lesion_fp_per_frame_10; n_negative, delta_frame_specificity with _low, _high and _interval,
    delta_fp_components_per_frame, delta_fp_area_fraction.

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


def control_of(panel: Panel, panels: Sequence[Panel], source_only: str = SOURCE_ONLY) -> Panel | None:
    """The panel's control with one training for each of the panel's, in its order; None where one is lacking."""
    wanted = panel.key._replace(model=source_only)
    found = next((other for other in panels if other.key == wanted), None)
    return _aligned(found, panel.controls) if found else None


def _pairings(panels: Sequence[Panel], source_only: str) -> list[tuple[Panel, list[Panel]]]:
    """Controls with the models that share exactly them, so that one call compares them all."""
    known = {panel.key: panel for panel in panels}
    pairings: dict[tuple, tuple[Panel, list[Panel]]] = {}
    for panel in panels:
        control = known.get(panel.key._replace(model=source_only))
        if panel.key.model == source_only or control is None:
            continue
        aligned = _aligned(control, panel.controls)
        if aligned is not None:
            key = (control.key, tuple(sorted(panel.controls)))
            pairings.setdefault(key, (aligned, []))[1].append(panel)
    return list(pairings.values())


def _aligned(control: Panel, wanted: Sequence[str]) -> Panel | None:
    return control.with_trainings(wanted) if set(wanted) <= set(control.trainings) else None


def _rows(control: Panel, members: list[Panel], oracles: dict[str, FloatArray]) -> list[dict[str, Any]]:
    chosen = np.flatnonzero(dice_frames(control))
    clusters = panel_clusters(control, chosen)
    before = control.mean_values("dice")[chosen]
    after = np.stack([member.mean_values("dice")[chosen] for member in members], axis=1)
    compared = paired_comparisons(before, after, clusters)
    gaps = _gaps(control, before, after, chosen, oracles)
    gaps = [
        _no_gap(THE_ORACLE) if member.key.model == ORACLE else gap for member, gap in zip(members, gaps, strict=True)
    ]
    negative = _negative_comparisons(control, members)
    lesions = _lesion_comparisons(control, members)
    rows = []
    for index, (member, comparison, gap) in enumerate(zip(members, compared, gaps, strict=True)):
        none = comparison.delta.kind is IntervalKind.NONE
        differences = after[:, index] - before
        aligned = control.with_trainings(member.controls)
        rows.append(
            member.key._asdict()
            | {"n": len(chosen), "clusters": comparison.delta.clusters, "cluster_unit": clusters.unit}
            | {"n_trainings": len(member.trainings), "n_seeds": member.n_seeds}
            | {"dice_before": float(mean_over_frames(before)), "dice_after": float(mean_over_frames(after[:, index]))}
            | _delta_columns(comparison, len(chosen) == 0 and bool(control.mask("positive").any()))
            | {"cluster_means": cluster_means_text(differences, clusters, signed=True) if none else ""}
            | {"in_family": _in_family(member, len(chosen))}
            | _seed_columns(aligned, member, chosen)
            | _found_columns(aligned, member)
            | gap
            | {"delta_iou_frame": _mean_change(aligned, member, "iou", chosen)}
            | lesions[index]
            | negative[index]
        )
    return rows


def _delta_columns(comparison: Comparison, boxes_only: bool) -> dict[str, Any]:
    delta = comparison.delta
    return {
        "delta": delta.value,
        "low": delta.low,
        "high": delta.high,
        "interval": str(delta.kind),
        "words": BOXES_ONLY if boxes_only else delta.words,
        "p_value": comparison.p_value,
        "p_words": comparison.p_words,
        "share_better": comparison.share_better,
        "share_worse": comparison.share_worse,
    }


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
    hits = {when: panel.values("lesions_hit_10")[:, positive] for when, panel in (("b", control), ("a", member))}
    found = {when: count > 0 for when, count in hits.items()}
    scored = positive | member.mask("negative")
    wrong = [
        lesion_fp_per_frame(panel.values("lesions_hit_10")[:, scored], panel.values("lesions_predicted")[:, scored])
        for panel in (control, member)
    ]
    return {
        "polyps_gained": float((found["a"] & ~found["b"]).sum(axis=1).mean()),
        "polyps_lost": float((found["b"] & ~found["a"]).sum(axis=1).mean()),
        "delta_lesion_fp_per_frame_10": float((wrong[1] - wrong[0]).mean()),
    }


def _gaps(
    control: Panel, before: FloatArray, after: FloatArray, chosen: np.ndarray, oracles: dict[str, FloatArray]
) -> list[dict[str, Any]]:
    oracle = oracles.get(control.key.cohort)
    if control.key.cohort != control.key.target or oracle is None:
        words = NO_ORACLE if control.key.cohort == control.key.target else NOT_THE_TARGET
        return [_no_gap(words)] * after.shape[1]
    closed = gap_closed(before, after, oracle[chosen], panel_clusters(control, chosen))
    return [_gap_columns(gap) for gap in closed]


def _no_gap(words: str) -> dict[str, Any]:
    absent = dict.fromkeys(("gap", "gap_closed", "gap_low", "gap_high"), math.nan)
    return absent | {"gap_estimable": False, "gap_words": words}


def _gap_columns(gap: GapClosed) -> dict[str, Any]:
    finite = {"gap_closed": gap.value, "gap_low": gap.low, "gap_high": gap.high}
    return {"gap": gap.gap.value, **finite, "gap_estimable": gap.estimable, "gap_words": gap.words}


def _negative_comparisons(control: Panel, members: list[Panel]) -> list[dict[str, Any]]:
    rows = np.flatnonzero(control.mask("negative"))

    def clean(panel: Panel) -> FloatArray:
        return (panel.values("fp_components")[:, rows] == 0).mean(axis=0)

    after = np.stack([clean(member) for member in members], axis=1)
    compared = paired_comparisons(clean(control), after, panel_clusters(control, rows))
    return [
        {
            "n_negative": len(rows),
            "delta_frame_specificity": comparison.delta.value,
            "delta_frame_specificity_low": comparison.delta.low,
            "delta_frame_specificity_high": comparison.delta.high,
            "delta_frame_specificity_interval": str(comparison.delta.kind),
            "delta_fp_components_per_frame": _mean_change(control, member, "fp_components", rows),
            "delta_fp_area_fraction": _mean_change(control, member, "fp_area_fraction", rows),
        }
        for member, comparison in zip(members, compared, strict=True)
    ]


def _lesion_comparisons(control: Panel, members: list[Panel]) -> list[dict[str, Any]]:
    """Lesion sensitivity over lesions, so over clusters of lesions: no p value, it is not in the declared family."""
    rows, before = hit_values(control)
    after = np.stack([hit_values(member)[1] for member in members], axis=1)
    name = "delta_lesion_sensitivity_10"
    return [
        {
            name: comparison.delta.value,
            f"{name}_low": comparison.delta.low,
            f"{name}_high": comparison.delta.high,
            f"{name}_interval": str(comparison.delta.kind),
        }
        for comparison in paired_comparisons(before, after, panel_clusters(control, rows))
    ]


def _mean_change(control: Panel, member: Panel, column: str, rows: np.ndarray) -> float:
    return float(mean_over_frames(member.mean_values(column)[rows] - control.mean_values(column)[rows]))


def _in_family(member: Panel, n: int) -> bool:
    """A target without a frame that enters Dice stays in the family, unless its boxes never allowed a Dice."""
    boxes_only = n == 0 and bool(member.mask("positive").any())
    return member.key.cohort == member.key.target and member.key.model != ORACLE and not boxes_only


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
        if panel.key.model == ORACLE and panel.key.cohort == panel.key.target:
            own = dict(zip(panel.trainings, panel.values("dice"), strict=True))
            trainings.setdefault(panel.key.cohort, {}).update(own)
    return {cohort: np.mean(list(own.values()), axis=0) for cohort, own in trainings.items()}
