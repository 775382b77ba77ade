"""The queue of a cluster (Slurm): what is in it, what goes into it by submitit, and what a job does there."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypda import __version__
from polypda.errors import DataError, Interrupted, PolypdaError, UsageError, error_from_dict
from polypda.files import write_json
from polypda.integrity import with_digest, without_digest
from polypda.locks import own_job
from polypda.processes import signals_as_ctrl_c
from polypda.workflows.matrix.cluster import Cluster

if TYPE_CHECKING:  # which brings torch: a job that only looks at its node has no need of it
    from polypda.workflows.matrix.matrix_plan import PlannedRun

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun")
FULL_WORDS = re.compile("temporarily|MaxSubmit")
"""How Slurm says that there is room later."""
NEVER = re.compile("Partition(Config|TimeLimit|NodeLimit)|BadConstraints|Invalid(Account|QOS)|Minutes")
"""Reasons to wait that time does not solve: what is asked for, or an account whose hours are used up."""
LOG_SHOWN = 400
"""Characters of a job's log that an error shows."""
FULL = "E_CLUSTER_FULL"
RUNS = ("RUNNING", "SIGNALING")
"""States of a job that still holds its node."""
REQUEUE_ATTEMPTS = 40
VISIBLE_S = 10.0
"""How long a file that a node wrote may take to be seen here, on a shared disk."""


@dataclass(frozen=True)
class Queued:
    """A job that waits or runs. id: of an array 12_3."""

    id: str
    state: str
    reason: str


class JobBook:
    """What a matrix has put into the queue, and what became of it: files below its folder, each written whole."""

    def __init__(self, matrix: Path) -> None:
        self.folder = matrix / "cluster"
        self.logs = self.folder / "logs"

    def jobs(self) -> dict[str, str]:
        """Run → the job that it was given last."""
        found = self._read(self.folder / "jobs.json", "see by `squeue --me` that none of its jobs waits or runs, then")
        return {} if found is None else dict(found["jobs"])

    def add(self, jobs: dict[str, str]) -> None:
        """Remember what was submitted; what became of these runs' former jobs is forgotten."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for run in jobs:
            self._ending(run).unlink(missing_ok=True)
        write_json(self.folder / "jobs.json", with_digest({"jobs": self.jobs() | jobs}))

    def end(self, run: str, error: PolypdaError | None = None) -> None:
        """Called by the job, at its end."""
        self._ending(run).parent.mkdir(parents=True, exist_ok=True)
        write_json(self._ending(run), with_digest({"error": error.as_dict() if error else {}}))

    def ended(self, run: str) -> tuple[bool, PolypdaError | None]:
        """Whether a run's last job came to an end of its own, and by what error."""
        found = self._read(self._ending(run), f"look what {run} holds, then")
        if found is None:
            return False, None
        return True, error_from_dict(found["error"]) if found["error"] else None

    def _read(self, path: Path, before: str) -> dict[str, Any] | None:
        """One of these files; None where there is none. Raises: DataError E_CLUSTER_JOBS where it is damaged."""
        try:
            return without_digest(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = "it is damaged, or of an earlier version."
            fix = f"{before} remove it and give the command again."
            raise DataError("E_CLUSTER_JOBS", what, where=path, fix=fix) from error

    def log(self, job: str) -> Path:
        """What the job printed."""
        return self.logs / f"{job}_0_log.err"

    def _ending(self, run: str) -> Path:
        return self.folder / "ended" / f"{run}.json"


def queue() -> dict[str, Queued]:
    """This user's jobs that wait or run, by their id. Raises: UsageError E_CLUSTER_ABSENT."""
    if absent := [name for name in COMMANDS if shutil.which(name) is None]:
        raise _absent(f"{', '.join(absent)} cannot be found.")
    told = _slurm("squeue", "--noheader", "--array", "--me", "--format=%i|%T|%r")
    if told.returncode:
        raise _absent(f"squeue says: {_last_line(told.stderr)}.")
    jobs = [Queued(*line.strip().split("|")) for line in told.stdout.splitlines() if line.count("|") == 2]
    return {job.id: job for job in jobs}


def require_possible(ids: Sequence[str]) -> None:
    """Jobs that would wait for ever leave the queue at once. Raises: UsageError E_CLUSTER_REFUSED."""
    active = queue()
    if reasons := {active[job].reason for job in ids if job in active and NEVER.search(active[job].reason)}:
        cancel(ids)
        raise _refused(f"the jobs would wait for ever ({', '.join(sorted(reasons))})")


def cancel(ids: Sequence[str]) -> None:
    """Take jobs out of the queue. Raises: UsageError E_CLUSTER_REFUSED."""
    told = _slurm("scancel", *ids)
    if told.returncode:
        raise _refused(told.stderr)


def submit(
    book: JobBook, cluster: Cluster, calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], after: Sequence[str]
) -> list[str]:
    """Put calls into the queue, as one array where they are several; returns their jobs' ids.

    Args: after: jobs that must end well before; where one does not, these leave the queue.
    Raises: UsageError E_CLUSTER_REFUSED, E_CLUSTER_FULL, E_EXTRA_MISSING.
    """
    submitit = _submitit()
    executor = submitit.SlurmExecutor(book.logs, python=cluster.python)
    executor.update_parameters(**_parameters(cluster, after))
    try:
        with executor.batch():
            jobs = [executor.submit(function, *arguments) for function, arguments in calls]
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError, OSError) as error:
        raise _refused(str(error)) from error
    ids = [job.job_id for job in jobs]
    require_possible(ids)
    return ids


def _parameters(cluster: Cluster, after: Sequence[str]) -> dict[str, Any]:
    wanted = {
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "exclude": cluster.exclude,
        "gpus_per_node": cluster.gpus or None,
        "mem": f"{cluster.memory_gb * 1024:.0f}M" if cluster.memory_gb else None,
        "dependency": f"afterok:{':'.join(after)}" if after else None,
        "setup": list(cluster.setup) or None,
    }
    return {name: value for name, value in wanted.items() if value is not None} | {
        "wckey": None,
        "job_name": "polypda",
        "time": cluster.minutes,
        "cpus_per_task": cluster.cpus,
        "srun_args": [f"--cpus-per-task={cluster.cpus}"],  # since 22.05 srun does not take it from the job
        "array_parallelism": cluster.at_once,
        # SIGTERM, as for a wanted node: every process of ours knows it, and USR2 would end those that Python started
        "additional_parameters": {
            "signal": f"TERM@{cluster.stop_s}",
            "requeue": True,
            "kill-on-invalid-dep": "yes",
            **cluster.sbatch,
        },
    }


def run_in_job(version: str, name: str, packed: bytes, matrix: Path, turns: int) -> None:
    """What a job does: bring a run to its end, or to a checkpoint where time is up or its node is wanted, and then go
    back into the queue.

    Args: name: of the run. packed: the pickled function and its run, read only by the version that wrote it.
    """
    book = JobBook(matrix)
    try:
        require_version(version)
        run_one, run = pickle.loads(packed)
        _require_turns(turns)
        with signals_as_ctrl_c():
            run_one(run)
    except (Interrupted, KeyboardInterrupt) as error:
        _requeue()
        raise SystemExit(1) from error
    except PolypdaError as error:
        book.end(name, error)
        raise
    book.end(name)


def stopped(name: str, log: Path) -> DataError:
    """The error of a job that said nothing of its end."""
    told = ""
    with suppress(OSError):
        told = " ".join(log.read_text(encoding="utf-8", errors="replace")[-LOG_SHOWN:].split())
    return DataError(
        "E_CLUSTER_ENDED",
        f"its job left the queue before its end, as when it is cancelled or memory runs out. {told}".strip(),
        where=name,
        fix=f"see {log}; give the same command again to go on.",
    )


def packed(run_one: Callable[[PlannedRun], None], run: PlannedRun) -> bytes:
    """A run for :func:`run_in_job`."""
    return pickle.dumps((run_one, run))


def require_version(version: str) -> None:
    """A job must be computed by the version that planned it. Raises: UsageError E_CLUSTER_VERSION."""
    if version != __version__:
        raise UsageError(
            "E_CLUSTER_VERSION",
            f"this node has polypda {__version__}, and {version} gave it the job.",
            where=sys.prefix,
            fix="install one version for all nodes, or name it by `python:` or `setup:` in the cluster's file.",
        )


def _require_turns(turns: int) -> None:
    if (turn := int(os.environ.get("SLURM_RESTART_COUNT", "0")) + 1) > turns:
        raise UsageError(
            "E_CLUSTER_TURNS",
            f"not complete after {turn - 1} turns; checkpoints are kept.",
            fix="give more minutes per turn (or more turns) in the cluster's file, then the same command again.",
        )


def _requeue() -> None:
    """Back into the queue, also where the scheduler is too busy to answer at once. A cancelled job is ending already,
    and so is one that Slurm itself puts back."""
    job = own_job()
    for _ in range(REQUEUE_ATTEMPTS):
        state = _slurm("squeue", "--noheader", f"--jobs={job}", "--format=%T")
        if state.returncode == 0 and state.stdout.strip() not in RUNS:
            print(f"not put back: {job} is {state.stdout.strip() or 'gone'}", file=sys.stderr, flush=True)
            return
        put_back = _slurm("scontrol", "requeue", job)
        if put_back.returncode == 0:
            return
        print(f"{job} could not be put back: {put_back.stderr} {state.stderr}", file=sys.stderr, flush=True)
        time.sleep(0.5)


def _slurm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _submitit() -> Any:
    try:
        return importlib.import_module("submitit")
    except ImportError as error:
        what = "jobs are given to a cluster by submitit, which is not installed."
        raise UsageError("E_EXTRA_MISSING", what, fix="pip install 'polypda[cluster]'") from error


def _absent(what: str) -> UsageError:
    return UsageError(
        "E_CLUSTER_ABSENT",
        f"no Slurm answers here: {what}",
        fix="give the command on a login node of the cluster, or leave --launcher out: runs then start here.",
    )


def _refused(words: str) -> UsageError:
    line = _last_line(words)
    if FULL_WORDS.search(words):
        fix = "what was submitted goes on; give the same command again later, or with --wait."
        return UsageError(FULL, f"the queue takes no more now: {line}.", fix=fix)
    fix = "change partition, account, time or size in the cluster's file; `sinfo` and `sacctmgr` tell what there is."
    return UsageError("E_CLUSTER_REFUSED", f"Slurm refuses: {line}.", fix=fix)


def _last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1].removeprefix("sbatch: error: ").rstrip(".") if lines else "nothing"
