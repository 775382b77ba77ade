"""Numbers as a reader meets them: few digits, true signs, units that stay on the line of their number.

Every table, caption and sentence writes its numbers here. Two marks mean one thing each wherever they stand.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from polypda.evaluation.statistics.intervals import IntervalKind

NOT_KNOWN = "–"
NO_BREAK = "\u00a0"
FRAMES_MARK = "*"
"""Behind an interval that treats frames as independent."""
OWN_MARK = "†"
"""Behind a figure of the centre whose own labels trained the model."""
FRAMES_NOTE = f"{FRAMES_MARK} frames treated as independent: likely too narrow."
OWN_NOTE = f"{OWN_MARK} trained on this centre's own labels, scored on its held-out part."
NO_INTERVAL_NOTE = "No interval: fewer than five clusters."


def plain(value: float, digits: int = 2) -> str:
    """ "0.43"; NaN as a dash, no sign before a 0, an infinite number as ∞."""
    if pd.isna(value):
        return NOT_KNOWN
    text = f"{value:.{digits}f}".replace("inf", "∞")
    return text.replace("-", "−" if float(value) and _counts(text) else "")


def signed(value: float, digits: int = 2) -> str:
    """ "+0.04", "−0.10", "±0.00"; NaN as a dash."""
    if pd.isna(value):
        return NOT_KNOWN
    text = f"{value:+.{digits}f}".replace("inf", "∞")
    return text.replace("-", "−") if _counts(text) else f"±{0:.{digits}f}"


def _counts(text: str) -> bool:
    """Whether a rounded number is anything but 0."""
    return any(letter in "123456789∞" for letter in text)


def percent(fraction: float, digits: int = 0) -> str:
    """A fraction in [0, 1] as "43 %"; NaN as a dash."""
    return NOT_KNOWN if pd.isna(fraction) else f"{plain(100 * fraction, digits)}{NO_BREAK}%"


def signed_percent(ratio: float, digits: int = 0) -> str:
    """A ratio that may have any sign, as "+28 %"; NaN as a dash."""
    return NOT_KNOWN if pd.isna(ratio) else f"{signed(100 * ratio, digits)}{NO_BREAK}%"


def points(difference: float, digits: int = 0) -> str:
    """A difference of fractions as "−43 pp" (percentage points); NaN as a dash."""
    return NOT_KNOWN if pd.isna(difference) else f"{signed(100 * difference, digits)}{NO_BREAK}pp"


def interval(low: float, high: float, digits: int = 2) -> str:
    """Limits of a difference in a sentence, "−0.01 to +0.09"; a dash where there is none."""
    if pd.isna(low) or pd.isna(high):
        return NOT_KNOWN
    return f"{limit(low, digits)} to {limit(high, digits)}".replace(" ", NO_BREAK)


def limit(value: float, digits: int = 2) -> str:
    """A limit of an interval, signed; with a further digit where rounding would hide on which side of 0 it lies."""
    hidden = not pd.isna(value) and value != 0 and not _counts(f"{value:.{digits}f}")
    return signed(value, digits + 1 if hidden else digits)


def with_interval(text: str, low: str, high: str, *, kind: Any = "") -> str:
    """ "0.62 [0.56, 0.68]", marked where frames stand as independent; the text alone where there is no interval.

    Args:
        text, low, high: numbers as text. kind: of the interval, an :class:`~.evaluation.statistics.IntervalKind`.
    """
    if NOT_KNOWN in (text, low, high) or kind == IntervalKind.NONE:
        return text
    return f"{text} [{low}, {high}]{FRAMES_MARK if kind == IntervalKind.FRAMES else ''}"


def p_text(value: float) -> str:
    """ "0.012", "0.35", "<0.001"; NaN as a dash."""
    if pd.isna(value):
        return NOT_KNOWN
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def whole(value: Any) -> str:
    """A count; missing as a dash, a mean of counts with one digit."""
    if pd.isna(value):
        return NOT_KNOWN
    number = float(value)
    return f"{number:.0f}" if math.isclose(number, round(number), abs_tol=1e-9) else f"{number:.1f}"


def counted(count: Any, noun: str) -> str:
    """ "1 patient", "22 patients"."""
    return f"{whole(count)}{NO_BREAK}{noun}{'' if count == 1 else 's'}"


def cluster_noun(unit: str) -> str:
    """What one cluster is called: "patient", "sequence", or "cluster" where units are mixed."""
    return unit if unit in ("patient", "sequence") else "cluster"


def clusters_text(count: Any, unit: str) -> str:
    """ "12 patients", "1 sequence", "unknown"."""
    return "unknown" if pd.isna(count) else counted(count, cluster_noun(unit))


def listed(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
