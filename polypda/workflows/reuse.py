"""Reusing the source-only start of another run: one start serves many targets and methods."""

from __future__ import annotations

from pathlib import Path

from polypda.errors import DataError
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder
from polypda.training.stage import DONE

DECIDES_THE_START = (
    "source",
    "phantom",
    "phantom_frames",
    "seed",
    "network",
    "data",
    "start_steps",
    "supervised",
    "start",
)


def start_of(folder: Path, config: AdaptConfig) -> Path:
    """The segmenter of another run's finished start.

    Raises: DataError E_START_DIFFERS when that start was trained otherwise, E_START_MISSING when it is not finished.
    """
    run = RunFolder.open(folder)
    other = run.config()
    different = [name for name in DECIDES_THE_START if getattr(other, name) != getattr(config, name)]
    if different:
        raise DataError(
            "E_START_DIFFERS",
            f"that run's start differs in {', '.join(different)}.",
            where=folder.name,
            fix="give the same settings, or leave --start out and train a start.",
        )
    stage = run.stage("start")
    if not (stage / DONE).is_file():
        raise DataError(
            "E_START_MISSING",
            "that run has no finished start of its own.",
            where=folder.name,
            fix="resume it first, or name the run that it took its start from.",
        )
    return list_checkpoints(stage)[-1].segmenter
