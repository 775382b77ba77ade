"""Whether a comparison may be called help or harm, whether it can be judged at all, and the words for both.

One rule, everywhere. "Helps" and "harms" are said where the interval over clusters excludes 0 and the Holm-adjusted p
of the cluster sign-flip test, over all comparisons of the report, is below 0.05. Where one of the two alone holds, the
finding is "suggestive". An interval that treats frames as independent is likely too narrow: nothing is claimed from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pandas as pd

from polypda.evaluation.aggregation.comparisons import BOXES_ONLY
from polypda.evaluation.statistics.intervals import CLUSTER_T_FROM, IntervalKind
from polypda.reporting.wording import cluster_noun, counted, interval, p_text, percent, signed
from polypda.training.collapse_limits import MOSTLY_UNMARKED, SOURCE_DICE_LOST

CLUSTER_INTERVALS = (IntervalKind.BOOTSTRAP, IntervalKind.CLUSTER_T)
SIGNIFICANT_P = 0.05
CLEAN_LOST = 0.05
"""From this loss of frame specificity on, at least two frames, false alarms go before any gain in Dice."""


class Finding(Enum):
    """What the data show about a model beside source-only."""

    HELPS = "helps"
    HARMS = "harms"
    MAY_HELP = "suggestive: better"
    MAY_HARM = "suggestive: worse"
    NOT_SHOWN = "not shown"
    UNKNOWN = "not assessed"

    @property
    def tone(self) -> str:
        """For the colour: better, worse (each also suggestive), unchanged or unknown."""
        return TONES[self]

    @property
    def is_claim(self) -> bool:
        """Whether help or harm is said, not only suggested."""
        return self in (Finding.HELPS, Finding.HARMS)

    @property
    def is_suggestive(self) -> bool:
        return self in (Finding.MAY_HELP, Finding.MAY_HARM)


Row = Mapping[str, Any] | pd.Series
TONES = {
    Finding.HELPS: "better",
    Finding.HARMS: "worse",
    Finding.MAY_HELP: "better suggestive",
    Finding.MAY_HARM: "worse suggestive",
    Finding.NOT_SHOWN: "unchanged",
    Finding.UNKNOWN: "unknown",
}


def finding(row: Mapping[str, Any]) -> Finding:
    """What one comparison with source-only shows.

    Args:
        row: delta, low, high (NaN where absent), interval (its kind), p_holm (NaN where absent, or where the comparison
            is not of the declared family).
    """
    delta = row["delta"]
    if pd.isna(delta):
        return Finding.UNKNOWN
    if row["interval"] not in CLUSTER_INTERVALS:
        return Finding.NOT_SHOWN
    holds = (_excludes_zero(row), bool(pd.notna(row["p_holm"]) and row["p_holm"] < SIGNIFICANT_P))
    if all(holds):
        return Finding.HELPS if delta > 0 else Finding.HARMS
    if any(holds):
        return Finding.MAY_HELP if delta > 0 else Finding.MAY_HARM
    return Finding.NOT_SHOWN


def _excludes_zero(row: Mapping[str, Any]) -> bool:
    return bool(row["low"] > 0 or row["high"] < 0)


def concerns(before: Row, after: Row, home: Row | None = None) -> list[str]:
    """What goes before any gain, gravest first, each as a sentence: the model marks almost nothing, it marks what is
    clean, it forgot its source.

    Args:
        before, after: rows of the centre table: source-only and the adapted model in the target. home: the adapted
            model in the source's centre; None where it was not scored.
    """
    found = []
    if after["n_dice"] and after["missed"] >= MOSTLY_UNMARKED * after["n_dice"]:
        found.append(
            f"Not usable: it marks nothing on {counted_of(after['missed'], after['n_dice'], 'frame')} with a polyp "
            f"(before: {before['missed']:.4g})."
        )
    lost = -after["delta_frame_specificity"]
    if lost >= CLEAN_LOST and round(lost * after["n_negative"]) >= 2:
        frames = counted(after["n_negative"], "frame")
        found.append(
            f"Beware: it leaves {percent(after['frame_specificity'])} of {frames} without a polyp clean "
            f"(before: {percent(before['frame_specificity'])})."
        )
    if home is not None and home["delta_dice_frame"] <= -SOURCE_DICE_LOST:
        where, loss = home["cohort"], -home["delta_dice_frame"]
        found.append(f"Beware: it forgot part of its source, Dice in {where} falls by {loss:.2f}.")
    return found


def counted_of(count: float, total: float, noun: str) -> str:
    """ "12 of 40 frames"."""
    return f"{count:.4g} of {counted(total, noun)}"


def verdict(row: Mapping[str, Any], cluster_unit: str = "") -> str:
    """The finding in a clinician's words, with difference, interval, clusters and conclusion.

    Args:
        row: as for :func:`finding`, and n, clusters (missing where unknown); words and delta_lesion_sensitivity_10
            (with _low, _high, _interval) where there is no Dice. cluster_unit: "patient", "sequence",
            "mixed" or "unknown".
    """
    found = finding(row)
    if found is Finding.UNKNOWN:
        return _why_unknown(row)
    change = f"Dice\u00a0{signed(row['delta'])}"
    return f"{change}, {_certainty(row, cluster_unit)}: {_conclusion(row, found)}"


def _why_unknown(row: Mapping[str, Any]) -> str:
    lesions = row.get("delta_lesion_sensitivity_10", math.nan)
    if row.get("words") == BOXES_ONLY and pd.notna(lesions):
        low = row.get("delta_lesion_sensitivity_10_low", math.nan)
        kind = row.get("delta_lesion_sensitivity_10_interval", IntervalKind.NONE)
        span = interval(low, row.get("delta_lesion_sensitivity_10_high", math.nan)) if pd.notna(low) else "no interval"
        span += " if frames were independent" if kind == IntervalKind.FRAMES else ""
        return f"{BOXES_ONLY}; lesion sensitivity {signed(lesions)} ({span}), for which no finding is declared"
    return "no scored frame with a polyp: not assessed"


def _certainty(row: Mapping[str, Any], unit: str) -> str:
    kind = row["interval"]
    frames = counted(row["n"], "frame")
    if kind in CLUSTER_INTERVALS:
        clusters = counted(row["clusters"], cluster_noun(unit))
        return f"95\u00a0% interval {interval(row['low'], row['high'])}, {clusters}"
    if kind == IntervalKind.FRAMES:
        span = interval(row["low"], row["high"])
        return f"{span} if its {frames} were independent (patients unknown: likely too narrow)"
    if pd.notna(row["clusters"]):
        why = "too few for an interval" if row["clusters"] < CLUSTER_T_FROM else "all alike: no interval"
        return f"{counted(row['clusters'], cluster_noun(unit))} ({frames}), {why}"
    return f"{frames}, no interval"


def _conclusion(row: Mapping[str, Any], found: Finding) -> str:
    if found is Finding.NOT_SHOWN:
        lower = signed(row["delta"]).startswith("−")
        return f"not shown to help{', the mean is lower' if lower else ''}"
    if not found.is_suggestive:
        return found.value
    if _excludes_zero(row):
        why = "not after Holm's correction" if pd.notna(row["p_holm"]) else "not among the tested comparisons"
        return f"{found.value} ({why})"
    return f"{found.value} (sign-flip test, Holm p\u00a0{_p(row['p_holm'])}, but the interval reaches 0)"


def _p(value: float) -> str:
    text = p_text(value)
    return text if text.startswith("<") else f"= {text}".replace(" ", "\u00a0")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain mappings from column to value."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def at_target(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows scored in the centre that was adapted to."""
    return rows[rows["cohort"] == rows["target"]]
