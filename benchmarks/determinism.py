"""Whether a run is the same bytes elsewhere: weights, selection, scored frames, report; each in a process of its own.

    python benchmarks/determinism.py [--out FOLDER] [--only NAME …]

Painted cohorts lie on the disk. The first run is what the others are compared with: loader workers, trainings side by
side, files made and listed in another order, another working folder (with letters of another alphabet), time zone,
language, hash seed, umask, a cache that is warm already, and all of these at once. What tells of the run itself (when
it was made, how long it took) is masked before reports are compared; a table says which files differ. Exit status 1
where one does; determinism.json in FOLDER holds the digests.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.painted import write_cohort

ADAPT = (
    "--source zju2 --target haining --data-root data --method adaptsegnet --no-guard --size 64 --batch-size 2 "
    "--start-steps 4 --adapt-steps 4 --checkpoint-every 2 --threads 1 --overlays 3 --architecture fpn --levels 1 "
    "--device cpu --encoder tu-mobilenetv3_small_050 --encoder-weights none --parts none --keep all --selector im "
    "--out run"
)
REVERSED = """
import os
_list, _scan = os.listdir, os.scandir
class _Reversed:
    def __init__(self, entries): self._entries = iter(sorted(entries, key=lambda one: one.name, reverse=True))
    def __iter__(self): return self._entries
    def __next__(self): return next(self._entries)
    def __enter__(self): return self
    def __exit__(self, *error): return None
    def close(self): return None
os.listdir = lambda path=".": sorted(_list(path), reverse=True)
os.scandir = lambda path=".": _Reversed(list(_scan(path)))
"""
OF_THE_RUN = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z| UTC)?"  # when it was made
    rb"|(?<=\"duration_s\": )[\d.]+|\d+ h \d+ min|\d+ min \d+ s|\d+ s(?=</dd>)"  # how long it took
    rb"|(?<=\"workers\": )\d+|(?<=\"trainings_at_once\": )\d+"  # by how many processes, as configured
    rb"|(?<=workers</dt><dd>)\d+|(?<=trainings_at_once</dt><dd>)\d+"
)
"""What a report truthfully says of how it came about."""


@dataclass(frozen=True)
class Variant:
    """How a run differs from the first one."""

    options: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "work"
    reverse: bool = False
    warm: bool = False
    umask: int = 0o022


CHINESE = {"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "LANGUAGE": "zh_CN"}
KIRITIMATI = {"TZ": "Pacific/Kiritimati"}
VARIANTS = {
    "the same again": Variant(),
    "2 workers": Variant(options="--workers 2"),
    "2 trainings at once": Variant(options="--trainings-at-once 2"),
    "order of files": Variant(reverse=True),
    "working folder": Variant(folder="另一个 folder/deeper/work"),
    "time zone": Variant(environment=KIRITIMATI),
    "language": Variant(environment=CHINESE),
    "language C": Variant(environment={"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "hash seed": Variant(environment={"PYTHONHASHSEED": "4711"}),
    "umask": Variant(umask=0o077),
    "warm cache": Variant(warm=True),
    "all at once": Variant(
        "--workers 1", {**CHINESE, **KIRITIMATI, "PYTHONHASHSEED": "99"}, "另一个/work", reverse=True, umask=0o077
    ),
}


def run(root: Path, variant: Variant) -> dict[str, str]:
    """Make the cohorts and the run in a fresh folder; name → SHA-256 of what must be alike."""
    place = root / variant.folder
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for number, cohort in enumerate(("zju2", "haining")):
        write_cohort(place / "data", cohort, tint=(170 - 40 * number, 90 + 40 * number, 70))
    if variant.reverse:
        shuffle(place / "data")
    path = os.pathsep.join([str(root / "reversed"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **variant.environment}
    environment |= {"PYTHONPATH": path} if variant.reverse else {}
    cache = root / "warm" if variant.warm else place / "cache"
    words = [*shlex.split(f"adapt {ADAPT} {variant.options}"), "--cache-dir", str(cache)]
    command = [sys.executable, "-m", "polypda.cli.main", *words]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, umask=variant.umask)
    if done.returncode:
        raise SystemExit(f"{variant}: {done.stderr[-2000:]}")
    return digests(place / "run")


def shuffle(data: Path) -> None:
    """The same files, made in another order."""
    for folder in [path for path in data.rglob("*") if path.is_dir() and any(one.is_file() for one in path.iterdir())]:
        held = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        for name in held:
            (folder / name).unlink()
        for name in random.Random(5).sample(sorted(held), len(held)):
            (folder / name).write_bytes(held[name])


def digests(folder: Path) -> dict[str, str]:
    """What a run leaves but its log of events, its configuration of the machine and what holds times alone."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name in OWN_TO_A_RUN or (name.startswith("stages/") and path.suffix == ".jsonl"):
            continue
        data = path.read_bytes()
        if path.suffix in (".html", ".md", ".json", ".csv", ".tex", ".txt"):
            data = OF_THE_RUN.sub(b"-", data)
        found[name] = hashlib.sha256(data).hexdigest()
    return found


OWN_TO_A_RUN = ("STATUS.json", "environment.json", "checksums.sha256", "config.json", "events.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    asked = parser.parse_args()
    root = (asked.out or Path(tempfile.mkdtemp(prefix="determinism-"))).absolute()
    (root / "reversed").mkdir(parents=True, exist_ok=True)
    (root / "reversed" / "sitecustomize.py").write_text(REVERSED)
    first = run(root, Variant(folder="first", warm=True))
    results, alike = {}, 0
    for name in asked.only:
        found = run(root, VARIANTS[name])
        different = sorted(key for key in {*first, *found} if first.get(key) != found.get(key))
        results[name], alike = different, alike + (not different)
        print(
            f"{name}: {f'{len(different)} differ: ' + ', '.join(different[:12]) if different else 'the same'}",
            flush=True,
        )
    kinds = {
        suffix: sum(name.endswith(suffix) for name in first) for suffix in (".safetensors", ".csv", ".html", ".png")
    }
    print(f"{alike}/{len(results)} the same in {len(first)} files: {kinds}")
    (root / "determinism.json").write_text(json.dumps({"digests": first, "different": results}, indent=1))
    sys.exit(alike < len(results))


if __name__ == "__main__":
    main()
