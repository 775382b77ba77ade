"""What the statistics of one centre cost: paired comparisons and gap closed of many methods over many frames.

    python benchmarks/statistics_cost.py [--frames 10000] [--methods 20] [--resamples 10000] [--clusters 20 200 ...]

Each number of clusters is measured in a process of its own, so that its peak memory is its own; "added" is the peak
less the memory held before the call (interpreter, libraries and the values themselves).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time

import numpy as np

from polypda.evaluation.statistics.clusters import clusters_from_labels
from polypda.evaluation.statistics.comparison import gap_closed, paired_comparisons
from polypda.evaluation.statistics.intervals import mean_estimates


def main() -> None:
    """Print one line per number of clusters."""
    options = _options()
    print(f"{options.methods} methods, {options.frames} frames, {options.resamples} resamples and sign patterns")
    print(f"{'clusters':>8} {'call':>12} {'CPU s':>7} {'wall s':>7} {'peak MiB':>9} {'added MiB':>10}")
    context = multiprocessing.get_context("spawn")
    for clusters in options.clusters:
        for call in ("comparisons", "means", "gap closed"):
            with context.Pool(1) as pool:
                measured = pool.apply(_measure, (call, options.frames, options.methods, options.resamples, clusters))
            print(
                f"{clusters:>8} {call:>12} {measured[0]:7.2f} {measured[1]:7.2f} {measured[2]:9.0f} {measured[3]:10.0f}"
            )


def _measure(call: str, frames: int, methods: int, resamples: int, clusters: int) -> tuple[float, float, float, float]:
    """CPU seconds, wall seconds, peak MiB and MiB added by one call."""
    generator = np.random.default_rng(0)
    before, oracle = generator.random(frames), generator.random(frames) * 0.2 + 0.8
    after = np.clip(before[:, None] + generator.normal(0.02, 0.1, (frames, methods)), 0, 1)
    codes = np.concatenate([np.arange(clusters), generator.integers(0, clusters, frames - clusters)])
    groups = clusters_from_labels([f"{code:06d}" for code in codes])
    held, cpu, wall = _peak_mib(), time.process_time(), time.perf_counter()
    if call == "comparisons":
        paired_comparisons(before, after, groups, resamples=resamples, flips=resamples)
    elif call == "means":
        mean_estimates(after, groups, resamples=resamples)
    else:
        gap_closed(before, after, oracle, groups, resamples=resamples)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu, wall, _peak_mib(), _peak_mib() - held


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--methods", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--clusters", type=int, nargs="+", default=[20, 200, 2_000, 10_000])
    return parser.parse_args()


if __name__ == "__main__":
    main()
