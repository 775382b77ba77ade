"""The report of any number of runs: find their evaluations, join them, write the folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polypda.errors import UsageError
from polypda.evaluation.cross_centre import cross_centre_results
from polypda.evaluation.evaluation_file import find_evaluations, read_evaluation
from polypda.reporting.cross_centre_folder import write_cross_centre_report
from polypda.reporting.new_folder import refuse_existing
from polypda.reporting.study_file import read_study


def report(
    runs: Sequence[Path],
    folder: Path,
    *,
    study: Path | None = None,
    overlays: bool = True,
    title: str | None = None,
    force: bool = False,
) -> Path:
    """Write the cross-centre report of runs (or of single evaluations) and return its page.

    Args:
        runs: run folders, of which the report and all later evaluations are taken, or folders of an evaluation.
        folder: where to write; must not exist, unless ``force`` and a former report lies there.
        study: a study file, for what only people can say.

    Raises: UsageError E_REPORT_EMPTY, E_STUDY_…; DataError E_REPORT_EXISTS, E_EVALUATION_MISSING, and what reading and
    joining evaluations raises.
    """
    if not runs:
        raise UsageError("E_REPORT_EMPTY", "no run was given.", fix="name one run folder or more.")
    refuse_existing(folder, replace=force)
    words = read_study(study) if study else None
    # The same folder named twice, or a run beside its own report, is one evaluation
    places = dict.fromkeys(place.resolve() for run in runs for place in find_evaluations(run))
    evaluations = [read_evaluation(place) for place in places]
    results = cross_centre_results(evaluations)
    return write_cross_centre_report(
        folder, results, evaluations, study=words, overlays=overlays, title=title, replace=force
    )
