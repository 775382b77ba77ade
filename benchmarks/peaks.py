"""From which peak should a region count, and at which input sizes be asked? Dice and clean frames of finished runs.

    python benchmarks/peaks.py --data-root DATA --runs runs/tuning [--cohort polypgen-negative]
    python benchmarks/peaks.py --runs runs/phantom --fresh 150 --cohort bkai-neopolyp polypgen-negative \\
        --inference scales=1,1.5,flips=yes scales=1.5,flips=yes scales=1.75

Scores source-only, adabn and the adapted model on the held-out frames of both cohorts of each run, and on the cohorts
named (polyp-free ones tell false alarms); with --fresh, for runs on phantoms, on so many newly rendered frames of the
cohorts named alone. A decision about a default belongs on pairs that no result is reported of.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from polypda.cohorts.frames import Frame
from polypda.cohorts.opening import open_cohort
from polypda.data.inference import Inference
from polypda.evaluation.scoring.predictions import predict_native
from polypda.networks.averaged_prediction import Asked, without_low_regions
from polypda.networks.registry import load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.cohort_pair import data_roots, render_phantoms
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.stages import ADABN, SOURCE_ONLY
from polypda.workflows.runs.trained_models import RunModels

PEAKS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
FRESH_SEED = 1
"""Phantoms of a run have seed 0."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--cache-dir", type=Path, default=Path("runs/cache"))
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--cohort", nargs="*", default=["polypgen-negative"], help="scored whole, beside the run's two")
    parser.add_argument("--fresh", type=int, default=0, metavar="N", help="of the cohorts named, N new rendered frames")
    parser.add_argument("--inference", nargs="*", default=[""], help="ways of asking; default: the run's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for run in arguments.runs for row in scored(run, arguments)]
    keys = ["run", "cohort", "asked", "model", "peak"]
    means = pd.DataFrame(rows).groupby(keys, sort=False)[["dice", "clean"]].agg(["mean", "count"])
    print(means.round(3).to_string())


def scored(folder: Path, arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """One row per model, frame, way of asking and peak: Dice where the frame shows a polyp, else whether it is left
    clean."""
    run = RunFolder.open(folder)
    config = run.config()
    paths = Paths(arguments.data_root, arguments.cache_dir, "none")
    found = RunModels(run, config).by_name()
    models = {name: load_segmenter(config.network, found[name]) for name in (SOURCE_ONLY, ADABN, config.method)}
    ways = [Inference.model_validate(text) if text else config.inference for text in arguments.inference]
    plain = [way.model_copy(update={"peak": min(PEAKS)}) for way in ways]
    for cohort in arguments.cohort if arguments.fresh else (config.source, config.target, *arguments.cohort):
        if arguments.fresh:
            root = render_phantoms([cohort], arguments.fresh, 0, FRESH_SEED, paths.cache / "phantoms")[cohort]
        else:
            root = data_roots([cohort], config, paths)[cohort]
        frames = open_cohort(cohort, root, labels=True).frames
        split = folder / f"split-{cohort}.csv"
        if split.is_file() and not arguments.fresh:
            table = pd.read_csv(split, dtype=str)
            held_out = set(table.loc[table["split"] == "test", "frame"])
            frames = tuple(frame for frame in frames if frame.frame in held_out)
        for way in plain:
            for row in answers(models, frames, Asked(config.data.grid, way, torch.device("cpu"))):
                yield {"run": folder.name, "cohort": cohort, "asked": way.key(), **row}


def answers(models: dict[str, Segmenter], frames: tuple[Frame, ...], asked: Asked) -> Iterator[dict[str, object]]:
    for one in predict_native(models, frames, asked):
        reference = np.zeros_like(one.valid) if one.reference is None else (one.reference == 1) & one.valid
        for model, probability in one.probabilities.items():
            for peak in PEAKS:
                predicted = (without_low_regions(probability, peak) >= 0.5) & one.valid
                both = predicted.sum() + reference.sum()
                shows = bool(reference.any())
                dice = 2 * (predicted & reference).sum() / both if shows else np.nan
                yield {"model": model, "peak": peak, "dice": dice, "clean": np.nan if shows else not predicted.any()}


if __name__ == "__main__":
    main()
