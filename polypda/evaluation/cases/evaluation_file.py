"""An evaluation on disk: the cases, and the facts that must stand beside every number made from them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from polypda.errors import DataError
from polypda.evaluation.aggregation.selector_regret import COLUMNS as SELECTOR_COLUMNS
from polypda.evaluation.aggregation.selector_regret import read_selectors
from polypda.evaluation.cases.case_table import read_cases, write_cases
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.files import write_whole
from polypda.options import with_present_names

CASES_FILE = "cases.csv"
FACTS_FILE = "evaluation.json"
EVALUATION_SCHEMA, FORMER_SCHEMA = "polypda-evaluation 2", "polypda-evaluation 1"


@dataclass(frozen=True)
class Evaluation:
    """The scored frames of one run (or of one folder of foreign predictions).

    folder: where it was read from. selectors: what each checkpoint rule cost, as
    :mod:`polypda.evaluation.aggregation.selector_regret` describes it; without rows where nothing was chosen.
    """

    cases: pd.DataFrame
    run_metadata: RunMetadata
    folder: Path
    selectors: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SELECTOR_COLUMNS))


def write_evaluation(folder: Path, cases: pd.DataFrame, run_metadata: RunMetadata) -> None:
    """Write cases.csv and evaluation.json into an existing folder, each whole or not at all, the facts last.

    Raises: DataError E_WRITE_FAILED, and what :func:`polypda.evaluation.cases.case_table.checked_cases` raises.
    """
    write_cases(cases, folder / CASES_FILE)
    document = {"schema": EVALUATION_SCHEMA, "run_metadata": run_metadata.model_dump(mode="json")}
    write_whole(folder / FACTS_FILE, json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def is_evaluation(folder: Path) -> bool:
    """Whether both files are there."""
    return (folder / FACTS_FILE).is_file() and (folder / CASES_FILE).is_file()


def read_evaluation(folder: Path) -> Evaluation:
    """Read and check an evaluation.

    Raises: DataError E_EVALUATION_MISSING, E_EVALUATION_FACTS, and what reading the cases raises.
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
