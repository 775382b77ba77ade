"""One command of `polypda`, disturbed: killed, asked to end, or given a disk that fails. For :mod:`survival`.

A command is a fork of this process, which has imported everything: no start-up is paid for. It is killed from outside,
or inside a system call: before or after an fsync, a renaming, the making of a folder or of a file, the reading of one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polypda.cli.main import main as polypda

PATIENCE_S = 10.0
"""A process that lives longer than its parent by this is an orphan."""
PLACES = (
    ("rendering", r"/(cache/phantoms|rendered)(/|$)"),
    ("decoded frames", r"/cache/frames(/|$)"),
    ("scores", r"/cache/scores(/|$)"),
    ("checkpoint", r"/stages/[^/]+/\.?step-"),
    ("pseudo-labels", r"/\.?pseudo-labels\."),
    ("training", r"/stages(/|$)"),
    ("report", r"/\.?(report|evaluations|reports)[./]"),
    ("import", r"/data(/|$)"),
    ("prediction", r"/predicted(/|$)"),
)
"""Of what a file is, by its path below the folder that is worked in; anything else is a record of the run."""
RECORDS = "records"
WRITES, REMOVALS = ("os.rename", "os.mkdir"), ("os.remove", "os.rmdir")
NAMES = {"open": "opening", "os.mkdir": "mkdir", "os.remove": "removal", "os.rmdir": "removal"}


def place_of(path: str) -> str:
    return next((name for name, pattern in PLACES if re.search(pattern, path)), RECORDS)


@dataclass
class Plan:
    """How one command is disturbed. after_s: killed from outside then, by ``number``. moment ("fsync of checkpoint"),
    count, before: inside a system call. error: from the count-th write on, each fails so."""

    after_s: float | None = None
    number: int = signal.SIGKILL
    moment: str = ""
    count: int = 0
    before: bool = True
    error: int = 0

    @property
    def words(self) -> str:
        if self.error:
            return f"{errno.errorcode[self.error]} from write {self.count} on"
        if self.moment:
            return f"{'before' if self.before else 'after'} {self.moment} {self.count}"
        return f"{signal.Signals(self.number).name} after {self.after_s:.2f} s" if self.after_s is not None else "none"


@dataclass
class Ended:
    """How a command ended. calls: how often each moment came. orphans: processes it left."""

    status: int
    said: str
    seconds: float
    orphans: int
    calls: dict[str, int] = field(default_factory=dict)


def run(words: list[str], where: Path, plan: Plan) -> Ended:
    """Give a command in a fork, in a folder of its own."""
    said, counted = where / "said.txt", where / "calls.json"
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        with said.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.setpgid(0, 0)
        status = _child(words, where, plan, counted)
        os._exit(status)
    if plan.after_s is not None:
        time.sleep(plan.after_s)
        with suppress(ProcessLookupError):
            (os.kill if plan.number == signal.SIGKILL else os.killpg)(pid, plan.number)
    _, status = os.waitpid(pid, 0)
    seconds, orphans = time.monotonic() - began, _orphans()
    calls = json.loads(counted.read_text()) if counted.exists() else {}
    return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"), seconds, orphans, calls)


def _child(words: list[str], where: Path, plan: Plan, counted: Path) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background, nohup: what they ignore
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.chdir(where)
    os.environ["POLYPDA_CACHE"] = str(where / "cache")
    _instrument(where, plan, counted)
    sys.argv = ["polypda", *words]
    status = 0
    try:
        polypda()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        traceback.print_exc()
        status = 99
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return status


def _instrument(where: Path, plan: Plan, counted: Path) -> None:
    """Count the moments of this process, and kill it, or let its writes fail, at the planned one."""
    calls: Counter[str] = Counter()
    me, place = os.getpid(), str(where)

    def below(path: object) -> str:
        """The path as text, where it lies in the folder that is worked in; else ""."""
        given = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        whole = os.path.abspath(given) if given else ""  # noqa: PTH100 - no Path in a hook
        return whole[len(place) :] if whole.startswith(place) and whole != str(counted) else ""

    def reached(kind: str, path: str) -> bool:
        moment = f"{kind} of {place_of(path)}"
        calls[moment] += 1
        return moment == plan.moment and calls[moment] == plan.count

    def watch(event: str, arguments: tuple) -> None:
        if event not in ("open", *REMOVALS, *WRITES) or os.getpid() != me or not (path := below(arguments[0])):
            return
        writes = event in WRITES
        if event == "open":
            writes = isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if plan.error:
            calls["write"] += writes
            if writes and calls["write"] >= plan.count:
                raise OSError(plan.error, os.strerror(plan.error), path)
        elif event != "os.rename" and reached("reading" if event == "open" and not writes else NAMES[event], path):
            os.kill(me, signal.SIGKILL)

    def instrumented(real: Callable, kind: str, path_of: Callable[..., str]) -> Callable:
        def call(*arguments: Any, **named: Any) -> Any:
            path = "" if os.getpid() != me or plan.error else path_of(*arguments)
            hit = bool(path) and reached(kind, path)
            if hit and plan.before:
                os.kill(me, signal.SIGKILL)
            result = real(*arguments, **named)
            if hit:
                os.kill(me, signal.SIGKILL)
            return result

        return call

    sys.addaudithook(watch)
    os.fsync = instrumented(os.fsync, "fsync", lambda handle: below(Path(f"/proc/self/fd/{handle}").readlink()))
    os.rename = instrumented(os.rename, "rename", lambda source, target: below(target))
    os.replace = instrumented(os.replace, "rename", lambda source, target: below(target))
    if plan.words == "none":
        real_exit = os._exit

        def leave(status: int) -> None:
            if os.getpid() == me:
                counted.write_text(json.dumps(calls))
            real_exit(status)

        os._exit = leave


def _orphans() -> int:
    """Processes that the command left and that do not end by themselves; they come to this one, which ends them."""
    last = time.monotonic() + PATIENCE_S
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = _children()
        if not left or time.monotonic() > last:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return len(left)
        time.sleep(0.05)


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return found
