"""The report's first sentences: can the adapted model be used at all, does it help in this centre, what does that rest
on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from polypda.evaluation.cases.run_metadata import ONE_SEED, RunMetadata
from polypda.evaluation.statistics.intervals import CLUSTER_T_FROM, IntervalKind
from polypda.reporting.verdict import CLUSTER_INTERVALS, Finding, concerns, finding, verdict
from polypda.reporting.wording import clusters_text, interval, percent, points, signed

NOTABLE_FRACTION = 0.2
"""From this fraction of worsened frames on, the first screen says so beside the mean."""


@dataclass(frozen=True)
class Answer:
    """What the first screen says. tone: as of :class:`Finding`, or "alarm" (for its colour).

    findings: where the headline is an alarm, what else there is to say, the change of Dice last.
    """

    tone: str
    headline: str
    findings: tuple[str, ...]
    figures: tuple[tuple[str, str, str], ...]
    """(label, value, note) of the few numbers that matter."""
    cautions: tuple[str, ...]


def answer(table: pd.DataFrame, run_metadata: RunMetadata) -> Answer:
    """Put the target's rows of the centre table into words.

    Args:
        table: as :func:`polypda.evaluation.aggregation.centres.centre_table` makes it, with source-only and the
            method on the target.
    """
    target = table[(table["role"] == "target") & (table["cohort"] == run_metadata.target)]
    before = target[target["model"] == run_metadata.source_only].iloc[0]
    after = target[target["model"] == run_metadata.method].iloc[0]
    comparison = _comparison(after)
    found = finding(comparison)
    control = target[target["model"] == run_metadata.statistics_control]
    cautions = (
        *(_statistics_share(row, after, run_metadata) for _, row in control.head(1).iterrows()),
        *_certainty(comparison, after),
        *_cautions(after, run_metadata),
        *run_metadata.notes,
    )
    change = _change(found, before, after, run_metadata)
    if run_metadata.set_aside:
        keep = f"Keep the source model: what was adapted is set aside, because {'; '.join(run_metadata.set_aside)}."
        alarms = [keep]
    else:
        alarms = concerns(before, after, _at_home(table, run_metadata))
    first, *rest = [*alarms, change]
    tone = "alarm" if alarms else found.tone
    return Answer(tone, first, tuple(rest), _figures(before, after), tuple(filter(None, cautions)))


def in_one_line(said: Answer) -> str:
    """The headline and what else there is to say, for a terminal."""
    return " ".join((said.headline, *said.findings)).replace("\u00a0", " ")


def _at_home(table: pd.DataFrame, run_metadata: RunMetadata) -> pd.Series | None:
    """The adapted model's row in the source's centre, where it was scored there."""
    home = table[(table["cohort"] == run_metadata.source) & (table["model"] == run_metadata.method)]
    return home.iloc[0] if len(home) and run_metadata.source != run_metadata.target else None


def _comparison(after: pd.Series) -> dict[str, Any]:
    """The method's row of the centre table as :func:`polypda.reporting.verdict.verdict` takes it."""
    names = {"delta": "delta_dice_frame", "low": "delta_low", "high": "delta_high", "interval": "delta_interval"}
    names |= {"words": "delta_words", "n": "n_dice"}
    lesions = "delta_lesion_sensitivity_10"
    same = ("p_holm", "clusters", lesions, f"{lesions}_low", f"{lesions}_high", f"{lesions}_interval")
    return {name: after[column] for name, column in names.items()} | {name: after[name] for name in same}


def _change(found: Finding, before: pd.Series, after: pd.Series, run_metadata: RunMetadata) -> str:
    """How Dice changed, what may be made of that, and what became of frames without a polyp."""
    where, change = f"Dice in {run_metadata.target}", after["delta_dice_frame"]
    if found is Finding.UNKNOWN:
        if after["annotation"] == "box" and pd.notna(after["delta_lesion_sensitivity_10"]):
            return (
                f"Dice cannot be known in {run_metadata.target}, which has boxes only: lesion sensitivity changes by "
                f"{points(after['delta_lesion_sensitivity_10'])}."
            )
        why = "is annotated with boxes only" if after["annotation"] == "box" else "has no scored frame with a polyp"
        return f"Not answered: {run_metadata.target} {why}."
    moves = f"{where} {'rises' if change > 0 else 'falls'} by {abs(change):.2f} on average"
    clean = ""
    if after["n_negative"]:
        clean = f"; polyp-free frames left clean: {_before_and_after(before, after, 'frame_specificity')}"
    doubt = "which may be chance"
    if after["delta_interval"] == IntervalKind.FRAMES:
        doubt = "but it is not known which frames belong to one patient, so that nothing is claimed"
    sentences = {
        Finding.HELPS: f"Yes: {moves}{clean}.",
        Finding.HARMS: f"No: {moves}{clean}.",
        Finding.MAY_HELP: f"Suggestive, not shown: {moves}{clean}.",
        Finding.MAY_HARM: f"Suggestive of harm: {moves}{clean}.",
        Finding.NOT_SHOWN: f"Not shown to help: {where} changes by {signed(change)} on average, {doubt}{clean}.",
    }
    return _unbroken(sentences[found])


def _before_and_after(before: pd.Series, after: pd.Series, name: str) -> str:
    return f"{percent(before[name])} → {percent(after[name])}"


def _certainty(comparison: dict[str, Any], after: pd.Series) -> list[str]:
    """What the interval rests on, or why there is none."""
    kind = comparison["interval"]
    if kind == IntervalKind.FRAMES:
        return ["The interval treats frames as independent: it is likely too narrow, and nothing is claimed from it."]
    if kind == IntervalKind.NONE and after["n_dice"]:
        means = f" Differences: {after['delta_cluster_means']}." if after["delta_cluster_means"] else ""
        known = pd.notna(after["clusters"]) and after["clusters"] >= CLUSTER_T_FROM
        why = "the difference is the same in all, so there is no interval" if known else "too few for an interval"
        return [f"{_clusters(after).capitalize()}: {why}.{'' if known else means}"]
    return [f"{verdict(comparison, str(after['cluster_unit']))}."] if kind in CLUSTER_INTERVALS else []


def _statistics_share(control: pd.Series, after: pd.Series, run_metadata: RunMetadata) -> str:
    """How much of the change needs no adaptation but new batch-norm statistics."""
    write: Callable[[float], str]
    name, write = "dice_frame", partial(signed, digits=3)
    if pd.isna(after["delta_dice_frame"]):
        name, write = "lesion_sensitivity_10", points
    if pd.isna(after[f"delta_{name}"]):
        return ""
    return (
        f"{write(control[f'delta_{name}'])} of this comes from batch-norm statistics alone ({control['model']}); "
        f"{run_metadata.method} adds {write(after[name] - control[name])} to that."
    )


def _figures(before: pd.Series, after: pd.Series) -> tuple[tuple[str, str, str], ...]:
    figures: list[tuple[str, str, str]] = []
    if after["n_dice"]:
        known = pd.notna(after["delta_low"])
        span = f", 95 % interval {interval(after['delta_low'], after['delta_high'], 3)}" if known else ""
        figures += [
            (
                "Mean Dice, frames with a polyp",
                f"{before['dice_frame']:.3f} → {after['dice_frame']:.3f}",
                f"Δ {signed(after['delta_dice_frame'], 3)}{span}; n = {after['n_dice']} frames, {_clusters(after)}",
            ),
            (
                "Frames better / worse",
                f"{percent(after['share_better'])} / {percent(after['share_worse'])}",
                "Dice moved by more than 0.05; the rest stayed about the same",
            ),
            (
                "Failed frames (Dice < 0.5)",
                _before_and_after(before, after, "fail_rate"),
                f"polyps missed altogether: {before['missed']:.4g} → {after['missed']:.4g}",
            ),
        ]
    elif after["lesions_reference"]:
        figures += _lesion_figures(before, after)
    if after["n_negative"]:
        figures.append(
            (
                "Frames without a polyp left clean",
                _before_and_after(before, after, "frame_specificity"),
                f"n = {after['n_negative']}; false-positive regions per frame "
                f"{before['fp_components_per_frame']:.2f} → {after['fp_components_per_frame']:.2f}",
            )
        )
    else:
        figures.append(("Frames without a polyp", "none scored", "false alarms were not measured"))
    # a number and its unit, a value and its arrow, stay on one line
    return tuple((label, _unbroken(value), _unbroken(note)) for label, value, note in figures)


def _lesion_figures(before: pd.Series, after: pd.Series) -> list[tuple[str, str, str]]:
    """What stands in the place of Dice where the reference is boxes."""
    name = "delta_lesion_sensitivity_10"
    span = ""
    if pd.notna(after[f"{name}_low"]):
        span = f", 95 % interval {points(after[f'{name}_low'])} to {points(after[f'{name}_high'])}"
    return [
        (
            "Polyps found (box IoU ≥ 0.1)",
            _before_and_after(before, after, "lesion_sensitivity_10"),
            f"Δ {points(after[name])}{span}; {after['lesions_reference']} polyps on "
            f"{after['n_positive']} frames, {_clusters(after)}",
        ),
        (
            "Marked regions that are polyps (PPV)",
            f"{_fraction(before['lesion_ppv_10'])} → {_fraction(after['lesion_ppv_10'])}",
            f"regions marked elsewhere per frame: {before['lesion_fp_per_frame_10']:.2f} → "
            f"{after['lesion_fp_per_frame_10']:.2f}",
        ),
    ]


def _fraction(value: float) -> str:
    return "nothing marked" if pd.isna(value) else percent(value)


def _unbroken(text: str) -> str:
    return text.replace(" %", "\u00a0%").replace(" → ", "\u00a0→\u00a0")


def _clusters(row: pd.Series) -> str:
    count = row["clusters"]
    return "patients and sequences unknown" if pd.isna(count) else clusters_text(count, str(row["cluster_unit"]))


def _cautions(after: pd.Series, run_metadata: RunMetadata) -> tuple[str, ...]:
    cautions = []
    if after["share_worse"] >= NOTABLE_FRACTION:
        cautions.append(f"{percent(after['share_worse'])} of the frames with a polyp get worse.")
    if after["n_seeds"] == 1:
        cautions.append(f"One seed: {ONE_SEED}.")
    else:
        spread = f"SD of the adapted model's mean Dice over seeds: {after['dice_frame_seed_sd']:.3f}"
        cautions.append(f"Every number is a mean over {after['n_seeds']} seeds; {spread}.")
    if pd.isna(after["clusters"]):
        cautions.append("Neighbouring frames may show the same polyp: n frames are fewer independent cases.")
    if run_metadata.supervision:
        cautions.append(f"Source labels: {run_metadata.supervision}. Outlines follow what boxes can teach.")
    cautions.append(f"Target labels: {run_metadata.labels_text}.")
    return tuple(map(_unbroken, cautions))
