"""Whether a comparison may be called help or harm, and the words for it.

"Helps" and "harms" are said only of an interval over clusters that excludes 0, or of a Holm-adjusted p below 0.05 from
clusters. An interval that treats frames as independent is likely too narrow: nothing is claimed from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pandas as pd

from polypda.evaluation.aggregation.comparisons import BOXES_ONLY
from polypda.evaluation.statistics.intervals import IntervalKind
from polypda.reporting.wording import cluster_noun, counted, interval, p_text, signed

CLUSTER_INTERVALS = (IntervalKind.BOOTSTRAP, IntervalKind.CLUSTER_T)
SIGNIFICANT_P = 0.05


class Finding(Enum):
    """What the data show about a model beside source-only."""

    HELPS = "helps"
    HARMS = "harms"
    NOT_SHOWN = "not shown"
    UNKNOWN = "not assessed"

    @property
    def tone(self) -> str:
        """For the colour: better, worse, unchanged or unknown."""
        return {"helps": "better", "harms": "worse", "not shown": "unchanged", "not assessed": "unknown"}[self.value]


def finding(row: Mapping[str, Any]) -> Finding:
    """What one comparison with source-only shows.

    Args:
        row: delta, low, high (NaN where absent), interval (its kind), p_holm (NaN where absent).
    """
    delta = row["delta"]
    if pd.isna(delta):
        return Finding.UNKNOWN
    if row["interval"] not in CLUSTER_INTERVALS:
        return Finding.NOT_SHOWN
    adjusted = row["p_holm"]
    excludes_zero = row["low"] > 0 or row["high"] < 0
    if not excludes_zero and not (pd.notna(adjusted) and adjusted < SIGNIFICANT_P):
        return Finding.NOT_SHOWN
    return Finding.HELPS if delta > 0 else Finding.HARMS


def holds_after_correction(row: Mapping[str, Any]) -> bool:
    """Whether a finding stands when all comparisons of the report are counted."""
    found = finding(row) in (Finding.HELPS, Finding.HARMS)
    return found and bool(pd.notna(row["p_holm"]) and row["p_holm"] < SIGNIFICANT_P)


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
        return f"{counted(row['clusters'], cluster_noun(unit))} ({frames}), too few for an interval"
    return f"{frames}, no interval"


def _conclusion(row: Mapping[str, Any], found: Finding) -> str:
    if found is Finding.NOT_SHOWN:
        lower = signed(row["delta"]).startswith("−")
        return f"not shown to help{', the mean is lower' if lower else ''}"
    excludes_zero = row["low"] > 0 or row["high"] < 0
    adjusted = row["p_holm"]
    if excludes_zero and pd.notna(adjusted) and adjusted >= SIGNIFICANT_P:
        return f"{found.value}, taken by itself (not after Holm's correction)"
    if not excludes_zero:
        return f"{found.value} by the sign-flip test (Holm p\u00a0{_p(adjusted)}), though the interval reaches 0"
    return found.value


def _p(value: float) -> str:
    text = p_text(value)
    return text if text.startswith("<") else f"= {text}".replace(" ", "\u00a0")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain mappings from column to value."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def at_target(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows scored in the centre that was adapted to."""
    return rows[rows["cohort"] == rows["target"]]
