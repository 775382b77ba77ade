"""What a command survives: kills, signals, full and failing disks, flipped bits. Counts; exit status 1 where one fails.

    python benchmarks/survival.py --kills 200 --signals 30 --writes 100 --flips 500 --out FOLDER

Commands are disturbed in turn (:data:`SCENARIOS`): trainings of a two-player and a three-player method, rounds of
self-training, the rendering of phantoms, imports, evaluations, reports, predictions, reviews, exports. Each is killed
at a random instant or inside a system call, drawn over what it writes and reads (checkpoints, pseudo-labels, scores,
reports …), asked to end, or given a disk that fails from the k-th write on; then it is given again. What it leaves must
be the same bytes as what an undisturbed command leaves, intact by `polypda runs verify`, without leftovers, and no
process may be left.

FOLDER keeps every trial (trials.jsonl), so that a count can be made in parts: the same command goes on where it was
stopped, and makes the trials that went wrong anew. survival.json is the sum.
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
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from disturbed import Ended, Plan, run
from importing.painted_sources import write_pairs
from importing.rendered_videos import progressive, write_video

import polypda
from polypda.integrity import CHECKSUMS, is_listed
from polypda.workflows.runs import adapt as _warm  # noqa: F401 - imported before the forks
from polypda.workflows.runs.keeping import problems

ERRNOS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)
TINY = shlex.split(
    "--phantom --source zju2 --target haining --phantom-frames 12 --size 64 --batch-size 2 --start-steps 2 "
    "--adapt-steps 4 --checkpoint-every 2 --threads 1 --overlays 1 --architecture fpn --levels 1 --device cpu "
    "--encoder tu-mobilenetv3_small_050 --encoder-weights none --no-guard --parts none --keep all"
)
ALONE = ["--trainings-at-once", "1"]
LSD = shlex.split("--method lsd -O generator_width=4 -O discriminator_width=4")
ROUNDS = shlex.split(
    "--method self-training -O rounds=2 -O polyp_from=0.3 -O background_to=0.2 -O peak_from=0 -O negative_to=0.9999"
)
METHODS = {
    "two players": ["--method", "adaptsegnet", *ALONE],
    "two players, 2 trainings at once": ["--method", "adaptsegnet", "--trainings-at-once", "2"],
    "three players": [*LSD, *ALONE],
    "two players, 2 workers": ["--method", "adaptsegnet", "--workers", "2", *ALONE],
    "three players, 2 workers": [*LSD, "--workers", "2", *ALONE],
    "self-training rounds": [*ROUNDS, *ALONE],
    "self-training rounds, 2 workers": [*ROUNDS, "--workers", "2", *ALONE],
}
RESUME = ["adapt", "--resume", "run", "--overlays", "1"]
FINISHED = "two players"
"""Of this method is the finished run that later commands work on."""


@dataclass(frozen=True)
class Scenario:
    """A command that is disturbed. share: of so many trials in fifty. results: folders and files that must be alike.

    finished: it works on a finished run. resumes: given again in other words once a run folder is there.
    """

    name: str
    words: list[str]
    share: int
    results: tuple[str, ...]
    finished: bool = False
    resumes: bool = False


def _of_run(name: str, words: str, share: int, *results: str) -> Scenario:
    return Scenario(name, shlex.split(words), share, results, finished=True)


SCENARIOS = (
    *(
        Scenario(name, ["adapt", *TINY, *words, "--out", "run"], 3, ("run",), resumes=True)
        for name, words in METHODS.items()
    ),
    Scenario("phantom rendering", shlex.split("cohorts phantom haining --frames 6 --out rendered"), 5, ("rendered",)),
    Scenario("import of frames", shlex.split("cohorts import pairs --as ward-7 --out data"), 4, ("data",)),
    Scenario("import of a video", shlex.split("cohorts import videos --as ward-8 --out data"), 4, ("data",)),
    _of_run("report", "report run --out reports/one", 4, "reports"),
    _of_run("report in place of another", "report run --out reports/former --force", 2, "reports"),
    _of_run("evaluation", "evaluate run --on haining:all", 4, "run/evaluations"),
    _of_run("prediction", "predict run pairs/images videos --out predicted --device cpu --threads 1", 3, "predicted"),
    _of_run("review", "review build run --out review --cases 2", 1, "review", "run/reviews"),
    _of_run("source package", "source-package run --out package", 1, "package"),
    _of_run("export", "export run --to safetensors --out model.safetensors", 1, "model.safetensors"),
)
ORDER = [one for turn in range(5) for one in SCENARIOS if one.share > turn]


@dataclass
class Undisturbed:
    """What a command leaves that nobody disturbs. files: name → SHA-256. calls: how often each moment comes."""

    files: dict[str, str]
    calls: dict[str, int]
    seconds: float


def digest(where: Path, scenario: Scenario) -> dict[str, str]:
    """What must be alike. Of a run: final weights, what was chosen, the scored frames; its logs tell of the stop."""
    if scenario.resumes:
        folder = where / "run"
        last = [sorted(stage.glob("step-*"))[-1:] for stage in (folder / "stages").glob("*")]
        files = [*folder.glob("*.safetensors"), *(path for step in last for one in step for path in one.glob("*.saf*"))]
        files += [*folder.glob("report/cases.csv"), folder / "selection.json"]
    else:
        found = [where / name for name in scenario.results]
        files = [path for one in found for path in ([one] if one.is_file() else one.rglob("*"))]
    return {
        path.relative_to(where).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


def leftovers(where: Path) -> list[str]:
    names = (".part", ".former", ".lock", ".importing", f".{CHECKSUMS}")
    return [path.relative_to(where).as_posix() for path in where.rglob(".*") if path.name.endswith(names)]


class Bench:
    """The commands, what they leave undisturbed, and how disturbed ones compare with it."""

    def __init__(self, root: Path) -> None:
        self.root, self.version = root, _version()
        self.known = root / "undisturbed" / self.version
        self.known.mkdir(parents=True, exist_ok=True)
        if not (root / "pairs").is_dir():
            write_pairs(root / "pairs", tuple("abcdefgh"))
            (root / "videos").mkdir()
            for name in ("one.mp4", "two.mp4"):
                write_video(root / "videos" / name, progressive(8))
        if not (root / "phantoms").is_dir():
            (root / "render").mkdir(exist_ok=True)
            self._well(["adapt", *TINY, "--method", "source-only", "--out", "run"], root / "render")
            shutil.copytree(root / "render" / "cache" / "phantoms", root / "phantoms")
        if not (self.known / "finished").is_dir():
            where = self.fresh(next(one for one in SCENARIOS if one.name == FINISHED))
            self._well(["adapt", *TINY, *METHODS[FINISHED], "--out", "run"], where)
            self._well(shlex.split("report run --out reports/former --title Former"), where)
            for name in ("said.txt", "calls.json"):
                (where / name).unlink(missing_ok=True)
            shutil.copytree(where, self.known / "finished")

    def _well(self, words: list[str], where: Path) -> Ended:
        ended = run(words, where, Plan())
        if ended.status:
            raise SystemExit(f"{' '.join(words)}: the undisturbed command failed\n{ended.said}")
        return ended

    def fresh(self, scenario: Scenario) -> Path:
        """A folder with what the command reads, and nothing else."""
        where = self.root / "trial"
        shutil.rmtree(where, ignore_errors=True)
        if scenario.finished:
            shutil.copytree(self.known / "finished", where)
        else:
            shutil.copytree(self.root / "phantoms", where / "cache" / "phantoms")
        for name in ("pairs", "videos"):
            shutil.copytree(self.root / name, where / name, dirs_exist_ok=True)
        return where

    def undisturbed(self, scenario: Scenario) -> Undisturbed:
        """Of this version, made once. Files that two undisturbed commands write otherwise are not compared."""
        path = self.known / f"{scenario.name}.json"
        if not path.is_file():
            made = []
            for _ in range(1 if scenario.resumes else 2):
                where = self.fresh(scenario)
                ended = self._well(scenario.words, where)
                made.append(digest(where, scenario))
            alike = {name: value for name, value in made[0].items() if made[-1].get(name) == value}
            if left := sorted(set(made[0]) - set(alike)):
                print(f"{scenario.name}: never the same bytes, not compared: {', '.join(left)}", flush=True)
            path.write_text(json.dumps(asdict(Undisturbed(alike, ended.calls, ended.seconds))))
        return Undisturbed(**json.loads(path.read_text()))

    def finished(self, scenario: Scenario, where: Path) -> list[str]:
        """Give the command again, as a user would; what is wrong afterwards."""
        resumed = scenario.resumes and (where / "run").is_dir()
        ended = run(RESUME if resumed else scenario.words, where, Plan())
        expected, found = self.undisturbed(scenario).files, digest(where, scenario)
        wrong = [f"{name} differs" for name, value in expected.items() if found.get(name, value) != value]
        wrong += [f"{name} is missing" for name in expected if name not in found]
        if ended.status and (wrong or not _was_done(ended)):  # killed after its work was done, it finds it done
            return [f"did not go on: {ended.said[-900:]}", *wrong]
        for folder in (where / "run", *(where / name for name in scenario.results)):
            if folder.is_dir() and is_listed(folder):
                wrong += [f"{fault.path.name} {fault.what}" for fault in problems(folder)]
        return wrong + [f"left: {name}" for name in leftovers(where)]

    def kill(self, scenario: Scenario, chance: random.Random) -> tuple[str, list[str]]:
        whole, where = self.undisturbed(scenario), self.fresh(scenario)
        kinds: dict[str, list[str]] = {"": []}
        for moment in whole.calls:
            kinds.setdefault(moment.partition(" of ")[0], []).append(moment)
        kind = chance.choice(list(kinds))
        if kind:
            moment = chance.choice(kinds[kind])
            plan = Plan(moment=moment, count=chance.randint(1, whole.calls[moment]), before=chance.random() < 0.5)
        else:
            plan = Plan(after_s=chance.uniform(0, whole.seconds))
        ended = run(scenario.words, where, plan)
        wrong = [f"{ended.orphans} orphans"] if ended.orphans else []
        words = f"{plan.words}{'' if ended.status == -signal.SIGKILL else ': it had ended'}{_state(where)}"
        return words, wrong + self.finished(scenario, where)

    def ask(self, scenario: Scenario, chance: random.Random) -> tuple[str, list[str]]:
        whole, where = self.undisturbed(scenario), self.fresh(scenario)
        number = chance.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        plan = Plan(after_s=chance.uniform(min(0.3, whole.seconds / 2), whole.seconds * 0.9), number=number)
        ended = run(scenario.words, where, plan)
        wrong = [f"{ended.orphans} orphans"] if ended.orphans else []
        words = f"{plan.words}{_state(where)}"
        if ended.status == 0:
            return f"{words}: it had ended", wrong
        if ended.status != 128 + number or "Traceback" in ended.said:
            wrong.append(f"exit {ended.status}: {ended.said[-900:]}")
        elif scenario.resumes and (where / "run").is_dir():
            state = json.loads((where / "run" / "STATUS.json").read_text())["state"]
            told = "go on with: polypda adapt --resume run" in ended.said
            wrong += [] if told and state == "interrupted" else [f"state {state}; {ended.said[-300:]}"]
        return words, wrong + self.finished(scenario, where)

    def fail(self, scenario: Scenario, chance: random.Random) -> tuple[str, list[str]]:
        whole, where = self.undisturbed(scenario), self.fresh(scenario)
        most = sum(count for moment, count in whole.calls.items() if moment.startswith(("opening", "rename", "mkdir")))
        plan = Plan(error=chance.choice(ERRNOS), count=chance.randint(1, most))
        ended = run(scenario.words, where, plan)
        coded = ended.status in (2, 3) and "\nE_" in f"\n{ended.said}" and "Traceback" not in ended.said
        wrong = [] if coded or ended.status == 0 else [f"exit {ended.status}: {ended.said[-1500:]}"]
        return plan.words, wrong + self.finished(scenario, where)


def _was_done(ended: Ended) -> bool:
    return ended.status in (2, 3) and "_EXISTS" in ended.said and "Traceback" not in ended.said


def _state(where: Path) -> str:
    """What a run was at, as its STATUS.json says."""
    path = where / "run" / "STATUS.json"
    if not path.is_file():
        return ""
    told = json.loads(path.read_text())
    return f", {told['state']} {told.get('stage', '')}".rstrip()


def _version() -> str:
    """Of the package's source: what was measured of another does not hold."""
    whole = hashlib.sha256()
    for path in sorted(Path(polypda.__file__).parent.rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


class Trials:
    """What was tried, kept line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.is_file() else []
        self.known = {(one["kind"], one["number"]): one for one in map(json.loads, lines)}  # the last of a number holds

    def missing(self, kind: str, count: int) -> Iterator[int]:
        for number in range(count):
            if (kind, number) not in self.known or self.known[kind, number]["wrong"]:
                yield number

    def add(self, **told: object) -> None:
        self.known[told["kind"], told["number"]] = told
        with self.path.open("a") as file:
            file.write(json.dumps(told) + "\n")
        words = "; ".join(map(str, told["wrong"])) or "well"
        print(f"{told['kind']} {told['number'] + 1}, {told['name']}, {told['what']}: {words}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("kills", "signals", "writes", "flips"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=[one.name for one in SCENARIOS], help="of kills, signals, writes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(36, 1)  # orphans come to this process (PR_SET_CHILD_SUBREAPER)
    root = asked.out.absolute()
    root.mkdir(parents=True, exist_ok=True)
    bench, trials = Bench(root), Trials(root / "trials.jsonl")
    for kind, count in (("kill", asked.kills), ("ask", asked.signals), ("fail", asked.writes)):
        trial: Callable[[Scenario, random.Random], tuple[str, list[str]]] = getattr(bench, kind)
        for number in trials.missing(kind, count):
            scenario = ORDER[number % len(ORDER)]
            if asked.only and scenario.name not in asked.only:
                continue
            words, wrong = trial(scenario, random.Random(f"{asked.seed} {kind} {number}"))
            trials.add(kind=kind, number=number, name=scenario.name, what=words, wrong=wrong, version=bench.version)
    if asked.flips:
        from bit_flips import flipped  # beside this file

        for told in flipped(list(trials.missing("flip", asked.flips)), bench.known, root / "phantoms", asked.seed):
            trials.add(**told, version=bench.version)
    figures = Counter((one["kind"], one["name"], "wrong" if one["wrong"] else "well") for one in trials.known.values())
    sums = Counter((one["kind"], "wrong" if one["wrong"] else "well") for one in trials.known.values())
    told = {f"{kind}: {how}": count for (kind, how), count in sorted(sums.items())}
    each = {f"{kind}, {name}: {how}": count for (kind, name, how), count in sorted(figures.items())}
    (root / "survival.json").write_text(
        json.dumps({"figures": told | each, "trials": list(trials.known.values())}, indent=1)
    )
    print(json.dumps(told | each, indent=1))
    sys.exit(any(one["wrong"] for one in trials.known.values()))


if __name__ == "__main__":
    main()
