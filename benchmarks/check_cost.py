"""What `polypda cohorts check` costs on many frames of 720×576: wall and CPU seconds, memory of the largest process.

    python benchmarks/check_cost.py --frames 10000 --out runs/check-cost --processes 2

Frames are mixtures of two turned and stretched phantom frames each, under the scope's outline: different pictures, half
JPEG and half PNG, with elliptic masks. They are made once; they are no clinical evidence and look like none.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.catalogue import manifest
from polypda.phantom.renderer import render_frame

COHORT, WIDTH, HEIGHT = "zju2", 720, 576
SCENES, FRAMES_PER_PATIENT, CHUNK = 60, 20, 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("runs/check-cost"))
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.out / COHORT
    if not (folder / "frames.csv").is_file():
        write_cohort(folder, arguments.frames)
    command = [sys.executable, "-m", "polypda.cli.main", "cohorts", "check", COHORT, "--data-root", str(arguments.out)]
    command += ["--processes", str(arguments.processes), "--out", str(arguments.out / "page")]
    began, before = time.perf_counter(), children_cpu_s()
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    wall_s, cpu_s = time.perf_counter() - began, children_cpu_s() - before
    peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(ended.stdout[-3000:], ended.stderr[-1000:], sep="\n")
    print(
        f"exit status {ended.returncode}; {arguments.frames} frames, {arguments.processes} processes: {wall_s:.0f} s,"
    )
    print(f"{cpu_s:.0f} CPU s, largest process {peak_gib:.2f} GiB")


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_cohort(folder: Path, count: int) -> None:
    """Write images, masks and frames.csv, the table last."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    starts = range(0, count, CHUNK)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(write_frames, folder), starts, [min(start + CHUNK, count) for start in starts]))
    rows = [f"{number:05d},patient-{number // FRAMES_PER_PATIENT:04d}" for number in range(count)]
    (folder / "frames.csv").write_text("\n".join(["frame,patient", *rows]) + "\n", encoding="utf-8")


def write_frames(folder: Path, start: int, stop: int) -> None:
    cv2.setNumThreads(1)
    for number in range(start, stop):
        image, mask = mixture(number)
        suffix = "png" if number % 2 else "jpg"
        cv2.imwrite(str(folder / "images" / f"{number:05d}.{suffix}"), image[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{number:05d}.png"), mask)


def mixture(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture of its own, uint8 H×W×3 RGB, and a mask of one ellipse, 0 and 255."""
    rng = np.random.default_rng(number)
    scenes = phantom_frames()
    one, other = (turned(scenes[rng.integers(SCENES)], rng) for _ in range(2))
    share = rng.uniform(0.35, 0.65)
    mixed = share * one + (1 - share) * other + rng.normal(0, 3, one.shape)
    lit = scenes[0].max(axis=2) > 30
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre = int(rng.integers(250, 470)), int(rng.integers(200, 380))
    axes = int(rng.integers(25, 110)), int(rng.integers(25, 110))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return np.clip(mixed * lit[..., None], 0, 255).astype(np.uint8), mask


def turned(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float64]:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), float(rng.uniform(0, 360)), float(rng.uniform(1.2, 2.2)))
    matrix[:, 2] += rng.uniform(-90, 90, 2)
    return cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT).astype(np.float64)


@cache
def phantom_frames() -> list[NDArray[np.uint8]]:
    look = manifest(COHORT).phantom
    assert look is not None
    alone = look.model_copy(update={"frames_per_sequence": 1, "interlaced": False})
    return [render_frame(alone, seed=0, index=scene)[0] for scene in range(SCENES)]


if __name__ == "__main__":
    main()
