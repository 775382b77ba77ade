"""What the metrics cost: every `polypda-metrics v1` figure per frame, and the surface distances beside other libraries.

    python benchmarks/metrics_cost.py                       # 300 frames 720×576, then 1920×1080 pairs; about a minute
    python benchmarks/metrics_cost.py frames --frames 5000 --processes 2
    python benchmarks/metrics_cost.py surface --repeats 25

frames: painted polyps of 0.3–25 % of the field of view, some frames with two or none, soft and wrong predictions; one
`frame_metrics` call each, timed without the painting. surface: HD95 and NSD of one pair by polypda, MONAI and
surface-distance in turn, in one process on one thread; CPU seconds, medians. MONAI and surface-distance are measured
where they are installed (`pip install --no-deps monai surface-distance`); nothing of polypda needs them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np

from polypda.evaluation.scoring.mask_geometry import hd95_and_nsd
from polypda.evaluation.scoring.metrics import frame_metrics

GOAL_FRAMES, GOAL_S = 5000, 180
RELATIVE_AREAS = (0.003, 0.01, 0.03, 0.08, 0.25)
PAIR_RADII = (40, 90, 150, 250, 350)
Surface = Callable[[np.ndarray, np.ndarray, float], tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["frames", "surface"], help="default: both")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--width", type=int, default=720)
    parser.add_argument("--height", type=int, default=576)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9, help="of each pair")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.part != "surface":
        print_frame_cost(arguments.frames, (arguments.height, arguments.width), arguments.processes)
    if arguments.part != "frames":
        print_surface_cost(arguments.repeats)


def print_frame_cost(frames: int, size: tuple[int, int], processes: int) -> None:
    shares = [range(first, frames, processes) for first in range(processes)]
    if processes == 1:
        parts = [score_frames(shares[0], size)]
    else:
        with ProcessPoolExecutor(processes) as pool:
            parts = list(pool.map(score_frames, shares, [size] * processes))
    cpu_s = [seconds for part, _ in parts for seconds in part]
    wall_s = max(wall for _, wall in parts)
    print(f"all v1 metrics, {frames} frames {size[1]}×{size[0]}, {processes} process(es) of one thread")
    print("| CPU ms per frame: median | 95th percentile | mean | CPU s in all | wall s (scoring alone) |")
    print("|---|---|---|---|---|")
    spread = f"{1e3 * statistics.median(cpu_s):.1f} | {1e3 * float(np.percentile(cpu_s, 95)):.1f}"
    print(f"| {spread} | {1e3 * statistics.mean(cpu_s):.1f} | {sum(cpu_s):.1f} | {wall_s:.1f} |")
    if frames != GOAL_FRAMES:
        total = statistics.mean(cpu_s) * GOAL_FRAMES
        print(f"extrapolated to {GOAL_FRAMES} frames: {total:.0f} CPU s; the goal is < {GOAL_S} s on two cores")
    print()


def score_frames(numbers: range, size: tuple[int, int]) -> tuple[list[float], float]:
    """CPU seconds of each frame, and wall seconds of all, without painting them."""
    cv2.setNumThreads(1)
    valid = field_of_view(size)
    cpu_s, wall_s = [], 0.0
    for number in numbers:
        reference, probability = painted_frame(number, valid)
        wall, cpu = time.perf_counter(), time.process_time()
        frame_metrics(probability, reference, valid)
        cpu_s.append(time.process_time() - cpu)
        wall_s += time.perf_counter() - wall
    return cpu_s, wall_s


def field_of_view(size: tuple[int, int]) -> np.ndarray:
    """A disc cut off above and below, as most processors show it."""
    height, width = size
    image = np.zeros(size, np.uint8)
    cv2.circle(image, (width // 2, height // 2), int(0.48 * width), 1, -1)
    image[:8] = image[-8:] = 0
    return image.astype(bool)


def painted_frame(number: int, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reference (uint8 0/1) and probability (float32) of one frame; the number decides everything.

    One frame in five holds no polyp, one in six holds two. The prediction is moved, resized, roughened and soft,
    misses some polyps and marks some that are not there.
    """
    rng = np.random.default_rng(number)
    height, width = valid.shape
    reference, marked = np.zeros(valid.shape, np.uint8), np.zeros(valid.shape, np.uint8)
    polyps = 0 if number % 5 == 4 else 2 if number % 6 == 1 else 1
    for _ in range(polyps):
        radius = np.sqrt(RELATIVE_AREAS[number % len(RELATIVE_AREAS)] * valid.sum() / np.pi)
        centre = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
        outline = wavy(rng, 0.06)
        paint(reference, centre, radius, outline)
        if rng.random() > 0.1:
            paint(
                marked,
                centre + rng.normal(0, 0.15 * radius, 2),
                radius * rng.uniform(0.7, 1.2),
                outline * wavy(rng, 0.04),
            )
    for _ in range(rng.poisson(0.6)):
        paint(marked, np.array([width, height]) * rng.uniform(0.2, 0.8, 2), rng.uniform(2, 30), wavy(rng, 0.1))
    soft = cv2.GaussianBlur(marked.astype(np.float32), (0, 0), 4)
    grain = cv2.resize(rng.normal(0, 0.06, (height // 4, width // 4)).astype(np.float32), (width, height))
    return reference, np.clip(0.9 * soft + grain + 0.04, 0.0, 1.0)


def wavy(rng: np.random.Generator, roughness: float, points: int = 240) -> np.ndarray:
    """Radius of a closed outline by angle, around 1."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    waves = np.arange(2, 10)[:, None]
    heights, phases = rng.normal(0, roughness, waves.shape), rng.uniform(0, 2 * np.pi, waves.shape)
    return 1 + (heights * np.cos(waves * angle + phases) / np.sqrt(waves)).sum(axis=0)


def paint(image: np.ndarray, centre: np.ndarray, radius: float, outline: np.ndarray) -> None:
    angle = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
    points = centre + (radius * outline * np.stack([1.2 * np.cos(angle), np.sin(angle) / 1.2])).T
    cv2.fillPoly(image, [points.round().astype(np.int32)], 1)


def print_surface_cost(repeats: int) -> None:
    libraries = {"polypda": hd95_and_nsd, "MONAI": monai_surface(), "surface-distance": surface_distance_surface()}
    installed = {name: score for name, score in libraries.items() if score is not None}
    print("HD95 + NSD of one 1920×1080 pair, CPU ms (median), times polypda's; one process, one thread")
    print("| polyp, share of the frame | " + " | ".join(installed) + " |")
    print("|---" * (len(installed) + 1) + "|")
    ratios: dict[str, list[float]] = {name: [] for name in installed}
    for radius in PAIR_RADII:
        first, second = painted_pair(radius)
        cpu_s: dict[str, list[float]] = {name: [] for name in installed}
        for repeat in range(repeats + 1):
            for name, score in installed.items():
                start = time.process_time()
                score(first, second, 19.2)
                if repeat:  # the first call of each is not counted
                    cpu_s[name].append(time.process_time() - start)
        medians = {name: statistics.median(values) for name, values in cpu_s.items()}
        for name, median in medians.items():
            ratios[name].append(median / medians["polypda"])
        cells = [f"{1e3 * medians[name]:.2f} ({ratios[name][-1]:.1f}×)" for name in installed]
        print(f"| {first.mean():.1%} | " + " | ".join(cells) + " |")
    print("| median ratio | " + " | ".join(f"{statistics.median(each):.1f}×" for each in ratios.values()) + " |")
    for name in libraries.keys() - installed.keys():
        print(f"{name}: not installed, not measured")


def painted_pair(radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A polyp and a prediction of it that is moved by a sixth of its radius, bool 1080×1920."""
    rng = np.random.default_rng(round(radius))
    outline = wavy(rng, 0.06)
    images = [np.zeros((1080, 1920), np.uint8) for _ in range(2)]
    paint(images[0], np.array([900.0, 520.0]), radius, outline)
    paint(images[1], np.array([900.0 + radius / 6, 520.0]), 1.05 * radius, outline * wavy(rng, 0.04))
    return images[0].astype(bool), images[1].astype(bool)


def monai_surface() -> Surface | None:
    try:
        import torch
        from monai.metrics import compute_hausdorff_distance, compute_surface_dice
    except ImportError:
        return None
    torch.set_num_threads(1)

    def score(reference: np.ndarray, predicted: np.ndarray, tolerance_px: float) -> tuple[float, float]:
        first, second = torch.from_numpy(reference)[None, None], torch.from_numpy(predicted)[None, None]
        hd95 = compute_hausdorff_distance(second, first, include_background=True, percentile=95)
        return hd95.item(), compute_surface_dice(second, first, [tolerance_px], include_background=True).item()

    return score


def surface_distance_surface() -> Surface | None:
    try:
        import surface_distance
    except ImportError:
        return None
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # it names SciPy's old rooms on each call

    def score(reference: np.ndarray, predicted: np.ndarray, tolerance_px: float) -> tuple[float, float]:
        distances = surface_distance.compute_surface_distances(reference, predicted, (1, 1))
        hd95 = surface_distance.compute_robust_hausdorff(distances, 95)
        return float(hd95), float(surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_px))

    return score


if __name__ == "__main__":
    sys.exit(main())
