"""Running a planned matrix: what is missing is run, what was interrupted goes on, what is complete is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from polypda.cohorts.catalogue import manifest, use_data_root
from polypda.cohorts.opening import find_cohort
from polypda.errors import PolypdaError, UsageError
from polypda.evaluation.cases.evaluation_file import read_evaluation
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.workflows.matrix.launchers import Launcher, Outcome, Sequential
from polypda.workflows.matrix.matrix_plan import PlannedRun
from polypda.workflows.runs.adapt import adapt, check_start, open_both, open_data, start_run
from polypda.workflows.runs.places import Places
from polypda.workflows.runs.recorded_data import data_tables, require_recorded
from polypda.workflows.runs.reuse import RUN_MAY_DIFFER, differing


class RunState(StrEnum):
    """Where a planned run stands."""

    MISSING = "to run"
    INTERRUPTED = "to go on"
    UNSCORED = "to score"  # trained, but its evaluation is missing or of an older version
    COMPLETE = "complete"


def state_of(run: PlannedRun, folder: Path) -> RunState:
    """Where a run stands. Raises: UsageError E_MATRIX_DIFFERS when another experiment lies in its folder."""
    place = folder / run.name
    if not (place / "config.json").is_file():
        return RunState.MISSING
    found = RunFolder.open(place)
    different = differing(found.config(), run.config, RUN_MAY_DIFFER)
    if different:
        raise UsageError(
            "E_MATRIX_DIFFERS",
            f"the run that lies there differs from the plan in {', '.join(different)}.",
            where=place,
            fix="give the options it was made with, or another --out.",
        )
    if found.status()["state"] != "complete":
        return RunState.INTERRUPTED
    try:
        read_evaluation(found.report)
    except PolypdaError:
        return RunState.UNSCORED
    return RunState.COMPLETE


def run_matrix(
    runs: Sequence[PlannedRun],
    folder: Path,
    places: Places,
    progress: Progress,
    launcher: Launcher | None = None,
    announce: Callable[[PlannedRun, RunState], None] = lambda run, state: None,
) -> Iterator[Outcome]:
    """Bring every run to its end, in ``folder``; yields outcomes as they come.

    Args:
        progress: told of each training; with a launcher of processes it must be picklable (:class:`Silent` is).
        announce: told of each run before it begins, with where it stands.
    Raises: before anything is run UsageError E_MATRIX_DIFFERS, DataError E_DATA_CHANGED, and what :func:`check_matrix`
        raises; Interrupted.
    """
    check_matrix(runs, folder, places)
    _require_recorded(runs, folder, places)
    folder.mkdir(parents=True, exist_ok=True)

    def begin(run: PlannedRun) -> None:
        announce(run, state_of(run, folder))

    bring = partial(_bring_to_end, folder=folder, places=places, progress=progress)
    yield from (launcher or Sequential()).launch(runs, bring, begin)


def check_matrix(runs: Sequence[PlannedRun], folder: Path, places: Places) -> None:
    """Check all that needs no frame, for every run that is still to be begun.

    Raises: UsageError E_MATRIX_DIFFERS; DataError E_COHORT_ABSENT, E_COHORT_EMPTY, E_COHORT_BOXES, E_COHORT_VIDEO;
        what :func:`check_start` raises.
    """
    missing = [run for run in runs if state_of(run, folder) is RunState.MISSING]
    known: list[tuple[object, ...]] = []
    for run in missing:
        config = run.config
        one = (config.method, config.network, config.data, config.compute, config.supervised, config.options)
        if one not in known:  # else it was checked with another seed or pair
            known.append(one)
            check_start(folder / run.name, config, places)
    for cohort in dict.fromkeys(name for run in missing for name in (run.config.source, run.config.target)):
        if not missing[0].config.phantom:
            find_cohort(manifest(cohort), places.data_root)


def _require_recorded(runs: Sequence[PlannedRun], folder: Path, places: Places) -> None:
    """Runs that are there must have learnt the data that the others will learn. Raises: DataError E_DATA_CHANGED."""
    for run in runs:
        if state_of(run, folder) is not RunState.MISSING:
            found = RunFolder.open(folder / run.name)
            require_recorded(found, data_tables(run.config, open_both(run.config, places)))


def _bring_to_end(run: PlannedRun, folder: Path, places: Places, progress: Progress) -> None:
    use_data_root(places.data_root)  # a process of its own knows nothing of the manifests that lie there
    state = state_of(run, folder)
    if state is RunState.COMPLETE:
        return
    config = run.config
    if state is RunState.MISSING:
        start, oracle = (folder / name if name else None for name in (run.start, run.oracle))
        taking = replace(places, start=start, oracle=oracle)
        segmenter = check_start(folder / run.name, config, taking)
        pair = open_data(config, places)
        here = start_run(folder / run.name, config, taking, pair, segmenter)
    else:
        here = RunFolder.open(folder / run.name)
        pair = open_data(config, places, here)
    adapt(here, places, pair, progress)
