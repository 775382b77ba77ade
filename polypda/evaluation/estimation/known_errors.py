"""How far estimates of Dice were off where the truth is known: measured by ``benchmarks/estimated_dice.py``.

The measured figures come with the package, so that a page can say them beside every estimate.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

KNOWN_ERRORS = Path(__file__).with_name("known_errors.csv")
SOURCE = "source"
"""The calibrator that pages use, and its name in the table."""
LEFT_OUT = "source, another cohort left out"
"""Likewise for cohorts that were no target: each is estimated by the others."""
KEYS = ["rule", "calibrator", "quantity"]


@cache
def known_errors() -> pd.DataFrame:
    """One row per rule, calibrator and quantity; empty where nothing was measured.

    Columns: runs, pairs (source → target), mean_error (estimate − truth), mean_absolute_error, largest_error
    (absolute), too_high (share of runs), within (share of runs whose interval held the truth; NaN without intervals),
    width (mean), variance (of the mean errors of a run's stand-ins, mean over runs, then pairs; NaN without).
    """
    return pd.read_csv(KNOWN_ERRORS) if KNOWN_ERRORS.is_file() else pd.DataFrame()


def summary_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`known_errors`.

    rows: one per run, rule, calibrator and quantity, with its truth and estimate, and low, high and variance (NaN for
    none).
    Runs that share a source → target are seeds and methods of one pair: ``pairs`` says how many there are.
    """
    error = rows["estimate"] - rows["truth"]
    has_interval = rows["low"].notna()
    held = (rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"])
    table = rows.assign(
        error=error,
        absolute=error.abs(),
        too_high=(error > 0).astype(float),
        held=held.astype(float).where(has_interval),
        width=rows["high"] - rows["low"],
        pair=rows["source"] + " → " + rows["target"],
    )
    grouped = table.groupby(KEYS, sort=False)
    of_pairs = table.groupby([*KEYS, "pair"], sort=False)["variance"].mean()
    return pd.DataFrame(
        {
            "runs": grouped["run"].nunique(),
            "pairs": grouped["pair"].nunique(),
            "mean_error": grouped["error"].mean(),
            "mean_absolute_error": grouped["absolute"].mean(),
            "largest_error": grouped["absolute"].max(),
            "too_high": grouped["too_high"].mean(),
            "within": grouped["held"].mean(),
            "width": grouped["width"].mean(),
            "variance": of_pairs.groupby(level=list(range(len(KEYS))), sort=False).mean(),
        }
    ).reset_index()
