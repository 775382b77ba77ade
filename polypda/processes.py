"""Processes that work for this one, and that never outlive it; how they are told apart, and how they are stopped."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

from polypda.errors import Interrupted

PATIENCE_S = 5.0
"""How long a worker whose parent has died may take to clean up, or to write a checkpoint."""
LOOK_EVERY_S = 0.5
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a command to end."""
_PR_SET_PDEATHSIG = 1
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""glibc's numbers of its settings (malloc.h)."""
_LARGEST_BLOCK, _LARGEST_REST = 2**30, 2**31 - 1

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_busy, _stopping = threading.Event(), threading.Event()
"""In a worker: set while it runs a task; set once it must run no other."""


class _WithoutMain(SpawnProcess):
    """A process that does not run the script again which started it: tasks are functions of modules, and a script that
    adapts without ``if __name__ == "__main__":`` would start itself over and over.

    Signals to the whole group wait until it has imported what it needs and knows what to do about them.
    """

    def start(self) -> None:
        main = sys.modules["__main__"]
        hidden: dict[str, Any] = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
        vars(main).pop("__file__", None)
        main.__spec__ = None
        try:
            with _blocked(STOPPING):
                super().start()
        finally:
            vars(main).update(hidden)


class _Context(SpawnContext):
    Process = _WithoutMain


def spawning() -> SpawnContext:
    """How processes of this one are started."""
    start_resource_tracker()
    return _Context()


def start_resource_tracker() -> None:
    """Python's own process that knows the locks of spawned processes, so that it lives through a closed terminal.

    It ignores Ctrl-C and SIGTERM by itself. Died of SIGHUP it is started anew by whoever lets go of a lock, knows none
    of them, and prints a traceback for each.
    """
    if hasattr(signal, "SIGHUP"):
        with _blocked([signal.SIGHUP]):
            resource_tracker.ensure_running()


@contextmanager
def _blocked(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Signals wait until the block is left; a process that is started in it keeps them waiting (not on Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerPool(ProcessPoolExecutor):
    """Spawned processes (a fork of one that holds threads may hang) that end with this one, however that ends.

    Each worker holds the reading end of a pipe whose writing end this process alone has. Once that is closed (since the
    pool's block was left by an error, or since this process was killed), a busy worker gets a KeyboardInterrupt, so
    that what it was writing is removed, and then it ends. Ctrl-C, which a terminal sends to every process, is left to
    this one. Use it as a context manager: leaving the block waits for what is running.
    """

    def __init__(
        self, processes: int, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = ()
    ) -> None:
        context = spawning()
        reader, self._lifeline = context.Pipe(duplex=False)
        begin = (reader, os.getpid(), initializer, initargs)
        super().__init__(processes, mp_context=context, initializer=_begin, initargs=begin)

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """As of every executor."""
        return super().submit(_task, fn, *args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._lifeline.close()
        self.shutdown(wait=True, cancel_futures=kind is not None)
        self._lifeline.close()


_asked: list[int] = []
"""The signals that have asked this process to end."""


def interrupt(number: int = signal.SIGINT, _: FrameType | None = None) -> None:
    """A signal handler: what is being done ends as by Ctrl-C, cleaning up after itself.

    Asked again by a launcher's SIGTERM after Ctrl-C, it goes on cleaning up; a second Ctrl-C stops that as well.
    """
    again = bool(_asked)
    note_signal(number)
    if not again or number == signal.SIGINT:
        raise KeyboardInterrupt


def note_signal(number: int) -> None:
    """Remember for the exit status that a signal asked this process to end."""
    _asked.append(number)


def was_asked_to_end() -> bool:
    """Whether a signal has asked this process to end."""
    return bool(_asked)


def exit_status_of_signal() -> int:
    """128 and the number of the signal that asked first, as a shell has it; 130, Ctrl-C, where none was noted."""
    return 128 + int(_asked[0] if _asked else signal.SIGINT)


@contextmanager
def errors_of_signals() -> Iterator[None]:
    """An error that leaves the block after a signal asked for its end leaves it as KeyboardInterrupt: what a handler
    raises inside of a library's compiled code may come out of it as another error."""
    before = len(_asked)
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:
        if len(_asked) > before:
            raise KeyboardInterrupt from error
        raise


@contextmanager
def signals_as_ctrl_c() -> Iterator[None]:
    """SIGTERM and a closed terminal end a block as Ctrl-C does: half-written folders are removed, processes of its own
    are ended. What the user had ignored (``nohup``) stays ignored."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in former.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        with errors_of_signals():
            yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def leave_signals_to_the_parent() -> None:
    """In a worker that only reads: whoever started it stops it, and it dies with that process.

    Signals to a whole group reach it as well; a worker that died of one would break what its parent is finishing.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    die_with_the_parent()
    parent = parent_process()
    if parent is not None and _orphaned(parent.pid or 0):  # it was gone before the system was asked
        os._exit(1)


def die_with_the_parent() -> None:
    """Have the system kill this process once its parent has died (Linux)."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@cache
def host_mark() -> str:
    """This machine in 6 hexadecimal digits that tell neither its name nor its number."""
    number = b""
    with suppress(OSError):
        number = Path("/etc/machine-id").read_bytes()
    return hashlib.sha256(platform.node().encode() + b"\0" + number).hexdigest()[:6]


def own_mark() -> str:
    """This process: its machine, its number, and when it started (in the system's ticks; 0 where that is not known)."""
    pid = os.getpid()
    return f"{host_mark()}-{pid}-{_started(pid) or 0}"


def is_alive(mark: str) -> bool | None:
    """Whether the process of a mark runs; None where that cannot be told, as of another machine's."""
    host, pid, started = mark.split("-")
    if host != host_mark() or sys.platform == "win32":
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        pass
    now = _started(int(pid))
    return started == "0" or now is None or now == int(started)


def _started(pid: int) -> int | None:
    """When a process started, in ticks since the machine did; None where there is no /proc."""
    try:
        # its name, in parentheses, may hold anything: fields are counted after it
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _begin(
    lifeline: Connection, parent: int, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop_if_the_parent_wants)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    threading.Thread(target=_watch, args=(lifeline, parent), daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _stop_if_the_parent_wants(number: int, _: FrameType | None) -> None:
    """Of a signal to the whole group the parent hears, too, and lets go of the pipe: an idle worker must not die first,
    or the pool would be called broken."""
    if _stopping.is_set():
        interrupt(number)


def _task(fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Result:
    _busy.set()
    try:
        if _stopping.is_set():
            raise KeyboardInterrupt
        return fn(*args, **kwargs)
    finally:
        _busy.clear()


def _watch(lifeline: Connection, parent: int) -> None:
    """Wait until the parent lets go of the pipe or is gone; then see to it that this process ends."""
    while not lifeline.poll(LOOK_EVERY_S) and not _orphaned(parent):
        pass
    _stopping.set()
    if _busy.is_set():
        _interrupt_main_thread()
    while not _orphaned(parent):  # the pool ends its workers itself, once their results are taken
        time.sleep(LOOK_EVERY_S)
    last = time.monotonic() + PATIENCE_S
    while _busy.is_set() and time.monotonic() < last:
        time.sleep(LOOK_EVERY_S / 5)
    os._exit(1)


def _interrupt_main_thread() -> None:
    """Also where it waits in a system call."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)


def _orphaned(parent: int) -> bool:
    known = parent_process()
    return os.getppid() != parent or (known is not None and not known.is_alive())


def wait_briefly() -> None:
    """Have threads of a network that wait for one another sleep soon; the user's own setting stays.

    Called before torch is loaded: its OpenMP (libgomp) reads the variable then, and waits 300,000 turns of a loop by
    default. Where another program holds a core, the thread that is waited for gets no time meanwhile: a step of two
    threads took 50 times as long as alone (`benchmarks/busy_cores.py`).
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, for the next step; whether it does (glibc alone can).

    Given back to the system in between, every page has to be zeroed anew: a fifteenth of a small network's step. All
    threads share one heap: of its own heaps, which are small, a thread gives back or keeps a whole one as it happens,
    and the memory of a long prediction grew by a network's buffer now and then.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        setting = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    wanted = ((_MMAP_THRESHOLD, _LARGEST_BLOCK), (_TRIM_THRESHOLD, _LARGEST_REST), (_ARENA_MAX, 1))
    return all(setting(number, value) for number, value in wanted)
