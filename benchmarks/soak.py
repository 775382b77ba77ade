"""What a long run takes as it goes on: memory, open files, disk. A training of many steps, an hour of video predicted.

    python benchmarks/soak.py --steps 10000 --video-s 3600 --out FOLDER

The training is that of a tiny network on painted frames; the video is painted (small, 5 frames a second) and predicted
with masks and an overlay video. A process of its own is looked at twice a second from outside: resident memory and open
files, of it and of all that it starts. Growth is the median of a stage's last tenth against that of its second tenth,
where it takes two minutes and more. Exit status 1 where memory grows by 2 % and more, files stay open, or a finished
run takes more than three times its models. soak.json in FOLDER holds every sample.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.painted import paint, write_cohort

MOST_GROWTH, MOST_DISK = 0.02, 3.0
EVERY_S, LEAST_SAMPLES = 0.5, 240
RATE = 5
ADAPT = (
    "adapt --source zju2 --target haining --data-root data --method adaptsegnet --no-guard --size 64 --batch-size 2 "
    "--threads 1 --overlays 2 --architecture fpn --levels 1 --device cpu --encoder tu-mobilenetv3_small_050 "
    "--encoder-weights none --parts none --trainings-at-once 1 --out run"
)
MB = 2**20


@dataclass
class Soaked:
    """Samples of one command: seconds, MB resident, open files, stage."""

    name: str
    status: int = 0
    samples: list[tuple[float, float, int, str]] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Of each stage that was seen often enough: memory and files at its second tenth and at its last."""
        told = {}
        for stage in dict.fromkeys(sample[3] for sample in self.samples):
            own = [sample for sample in self.samples if sample[3] == stage]
            if len(own) < LEAST_SAMPLES:
                continue
            early, late = own[len(own) // 10 : len(own) // 5], own[-len(own) // 10 :]
            first, last = (median(sample[1] for sample in part) for part in (early, late))
            told[f"{self.name} {stage}".strip()] = {
                "seconds": round(own[-1][0] - own[0][0]),
                "MB early": round(first),
                "MB late": round(last),
                "growth": round(last / first - 1, 4),
                "files early": median(sample[2] for sample in early),
                "files late": median(sample[2] for sample in late),
            }
        return told


def soak(name: str, words: str, place: Path) -> Soaked:
    """Give a command and look at it from outside until it ends."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLYPDA_CACHE": str(place / "cache")}
    command = [sys.executable, "-m", "polypda.cli.main", *shlex.split(words)]
    began, soaked = time.monotonic(), Soaked(name)
    with (place / f"{name}.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=said, stderr=said)
        while process.poll() is None:
            time.sleep(EVERY_S)
            family = [process.pid, *_children(process.pid)]
            resident, files = sum(map(_resident_mb, family)), sum(map(_open_files, family))
            if resident:
                soaked.samples.append((round(time.monotonic() - began, 1), round(resident, 1), files, _stage(place)))
    soaked.status = process.returncode
    return soaked


def _stage(place: Path) -> str:
    """What the run is at: the stage that it trains, else its state."""
    with suppress(OSError, ValueError):
        told = json.loads((place / "run" / "STATUS.json").read_text())
        return str(told.get("stage", told["state"])) if told["state"] != "complete" else ""
    return "beginning"


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_children(int(child))]
    return found


def _resident_mb(pid: int) -> float:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
    return 0.0


def _open_files(pid: int) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def write_video(path: Path, seconds: int) -> None:
    """Painted frames that move, a scene a minute."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "30", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for number in range(seconds * RATE):
            image, _ = paint(number // (60 * RATE))
            moved = np.roll(image, number % 9, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode(None))


def size_of(folder: Path, pattern: str = "*") -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--video-s", type=int, default=3600)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    place = asked.out.absolute()
    place.mkdir(parents=True, exist_ok=True)
    for number, cohort in enumerate(("zju2", "haining")):
        write_cohort(place / "data", cohort, tint=(170 - 40 * number, 90 + 40 * number, 70))
    third = max(2, asked.steps // 3)  # of the start, of the method and of its control
    steps = f"--start-steps {third} --adapt-steps {third} --checkpoint-every {max(1, third // 4)}"
    results = [soak("training", f"{ADAPT} {steps}", place)]
    disk = size_of(place / "run") / MB
    models = size_of(place / "run", "*.safetensors") / MB
    if asked.video_s:
        write_video(place / "video.mp4", asked.video_s)
        words = "predict run video.mp4 --out predicted --overlays --device cpu --threads 1 --data-root data"
        results.append(soak("video", words, place))
    figures = {name: told for one in results for name, told in one.figures.items()}
    grown = [name for name, one in figures.items() if one["growth"] >= MOST_GROWTH]
    leaking = [name for name, one in figures.items() if one["files late"] > one["files early"]]
    figures["disk"] = {"MB run": round(disk, 1), "MB models": round(models, 1), "ratio": round(disk / models, 2)}
    print(json.dumps(figures, indent=1))
    (place / "soak.json").write_text(json.dumps({"figures": figures, "samples": [asdict(one) for one in results]}))
    failed = [one.name for one in results if one.status]
    print(f"grown: {grown or 'none'}; files left open: {leaking or 'none'}; failed: {failed or 'none'}")
    sys.exit(bool(grown or leaking or failed) or disk > MOST_DISK * models)


if __name__ == "__main__":
    main()
