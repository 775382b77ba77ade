"""Running a planned matrix: what is missing is run, what was interrupted goes on, what is complete is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from polypda.errors import Interrupted, PolypdaError, UsageError
from polypda.evaluation.evaluation_file import read_evaluation
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.workflows.adapt import adapt, open_data, start_run
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


@dataclass(frozen=True)
class Outcome:
    """What became of one run; error is None where it is complete."""

    run: PlannedRun
    error: PolypdaError | None = None


class Launcher(Protocol):
    """How runs reach a machine. Another launcher (a cluster's queue) must keep each run's ``needs`` before it."""

    def launch(self, runs: Sequence[PlannedRun], run_one: Callable[[PlannedRun], None]) -> Iterator[Outcome]:
        """Run all, telling each one's outcome as it ends. An interruption ends the whole."""


class Sequential:
    """One after another in this process; a failed run stops only those that need it."""

    def launch(self, runs: Sequence[PlannedRun], run_one: Callable[[PlannedRun], None]) -> Iterator[Outcome]:
        failed: dict[str, PolypdaError] = {}
        for run in runs:
            missing = [name for name in run.needs if name in failed]
            try:
                if missing:
                    raise _needs_failed(run, missing[0])
                run_one(run)
            except Interrupted:
                raise
            except PolypdaError as error:
                failed[run.name] = error
                yield Outcome(run, error)
            else:
                yield Outcome(run)


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

    Args: announce: told of each run before it begins, with where it stands.
    Raises: UsageError E_MATRIX_DIFFERS before anything is run; Interrupted.
    """
    for run in runs:
        state_of(run, folder)
    folder.mkdir(parents=True, exist_ok=True)

    def run_one(run: PlannedRun) -> None:
        state = state_of(run, folder)
        announce(run, state)
        if state is not RunState.COMPLETE:
            _bring_to_end(run, state, folder, places, progress)

    yield from (launcher or Sequential()).launch(runs, run_one)


def _bring_to_end(run: PlannedRun, state: RunState, folder: Path, places: Places, progress: Progress) -> None:
    config = run.config
    pair = open_data(config, places)
    if state is RunState.MISSING:
        start, oracle = (folder / name if name else None for name in (run.start, run.oracle))
        here = start_run(folder / run.name, config, replace(places, start=start, oracle=oracle), pair)
    else:
        here = RunFolder.open(folder / run.name)
    adapt(here, places, pair, progress)


def _needs_failed(run: PlannedRun, missing: str) -> PolypdaError:
    return PolypdaError(
        "E_MATRIX_NEEDS",
        f"it needs models of {missing}, which failed.",
        where=run.name,
        fix="solve that run's error first, then give the same command again.",
    )
