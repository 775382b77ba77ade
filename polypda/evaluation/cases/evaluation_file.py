"""An evaluation on disk: the cases, the facts beside every number made from them, and what checkpoint rules cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from polypda.errors import DataError
from polypda.evaluation.cases.case_table import read_cases, write_cases
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.files import write_whole
from polypda.integrity import check_folder
from polypda.options import with_present_names

CASES_FILE = "cases.csv"
FACTS_FILE = "evaluation.json"
EVALUATION_SCHEMA, FORMER_SCHEMA = "polypda-evaluation 2", "polypda-evaluation 1"


@dataclass(frozen=True)
class Evaluation:
    """The scored frames of one run, or of one folder of external predictions.

    selectors: what each checkpoint rule cost (SELECTOR_COLUMNS); without rows where nothing was chosen.
    """

    cases: pd.DataFrame
    run_metadata: RunMetadata
    folder: Path
    selectors: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SELECTOR_COLUMNS))


def write_evaluation(folder: Path, cases: pd.DataFrame, run_metadata: RunMetadata) -> None:
    """Write cases.csv and evaluation.json into an existing folder, each whole or not at all, the facts last.

    Raises: DataError E_WRITE_FAILED, and what :func:`.case_table.checked_cases` raises.
    """
    write_cases(cases, folder / CASES_FILE)
    document = {"schema": EVALUATION_SCHEMA, "run_metadata": run_metadata.model_dump(mode="json")}
    write_whole(folder / FACTS_FILE, json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def is_evaluation(folder: Path) -> bool:
    """Whether both files are there."""
    return (folder / FACTS_FILE).is_file() and (folder / CASES_FILE).is_file()


def read_evaluation(folder: Path) -> Evaluation:
    """Read and check an evaluation.

    Raises: DataError E_EVALUATION_MISSING, E_FILE_CHANGED, E_EVALUATION_FACTS, and what reading the cases raises.
    """
    path = folder / FACTS_FILE
    if not is_evaluation(folder):
        lacking = [name for name in (FACTS_FILE, CASES_FILE) if not (folder / name).is_file()]
        raise DataError(
            "E_EVALUATION_MISSING",
            f"there is no finished evaluation here ({' and '.join(lacking)} missing).",
            where=folder,
            fix="resume the run, or score it with `polypda evaluate RUN --on COHORT`.",
        )
    check_folder(
        folder, fix="score the run again: `polypda adapt --resume RUN`, or `polypda evaluate RUN --on COHORT`."
    )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document["schema"]
        if found not in (EVALUATION_SCHEMA, FORMER_SCHEMA):
            raise ValueError(f"schema '{found}', this version reads '{EVALUATION_SCHEMA}'")
        facts = document["run_metadata"] if found == EVALUATION_SCHEMA else with_present_names(document["statement"])
        run_metadata = RunMetadata.model_validate(facts)
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            "E_EVALUATION_FACTS",
            f"cannot be used ({reason}).",
            where=path,
            fix="score the run again with this version: `polypda evaluate RUN --on COHORT`.",
        ) from error
    return Evaluation(read_cases(folder / CASES_FILE), run_metadata, folder, read_selectors(folder))


def find_evaluations(folder: Path) -> list[Path]:
    """The evaluations of a run folder (its report and its later ones), or the folder itself if it is one.

    Raises: DataError E_EVALUATION_MISSING when there is none.
    """
    if is_evaluation(folder):
        return [folder]
    later = sorted(path for path in (folder / "evaluations").glob("*") if path.is_dir())
    found = [path for path in (folder / "report", *later) if is_evaluation(path)]
    if not found:
        known = "there is no such folder" if not folder.is_dir() else "it holds no finished evaluation"
        raise DataError(
            "E_EVALUATION_MISSING",
            f"{known}.",
            where=folder,
            fix="give a run folder of `polypda adapt` that is complete, or the folder of an evaluation.",
        )
    return found


SELECTORS_FILE = "selectors.csv"
RUN_COLUMNS = ["run", "source", "target", "model", "seed"]
SELECTOR_COLUMNS: list[str] = [
    *(*RUN_COLUMNS, "selector", "step", "dice", "best_step", "best_dice", "regret", "n", "snapshots", "used")
]
"""dice, best_dice, regret: mean over the target's held-out frames with a polyp, 0–1; n: how many. used: the rule whose
checkpoint the run reports."""


def regret_rows(
    run: Mapping[str, object], choices: Mapping[str, int], dice: Mapping[int, float], *, used: str, n: int
) -> pd.DataFrame:
    """What each checkpoint rule cost: the Dice of the best snapshot minus that of the one it took; one row per rule.

    run: values of ``RUN_COLUMNS``. dice: step → mean Dice of that snapshot. Of equals the earliest is called best.
    """
    best = max(sorted(dice), key=lambda step: dice[step])
    rows = [
        {
            **run, "selector": selector, "step": step, "dice": dice[step], "best_step": best, "best_dice": dice[best],
            "regret": dice[best] - dice[step], "n": n, "snapshots": len(dice), "used": selector == used,
        }
        for selector, step in choices.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=SELECTOR_COLUMNS)


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
        return pd.DataFrame(columns=SELECTOR_COLUMNS)
    return pd.concat(filled, ignore_index=True).drop_duplicates(["run", "selector"]).reset_index(drop=True)


def read_selectors(folder: Path) -> pd.DataFrame:
    """Read ``selectors.csv``; without rows where there is none. Raises: DataError E_SELECTORS_FILE."""
    path = folder / SELECTORS_FILE
    if not path.is_file():
        return pd.DataFrame(columns=SELECTOR_COLUMNS)
    try:
        found = pd.read_csv(path)
        return found[SELECTOR_COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            "E_SELECTORS_FILE",
            f"cannot be used ({error}).",
            where=path,
            fix="remove it, or score the run again with this version.",
        ) from error
