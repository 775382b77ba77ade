"""The results in short sentences, for a checklist that has no room for tables; numbers are those of the tables."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from polypda.evaluation.statement import ORACLE, SOURCE_ONLY
from polypda.reporting.markdown_document import code, with_interval
from polypda.reporting.report_facts import ReportFacts
from polypda.reporting.result_tables import by_place
from polypda.reporting.wording import NOT_KNOWN, counted, p_text, percent, plain, signed, whole

NO_ROC = (
    "No ROC curve is drawn: figures are at the stated threshold; reliability by tenths of probability is in the report."
)
WORST_FRAMES = 3


def internal_sentences(facts: ReportFacts) -> list[str]:
    """Held-out frames of the centre whose labels trained the model."""
    cells = facts.results.matrix
    own = cells[cells["own_centre"] & (cells["model"] == SOURCE_ONLY) & cells["dice"].notna()]
    return [
        f"{code(cell['cohort'])}, held-out frames: {_dice(cell, 'dice', 'low', 'high')}" for _, cell in own.iterrows()
    ]


def external_sentences(facts: ReportFacts) -> list[str]:
    """Centres whose labels trained nothing; adapted models have seen their unlabelled training frames."""
    if not facts.adaptations or facts.results.matrix.empty:
        return []
    cells = facts.results.matrix
    foreign = cells[~cells["own_centre"] & (cells["model"] == SOURCE_ONLY) & cells["dice"].notna()]
    sentences = [
        f"{code(cell['source'])} → {code(cell['cohort'])}, source-only: {_dice(cell, 'dice', 'low', 'high')}"
        for _, cell in foreign.iterrows()
    ]
    adapted = facts.results.aggregates
    for _, row in adapted[~adapted["model"].isin([SOURCE_ONLY, ORACLE]) & (adapted["n_centers"] > 0)].iterrows():
        sentences.append(
            f"{code(row['source'])}, {code(row['model'])}: mean Dice over {counted(row['n_centers'], 'target centre')} "
            f"{plain(row['dice_center'], 3)}, worst {plain(row['dice_worst_center'], 3)} ({code(row['worst_center'])})"
        )
    if sentences and facts.trained_here:
        sentences.append(
            "Adapted models have seen unlabelled training frames of the centre they are tested in, never its held-out "
            "frames: external as to labels, not as to images."
        )
    return sentences


def performance_sentences(facts: ReportFacts) -> list[str]:
    """Every adapted model in its target, against source-only."""
    at_target, _, _ = by_place(facts.results.centres)
    adapted = at_target[~at_target["model"].isin([SOURCE_ONLY, ORACLE]) & at_target["dice_frame"].notna()]
    sentences = [_adapted_sentence(row) for _, row in adapted.iterrows()]
    return (
        [*sentences, "All tables: model_card.md, Quantitative analyses; centers.csv; matrix.csv."] if sentences else []
    )


def _adapted_sentence(row: pd.Series) -> str:
    dice = _dice(row, "dice_frame", "dice_low", "dice_high")
    delta = with_interval(signed(row["delta_dice_frame"], 3), row["delta_low"], row["delta_high"], signs=True)
    tested = f", p (Holm) {p_text(row['p_holm'])}" if pd.notna(row["p_holm"]) else ""
    change = f"; Δ {delta}{tested}" if pd.notna(row["delta_dice_frame"]) else "; not compared with source-only"
    words = f" ({row['dice_words']})" if row["dice_words"] else ""
    return f"{code(row['source'])} → {code(row['target'])}, {code(row['model'])}: {dice}{change}{words}"


def _dice(row: pd.Series, value: str, low: str, high: str) -> str:
    n = row["n_dice"] if "n_dice" in row else row["n"]
    groups = "clusters unknown" if pd.isna(row["clusters"]) else counted(row["clusters"], _unit(row))
    return f"Dice {with_interval(plain(row[value], 3), row[low], row[high])}, n = {whole(n)} frames, {groups}"


def _unit(row: pd.Series) -> str:
    return str(row["cluster_unit"]) if row["cluster_unit"] in ("patient", "sequence") else "cluster"


def diagnostic_sentences(facts: ReportFacts) -> list[str]:
    """Per target and model: lesions found, false alarms, frames without a polyp left clean."""
    at_target, _, _ = by_place(facts.results.centres)
    sentences = [
        f"{code(row['source'])} → {code(row['target'])}, {code(row['model'])}: lesion sensitivity "
        f"{_share(row, 'lesion_sensitivity_10')}, PPV {percent(row['lesion_ppv_10'])}, "
        f"{plain(row['lesion_fp_per_frame_10'])} false positives per frame; {_clean(row)}"
        for _, row in at_target.iterrows()
        if row["model"] != ORACLE
    ]
    return [*sentences, NO_ROC] if sentences else []


def _clean(row: pd.Series) -> str:
    if not row["n_negative"]:
        return "no frame without a polyp was scored"
    return f"{_share(row, 'frame_specificity')} of {counted(row['n_negative'], 'frame')} without a polyp left clean"


def _share(row: pd.Series, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    limits = "" if pd.isna(low) or pd.isna(high) else f" [{percent(low)}, {percent(high)}]"
    return percent(row[name]) + limits


def failure_sentences(facts: ReportFacts) -> list[str]:
    """How often each adapted model failed in its target, what got worse, and the worst frames."""
    at_target, _, _ = by_place(facts.results.centres)
    adapted = at_target[at_target["model"] != ORACLE]
    sentences = [_failure_sentence(row) for _, row in adapted.iterrows() if row["n_dice"]]
    sentences += list(_worst_frames(facts))
    return [*sentences, "Overlays of these and of the most harmed frames: index.html."] if sentences else []


def _failure_sentence(row: pd.Series) -> str:
    who = f"{code(row['source'])} → {code(row['target'])}, {code(row['model'])}"
    text = (
        f"{who}: Dice < 0.5 on {percent(row['fail_rate'])}, nothing marked on {whole(row['missed'])} of "
        f"{counted(row['n_positive'], 'frame')} with a polyp"
    )
    if pd.isna(row["share_worse"]):
        return text
    lost = "" if pd.isna(row["polyps_lost"]) else f"; on {counted(row['polyps_lost'], 'frame')} the polyp was lost"
    return f"{text}; {percent(row['share_worse'])} of frames worse than source-only by more than 0.05{lost}"


def _worst_frames(facts: ReportFacts) -> Iterable[str]:
    frames = facts.results.frames
    at_target = frames[(frames["cohort"] == frames["target"]) & frames["model"].isin(facts.adapted_models)]
    lowest = at_target[at_target["dice"].notna()].groupby(["cohort", "frame"])["dice"].mean()
    for cohort, group in lowest.groupby(level="cohort", sort=False):
        worst = group.sort_values(kind="stable").head(WORST_FRAMES)
        told = ", ".join(f"{code(index[1])} ({plain(value, 3)})" for index, value in worst.items())
        yield f"{code(cohort)}: lowest Dice, mean over adapted models: {told or NOT_KNOWN}"
