"""Reusing the source-only start of another run: one start serves many targets and methods."""

from __future__ import annotations

from pathlib import Path

from polypda.cohorts.frames import OpenedCohort
from polypda.errors import DataError
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder, split_table
from polypda.training.stage import DONE

DECIDES_THE_START = (
    "source",
    "phantom",
    "phantom_frames",
    "phantom_seed",
    "seed",
    "network",
    "encoder_weights",
    "data",
    "start_steps",
    "supervised",
    "start",
    "settle_statistics",
    "clip_norm",
)


def start_of(folder: Path, config: AdaptConfig, source: OpenedCohort) -> Path:
    """The segmenter of another run's finished start.

    Raises: DataError E_START_DIFFERS when that start was trained otherwise, E_START_MISSING when it is not finished.
    """
    run = RunFolder.open(folder)
    other = run.config()
    different = [name for name in DECIDES_THE_START if getattr(other, name) != getattr(config, name)]
    if not different and run.split_text(source.id) != split_table(source).to_csv(index=False):
        different = ["the source's frames or their split"]
    if different:
        raise DataError(
            "E_START_DIFFERS",
            f"that run's start differs in {', '.join(different)}.",
            where=run.name,
            fix="give the same settings, or leave --start out and train a start.",
        )
    stage = run.stage("start")
    if not (stage / DONE).is_file():
        raise DataError(
            "E_START_MISSING",
            "that run has no finished start of its own.",
            where=run.name,
            fix="resume it first, or name the run that it took its start from.",
        )
    return list_checkpoints(stage)[-1].segmenter
