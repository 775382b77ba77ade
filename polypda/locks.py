"""One run folder, one process: a lock that is told apart from what a crash, a kill or a reboot left of one.

The lock is a file in the folder that names its holder, and a lock of the operating system on that file. The latter ends
with the last process that holds it, so on this machine nothing has to be guessed; the former tells what other machines
on a network disk cannot see. Processes that train for the holder hold it, too: they may outlive it by moments.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from polypda.errors import DataError
from polypda.files import write_failed
from polypda.integrity import with_digest, without_digest
from polypda.processes import PATIENCE_S, host_mark, is_alive, own_mark

try:
    import fcntl
except ImportError:  # Windows: the file alone tells
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
LOOK_EVERY_S = 0.2

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@dataclass(frozen=True)
class Holder:
    """Who works in a folder. mark: see :func:`polypda.processes.own_mark`. boot: of the machine, as a digest. job: its
    own in a cluster's queue, where it is one."""

    mark: str
    boot: str
    since: str
    what: str
    job: str = ""

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.mark.partition("-")[0] == host_mark()

    @property
    def gone(self) -> bool:
        """Whether it was this job of a cluster in an earlier turn: a job runs once at a time, wherever that is."""
        return not self.here and self.job != "" and self.job == own_job()

    @property
    def words(self) -> str:
        """Who it is, for an error."""
        place = "" if self.here else " of another machine"
        return f"process {self.mark.split('-')[1]}{place} ({self.what}, since {self.since})"


def own_job() -> str:
    """This process's job in the queue of a cluster (12, of an array 12_3); "" where it is none.

    SLURM_JOB_ID alone would be the whole array's in one of its jobs.
    """
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID", "") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for the length of the block. what: the command, for whoever finds it held.

    Raises: DataError E_RUN_LOCKED where another process holds it, E_WRITE_FAILED.
    """
    path = folder / LOCK
    try:
        handle = _acquired(path)
    except OSError as error:
        raise write_failed(path, error) from error
    try:
        _require_left(handle, path)
        _write(handle, what)
    except OSError as error:
        os.close(handle)
        raise write_failed(path, error) from error
    except BaseException:
        os.close(handle)
        raise
    _held.add(handle)
    try:
        while not _lock(handle, exclusive=False):  # so that processes which train for this one can hold it as well
            time.sleep(LOOK_EVERY_S)  # another looks at it just now
        yield
    finally:
        _held.discard(handle)
        _let_go(handle, path)


def share_lock(folder: Path) -> None:
    """Hold the lock of the process that this one works for, until this process ends."""
    with suppress(OSError):
        handle = os.open(folder / LOCK, os.O_RDONLY)
        if _lock(handle, exclusive=False):
            _held.add(handle)
        else:
            os.close(handle)


def holder_of(folder: Path) -> Holder | None:
    """Who works in a folder now; None where nobody does, as after a kill or a reboot.

    Raises: DataError E_RUN_LOCKED where the lock is damaged.
    """
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        holder = _read(handle, path)
        if holder is None:
            return None
        return holder if not holder.here or not _lock(handle, exclusive=True) or _runs(holder) else None
    finally:
        os.close(handle)


def break_lock(folder: Path) -> None:
    """Remove a lock, whosoever it is: where the user says that its holder is gone. Raises: OSError."""
    (folder / LOCK).unlink(missing_ok=True)


def _acquired(path: Path) -> int:
    """The lock's file, held by this process alone. Raises: DataError E_RUN_LOCKED; OSError."""
    last = time.monotonic() + PATIENCE_S + 10 * LOOK_EVERY_S
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if _lock(handle, exclusive=True):
            if _is_still(handle, path):
                return handle
            os.close(handle)  # its holder has just removed it
            continue
        try:
            holder = _read(handle, path)
        finally:
            os.close(handle)
        if holder is not None and not holder.gone and (not holder.here or _runs(holder)):
            raise _told(path, holder)
        if time.monotonic() > last:  # else it has just died, or it is just writing its name
            raise _told(path, holder)
        time.sleep(LOOK_EVERY_S)


def _require_left(handle: int, path: Path) -> None:
    """Nobody here holds the file any more; one who wrote it elsewhere may. Raises: DataError E_RUN_LOCKED."""
    holder = _read(handle, path)
    if holder is None or holder.gone or (not holder.here and holder.boot == _boot()):  # of a container on this machine
        return
    if not holder.here or _runs(holder):
        raise _told(path, holder)


def _runs(holder: Holder) -> bool:
    """Whether a holder of this machine is alive since the machine was started."""
    return holder.boot == _boot() and is_alive(holder.mark) is not False


def _told(path: Path, holder: Holder | None) -> DataError:
    who = holder.words if holder else "a process that has not said which"
    fix = "wait until it has ended, or end it."
    if holder is None or not holder.here:
        fix = f"wait until it has ended. If that machine is gone: `polypda runs clean {path.parent} --unlock`."
    return DataError("E_RUN_LOCKED", f"{who} works in this folder.", where=path.parent, fix=fix)


def _write(handle: int, what: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = asdict(Holder(own_mark(), _boot(), now, what, own_job()))
    text = json.dumps(with_digest(told))
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
    os.fsync(handle)


def _read(handle: int, path: Path) -> Holder | None:
    """What the lock says; None where nothing was written yet. Raises: DataError E_RUN_LOCKED where it is damaged."""
    text = os.pread(handle, 4096, 0).strip(b"\0")
    if not text:
        return None
    try:
        return Holder(**without_digest(json.loads(text)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            "E_RUN_LOCKED",
            "its lock is damaged: whether another machine works in this folder cannot be told.",
            where=path.parent,
            fix=f"see that nothing does, then: `polypda runs clean {path.parent} --unlock`.",
        ) from error


def _boot() -> str:
    """When this machine was started, as a digest; empty where the system does not tell."""
    with suppress(OSError):
        return sha256(Path("/proc/sys/kernel/random/boot_id").read_bytes()).hexdigest()[:12]
    return ""


def _lock(handle: int, *, exclusive: bool) -> bool:
    """Whether the operating system's lock could be had; True as well where it has none for this file."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network disk without locks
        return True
    return True


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _let_go(handle: int, path: Path) -> None:
    with suppress(OSError):
        if _is_still(handle, path):
            path.unlink()
    with suppress(OSError):
        os.close(handle)


def _close_all() -> None:
    """In a forked process, which only reads: the lock must end with those that write."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
