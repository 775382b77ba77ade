"""What each checkpoint rule cost: the Dice of the best snapshot minus that of the one it took.

Computed when everything is decided, on the target's held-out frames: it judges the rules, it chooses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from polypda.errors import DataError

SELECTORS_FILE = "selectors.csv"
RUN_COLUMNS = ["run", "source", "target", "model", "seed"]
COLUMNS = [*RUN_COLUMNS, "selector", "step", "dice", "best_step", "best_dice", "regret", "n", "snapshots", "used"]
"""dice, best_dice, regret: mean over the target's held-out frames with a polyp, 0–1; n: how many. used: the rule whose
checkpoint the run reports."""


def regret_rows(
    run: Mapping[str, object], choices: Mapping[str, int], dice: Mapping[int, float], *, used: str, n: int
) -> pd.DataFrame:
    """One row per checkpoint rule. Args: run: values of ``RUN_COLUMNS``. dice: step → mean Dice of that snapshot.

    Of equally good snapshots the earliest is called best.
    """
    best = max(sorted(dice), key=lambda step: dice[step])
    rows = [
        {
            **run,
            "selector": selector,
            "step": step,
            "dice": dice[step],
            "best_step": best,
            "best_dice": dice[best],
            "regret": dice[best] - dice[step],
            "n": n,
            "snapshots": len(dice),
            "used": selector == used,
        }
        for selector, step in choices.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def regret_by_rule(selectors: pd.DataFrame) -> pd.DataFrame:
    """Per source → target and rule: mean Dice and mean regret over runs, the worst run's regret, number of runs.

    Columns: source, target, selector, runs, dice, regret, worst_regret. Rules in the order of their first row.
    """
    groups = selectors.groupby(["source", "target", "selector"], sort=False)
    return groups.agg(
        runs=("run", "nunique"), dice=("dice", "mean"), regret=("regret", "mean"), worst_regret=("regret", "max")
    ).reset_index()


def joined_selectors(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of several runs, each run once."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(filled, ignore_index=True).drop_duplicates(["run", "selector"]).reset_index(drop=True)


def read_selectors(folder: Path) -> pd.DataFrame:
    """Read ``selectors.csv``; without rows where there is none. Raises: DataError E_SELECTORS_FILE."""
    path = folder / SELECTORS_FILE
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    try:
        found = pd.read_csv(path)
        return found[COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            "E_SELECTORS_FILE",
            f"cannot be used ({error}).",
            where=path,
            fix="remove it, or score the run again with this version.",
        ) from error
