"""Numbers as a reader meets them: few digits, true signs, units that stay on the line of their number."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

NOT_KNOWN = "–"
NO_BREAK = "\u00a0"


def signed(value: float, digits: int = 2) -> str:
    """ "+0.04", "−0.10", "±0.00"; NaN as a dash."""
    if pd.isna(value):
        return NOT_KNOWN
    text = f"{value:+.{digits}f}"
    return f"±{0:.{digits}f}" if not float(text) else text.replace("-", "−")


def plain(value: float, digits: int = 2) -> str:
    """ "0.43"; NaN as a dash; no sign before a 0."""
    if pd.isna(value):
        return NOT_KNOWN
    text = f"{value:.{digits}f}"
    return text.replace("-", "−" if float(text) else "")


def percent(share: float, digits: int = 0) -> str:
    """A share in [0, 1] as "43 %"; NaN as a dash."""
    return NOT_KNOWN if pd.isna(share) else f"{share * 100:.{digits}f}{NO_BREAK}%"


def points(difference: float) -> str:
    """A difference of shares as "−43 percentage points"."""
    return NOT_KNOWN if pd.isna(difference) else f"{signed(difference * 100, 0)} percentage points"


def interval(low: float, high: float, digits: int = 2) -> str:
    """ "−0.01 to +0.09"; a dash where there is none."""
    if pd.isna(low) or pd.isna(high):
        return NOT_KNOWN
    return f"{limit(low, digits)} to {limit(high, digits)}".replace(" ", NO_BREAK)


def limit(value: float, digits: int = 2) -> str:
    """A limit of an interval, signed; with a further digit where rounding would hide on which side of 0 it lies."""
    hidden = value != 0 and not float(f"{value:.{digits}f}")
    return signed(value, digits + 1 if hidden else digits)


def p_text(value: float) -> str:
    """ "0.012", "< 0.001"; NaN as a dash."""
    if pd.isna(value):
        return NOT_KNOWN
    return f"<{NO_BREAK}0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


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


def listed(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
