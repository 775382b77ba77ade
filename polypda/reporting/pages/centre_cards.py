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
    finding,
    holds_after_correction,
    records,
    verdict,
)
from polypda.reporting.wording import cluster_noun, counted, listed, percent, plain, whole

Rows = list[dict[str, Any]]

MOST_LINES = 6
"""Adaptations on a card; further ones are counted and stand in the comparisons."""
FIRST = (Finding.HARMS, Finding.HELPS, Finding.NOT_SHOWN, Finding.UNKNOWN)
"""Which come first where not all are shown: bad news must not be cut off."""
SYMBOLS = {Finding.HELPS: "▲", Finding.HARMS: "▼", Finding.NOT_SHOWN: "○", Finding.UNKNOWN: "–"}


@dataclass(frozen=True)
class CardLine:
    """One adaptation: what the data show, and its price. symbol repeats the tone without colour."""

    name: str
    tone: str
    symbol: str
    words: str
    costs: str


@dataclass(frozen=True)
class CentreCard:
    """One target centre. start: what source-only achieves there. corrected: what remains
    when all comparisons are counted, "" where everything does. more: how many adaptations are not shown."""

    centre: str
    tone: str
    headline: str
    start: str
    corrected: str
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
    shown = rows
    if len(rows) > MOST_LINES:
        shown = sorted(rows, key=lambda row: FIRST.index(finding(row)))[:MOST_LINES]
    tone, headline = _headline(rows)
    return CentreCard(
        centre=target,
        tone=tone,
        headline=headline,
        start=_start(own),
        corrected=_corrected(rows, results.comparisons),
        lines=tuple(_line(row, rows, own) for row in shown),
        more=len(rows) - len(shown),
        not_assessed=_not_assessed(results, own, rows),
    )


def _headline(rows: Rows) -> tuple[str, str]:
    counts = Counter(finding(row) for row in rows)
    helps, harms = counts[Finding.HELPS], counts[Finding.HARMS]
    if counts[Finding.UNKNOWN] == len(rows):
        boxes = all(row["words"] == BOXES_ONLY for row in rows)
        why = "boxes allow no Dice (see Lesions)" if boxes else "no frame with a polyp was scored"
        return "unknown", f"Not answered: {why}."
    tone = "mixed" if helps and harms else "better" if helps else "worse" if harms else "unchanged"
    if len(rows) == 1:
        name = _name(rows[0], rows)
        sentence = {"better": f"Yes: {name} helps.", "worse": f"No: {name} harms."}
        return tone, sentence.get(tone, f"Not shown: {name} may help or not.")
    if not helps and not harms:
        return tone, f"Not shown: none of {len(rows)} adaptations is shown to help or to harm."
    parts = []
    if helps:
        parts.append(f"{helps} of {len(rows)} adaptations help{'s' if helps == 1 else ''}")
    if harms:
        parts.append(f"{harms}{'' if helps else f' of {len(rows)} adaptations'} harm{'s' if harms == 1 else ''}")
    rest = len(rows) - helps - harms
    if rest:
        parts.append(f"{rest} {'is' if rest == 1 else 'are'} not shown to do either")
    return tone, f"{listed(parts)}."


def _corrected(rows: Rows, comparisons: pd.DataFrame) -> str:
    claimed = [row for row in rows if finding(row) in (Finding.HELPS, Finding.HARMS)]
    left = sum(map(holds_after_correction, claimed))
    if left == len(claimed):
        return ""
    family = whole(claimed[0]["family_size"])
    if not left and not _could_hold(claimed, comparisons):
        most = max(claimed, key=lambda row: int(row["clusters"]))
        clusters = counted(most["clusters"], cluster_noun(str(most["cluster_unit"])))
        return f"With {clusters} and {family} comparisons no finding could pass Holm's correction."
    counting = f"Counting all {family} comparisons of this report (Holm),"
    if len(claimed) == 1:
        return f"{counting} this finding does not hold."
    return f"{counting} {left} of these {len(claimed)} findings hold{'s' if left == 1 else ''}."


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


def _line(row: dict[str, Any], rows: Rows, own: pd.DataFrame) -> CardLine:
    found, words = finding(row), verdict(row, str(row["cluster_unit"]))
    return CardLine(_name(row, rows), found.tone, SYMBOLS[found], words, _costs(row, own))


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
