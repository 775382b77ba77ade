"""Numbers as people read them: few digits, a sign where it is a difference, an interval where there is one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from polypda.evaluation.statistics import IntervalKind

NOT_KNOWN = "–"
BOXES_ONLY = "boxes only"
INDEPENDENT_MARK = "*"
"""Behind an interval that treats frames as independent."""
INTERVAL_NOTE = (
    "Square brackets: 95 % interval over clusters (patients, else sequences): bootstrap from 10 clusters on, cluster-t "
    f"for 5 to 9. {INDEPENDENT_MARK} clusters unknown: frames treated as independent, likely too narrow. No brackets: "
    "fewer than 5 clusters, or all alike."
)

Cell = Callable[[Any], str]


def number(pattern: str, scale: float = 1.0) -> Cell:
    """A function from a number (or NaN, NA, infinity) to text in this pattern, with a true minus."""

    def write(value: Any) -> str:
        if pd.isna(value):
            return NOT_KNOWN
        if math.isinf(value):
            return "−∞" if value < 0 else "∞"
        text = pattern.format(float(value) * scale)
        if any(digit in text for digit in "123456789"):
            return text.replace("-", "−")
        # −0.00 and +0.00 are the same news: none
        return pattern.format(0.0).replace("+", "±")

    return write


three_digits = number("{:.3f}")
signed = number("{:+.3f}")
percent = number("{:.0f} %", 100)
signed_percent = number("{:+.0f} %", 100)
fine_percent = number("{:.2f} %", 100)
signed_points = number("{:+.0f} pp", 100)
count = number("{:.4g}")
pixels = number("{:.1f}")


def p_text(p_value: Any) -> str:
    """A p value; "<0.001" below that."""
    if pd.isna(p_value):
        return NOT_KNOWN
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def with_interval(value: Any, low: Any, high: Any, kind: Any, write: Cell) -> str:
    """ "0.62 [0.56, 0.68]", marked where frames stand as independent; the value alone where there is no interval."""
    if pd.isna(value) or pd.isna(low) or kind == IntervalKind.NONE:
        return write(value)
    mark = INDEPENDENT_MARK if kind == IntervalKind.FRAMES else ""
    return f"{write(value)} [{write(low)}, {write(high)}]{mark}"


def interval_cells(table: pd.DataFrame, value: str, stem: str, write: Cell) -> pd.Series:
    """Cells of the column ``value`` with the interval in the columns ``stem``_low, _high and _interval."""
    columns = [value, f"{stem}_low", f"{stem}_high", f"{stem}_interval"]
    rows = zip(*(table[name] for name in columns), strict=True)
    texts = [with_interval(mean, low, high, kind, write) for mean, low, high, kind in rows]
    return pd.Series(texts, index=table.index, dtype=object)


def clusters_text(clusters: Any, unit: str) -> str:
    """ "12 patients", "1 sequence", "unknown"."""
    if pd.isna(clusters):
        return "unknown"
    return f"{clusters} {unit if unit != 'mixed' else 'cluster'}{'' if clusters == 1 else 's'}"


def plain(value: Any) -> Any:
    """A value as JSON can hold it: a number that does not exist (NaN, NA) or has no end (infinite) is null."""
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON objects, one per row."""
    return [{str(name): plain(value) for name, value in row.items()} for row in table.to_dict("records")]
