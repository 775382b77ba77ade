"""How the runs of a matrix reach a machine: one after another, or several at once in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Protocol

from polypda.cohorts.named_root import named_data_root, use_data_root
from polypda.errors import Interrupted, PolypdaError
from polypda.processes import WorkerPool
from polypda.workflows.matrix.matrix_plan import PlannedRun

RunOne = Callable[[PlannedRun], None]
"""Brings a run to its end; picklable for a launcher of processes."""


@dataclass(frozen=True)
class Outcome:
    """What became of one run; error is None where it is complete, or where a queue has it. job: its place there."""

    run: PlannedRun
    error: PolypdaError | None = None
    job: str = ""


class Launcher(Protocol):
    """How runs reach a machine (or a cluster: ``on_cluster.py``); each run's ``needs`` come before it."""

    def launch(self, runs: Sequence[PlannedRun], run_one: RunOne, begin: RunOne) -> Iterator[Outcome]:
        """Run all, telling each one's outcome as it ends; ``begin`` is called here before each begins.

        A failed run stops only those that need it. Raises: Interrupted, which ends the whole.
        """
        ...


class Sequential:
    """One after another in this process."""

    def launch(self, runs: Sequence[PlannedRun], run_one: RunOne, begin: RunOne) -> Iterator[Outcome]:
        failed: set[str] = set()
        for run in runs:
            try:
                require_needs(run, failed)
                begin(run)
                run_one(run)
            except Interrupted:
                raise
            except PolypdaError as error:
                failed.add(run.name)
                yield Outcome(run, error)
            else:
                yield Outcome(run)


class InProcesses:
    """Up to ``jobs`` at once, each in a process of its own. Give each run few threads: jobs × threads ≤ cores.

    minutes: after so long no further run begins; those that run are waited for.
    """

    def __init__(self, jobs: int, minutes: float | None = None) -> None:
        self.jobs = jobs
        self.minutes = minutes

    def launch(self, runs: Sequence[PlannedRun], run_one: RunOne, begin: RunOne) -> Iterator[Outcome]:
        planned = {run.name for run in runs}
        waiting, going = list(runs), dict[Future[None], PlannedRun]()
        done: set[str] = set()
        failed: set[str] = set()
        ends = float("inf") if self.minutes is None else time.monotonic() + 60 * self.minutes
        # Left by an error, Ctrl-C or SIGTERM, the pool waits: an interrupted run writes its checkpoint first.
        with WorkerPool(self.jobs, use_data_root, (named_data_root(),)) as pool:
            while waiting or going:
                if time.monotonic() > ends:
                    waiting.clear()
                ready = [run for run in waiting if not any(name in planned - done - failed for name in run.needs)]
                for run in ready[: self.jobs - len(going)]:
                    waiting.remove(run)
                    try:
                        require_needs(run, failed)
                    except PolypdaError as error:
                        failed.add(run.name)
                        yield Outcome(run, error)
                    else:
                        begin(run)
                        going[pool.submit(run_one, run)] = run
                for ended in wait(going, return_when=FIRST_COMPLETED).done if going else ():
                    run = going.pop(ended)
                    try:
                        ended.result()
                    except Interrupted:
                        raise
                    except BrokenProcessPool as error:  # nothing can be run in it any more
                        raise _process_died(run) from error
                    except PolypdaError as error:
                        failed.add(run.name)
                        yield Outcome(run, error)
                    else:
                        done.add(run.name)
                        yield Outcome(run)


def _process_died(run: PlannedRun) -> PolypdaError:
    return PolypdaError(
        "E_MATRIX_PROCESS",
        "the process of a run was ended from outside, as happens when memory runs out; checkpoints are kept.",
        where=run.name,
        fix="give the same command again, with fewer --jobs.",
    )


def require_needs(run: PlannedRun, failed: Collection[str]) -> None:
    """Raise what a run ends with whose needs failed: E_MATRIX_NEEDS."""
    for name in run.needs:
        if name in failed:
            raise PolypdaError(
                "E_MATRIX_NEEDS",
                f"it needs models of {name}, which failed.",
                where=run.name,
                fix="solve that run's error first, then give the same command again.",
            )
