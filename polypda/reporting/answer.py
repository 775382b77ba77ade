"""The report's first sentence: does it help in this centre, and what does that rest on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from polypda.evaluation.centre_files import INTERVAL_NOTE
from polypda.evaluation.statement import ONE_SEED, ReportStatement

SMALLEST_CHANGE = 0.01
"""A mean Dice that moves by less is called unchanged."""

NOTABLE_SHARE = 0.2
"""From this share of worsened frames on, the first screen says so beside the mean."""
NOTABLE_LOSS = 0.05
"""From this loss of frame specificity on, likewise."""


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
    control = target[target["model"] == statement.statistics_control]
    cautions = [] if control.empty else [_statistics_share(control.iloc[0], after, statement)]
    return Answer(tone, words[tone], _figures(before, after), (*cautions, *_cautions(after, statement)))


def _statistics_share(control: pd.Series, after: pd.Series, statement: ReportStatement) -> str:
    """How much of the change needs no adaptation but new batch-norm statistics."""
    alone, beyond = control["delta_dice_frame"], after["dice_frame"] - control["dice_frame"]
    text = f"{alone:+.3f} of this comes from batch-norm statistics alone ({control['model']}); {statement.method} adds"
    return f"{text} {beyond:+.3f} to that.".replace("-0.", "−0.")


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
                f"{_percent(after['share_better'])} / {_percent(after['share_worse'])}",
                "Dice moved by more than 0.05; the rest stayed about the same",
            ),
            (
                "Failed frames (Dice < 0.5)",
                f"{_percent(before['fail_rate'])} → {_percent(after['fail_rate'])}",
                f"polyps missed altogether: {before['missed']:.4g} → {after['missed']:.4g}",
            ),
        ]
    if after["n_negative"]:
        figures.append(
            (
                "Frames without a polyp left clean",
                f"{_percent(before['frame_specificity'])} → {_percent(after['frame_specificity'])}",
                f"n = {after['n_negative']}; false-positive regions per frame "
                f"{before['fp_components_per_frame']:.2f} → {after['fp_components_per_frame']:.2f}",
            )
        )
    else:
        figures.append(("Frames without a polyp", "none scored", "false alarms were not measured"))
    # a number and its unit, a value and its arrow, stay on one line
    return tuple((label, _unbroken(value), _unbroken(note)) for label, value, note in figures)


def _unbroken(text: str) -> str:
    return text.replace(" %", "\u00a0%").replace(" → ", "\u00a0→\u00a0")


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _clusters(row: pd.Series) -> str:
    if pd.isna(row["clusters"]):
        return "patients and sequences unknown"
    unit = "cluster" if row["cluster_unit"] == "mixed" else str(row["cluster_unit"])
    return f"{row['clusters']} {unit}{'' if row['clusters'] == 1 else 's'}"


def _cautions(after: pd.Series, statement: ReportStatement) -> tuple[str, ...]:
    cautions = []
    if after["share_worse"] >= NOTABLE_SHARE:
        cautions.append(f"{_percent(after['share_worse'])} of the frames with a polyp get worse.")
    if after["delta_frame_specificity"] <= -NOTABLE_LOSS:
        cautions.append("False alarms on frames without a polyp become more frequent.")
    cautions.append(INTERVAL_NOTE)
    if after["n_seeds"] == 1:
        cautions.append(f"One seed: {ONE_SEED}.")
    else:
        spread = f"SD of the adapted model's mean Dice over seeds: {after['dice_frame_seed_sd']:.3f}"
        cautions.append(f"Every number is a mean over {after['n_seeds']} seeds; {spread}.")
    if pd.isna(after["clusters"]):
        cautions.append("Neighbouring frames may show the same polyp: n frames are fewer independent cases.")
    cautions.append(f"Target labels: {statement.labels_text}.")
    return tuple(map(_unbroken, cautions))
