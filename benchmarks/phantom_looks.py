"""Print what phantoms look like, in the columns that real cohorts are measured in.

python benchmarks/phantom_looks.py                      # every cohort, 60 frames each
python benchmarks/phantom_looks.py zju2 haining --frames 200 --seed 1
python benchmarks/phantom_looks.py --speed              # frames per CPU second at 720×576, without and with encoding
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2

from polypda.cohorts.catalogue import load_catalogue
from polypda.phantom import PhantomLook, cohort_seed, render_cohort, render_frame
from polypda.quality.look_statistics import TABLE_HEADER, measure_cohort, table_row


def print_looks(cohorts: list[str], frames: int, seed: int) -> None:
    """One row per cohort; every frame is rendered afresh and nothing is written."""
    catalogue = load_catalogue()
    print(TABLE_HEADER)
    for cohort in cohorts or sorted(catalogue):
        look = catalogue[cohort].phantom
        if look is None:
            continue
        pairs = (render_frame(look, seed=cohort_seed(cohort, seed), index=index) for index in range(frames))
        print(table_row(cohort, measure_cohort(pairs)), flush=True)


def print_speed(cohort: str, frames: int) -> None:
    """Frames per CPU second of one thread: median over batches of 20, and one folder with encoding and writing."""
    manifest = load_catalogue()[cohort]
    look = manifest.phantom or PhantomLook()
    render_frame(look, seed=0, index=0)  # textures are made once per process
    rates = []
    for batch in range(max(1, frames // 20)):
        start = time.process_time()
        for index in range(20 * batch, 20 * batch + 20):
            render_frame(look, seed=0, index=index)
        rates.append(20 / (time.process_time() - start))
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        render_cohort(manifest, frames=frames, out=Path(folder))
        written = frames / (time.process_time() - start)
    print(
        f"{cohort} {look.sizes_px[0][0]}×{look.sizes_px[0][1]}, frames per CPU second:",
        f"rendering {statistics.median(rates):.1f}",
    )
    print(f"(batches {min(rates):.1f}–{max(rates):.1f}), with encoding and writing {written:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", help="cohort ids (default: all; --speed: zju2)")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.speed:
        print_speed(options.cohorts[0] if options.cohorts else "zju2", options.frames)
    else:
        print_looks(options.cohorts, options.frames, options.seed)


if __name__ == "__main__":
    main()
