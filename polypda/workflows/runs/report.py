"""The report of any number of runs: find their evaluations, join them, write the folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polypda.errors import UsageError
from polypda.evaluation.aggregation.cross_centre import cross_centre_results
from polypda.evaluation.cases.evaluation_file import Evaluation, find_evaluations, read_evaluation
from polypda.reporting.documents.study_file import read_study
from polypda.reporting.pages.report_folder import write_cross_centre_report
from polypda.reporting.report_folders import refuse_existing


def report(
    runs: Sequence[Path],
    folder: Path,
    *,
    study: Path | None = None,
    overlays: bool = True,
    title: str | None = None,
    force: bool = False,
    notes: Sequence[str] = (),
) -> Path:
    """Write the cross-centre report of runs (or of single evaluations) and return its page.

    Args:
        runs: run folders, of which the report and all later evaluations of the same part are taken, or folders of an
            evaluation. An evaluation of another part (training frames, say) is named in the notes and left out.
        folder: where to write; must not exist, unless ``force`` and a former report lies there.
        study: a study file, for what only people can say.
        notes: further lines that must be read with the numbers, such as runs that failed.

    Raises: UsageError E_REPORT_EMPTY, E_STUDY_…; DataError E_REPORT_EXISTS, E_EVALUATION_MISSING, and what reading and
    joining evaluations raises.
    """
    if not runs:
        raise UsageError("E_REPORT_EMPTY", "no run was given.", fix="name one run folder or more.")
    refuse_existing(folder, replace=force)
    words = read_study(study) if study else None
    # The same folder named twice, or a run beside its own report, is one evaluation
    evaluations: dict[Path, Evaluation] = {}
    left_out: list[str] = []
    for places in [find_evaluations(run) for run in runs]:  # all are found before the first is read
        of_run = [read_evaluation(place.resolve()) for place in places]
        part = of_run[0].statement.split
        evaluations |= {one.folder: one for one in of_run if one.statement.split == part}
        left_out += [_other_part(one, part) for one in of_run if one.statement.split != part]
    results = cross_centre_results(list(evaluations.values()))
    results = replace(results, notes=(*results.notes, *notes, *left_out))
    return write_cross_centre_report(
        folder, results, list(evaluations.values()), study=words, overlays=overlays, title=title, replace=force
    )


def check_report(folder: Path, study: Path | None, *, force: bool) -> None:
    """Raise what :func:`report` would raise for its folder or its study file, before hours are spent on runs."""
    refuse_existing(folder, replace=force)
    if study is not None:
        read_study(study)


def _other_part(evaluation: Evaluation, part: str) -> str:
    statement = evaluation.statement
    return (
        f"{statement.run}: its evaluation '{evaluation.folder.name}' (part {statement.split}) is not in this report, "
        f"which shows part {part}; give that folder by itself for a report of its own."
    )
