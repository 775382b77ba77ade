"""Reusing source-only trainings of other runs: one start and one control serve many targets and methods.

A training is decided by its settings, its seed and its frames. Where all of these agree, training again would give
the same weights bit for bit (on a CPU), so taking them changes no figure.
"""

from __future__ import annotations

from pathlib import Path

from polypda.cohorts.frames import OpenedCohort
from polypda.errors import DataError
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder, split_table
from polypda.training.stage import DONE
from polypda.workflows.stages import SOURCE_ONLY, START

RECIPE = (
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
"""What decides a start, beside its source."""
FURTHER_RECIPE = ("adapt_steps", "batch_norm")
"""What decides the control that goes on from it."""


def start_of(folder: Path, config: AdaptConfig, source: OpenedCohort) -> Path:
    """The segmenter of another run's finished start.

    Raises: DataError E_START_DIFFERS when that start was trained otherwise, E_START_MISSING when it is not finished.
    """
    run = RunFolder.open(folder)
    _require_same(run, config, source, RECIPE, "start")
    return _finished(run, START, "start")


def has_same_control(folder: Path, config: AdaptConfig) -> bool:
    """Whether a run with the same start (see :func:`start_of`) also has the control that this one needs, finished."""
    run = RunFolder.open(folder)
    other = run.config()
    same = all(getattr(other, name) == getattr(config, name) for name in FURTHER_RECIPE)
    return same and _is_finished(run, SOURCE_ONLY)


def source_only_of(folder: Path) -> Path:
    """The source-only model of a run. Raises: DataError E_START_MISSING."""
    return _finished(RunFolder.open(folder), SOURCE_ONLY, "source-only model")


def oracle_of(folder: Path, config: AdaptConfig, target: OpenedCohort) -> Path:
    """A source-only model that learnt the target's own labels by this run's recipe, seed and budget.

    Raises: DataError E_START_DIFFERS, E_START_MISSING.
    """
    run = RunFolder.open(folder)
    _require_same(run, config, target, (*RECIPE, *FURTHER_RECIPE), "source-only model")
    return _finished(run, SOURCE_ONLY, "source-only model")


def _require_same(run: RunFolder, config: AdaptConfig, cohort: OpenedCohort, names: tuple[str, ...], what: str) -> None:
    other = run.config()
    different = [name for name in names if getattr(other, name) != getattr(config, name)]
    if other.source != cohort.id:
        different.insert(0, f"source ({other.source} instead of {cohort.id})")
    if not different and run.split_text(cohort.id) != split_table(cohort).to_csv(index=False):
        different = [f"the frames of {cohort.id} or their split"]
    if different:
        raise DataError(
            "E_START_DIFFERS",
            f"that run's {what} differs in {', '.join(different)}.",
            where=run.name,
            fix="give the same settings, or let this run train its own.",
        )


def _is_finished(run: RunFolder, stage: str) -> bool:
    return (run.stage(stage) / DONE).is_file()


def finished_start(run: RunFolder) -> Path:
    """The segmenter of a run's own finished start. Raises: DataError E_START_MISSING."""
    return _finished(run, START, "start")


def _finished(run: RunFolder, stage: str, what: str) -> Path:
    if not _is_finished(run, stage):
        raise DataError(
            "E_START_MISSING",
            f"that run has no finished {what} of its own.",
            where=run.name,
            fix="resume it first, or name the run that it took it from.",
        )
    return list_checkpoints(run.stage(stage))[-1].segmenter
