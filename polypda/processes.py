"""Processes that work for this one, and that never outlive it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

PATIENCE_S = 60.0
"""How long a worker whose parent has died may take to clean up, or to write a checkpoint."""
LOOK_EVERY_S = 0.5

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_busy, _stopping = threading.Event(), threading.Event()
"""In a worker: set while it runs a task; set once it must run no other."""


class _WithoutMain(SpawnProcess):
    """A process that does not run the script again which started it: tasks are functions of modules, and a script that
    adapts without ``if __name__ == "__main__":`` would start itself over and over."""

    def start(self) -> None:
        main = sys.modules["__main__"]
        hidden: dict[str, Any] = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
        vars(main).pop("__file__", None)
        main.__spec__ = None
        try:
            super().start()
        finally:
            vars(main).update(hidden)


class _Context(SpawnContext):
    Process = _WithoutMain


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
        context = _Context()
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


def interrupt(*_: object) -> None:
    """A signal handler: what is being done ends as by Ctrl-C, cleaning up after itself."""
    raise KeyboardInterrupt


def _begin(
    lifeline: Connection, parent: int, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interrupt)
    threading.Thread(target=_watch, args=(lifeline, parent), daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


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
