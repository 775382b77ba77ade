"""How time and memory grow with frames, case rows, runs and pairs; and a paper estimate for a large matrix.

    python benchmarks/growth.py                          # 1×, 4× and 16×; about ten minutes on one core
    python benchmarks/growth.py --full --only import,check,cache,evaluate --threads 1
    python benchmarks/growth.py --only report --report reports    # also reports/growth.{md,png}

Steps: `import`, `check`, `cache` (filling it) and `evaluate` (a folder of maps) over frames; `report` over case rows
(five runs); `matrix-report` over runs; `plan` (`matrix --dry-run`) over pairs of centres. Each is measured in a process
of its own, with the processes that it starts: CPU seconds, and the memory of the largest process at its peak. A small
size is measured as well and taken off as what the step costs whatever its size (starting Python, loading libraries).
The slope is that of log(CPU s) over log(size); 1 is proportional. `--full` adds 200,000 frames and 1,000,000 rows.

Frames are 96×80 px mixtures of a few rendered ones, 20,000 different images, then further frames of the same patients
that look like these; none is clinical evidence.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice, permutations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

HERE = Path(__file__).resolve()
COHORT, WIDTH, HEIGHT, SCENES = "zju2", 96, 80, 48
DISTINCT, FRAMES_PER_PATIENT = 20_000, 25
TIMES = (1, 4, 16)
RUNS_OF_REPORT, MODELS, FRAMES_OF_RUN = 5, ("adabn", "adaptsegnet"), 100
CACHE_SIZE = 32
POLYPDA = (sys.executable, "-m", "polypda.cli.main")


@dataclass(frozen=True)
class Step:
    """What is measured. small: a size that costs hardly more than none. first: 1×; full: the size of ``--full``.

    prepare: called with size and folder, in a process of its own, not measured. command: the words that are measured.
    """

    name: str
    unit: str
    small: int
    first: int
    full: int
    prepare: str
    command: Callable[[int, Path], list[str]]


@dataclass(frozen=True)
class Measured:
    """One measurement. cpu_s: of all its processes. peak_mib: of the largest one."""

    step: str
    size: int
    cpu_s: float
    wall_s: float
    peak_mib: float


def _import(size: int, folder: Path) -> list[str]:
    return [*POLYPDA, "cohorts", "import", str(folder / "source"), "--as", COHORT, "--out", str(folder / "data")]


def _check(size: int, folder: Path) -> list[str]:
    words = ["cohorts", "check", COHORT, "--data-root", str(folder / "data"), "--processes", "1"]
    return [*POLYPDA, *words, "--out", str(folder / "check")]


def _evaluate(size: int, folder: Path) -> list[str]:
    words = ["evaluate", "--predictions", f"m={folder / 'maps'}", "--on", f"{COHORT}:all", "--data-root"]
    return [*POLYPDA, *words, str(folder / "data"), "--out", str(folder / "evaluated")]


def _here(name: str) -> Callable[[int, Path], list[str]]:
    return lambda size, folder: [sys.executable, str(HERE), "--child", name, str(size), str(folder)]


def _report(size: int, folder: Path) -> list[str]:
    runs = [str(run) for run in sorted((folder / "runs").iterdir())]
    return [*POLYPDA, "report", *runs, "--out", str(folder / "report")]


def _plan(size: int, folder: Path) -> list[str]:
    pairs = ",".join(f"{one}/{other}" for one, other in centre_pairs(size))
    words = ["matrix", "--pairs", pairs, "--methods", "source-only,adaptsegnet,fda,minent", "--seeds", "0,1,2,3,4"]
    words += ["--phantom", "--preset", "quick", "--size", "32", "--batch-size", "2", "--dry-run"]
    return [*POLYPDA, *words, "--out", str(folder / "matrix")]


STEPS = {
    step.name: step
    for step in (
        Step("import", "frames", 40, 1000, 200_000, "source", _import),
        Step("check", "frames", 40, 1000, 200_000, "", _check),
        Step("cache", "frames", 40, 1000, 200_000, "", _here("cache")),
        Step("evaluate", "frames", 40, 1000, 200_000, "maps", _evaluate),
        Step("report", "case rows", 300, 15_000, 1_000_000, "rows", _report),
        Step("matrix-report", "runs", 1, 6, 0, "runs", _report),
        Step("plan", "pairs", 1, 8, 0, "", _plan),
    )
}
LEFT = {
    "import": ("data",),
    "check": ("check",),
    "cache": ("cache",),
    "evaluate": ("evaluated",),
    "report": ("report",),
    "matrix-report": ("report",),
    "plan": ("matrix",),
}
OF_FRAMES = ("import", "check", "cache", "evaluate")


def centre_pairs(count: int) -> list[tuple[str, str]]:
    """Ordered pairs of cohorts of the catalogue that may be adapted to one another."""
    from polypda.cohorts.catalogue import shipped_catalogue
    from polypda.cohorts.pairs import check_pair
    from polypda.errors import PolypdaError

    def allowed(pair: tuple[str, str]) -> bool:
        try:
            check_pair(*pair)
        except PolypdaError:
            return False
        return True

    rendered = [name for name, one in shipped_catalogue().items() if one.phantom is not None]
    return list(islice(filter(allowed, permutations(rendered, 2)), count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="steps, separated by commas")
    parser.add_argument("--full", action="store_true", help="also 200,000 frames and 1,000,000 case rows")
    parser.add_argument("--sizes", type=int, nargs="+", help="these alone, instead of 1×, 4×, 16× and --full")
    parser.add_argument("--threads", type=int, default=1, help="of the libraries' own")
    parser.add_argument("--out", type=Path, default=Path("runs/growth"), help="what is measured is made here")
    parser.add_argument("--report", type=Path, help="folder for growth.md, growth.png and growth.json")
    parser.add_argument("--keep", action="store_true", help="leave cohorts and reports in --out")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        CHILDREN[given.child[0]](int(given.child[1]), Path(given.child[2]))
        return
    names = given.only.split(",") if given.only else list(STEPS)
    os.environ |= {name: str(given.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "growth.json"
    found = [Measured(**one) for one in json.loads(kept.read_text())] if kept.is_file() else []
    for one in measured(names, given):
        found = [other for other in found if (other.step, other.size) != (one.step, one.size)] + [one]
        print(
            f"{one.step:>14} {one.size:>9,} {one.cpu_s:9.1f} CPU s {one.wall_s:9.1f} s {one.peak_mib:8.0f} MiB",
            flush=True,
        )
        kept.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")
    print(table(found))


def measured(names: list[str], given: argparse.Namespace) -> Iterator[Measured]:
    """Every step at every size, one after another; frames are made once for the steps that use them."""
    groups = [[name for name in names if name in OF_FRAMES], *([name] for name in names if name not in OF_FRAMES)]
    for group in filter(None, groups):
        first = STEPS[group[0]]
        sizes = [first.small, *(first.first * times for times in TIMES)]
        for size in given.sizes or [*sizes, *([first.full] if given.full and first.full else [])]:
            folder = given.out / f"{'frames' if group[0] in OF_FRAMES else group[0]}-{size}"
            if group[0] in OF_FRAMES and group[0] != "import" and not (folder / "data").is_dir():
                prepared(STEPS["import"], size, folder)
            for name in group:
                yield measure(STEPS[name], size, folder)
            if not given.keep:
                shutil.rmtree(folder)


def prepared(step: Step, size: int, folder: Path) -> None:
    """Have the step's product, unmeasured."""
    measure(step, size, folder)


def measure(step: Step, size: int, folder: Path) -> Measured:
    """Prepare a step, run its command, and tell what it took."""
    import time

    folder.mkdir(parents=True, exist_ok=True)
    if step.prepare:
        subprocess.run(_here(step.prepare)(size, folder), check=True)
    for left in LEFT[step.name]:
        shutil.rmtree(folder / left, ignore_errors=True)
    words = step.command(size, folder)
    with (folder / "said.txt").open("w") as said:
        began = time.perf_counter()
        process = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)  # of the process and of those that it waited for
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3, 4):  # a check has findings, an import remarks
        raise SystemExit(
            f"{' '.join(words)} ended with {process.returncode}: {(folder / 'said.txt').read_text()[-2000:]}"
        )
    wall = time.perf_counter() - began
    if step.name == "import":
        shutil.rmtree(folder / "source")
    return Measured(step.name, size, used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 2**10)


def make_source(size: int, folder: Path) -> None:
    """Images, masks and frames.csv as an owner may hold them. Beyond DISTINCT frames further ones of the same patients
    follow, which look like the first and are other files."""
    import cv2

    source = folder / "source"
    if (source / "frames.csv").is_file():
        return
    (source / "images").mkdir(parents=True, exist_ok=True)
    (source / "masks").mkdir(exist_ok=True)
    rows = ["frame,patient"]
    for number, (image, mask) in enumerate(mixtures(min(size, DISTINCT))):
        pixels = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        drawn = cv2.imencode(".png", mask)[1].tobytes()
        for again in range(number, size, DISTINCT):
            told = f"{again:06d}"
            comment = b"\xff\xfe\x00\x08" + told.encode()
            (source / "images" / f"{told}.jpg").write_bytes(pixels[:2] + comment + pixels[2:])
            (source / "masks" / f"{told}.png").write_bytes(drawn)
            rows.append(f"{told},patient-{number // FRAMES_PER_PATIENT:05d}")
    (source / "frames.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def mixtures(size: int) -> Iterator[tuple[Any, Any]]:
    """Images, uint8 H×W×3, of two turned rendered frames each, and masks of one ellipse, 0 and 255."""
    import cv2
    import numpy as np

    from polypda.cohorts.catalogue import manifest
    from polypda.phantom.renderer import render_frame

    look = manifest(COHORT).phantom
    assert look is not None
    look = look.model_copy(update={"frames_per_sequence": 1, "interlaced": False})
    scenes = [
        cv2.resize(render_frame(look, seed=0, index=scene)[0], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        for scene in range(min(SCENES, size))
    ]
    lit = scenes[0].max(axis=2) > 30
    for number in range(size):
        rng = np.random.default_rng(number)
        parts = []
        for _ in range(2):
            scene = scenes[int(rng.integers(len(scenes)))]
            turn = cv2.getRotationMatrix2D(
                (WIDTH / 2, HEIGHT / 2), float(rng.uniform(0, 360)), float(rng.uniform(1.2, 2.2))
            )
            turn[:, 2] += rng.uniform(-12, 12, 2)
            parts.append(cv2.warpAffine(scene, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
        image = cv2.addWeighted(parts[0], float(share := rng.uniform(0.35, 0.65)), parts[1], 1 - share, 0.0)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        centre = int(rng.integers(35, 60)), int(rng.integers(28, 52))
        axes = int(rng.integers(5, 16)), int(rng.integers(5, 16))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        yield image * lit[..., None], mask


def make_maps(size: int, folder: Path) -> None:
    """A map for each frame: its mask, moved and softened."""
    import cv2
    import numpy as np

    (folder / "maps").mkdir(exist_ok=True)
    for path in (folder / "data" / COHORT / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        moved = cv2.GaussianBlur(np.roll(mask, int(path.stem) % 7, axis=1), (0, 0), 2)
        cv2.imwrite(str(folder / "maps" / path.name), moved)


def fill_cache(size: int, folder: Path) -> None:
    """Open the cohort and fill the cache of decoded frames with images and masks."""
    from polypda.cohorts.opening import open_cohort
    from polypda.data.cache import FrameCache, NetworkGrid

    opened = open_cohort(COHORT, folder / "data")
    FrameCache(folder / "cache" / "frames", NetworkGrid(CACHE_SIZE)).labelled(opened.frames)


def make_rows(size: int, folder: Path) -> None:
    """Five runs (seeds) whose cases are ``size`` rows in all."""
    _make_runs(folder, RUNS_OF_REPORT, frames=math.ceil(size / RUNS_OF_REPORT / (1 + len(MODELS))), pairs=1)


def make_runs(size: int, folder: Path) -> None:
    """So many runs, five seeds to a pair, of 300 rows each."""
    _make_runs(folder, size, frames=FRAMES_OF_RUN, pairs=math.ceil(size / 5))


def _make_runs(folder: Path, count: int, *, frames: int, pairs: int) -> None:
    from support.synthetic_cases import SyntheticCohort, synthetic_run

    from polypda.evaluation.cases.evaluation_file import write_evaluation

    shutil.rmtree(folder / "runs", ignore_errors=True)
    patients = max(1, frames // FRAMES_PER_PATIENT)
    made = {
        name: SyntheticCohort(name, patients=patients, frames_per_patient=math.ceil(frames / patients))
        for pair in centre_pairs(pairs)
        for name in pair
    }
    names = [pair for pair in centre_pairs(pairs) for _ in range(5)]
    for number, (source, target) in enumerate(names[:count]):
        on = [("target", made[target])]
        one = synthetic_run(made[source], made[target], MODELS, number % 5, run=f"run-{number:03d}", on=on)
        place = folder / "runs" / f"run-{number:03d}"
        place.mkdir(parents=True)
        write_evaluation(place, one.cases, one.run_metadata)


CHILDREN = {
    "source": make_source,
    "maps": make_maps,
    "cache": fill_cache,
    "rows": make_rows,
    "runs": make_runs,
}


def table(found: list[Measured]) -> str:
    """The measurements and each step's slope, as Markdown."""
    lines = ["| step | size | CPU s | wall s | peak MiB | CPU ms per one |", "|---|---|---|---|---|---|"]
    for step in STEPS.values():
        for one in sorted((one for one in found if one.step == step.name), key=lambda one: one.size):
            lines.append(
                f"| {one.step} | {one.size:,} {step.unit} | {one.cpu_s:.1f} | {one.wall_s:.1f} | {one.peak_mib:.0f} | |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
