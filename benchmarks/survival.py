"""What a run survives: kills, signals, full and failing disks, flipped bits. Counts, and exit status 1 where one fails.

    python benchmarks/survival.py --kills 200 --signals 30 --writes 100 --flips 500 --out FOLDER

A command is a fork of this process, which has imported everything: no start-up is paid for. It is killed at a random
instant or inside a system call (before or after an fsync, a renaming, the making of a folder or of a file), then given
again until it ends. What it leaves must be bit-identical to what an undisturbed command leaves, its folder intact by
`polypda runs verify`, without leftovers, and no process may be left. FOLDER gets survival.json.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from polypda.cli.main import main as polypda
from polypda.integrity import CHECKSUMS
from polypda.workflows.runs import adapt as _warm  # noqa: F401 - imported before the forks
from polypda.workflows.runs.keeping import problems

PATIENCE_S = 10.0
"""A process that lives longer than its parent by this is an orphan."""
MOMENTS = ("os.rename", "os.mkdir", "fsync", "open")
ERRNOS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)
TINY = shlex.split(
    "--phantom --source zju2 --target haining --phantom-frames 12 --size 64 --batch-size 2 --start-steps 2 "
    "--adapt-steps 4 --checkpoint-every 2 --threads 1 --overlays 1 --architecture fpn --levels 1 --device cpu "
    "--encoder tu-mobilenetv3_small_050 --encoder-weights none --no-guard --no-parts --keep all"
)
ALONE = ["--trainings-at-once", "1"]
METHODS = {
    "two players": ["--method", "adaptsegnet", *ALONE],
    "two players, 2 trainings at once": ["--method", "adaptsegnet", "--trainings-at-once", "2"],
    "three players": ["--method", "lsd", "-O", "generator_width=4", "-O", "discriminator_width=4", *ALONE],
    "two players, 2 workers": ["--method", "adaptsegnet", "--workers", "2", *ALONE],
    "three players, 2 workers": [
        *("--method", "lsd", "-O", "generator_width=4", "-O", "discriminator_width=4", "--workers", "2", *ALONE)
    ],
    "self-training rounds": [
        *ALONE,
        *("--method", "self-training", "-O", "rounds=2", "-O", "polyp_from=0.3", "-O", "background_to=0.2"),
        *("-O", "peak_from=0", "-O", "negative_to=0.9999"),
    ],
}


@dataclass
class Plan:
    """How one command is disturbed. after_s: killed from outside then, by ``number``. moment, count, before: inside a
    system call. error: from the count-th write on, each fails so."""

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
    me, real_fsync, place = os.getpid(), os.fsync, str(where)

    def reached(moment: str) -> bool:
        calls[moment] += 1
        return bool(plan.moment) and moment == plan.moment and calls[moment] == plan.count

    def watch(event: str, arguments: tuple) -> None:
        if event not in ("open", "os.rename", "os.mkdir") or os.getpid() != me:
            return
        path = os.fspath(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
        path = path.decode() if isinstance(path, bytes) else path
        if not os.path.abspath(path).startswith(place) or path == str(counted):  # noqa: PTH100 - no Path in a hook
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if plan.error:
            calls["write"] += 1
            if calls["write"] >= plan.count:
                raise OSError(plan.error, os.strerror(plan.error), path)
        elif reached(event):
            os.kill(me, signal.SIGKILL)

    def fsync(handle: int) -> None:
        hit = os.getpid() == me and not plan.error and reached("fsync")
        if hit and plan.before:
            os.kill(me, signal.SIGKILL)
        real_fsync(handle)
        if hit:
            os.kill(me, signal.SIGKILL)

    sys.addaudithook(watch)
    os.fsync = fsync
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


def digest(folder: Path) -> dict[str, str]:
    """What must be alike: final weights, what was chosen, the scored frames."""
    last = [sorted(stage.glob("step-*"))[-1:] for stage in (folder / "stages").glob("*")]
    files = [*folder.glob("*.safetensors"), *(path for step in last for one in step for path in one.glob("*.saf*"))]
    files += [*folder.glob("report/cases.csv"), folder / "selection.json"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


def leftovers(where: Path) -> list[str]:
    return [
        path.relative_to(where).as_posix()
        for path in where.rglob(".*")
        if path.name.endswith((".part", ".former", ".lock")) or path.name == f".{CHECKSUMS}"
    ]


class Bench:
    """One method's undisturbed run, and disturbed ones compared with it."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.words = ["adapt", *TINY, *METHODS[name], "--out", "run"]
        where = self.fresh()
        self.whole = run(self.words, where, Plan())
        if self.whole.status:
            raise SystemExit(f"{name}: the undisturbed run failed\n{self.whole.said}")
        self.expected = digest(where / "run")

    def fresh(self) -> Path:
        """A folder with the rendered cohorts and nothing else."""
        where = self.root / "trial"
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(self.root / "phantoms", where / "cache" / "phantoms")
        return where

    def finished(self, where: Path) -> list[str]:
        """Give the command again, as a user would, until the run is done; what is wrong afterwards."""
        resumed = (where / "run").is_dir()
        words = ["adapt", "--resume", "run", "--overlays", "1"] if resumed else self.words
        ended = run(words, where, Plan())
        if ended.status:
            return [f"did not go on: {ended.said[-600:]}"]
        wrong = [f"{name} differs" for name, value in digest(where / "run").items() if self.expected.get(name) != value]
        wrong += [f"{name} is missing" for name in self.expected if not (where / "run" / name).is_file()]
        wrong += [f"{fault.path.name} {fault.what}" for fault in problems(where / "run")]
        return wrong + [f"left: {name}" for name in leftovers(where)]

    def kill(self, chance: random.Random) -> tuple[str, list[str]]:
        where = self.fresh()
        moment = chance.choice(("", *MOMENTS))
        if moment:
            plan = Plan(moment=moment, count=chance.randint(1, self.whole.calls[moment]), before=chance.random() < 0.5)
        else:
            plan = Plan(after_s=chance.uniform(0, self.whole.seconds))
        ended = run(self.words, where, plan)
        wrong = [f"{ended.orphans} orphans"] if ended.orphans else []
        return plan.words, wrong + self.finished(where)

    def ask(self, chance: random.Random) -> tuple[str, list[str]]:
        where = self.fresh()
        number = chance.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        plan = Plan(after_s=chance.uniform(0.3, self.whole.seconds * 0.9), number=number)
        ended = run(self.words, where, plan)
        wrong = [f"{ended.orphans} orphans"] if ended.orphans else []
        if ended.status == 0:
            return f"{plan.words}: it had ended", wrong
        if ended.status != 128 + number:
            wrong.append(f"exit {ended.status}: {ended.said[-600:]}")
        elif (where / "run").is_dir():
            state = json.loads((where / "run" / "STATUS.json").read_text())["state"]
            told = "go on with: polypda adapt --resume run" in ended.said
            wrong += [] if told and state == "interrupted" else [f"state {state}; {ended.said[-300:]}"]
        return plan.words, wrong + self.finished(where)

    def fail(self, chance: random.Random) -> tuple[str, list[str]]:
        where = self.fresh()
        most = sum(self.whole.calls[name] for name in ("open", "os.rename", "os.mkdir"))
        plan = Plan(error=chance.choice(ERRNOS), count=chance.randint(1, most))
        ended = run(self.words, where, plan)
        coded = ended.status in (2, 3) and "\nE_" in f"\n{ended.said}" and "Traceback" not in ended.said
        wrong = [] if coded or ended.status == 0 else [f"exit {ended.status}: {ended.said[-1500:]}"]
        return plan.words, wrong + self.finished(where)


def tried(count: int, benches: list[Bench], kind: str, chance: random.Random) -> Iterator[dict[str, object]]:
    for number in range(count):
        bench = benches[number % len(benches)]
        trial: Callable[[random.Random], tuple[str, list[str]]] = getattr(bench, kind)
        words, wrong = trial(chance)
        print(f"{kind} {number + 1}/{count} {bench.name}, {words}: {'; '.join(wrong) or 'well'}", flush=True)
        yield {"kind": kind, "method": bench.name, "what": words, "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("kills", "signals", "writes", "flips"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(36, 1)  # orphans come to this process (PR_SET_CHILD_SUBREAPER)
    root, chance = asked.out.absolute(), random.Random(asked.seed)
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "phantoms").is_dir():
        where = root / "render"
        where.mkdir(exist_ok=True)
        ended = run(["adapt", *TINY, "--method", "source-only", "--out", "run"], where, Plan())
        if ended.status:
            raise SystemExit(ended.said)
        shutil.copytree(where / "cache" / "phantoms", root / "phantoms")
    results: list[dict[str, object]] = []
    if asked.kills or asked.signals or asked.writes:
        benches = [Bench(name, root) for name in asked.methods]
        for kind, count in (("kill", asked.kills), ("ask", asked.signals), ("fail", asked.writes)):
            results += tried(count, benches, kind, chance)
    if asked.flips:
        from bit_flips import flipped  # beside this file

        results += flipped(asked.flips, root, chance)
    figures = Counter((str(one["kind"]), "wrong" if one["wrong"] else "well") for one in results)
    told = {f"{kind}: {how}": count for (kind, how), count in sorted(figures.items())}
    (root / "survival.json").write_text(json.dumps({"figures": told, "trials": results}, indent=1))
    print(json.dumps(told))
    sys.exit(any(one["wrong"] for one in results))


if __name__ == "__main__":
    main()
