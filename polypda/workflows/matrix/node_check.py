"""A job of seconds on every partition that a matrix will use: what is wrong there is told before hours are spent."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from polypda import __version__
from polypda.errors import DataError, PolypdaError
from polypda.files import write_whole
from polypda.workflows.matrix.cluster import Cluster
from polypda.workflows.matrix.slurm import VISIBLE_S, JobBook, cancel, queue, require_version, stopped, submit

TRIAL_BYTES = 4 * 2**20


def check_cluster(matrix: Path, cluster: Cluster, data_root: Path | None, seconds: float) -> list[str]:
    """Run a job of seconds on every partition that a matrix will use; returns a line of what each found.

    Args: data_root: a folder that every node must see; None for phantoms. seconds: how long to wait for each.
    Raises: UsageError E_CLUSTER_ABSENT, E_CLUSTER_REFUSED, E_CLUSTER_VERSION; DataError E_CLUSTER_DATA,
        E_CLUSTER_WRITE, E_CLUSTER_GPU, E_CLUSTER_CHECK.
    """
    queue()
    book = JobBook(matrix.resolve())
    brief = cluster.model_copy(update={"minutes": 1, "stop_s": 10})
    root = data_root.resolve() if data_root else None
    names = {f"check-{partition or 'default'}": partition for partition in cluster.partitions}
    for name, partition in names.items():
        call = (check_in_job, (__version__, name, matrix.resolve(), root, cluster.gpus))
        ids = submit(book, brief.model_copy(update={"partition": partition}), [call], [])
        book.add({name: ids[0]})
    return [_found(book, name, book.jobs()[name], time.monotonic() + seconds) for name in names]


def check_in_job(version: str, name: str, matrix: Path, data_root: Path | None, gpus: int) -> None:
    """What the trial job looks at: version, data, room and devices of its node."""
    book = JobBook(matrix)
    try:
        require_version(version)
        _require_node(matrix, data_root, gpus, name)
    except PolypdaError as error:
        book.end(name, error)
        raise
    room = shutil.disk_usage(matrix).free / 1e9
    write_whole(book.folder / f"{name}.txt", f"polypda {version}, {room:.0f} GB free, {os.cpu_count()} processors")
    book.end(name)


def _require_node(matrix: Path, data_root: Path | None, gpus: int, name: str) -> None:
    if data_root is not None and not (data_root.is_dir() and any(data_root.iterdir())):
        fix = "name a data root on a disk that all nodes share."
        raise DataError("E_CLUSTER_DATA", f"the node of {name} does not see the data root.", where=data_root, fix=fix)
    trial = matrix / "cluster" / f"{name}.trial"
    try:
        write_whole(trial, os.urandom(TRIAL_BYTES))
        trial.unlink()
    except OSError as error:
        what = f"the node of {name} cannot write there: {error.strerror or error}."
        fix = "give --out on a disk that all nodes write, with room (`quota` tells yours)."
        raise DataError("E_CLUSTER_WRITE", what, where=matrix, fix=fix) from error
    if gpus:
        import torch

        if torch.cuda.device_count() < gpus:
            what = f"the node of {name} has {torch.cuda.device_count()} GPUs for torch, and {gpus} are asked for."
            fix = "correct partition or gpus in the cluster's file, or install a torch for its driver."
            raise DataError("E_CLUSTER_GPU", what, fix=fix)


def _found(book: JobBook, name: str, job: str, until: float) -> str:
    while job in (active := queue()):
        if time.monotonic() > until:
            cancel([job])
            what = f"its job did not begin in time ({active[job].reason}); it was taken back."
            raise DataError("E_CLUSTER_CHECK", what, where=name, fix="wait until there is room, or give --seconds.")
        time.sleep(1)
    late = time.monotonic() + VISIBLE_S
    while not book.ended(name)[0] and time.monotonic() < late:
        time.sleep(0.2)
    ended, error = book.ended(name)
    if error is not None:
        raise error
    if not ended:
        raise stopped(name, book.log(job))
    return f"{name.removeprefix('check-')}: {(book.folder / f'{name}.txt').read_text(encoding='utf-8')}"
