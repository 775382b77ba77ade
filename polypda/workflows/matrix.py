"""Running a planned matrix: what is missing is run, what was interrupted goes on, what is complete is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from polypda.cohorts.catalogue import use_data_root
from polypda.errors import PolypdaError, UsageError
from polypda.evaluation.evaluation_file import read_evaluation
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.workflows.adapt import adapt, open_data, start_run
from polypda.workflows.launchers import Launcher, Outcome, Sequential
from polypda.workflows.matrix_plan import PlannedRun
from polypda.workflows.places import Places

MAY_DIFFER = {"compute", "start_from", "control_from", "oracle_from"}
"""Fields of a configuration in which an existing run may differ from its plan without being another experiment."""


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
    config = found.config()
    names = [name for name in type(config).model_fields if name not in MAY_DIFFER]
    different = [name for name in names if getattr(config, name) != getattr(run.config, name)]
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
    Raises: UsageError E_MATRIX_DIFFERS before anything is run; Interrupted.
    """
    for run in runs:
        state_of(run, folder)
    folder.mkdir(parents=True, exist_ok=True)

    def begin(run: PlannedRun) -> None:
        announce(run, state_of(run, folder))

    bring = partial(_bring_to_end, folder=folder, places=places, progress=progress)
    yield from (launcher or Sequential()).launch(runs, bring, begin)


def _bring_to_end(run: PlannedRun, folder: Path, places: Places, progress: Progress) -> None:
    use_data_root(places.data_root)  # a process of its own knows nothing of the manifests that lie there
    state = state_of(run, folder)
    if state is RunState.COMPLETE:
        return
    config = run.config
    pair = open_data(config, places)
    if state is RunState.MISSING:
        start, oracle = (folder / name if name else None for name in (run.start, run.oracle))
        here = start_run(folder / run.name, config, replace(places, start=start, oracle=oracle), pair)
    else:
        here = RunFolder.open(folder / run.name)
    adapt(here, places, pair, progress)
