"""The report's first sentence: does it help in this centre, and what does that rest on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from polypda.evaluation.centre_files import INTERVAL_NOTE
from polypda.evaluation.statement import ReportStatement

SMALLEST_CHANGE = 0.01
"""A mean Dice that moves by less is called unchanged."""


@dataclass(frozen=True)
class Answer:
    """What the first screen says. tone: "better", "worse", "unchanged" or "unknown" (for its colour)."""

    tone: str
    headline: str
    figures: tuple[tuple[str, str, str], ...]
    """(label, value, note) of the few numbers that matter."""
    cautions: tuple[str, ...]


def answer(table: pd.DataFrame, statement: ReportStatement) -> Answer:
    """Put the target's rows of the centre table into words.

    Args:
        table: as :func:`polypda.evaluation.centers.centre_table` makes it, with source-only and the
            method on the target.
    """
    target = table[(table["role"] == "target") & (table["cohort"] == statement.target)]
    before = target[target["model"] == statement.source_only].iloc[0]
    after = target[target["model"] == statement.method].iloc[0]
    delta = float(after["delta_dice_frame"])
    tone = _tone(delta)
    words = {
        "better": f"Yes, on average: Dice in {statement.target} rises by {delta:.2f}.",
        "worse": f"No: Dice in {statement.target} falls by {-delta:.2f} on average.",
        "unchanged": f"No clear change: Dice in {statement.target} stays within {SMALLEST_CHANGE:g} on average.",
        "unknown": f"Not answered: {statement.target} has no scored frame with a polyp.",
    }
    return Answer(tone, words[tone], _figures(before, after), _cautions(after, statement))


def _tone(delta: float) -> str:
    if math.isnan(delta):
        return "unknown"
    if abs(delta) < SMALLEST_CHANGE:
        return "unchanged"
    return "better" if delta > 0 else "worse"


def _figures(before: pd.Series, after: pd.Series) -> tuple[tuple[str, str, str], ...]:
    figures: list[tuple[str, str, str]] = []
    if after["n_positive"]:
        change = f"{after['delta_dice_frame']:+.3f}".replace("-", "−")
        figures += [
            (
                "Mean Dice, frames with a polyp",
                f"{before['dice_frame']:.3f} → {after['dice_frame']:.3f}",
                f"Δ {change}; n = {after['n_positive']} frames, {_clusters(after)}",
            ),
            (
                "Frames better / worse",
                f"{after['share_better']:.0%} / {after['share_worse']:.0%}",
                "Dice moved by more than 0.05; the rest stayed about the same",
            ),
            (
                "Failed frames (Dice < 0.5)",
                f"{before['fail_rate']:.0%} → {after['fail_rate']:.0%}",
                f"polyps missed altogether: {before['missed']:g} → {after['missed']:g}",
            ),
        ]
    if after["n_negative"]:
        figures.append(
            (
                "Frames without a polyp left clean",
                f"{before['frame_specificity']:.0%} → {after['frame_specificity']:.0%}",
                f"n = {after['n_negative']}; false-positive regions per frame "
                f"{before['fp_components_per_frame']:.2f} → {after['fp_components_per_frame']:.2f}",
            )
        )
    else:
        figures.append(("Frames without a polyp", "none scored", "false alarms were not measured"))
    return tuple(figures)


def _clusters(row: pd.Series) -> str:
    if pd.isna(row["clusters"]):
        return "patients and sequences unknown"
    unit = "cluster" if row["cluster_unit"] == "mixed" else str(row["cluster_unit"])
    return f"{row['clusters']} {unit}{'' if row['clusters'] == 1 else 's'}"


def _cautions(after: pd.Series, statement: ReportStatement) -> tuple[str, ...]:
    cautions = [INTERVAL_NOTE]
    if len(statement.seeds) == 1:
        cautions.append(f"One seed: {statement.seeds_text.split('; ')[1]}.")
    if pd.isna(after["clusters"]):
        cautions.append("Neighbouring frames may show the same polyp: n frames are fewer independent cases.")
    cautions.append(f"Target labels: {statement.labels_text}.")
    return tuple(cautions)
