"""A matrix on a cluster: the launcher that gives its runs to the queue, and where they stand."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from polypda import __version__
from polypda.errors import DataError, PolypdaError, UsageError
from polypda.locks import break_lock, holder_of
from polypda.training.run_folder import RunFolder
from polypda.workflows.matrix.cluster import Cluster
from polypda.workflows.matrix.launchers import Outcome, RunOne, require_needs
from polypda.workflows.matrix.matrix_plan import PlannedRun
from polypda.workflows.matrix.slurm import (
    FULL,
    VISIBLE_S,
    JobBook,
    Queued,
    cancel,
    packed,
    queue,
    run_in_job,
    stopped,
    submit,
)

LOOK_EVERY_S = 5.0


class OnCluster:
    """Every run a job, after the jobs of the runs that it needs; what waits or runs already is not submitted again.

    wait: look until all have ended, submitting what the queue had no room for; else outcomes name the jobs.
    """

    def __init__(self, folder: Path, cluster: Cluster, *, wait: bool = False, look_every_s: float = LOOK_EVERY_S):
        self.folder, self.cluster, self.wait, self.look_every_s = folder.resolve(), cluster, wait, look_every_s
        self.book = JobBook(self.folder)
        self._left: dict[str, float] = {}

    def launch(self, runs: Sequence[PlannedRun], run_one: RunOne, begin: RunOne) -> Iterator[Outcome]:
        """As every launcher. Raises: UsageError E_CLUSTER_ABSENT, E_CLUSTER_REFUSED; E_CLUSTER_FULL unless it waits."""
        waiting, failed, given = list(runs), set[str](), set[str]()
        while True:
            active = queue()
            jobs = self.book.jobs()
            for run in list(waiting):
                never = jobs.get(run.name) not in active and any(name in failed for name in run.needs)
                if never or (run.name in given and self._is_gone(run.name, jobs[run.name], active)):
                    waiting.remove(run)
                    outcome = self._ended(run, jobs.get(run.name, ""), failed)
                    if outcome.error is not None:
                        failed.add(run.name)
                    yield outcome
            try:
                self._submit(waiting, [run for run in waiting if run.name not in given], run_one, begin, active)
            except UsageError as error:
                if error.code != FULL or not self.wait:
                    raise
            jobs = self.book.jobs()
            given |= {run.name for run in waiting if jobs.get(run.name) in active}
            if not self.wait:
                yield from (Outcome(run, job=jobs[run.name]) for run in waiting)
                return
            if not waiting:
                return
            time.sleep(self.look_every_s)

    def _submit(
        self,
        open_runs: Sequence[PlannedRun],
        wanted: Sequence[PlannedRun],
        run_one: RunOne,
        begin: RunOne,
        active: dict[str, Queued],
    ) -> None:
        """Put what is not in the queue into it, and into ``active``."""
        jobs = {name: job for name, job in self.book.jobs().items() if job in active}
        missing = [run for run in wanted if run.name not in jobs]
        self._release(missing, active)
        for needs, group in arrays(missing, {run.name for run in open_runs}).items():
            if absent := [name for name in needs if name not in jobs]:
                raise _needs_no_job(absent)
            for first in range(0, len(group), self.cluster.array_size):
                part = group[first : first + self.cluster.array_size]
                calls = [
                    (run_in_job, (__version__, run.name, packed(run_one, run), self.folder, self.cluster.turns))
                    for run in part
                ]
                ids = submit(self.book, self.cluster, calls, [jobs[name] for name in needs])
                new = dict(zip((run.name for run in part), ids, strict=True))
                self.book.add(new)
                jobs |= new
                active |= {job: Queued(job, "PENDING", "") for job in ids}
                for run in part:
                    begin(run)

    def _release(self, runs: Sequence[PlannedRun], active: dict[str, Queued]) -> None:
        """Locks of jobs that are in the queue no more were left by nodes that died."""
        for run in runs:
            with suppress(PolypdaError):
                holder = holder_of(self.folder / run.name)
                if holder is not None and holder.job and not holder.here and holder.job not in active:
                    break_lock(self.folder / run.name)

    def _is_gone(self, run: str, job: str, active: dict[str, Queued]) -> bool:
        """Whether a job has left the queue, and what it wrote at its end is seen here or long overdue."""
        if job in active:
            self._left.pop(run, None)
            return False
        left = self._left.setdefault(run, time.monotonic())
        return self.book.ended(run)[0] or time.monotonic() - left > VISIBLE_S

    def _ended(self, run: PlannedRun, job: str, failed: Collection[str]) -> Outcome:
        try:
            require_needs(run, failed)
        except PolypdaError as error:
            return Outcome(run, error, job)
        ended, told = self.book.ended(run.name)
        if ended:
            return Outcome(run, told, job)
        return Outcome(run, stopped(run.name, self.book.log(job)), job)


def arrays(runs: Sequence[PlannedRun], incomplete: Collection[str]) -> dict[tuple[str, ...], list[PlannedRun]]:
    """The runs by the incomplete ones that they wait for, in the plan's order: what others need comes first."""
    groups: dict[tuple[str, ...], list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault(tuple(name for name in run.needs if name in incomplete), []).append(run)
    return groups


@dataclass(frozen=True)
class Standing:
    """Where a run of a matrix on a cluster stands. state: its own (complete, training …) or its job's."""

    run: str
    state: str
    job: str
    words: str = ""


def standings(matrix: Path) -> list[Standing]:
    """Every run that was given to the queue. Raises: UsageError E_CLUSTER_ABSENT, DataError E_CLUSTER_JOBS."""
    book, active = JobBook(matrix), queue()
    return [_standing(book, matrix / run, job, active.get(job)) for run, job in _jobs_of(book, matrix).items()]


def cancel_all(matrix: Path) -> list[str]:
    """Take a matrix's jobs out of the queue; returns their ids. Raises: as :func:`standings`; E_CLUSTER_REFUSED."""
    jobs, active = _jobs_of(JobBook(matrix), matrix), queue()
    ids = [job for job in jobs.values() if job in active]
    if ids:
        cancel(ids)
    return ids


def _jobs_of(book: JobBook, matrix: Path) -> dict[str, str]:
    jobs = {run: job for run, job in book.jobs().items() if not run.startswith("check-")}
    if not jobs:
        fix = "name the folder that `polypda matrix --launcher slurm --out` was given."
        raise DataError("E_CLUSTER_JOBS", "nothing of this matrix was given to a cluster.", where=matrix, fix=fix)
    return jobs


def _standing(book: JobBook, folder: Path, job: str, queued: Queued | None) -> Standing:
    ended, error = book.ended(folder.name)
    if queued is not None:
        words = queued.reason if queued.reason != "None" else ""
        return Standing(folder.name, queued.state.lower(), job, words)
    with suppress(PolypdaError):
        if (state := RunFolder.open(folder).status()).get("state") == "complete":
            return Standing(folder.name, "complete", job, str(state.get("verdict", "")))
    if error is not None:
        return Standing(folder.name, "failed", job, str(error).splitlines()[0])
    words = "" if ended else f"left the queue before its end; see {book.log(job)}"
    return Standing(folder.name, "stopped", job, words)


def _needs_no_job(names: Sequence[str]) -> UsageError:
    return UsageError(FULL, f"there was no room yet for {', '.join(names)}.", fix="give the same command again.")
