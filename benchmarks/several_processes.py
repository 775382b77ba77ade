"""How many tiny trainings in several processes end well: a race at their end would show here, not in one run.

    python benchmarks/several_processes.py --runs 200

Prints what went wrong, then how many of how many ended well; exit status 1 when one did not.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.painted import write_frames

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.weights import save_module
from polypda.training.config import Compute, DataConfig, StageConfig
from polypda.training.stage import Stage, run_stage

NETWORK = SegmenterSpec(architecture="unet", encoder="tu-mobilenetv3_small_050", levels=2)
TRAINING = {
    "method": "adaptsegnet",
    "options": {"discriminator_width": 4, "discriminator_layers": 3},
    "steps": 2,
    "checkpoint_every": 1,
}


def main(runs: Annotated[int, typer.Option(min=1)] = 200, processes: Annotated[int, typer.Option(min=2)] = 2) -> None:
    """Train the same two steps over and over."""
    os.environ["OMP_NUM_THREADS"] = "1"
    well = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = FrameCache(folder / "cache", NetworkGrid(64))
        torch.manual_seed(0)
        save_module(build_segmenter(NETWORK), folder / "initial.safetensors")
        material = {
            "labelled": cache.labelled(write_frames(folder / "source", 9, cohort="source")),
            "target": cache.unlabelled(write_frames(folder / "target", 8, cohort="target", tint=(150, 130, 60))),
            "initial": folder / "initial.safetensors",
            "network": NETWORK,
            "data": DataConfig.model_validate({"size": 64, "batch_size": 2, "augmentation": "none"}),
            "config": StageConfig.model_validate(TRAINING),
            "seed": 3,
        }
        for number in range(runs):
            stage = Stage(name="tiny", folder=folder / f"run-{number}", **material)
            try:
                run_stage(stage, Compute(device="cpu", threads=1, processes=processes))
                well += stage.done
            except Exception as error:  # whatever it is: it is counted
                print(f"run {number}: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
    print(f"{well} of {runs} ended well")
    raise typer.Exit(int(well < runs))


if __name__ == "__main__":
    typer.run(main)
