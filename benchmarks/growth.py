"""How time and memory grow with frames, case rows, runs and pairs; and a paper estimate for a large matrix.

    python benchmarks/growth.py --report reports         # 1×, 4×, 16×: about fifteen minutes of one core
    python benchmarks/growth.py --full --report reports  # also 200,000 frames and 1,000,000 case rows: an hour
    python benchmarks/growth.py --only estimate

Steps: `import`, `check`, `cache` (filling it) and `evaluate` (a folder of maps) over frames; `report` over case rows
(five runs); `matrix-report` over runs of 300 rows, five to a pair; `plan` over pairs of centres (13 methods, 5 seeds).
Each is measured in a process of its own, with the processes that it starts: CPU seconds, and the memory of the largest
process at its peak. A small size is measured as well and taken off as what the step costs whatever its size (starting
Python, loading libraries). The slope is that of log(CPU s) over log(size); 1 is proportional. What was measured before
is kept in --out and counts until the step is measured again: it may be done in parts.

Frames are 96×80 px mixtures of a few rendered ones, 20,000 different images, then further frames of the same patients
that look like these; none is clinical evidence. Making 200,000 of them and what comes of them takes 5 GB of disk.
`estimate` times a step of each method on this processor and one tiny run's files; it says what it assumes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, permutations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

HERE = Path(__file__).resolve()
COHORT, WIDTH, HEIGHT, SCENES = "zju2", 96, 80, 48
DISTINCT, FRAMES_PER_PATIENT = 20_000, 25
TIMES = (1, 4, 16)
ESTIMATE = "estimate"
CENTRES, METHODS_PLANNED, SEEDS, GPUS, SCORED_FRAMES = 12, 13, 5, 8, 1000
SPEEDS = (20, 60)
"""How many times as fast as one thread here a GPU may be: assumptions."""
HEAD = """# How time and memory grow

Made by `python benchmarks/growth.py --full --report reports`; the command's own page says what is measured. One thread;
the machine was shared, so that CPU seconds are higher than on an idle one. "Beyond the start": less what the step costs
at its smallest size. Slope: of log(CPU s beyond the start) over log(size); 1 is in proportion.

![How time and memory grow](growth.png)

"""
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


STEPS = {
    step.name: step
    for step in (
        Step("import", "frames", 40, 1000, 200_000, "source", _import),
        Step("check", "frames", 40, 1000, 200_000, "", _check),
        Step("cache", "frames", 40, 1000, 200_000, "", _here("cache")),
        Step("evaluate", "frames", 40, 1000, 200_000, "maps", _evaluate),
        Step("report", "case rows", 300, 15_000, 1_000_000, "rows", _report),
        Step("matrix-report", "runs", 1, 6, 0, "runs", _report),
        Step("plan", "pairs", 1, 8, 0, "", _here("plan")),
    )
}
LEFT = {
    "import": ("data",),
    "check": ("check",),
    "cache": ("cache",),
    "evaluate": ("evaluated",),
    "report": ("report",),
    "matrix-report": ("report",),
    "plan": (),
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
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"some of {', '.join(STEPS)}, estimate; separated by commas")
    parser.add_argument("--full", action="store_true", help="also 200,000 frames and 1,000,000 case rows")
    parser.add_argument(
        "--sizes", type=int, nargs="*", help="these alone; none: only print and write what was measured"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the libraries' own")
    parser.add_argument("--out", type=Path, default=Path("runs/growth"), help="what is measured is made here")
    parser.add_argument("--report", type=Path, help="folder for growth.md, growth.png and growth.json")
    parser.add_argument("--keep", action="store_true", help="leave cohorts and reports in --out")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        CHILDREN[given.child[0]](int(given.child[1]), Path(given.child[2]))
        return
    names = given.only.split(",") if given.only else [*STEPS, ESTIMATE]
    os.environ |= {name: str(given.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "growth.json"
    found = [Measured(**one) for one in json.loads(kept.read_text())] if kept.is_file() else []
    for one in measured([name for name in names if name in STEPS], given):
        found = [other for other in found if (other.step, other.size) != (one.step, one.size)] + [one]
        said = f"{one.step:>14} {one.size:>9,} {one.cpu_s:9.1f} CPU s {one.wall_s:9.1f} s {one.peak_mib:8.0f} MiB"
        print(said, flush=True)
        kept.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")
    if ESTIMATE in names:
        subprocess.run(_here(ESTIMATE)(0, given.out), check=True)
    estimate = given.out / "estimate.md"
    text = f"{table(found)}\n\n{estimate.read_text() if estimate.is_file() else ''}"
    print(text)
    if given.report is not None:
        (given.report / "growth.md").write_text(f"{HEAD}{short_of_full(found)}{text}", encoding="utf-8")
        shutil.copy(kept, given.report / "growth.json")
        draw(found, given.report / "growth.png")


def measured(names: list[str], given: argparse.Namespace) -> Iterator[Measured]:
    """Every step at every size, one after another; frames are made once for the steps that use them."""
    groups = [[name for name in names if name in OF_FRAMES], *([name] for name in names if name not in OF_FRAMES)]
    for group in filter(None, groups):
        first = STEPS[group[0]]
        sizes = [first.small, *(first.first * times for times in TIMES)]
        wanted = [*sizes, *([first.full] if given.full and first.full else [])]
        for size in wanted if given.sizes is None else given.sizes:
            folder = given.out / f"{'frames' if group[0] in OF_FRAMES else group[0]}-{size}"
            if group[0] in OF_FRAMES and group[0] != "import" and not (folder / "data").is_dir():
                measure(STEPS["import"], size, folder)  # for its cohort
            for name in group:
                yield measure(STEPS[name], size, folder)
            if not given.keep:
                shutil.rmtree(folder)


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

    if (folder / "maps").is_dir() and sum(1 for _ in (folder / "maps").iterdir()) == size:
        return
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


def plan(size: int, folder: Path) -> None:
    """Plan a matrix of so many pairs, and look where each run stands."""
    from polypda.workflows.matrix.matrix import state_of
    from polypda.workflows.matrix.matrix_plan import plan_matrix

    planned = plan_matrix(centre_pairs(size), methods_of_estimate(), range(SEEDS), configured)
    print(len(planned.runs), {state_of(run, folder / "matrix") for run in planned.runs})


def methods_of_estimate() -> list[str]:
    """Thirteen methods that adapt, the default first."""
    from polypda.methods.index import DEFAULT_METHOD
    from polypda.methods.registry import METHODS
    from polypda.workflows.runs.stages import adapts

    known = [name for name in METHODS if adapts(name) and name != DEFAULT_METHOD]
    return [DEFAULT_METHOD, *known][:METHODS_PLANNED]


def configured(source: str, target: str, method: str, seed: int, oracle: bool) -> Any:
    """The configuration of a run by the preset `standard` at 128 px, without its parts."""
    from polypda.workflows.runs.launch import all_options, configuration

    given = {"preset": "standard", "phantom": True, "seed": seed, "parts": "none", "device": "cpu", "size": 128}
    options = all_options(given)
    return configuration(options, source=source, target=target, method=method, method_options={})


def estimate(_: int, folder: Path) -> None:
    """Hours and storage of a large matrix, from steps that are timed and files that are written here."""
    import tempfile

    import torch

    from polypda.workflows.matrix.matrix import estimated_seconds, timed_step
    from polypda.workflows.matrix.matrix_plan import plan_matrix

    torch.set_num_threads(1)
    methods, names = methods_of_estimate(), [f"centre-{number}" for number in range(CENTRES)]
    known = {method: configured("zju2", "haining", method, 0, False) for method in ("source-only", *methods)}

    def configure(source: str, target: str, method: str, seed: int, oracle: bool) -> Any:
        return known[method].model_copy(update={"source": source, "target": target, "seed": seed})

    import polypda.workflows.matrix.matrix_plan as planning

    planning.check_pair = lambda source, target: None  # centres that no catalogue knows share no frames
    plan_of = plan_matrix(list(permutations(names, 2)), methods, range(SEEDS), configure)
    steps: dict[str, float] = {}

    def timed(config: Any, method: str) -> float:
        steps[method] = timed_step(config, method)
        print(f"{method:>30} {steps[method]:.2f} s a step", file=sys.stderr, flush=True)
        return steps[method]

    thread_h = sum(estimated_seconds(plan_of.runs, timed).values()) / 3600
    with tempfile.TemporaryDirectory() as place:
        words = ["adapt", "--source", "zju2", "--target", "haining", "--phantom", "--phantom-frames", "48"]
        words += ["--preset", "standard", "--size", "32", "--batch-size", "2"]
        words += ["--start-steps", "2", "--adapt-steps", "2"]
        words += ["--checkpoint-every", "1", "--parts", "none", "--overlays", "1", "--cache-dir", f"{place}/cache"]
        subprocess.run([*POLYPDA, *words, "--out", f"{place}/run"], check=True, stdout=subprocess.DEVNULL)
        files = [(path, path.stat().st_size) for path in Path(place, "run").rglob("*") if path.is_file()]
        weights = sum(size for path, size in files if path.suffix in (".safetensors", ".ckpt", ".pt"))
        cases = Path(place, "run", "report", "cases.csv")
        rows = len(cases.read_text(encoding="utf-8").splitlines()) - 1
        per_row = cases.stat().st_size / rows
        rest = sum(size for _, size in files) - weights - cases.stat().st_size
    runs, scored = len(plan_of.runs), 2 * SCORED_FRAMES * 3
    run_mb, dearest = (weights + rest + scored * per_row) / 1e6, max(steps, key=lambda name: steps[name])
    pairs = CENTRES * (CENTRES - 1)
    lines = [
        f"## {CENTRES} centres × {METHODS_PLANNED} methods × {SEEDS} seeds on {GPUS} GPUs: an estimate on paper",
        "",
        f"{runs:,} runs: {pairs} pairs × {METHODS_PLANNED} methods × {SEEDS} seeds, and a source-only training per "
        "centre and seed that they start from.",
        "",
        f"- Training: {thread_h:,.0f} hours of one thread of this processor: steps of the preset `standard` (at 128 "
        f"px, batch 8), timed here, from {min(steps.values()):.2f} to {steps[dearest]:.2f} s ({dearest}).",
        *(
            f"- Were a GPU {factor} times as fast as this thread: {thread_h / factor / GPUS:,.0f} hours by the clock."
            for factor in SPEEDS
        ),
        "- **No GPU was measured.** The factors are assumptions, not figures. At 352 px a step is taken to cost 7.6 "
        "times as much (by its pixels). Decoding, checkpoints, scoring and waiting in a queue come on top.",
        f"- Storage: {run_mb:,.0f} MB a run, {run_mb * runs / 1e6:,.2f} TB in all as runs end, from the files of a "
        f"tiny one: {weights / 1e6:,.0f} MB of weights, {rest / 1e6:,.1f} MB else with one overlay, "
        f"{per_row:,.0f} bytes a case row. Rows: three models on "
        f"{SCORED_FRAMES:,} held-out frames of each of two centres, {scored * per_row / 1e6:,.1f} MB.",
    ]
    (folder / "estimate.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


CHILDREN = {
    "source": make_source,
    "maps": make_maps,
    "cache": fill_cache,
    "rows": make_rows,
    "runs": make_runs,
    "plan": plan,
    ESTIMATE: estimate,
}


def beyond_start(step: Step, found: Sequence[Measured]) -> list[tuple[Measured, float, float]]:
    """Each size from 1× on, with its CPU s and MiB beyond those of the small size."""
    own = sorted((one for one in found if one.step == step.name), key=lambda one: one.size)
    start = next((one for one in own if one.size == step.small), None)
    if start is None:
        return []
    return [
        (one, one.cpu_s - start.cpu_s, one.peak_mib - start.peak_mib)
        for one in own
        if one.size >= step.first and one.cpu_s > start.cpu_s
    ]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of log y over log x, by least squares; NaN of fewer than two points."""
    if len(points) < 2:
        return math.nan
    xs, ys = ([math.log(point[axis]) for point in points] for axis in (0, 1))
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    across = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / across


def table(found: Sequence[Measured]) -> str:
    """The measurements and each step's slope, as Markdown."""
    heads = ["step", "size", "CPU s", "peak MiB", "CPU ms each beyond the start", "KiB each beyond the start", "slope"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for step in STEPS.values():
        points = beyond_start(step, found)
        known = {one.size: (cpu_s, mib) for one, cpu_s, mib in points}
        steepness = slope([(one.size, cpu_s) for one, cpu_s, _ in points])
        own = sorted((one for one in found if one.step == step.name), key=lambda one: one.size)
        for one in own:
            cpu_s, mib = known.get(one.size, (math.nan, math.nan))
            each = f"{1e3 * cpu_s / one.size:.2f} | {mib * 1024 / one.size:.2f}" if one.size in known else "– | –"
            last = f"{steepness:.2f}" if one is own[-1] and steepness == steepness else ""
            cells = [step.name, f"{one.size:,} {step.unit}", f"{one.cpu_s:.1f}", f"{one.peak_mib:.0f}", each, last]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def short_of_full(found: Sequence[Measured]) -> str:
    """A line of the steps whose full size was not measured, with the largest that was."""
    largest = {
        step.name: max((one.size for one in found if one.step == step.name), default=0) for step in STEPS.values()
    }
    short = [f"{name} ({size:,})" for name, size in largest.items() if size < STEPS[name].full]
    return f"Not measured at full size, with the largest that was: {', '.join(short)}.\n\n" if short else ""


def draw(found: Sequence[Measured], path: Path) -> None:
    """CPU seconds and memory beyond the start over size, a panel for each unit; grey: proportional to the size."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from polypda.reporting.figures.figure_style import INK, MODEL_LINES, RULE, SOFT_INK, STYLE, power_of_ten

    units = list(dict.fromkeys(step.unit for step in STEPS.values()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.6), layout="constrained")
        axes = figure.subplots(2, len(units), sharex="col")
        for column, unit in enumerate(units):
            for line, step in enumerate(step for step in STEPS.values() if step.unit == unit):
                points = beyond_start(step, found)
                sizes = [one.size for one, _, _ in points]
                steepness = slope([(one.size, cpu_s) for one, cpu_s, _ in points])
                for row, values in enumerate(([point[1] for point in points], [point[2] for point in points])):
                    label = f"{step.name}, slope {steepness:.2f}" if row == 0 else step.name
                    shown = [(x, y) for x, y in zip(sizes, values, strict=True) if y > 0]
                    style = MODEL_LINES[line % len(MODEL_LINES)]
                    if shown:
                        axes[row, column].plot(
                            *zip(*shown, strict=True), marker="o", markersize=4, label=label, **style
                        )
                        if line == 0:
                            (x0, y0), x1 = shown[0], shown[-1][0]
                            axes[row, column].plot([x0, x1], [y0, y0 * x1 / x0], color="#BBBBBB", linewidth=5, zorder=0)
            axes[1, column].set_xlabel(unit, color=INK)
            for axis in axes[:, column]:
                axis.set_xscale("log")
                axis.set_yscale("log")
                axis.grid(color=RULE, linewidth=0.7)
                axis.legend(fontsize=7.5, frameon=False, loc="upper left")
                axis.margins(y=0.35)
                for one in (axis.xaxis, axis.yaxis):
                    one.set_major_formatter(mpl.ticker.FuncFormatter(power_of_ten))
                    one.set_minor_formatter(mpl.ticker.NullFormatter())
                axis.tick_params(colors=SOFT_INK)
        axes[0, 0].set_ylabel("CPU s beyond the start")
        axes[1, 0].set_ylabel("MiB beyond the start")
        figure.suptitle("How time and memory grow; grey: in proportion to the size", fontsize=11, x=0.01, ha="left")
        figure.savefig(path, dpi=84)


if __name__ == "__main__":
    main()
