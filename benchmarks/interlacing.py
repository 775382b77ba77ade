"""How often the interlace detector is right, as confusion tables.

python benchmarks/interlacing.py --frames 8                          # rendered frames of every cohort with a phantom
python benchmarks/interlacing.py --data-root DATA --frames 200       # and real ones, as they are and woven by script
python benchmarks/interlacing.py --pictures FOLDER                   # the score of each picture in a folder

Real frames count as progressive when their release reduced them (no comb survives that); from each a woven frame is
made whose second field is moved by 1 to 12 px in any direction, a little turned and zoomed. Both go through JPEG of
quality 75, 85, 90 or 95, or none. Each is enlarged as well, by 1.25 to 3 as players and converters do (swscale, colour
at half resolution): progressive, too. A rendered interlaced frame whose fields happen not to be moved counts as
progressive. Frames that the detector does not judge (dark, out of focus, enlarged) have a column of their own and are
never counted as right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.catalogue import load_catalogue
from polypda.cohorts.image_files import IMAGE_SUFFIXES
from polypda.cohorts.images import read_image
from polypda.cohorts.opening import open_cohort
from polypda.phantom import PhantomLook, cohort_seed, render_frame
from polypda.quality.interlacing import THRESHOLD, Comb, measure_comb

Pixels = NDArray[np.uint8]
REAL = ("cvc-clinicdb", "kvasir", "bkai-neopolyp", "polypgen-c1", "polypgen-c2", "polypgen-c3", "polypgen-c4")
QUALITIES = (None, 75, 85, 90, 95)
SHIFTS_PX = (1.0, 12.0)
FACTORS, KERNELS = (1.25, 4 / 3, 1.6, 1.875, 2.0, 2.25, 2.5, 3.0), ("BILINEAR", "BICUBIC", "LANCZOS")
Labelled = tuple[Pixels, bool]


def rendered(cohort: str, look: PhantomLook, frames: int, seed: int) -> Iterator[Labelled]:
    """Every scene once, progressive and interlaced, as the phantom's own JPEG."""
    own = cohort_seed(cohort, seed)
    for scene in range(frames):
        index = scene * look.frames_per_sequence
        still, fielded = (
            render_frame(look.model_copy(update={"interlaced": scan}), seed=own, index=index)[0]
            for scan in (False, True)
        )
        yield through_jpeg(still, look.jpeg_quality), False
        yield through_jpeg(fielded, look.jpeg_quality), not np.array_equal(still, fielded)


def real(cohort: str, data_root: Path, frames: int, rng: np.random.Generator) -> Iterator[Labelled]:
    """A random choice of the cohort's frames, as they are and woven."""
    every = open_cohort(cohort, data_root, labels=False).frames
    for index in rng.permutation(len(every))[:frames]:
        image = read_image(every[int(index)].image)
        quality = QUALITIES[int(rng.integers(len(QUALITIES)))]
        yield through_jpeg(image, quality), False
        yield through_jpeg(woven(image, rng), quality), True


def enlarged(cohort: str, data_root: Path, frames: int, rng: np.random.Generator) -> Iterator[Labelled]:
    """A random choice of the cohort's frames, larger."""
    every = open_cohort(cohort, data_root, labels=False).frames
    for index in rng.permutation(len(every))[:frames]:
        image = read_image(every[int(index)].image)
        even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
        frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p")
        factor, kernel = rng.choice(FACTORS), KERNELS[int(rng.integers(len(KERNELS)))]
        width, height = (int(side * factor) // 2 * 2 for side in (frame.width, frame.height))
        larger = frame.reformat(width=width, height=height, interpolation=kernel).reformat(format="rgb24")
        yield through_jpeg(larger.to_ndarray(), QUALITIES[int(rng.integers(len(QUALITIES)))]), False


def woven(frame: Pixels, rng: np.random.Generator) -> Pixels:
    """The frame with its odd lines from a moment at which the scope stood elsewhere."""
    height, width = frame.shape[:2]
    distance, direction = np.exp(rng.uniform(*np.log(SHIFTS_PX))), rng.uniform(0, 2 * np.pi)
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 0.2), 1 + rng.normal(0, 0.004))
    turned[:, 2] += distance * np.array([np.cos(direction), np.sin(direction)])
    later = cv2.warpAffine(frame, turned, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    result = frame.copy()
    result[1::2] = later[1::2]
    return result


def through_jpeg(frame: Pixels, quality: int | None) -> Pixels:
    if quality is None:
        return frame
    data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def tabulate(name: str, frames: Iterator[Labelled], totals: np.ndarray) -> None:
    """One row: counts by truth and answer. totals: 2×3 (truth; clean, combed, not judged), added to."""
    counts = np.zeros((2, 3), int)
    for frame, truth in frames:
        comb = measure_comb(frame)
        counts[int(truth), 2 if not comb.judged else int(comb.combed)] += 1
    totals += counts
    print_row(name, counts)


def print_row(name: str, counts: np.ndarray) -> None:
    right, judged = counts[0, 0] + counts[1, 1], int(counts[:, :2].sum())
    share = f"{right / judged:.2%}" if judged else "–"
    print(f"| {name} | {counts[0, 0]} | {counts[0, 1]} | {counts[0, 2]} |", end="")
    print(f" {counts[1, 1]} | {counts[1, 0]} | {counts[1, 2]} | {share} |", flush=True)


def print_images(folder: Path) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES):
        image = read_image(path)
        comb: Comb = measure_comb(image)
        told = f"{comb.score:+.2f} {'COMBED' if comb.combed else 'clean'}" if comb.judged else comb.why
        print(f"{path.relative_to(folder)} {image.shape[1]}×{image.shape[0]}: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--frames", type=int, default=8, help="scenes of each phantom, frames of each real cohort")
    parser.add_argument("--rendered", type=int, help="scenes of each phantom, where it differs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.images is not None:
        print_images(options.images)
        return
    start = time.process_time()
    print(f"Frame by frame, threshold {THRESHOLD}:\n")
    print(
        "| frames of | clean: right | combed: wrong | not judged | woven: right | clean: wrong | not judged | right |"
    )
    print("|---|---|---|---|---|---|---|---|")
    drawn, seen = np.zeros((2, 3), int), np.zeros((2, 3), int)
    for cohort, manifest in load_catalogue().items():
        if manifest.phantom is not None:
            frames = rendered(cohort, manifest.phantom, options.rendered or options.frames, options.seed)
            tabulate(f"{cohort}, rendered", frames, drawn)
    print_row("**rendered**", drawn)
    if options.data_root is not None:
        rng = np.random.default_rng(options.seed)
        for cohort in REAL:
            tabulate(cohort, real(cohort, options.data_root, options.frames, rng), seen)
        print_row("**real**", seen)
        larger = np.zeros((2, 3), int)
        for cohort in REAL:
            tabulate(f"{cohort}, enlarged", enlarged(cohort, options.data_root, options.frames, rng), larger)
        print_row("**enlarged**", larger)
    print(f"\n{time.process_time() - start:.0f} CPU s")


if __name__ == "__main__":
    main()
