"""The first screen of a cross-centre report: per target centre what helps, how sure that is, and what it costs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.comparisons import BOXES_ONLY
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.statistics.permutation import holm, smallest_p_value
from polypda.reporting.verdict import (
    CLUSTER_INTERVALS,
    SIGNIFICANT_P,
    Finding,
    at_target,
    concerns,
    finding,
    records,
    verdict,
)
from polypda.reporting.wording import cluster_noun, counted, listed, percent, plain, signed, whole

Rows = list[dict[str, Any]]

MOST_LINES = 6
"""Adaptations on a card; further ones are counted and stand in the comparisons."""
SYMBOLS = {
    Finding.HELPS: "▲",
    Finding.MAY_HELP: "△",
    Finding.HARMS: "▼",
    Finding.MAY_HARM: "▽",
    Finding.NOT_SHOWN: "○",
    Finding.UNKNOWN: "–",
}


@dataclass(frozen=True)
class CardLine:
    """One adaptation: what the data show, what goes before that, and its price. symbol repeats the tone without
    colour."""

    name: str
    tone: str
    symbol: str
    words: str
    alarm: str
    costs: str


@dataclass(frozen=True)
class CentreCard:
    """One target centre.

    start: what source-only achieves there. harmful: names every adaptation that harms or that is to be handled with
    care, "" where none is. power: said where no finding could hold, whatever the data. lines: by effect, the largest
    gain first. more: how many adaptations are not shown.
    """

    centre: str
    tone: str
    headline: str
    start: str
    harmful: str
    power: str
    lines: tuple[CardLine, ...]
    more: int
    not_assessed: str


def centre_cards(results: CrossCentreResults) -> list[CentreCard]:
    """One card per target of an adaptation, in the order of the comparisons."""
    rows = at_target(results.comparisons)
    rows = rows[~rows["model"].isin([SOURCE_ONLY, ORACLE])]
    targets = {str(target): part for target, part in rows.groupby("target", sort=False)}
    return [_card(results, target, records(part)) for target, part in targets.items()]


def _card(results: CrossCentreResults, target: str, rows: Rows) -> CentreCard:
    own = results.centres[(results.centres["cohort"] == target) & (results.centres["target"] == target)]
    rows = sorted(rows, key=lambda row: -math.inf if pd.isna(row["delta"]) else row["delta"], reverse=True)
    worries = {_name(row, rows): _concerns(row, results.centres) for row in rows}
    shown = rows
    if len(rows) > MOST_LINES:  # the best and the worst
        shown = rows[: MOST_LINES // 2] + rows[-(MOST_LINES // 2) :]
    tone, headline = _headline(rows)
    return CentreCard(
        centre=target,
        tone=tone,
        headline=headline,
        start=_start(own),
        harmful=_harmful(rows, worries),
        power=_power(rows, results.comparisons),
        lines=tuple(_line(row, rows, own, worries[_name(row, rows)]) for row in shown),
        more=len(rows) - len(shown),
        not_assessed=_not_assessed(results, own, rows),
    )


def _concerns(row: dict[str, Any], centres: pd.DataFrame) -> list[str]:
    """What goes before any gain of one adaptation."""
    mine = centres[(centres["source"] == row["source"]) & (centres["target"] == row["target"])]
    mine = mine[mine["split"] == row["split"]]
    there = mine[mine["cohort"] == row["target"]].drop_duplicates("model").set_index("model")
    if SOURCE_ONLY not in there.index or row["model"] not in there.index:
        return []
    home = mine[(mine["cohort"] == row["source"]) & (mine["model"] == row["model"])]
    return concerns(there.loc[SOURCE_ONLY], there.loc[row["model"]], home.iloc[0] if len(home) else None)


def _headline(rows: Rows) -> tuple[str, str]:
    counts = Counter(finding(row) for row in rows)
    helps, harms = counts[Finding.HELPS], counts[Finding.HARMS]
    if counts[Finding.UNKNOWN] == len(rows):
        boxes = all(row["words"] == BOXES_ONLY for row in rows)
        why = "boxes allow no Dice (see Lesions)" if boxes else "no frame with a polyp was scored"
        return "unknown", f"Not answered: {why}."
    suggestive = counts[Finding.MAY_HELP] + counts[Finding.MAY_HARM]
    tone = "mixed" if helps and harms else "better" if helps else "worse" if harms else "unchanged"
    if len(rows) == 1:
        name, found = _name(rows[0], rows), finding(rows[0])
        sentences = {
            Finding.HELPS: f"Yes: {name} helps.",
            Finding.HARMS: f"No: {name} harms.",
            Finding.MAY_HELP: f"Suggestive, not shown: {name} may help.",
            Finding.MAY_HARM: f"Suggestive of harm: {name} may harm.",
        }
        return found.tone, sentences.get(found, f"Not shown: {name} may help or not.")
    parts = []
    if helps:
        parts.append(f"{helps} of {len(rows)} adaptations help{'s' if helps == 1 else ''}")
    if harms:
        parts.append(f"{harms}{'' if helps else f' of {len(rows)} adaptations'} harm{'s' if harms == 1 else ''}")
    if suggestive:
        of_all = "" if parts else f" of {len(rows)} adaptations"
        parts.append(f"{suggestive}{of_all} {'is' if suggestive == 1 else 'are'} suggestive")
    if not parts:
        return tone, f"Not shown: none of {len(rows)} adaptations is shown to help or to harm."
    rest = len(rows) - helps - harms - suggestive
    if rest:
        parts.append(f"{rest} {'is' if rest == 1 else 'are'} not shown to do either")
    return tone, f"{listed(parts)}."


def _harmful(rows: Rows, worries: dict[str, list[str]]) -> str:
    """Every adaptation that harms or is not fit for use, by name: none is lost among lines that are not shown."""
    harming = [f"{_name(row, rows)} ({signed(row['delta'])})" for row in rows if finding(row) is Finding.HARMS]
    suspect = [f"{_name(row, rows)} ({signed(row['delta'])})" for row in rows if finding(row) is Finding.MAY_HARM]
    unfit = [name for name, found in worries.items() if found]
    parts = [f"Harm: {listed(harming)}."] if harming else []
    parts += [f"Suggestive of harm: {listed(suspect)}."] if suspect else []
    parts += [f"Beware of false alarms, nothing marked or a forgotten source: {listed(unfit)}."] if unfit else []
    return " ".join(parts)


def _power(rows: Rows, comparisons: pd.DataFrame) -> str:
    """Said where the clusters are too few for any finding here to hold once all comparisons are counted."""
    tested = [row for row in rows if row["in_family"] and row["interval"] in CLUSTER_INTERVALS]
    if not tested or _could_hold(tested, comparisons):
        return ""
    most = max(tested, key=lambda row: int(row["clusters"]))
    clusters = counted(most["clusters"], cluster_noun(str(most["cluster_unit"])))
    family = counted(tested[0]["family_size"], "comparison")
    return f"With {clusters} and {family} none could be more than suggestive."


def _name(row: dict[str, Any], rows: Rows) -> str:
    """The model, and its source where the rows of the card come from several."""
    several = len({one["source"] for one in rows}) > 1
    return f"{row['model']} from {row['source']}" if several else str(row["model"])


def _could_hold(claimed: Rows, comparisons: pd.DataFrame) -> bool:
    """Whether any of these would pass if every comparison of the family had the least p that its clusters allow."""
    family = records(comparisons[comparisons["in_family"].astype(bool)])
    best = holm(np.array([_smallest_p(row) for row in family]))
    claims = {(row["source"], row["target"], row["model"], row["split"]) for row in claimed}
    own = [(row["source"], row["target"], row["model"], row["split"]) in claims for row in family]
    return bool((best[own] < SIGNIFICANT_P).any())


def _smallest_p(row: dict[str, Any]) -> float:
    """Unknown clusters: each frame counts as one in the test."""
    count = row["n"] if pd.isna(row["clusters"]) else row["clusters"]
    return smallest_p_value(int(count)) if count else math.nan


def _line(row: dict[str, Any], rows: Rows, own: pd.DataFrame, worries: list[str]) -> CardLine:
    found, words = finding(row), verdict(row, str(row["cluster_unit"]))
    alarm = " ".join(worries)
    tone, symbol = ("alarm", "!") if worries else (found.tone, SYMBOLS[found])
    return CardLine(_name(row, rows), tone, symbol, words, alarm, _costs(row, own))


def _costs(row: dict[str, Any], own: pd.DataFrame) -> str:
    """Polyps lost and gained, false alarms on frames without a polyp, frames that got worse."""
    parts = []
    if pd.notna(row["polyps_lost"]):
        parts.append(f"polyps lost on {counted(row['polyps_lost'], 'frame')}, gained on {whole(row['polyps_gained'])}")
    if pd.notna(row["share_worse"]):
        parts.append(f"worse on {percent(row['share_worse'])} of frames")
    if row["n_negative"]:
        mine = own[(own["source"] == row["source"]) & (own["model"] == row["model"]) & (own["split"] == row["split"])]
        after = float(mine["frame_specificity"].iloc[0])
        before = after - float(row["delta_frame_specificity"])
        parts.append(
            f"polyp-free frames left clean {percent(before)}\u00a0→\u00a0{percent(after)} "
            f"({counted(row['n_negative'], 'frame')})"
        )
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""


def _start(own: pd.DataFrame) -> str:
    """Dice of source-only, of each source, and of the oracle."""
    control = own[(own["model"] == SOURCE_ONLY) & own["dice_frame"].notna()].drop_duplicates("source")
    if control.empty:
        return ""
    values, first = control["dice_frame"], control.iloc[0]
    low, high = plain(values.min()), plain(values.max())
    text = f"Source-only reaches Dice {low if low == high else f'{low} to {high}'}"
    if len(control) > 1:
        text += f" from {len(values)} centres"
    elif first["dice_interval"] in CLUSTER_INTERVALS:
        text += f" (95\u00a0% interval {plain(first['dice_low'])} to {plain(first['dice_high'])})"
    oracle = own[(own["model"] == ORACLE) & own["dice_frame"].notna()]
    if oracle.empty:
        return f"{text}."
    bound = float(oracle["dice_frame"].mean())
    lower = " (lower: no upper bound here)" if bound < values.max() else ""
    return f"{text}; trained on this centre's own labels: {plain(bound)}{lower}."


def _not_assessed(results: CrossCentreResults, own: pd.DataFrame, rows: Rows) -> str:
    """What nobody should read out of the card."""
    gaps = []
    first = own.iloc[0]
    if first["annotation"] == "box":
        gaps.append("outlines (annotated with boxes: see Lesions)")
    elif not first["n_positive"]:
        gaps.append("Dice (no frame with a polyp)")
    if not first["n_negative"]:
        gaps.append("false alarms (no polyp-free frame)")
    single = [row for row in rows if row["n_seeds"] == 1]
    if single:
        which = "" if len(single) == len(rows) else f" for {listed([_name(row, rows) for row in single])}"
        gaps.append(f"chance in training (one seed{which})")
    if first["n_positive"] and pd.isna(first["clusters"]):
        gaps.append("how frames belong to patients (unknown)")
    if (own["model"] == ORACLE).sum() == 0:
        gaps.append("how much could be gained at most (no oracle)")
    return f"Not assessed: {listed(gaps)}." if gaps else ""
