"""Reusing source-only trainings of other runs: one start and one control serve many targets and methods.

A training is decided by its settings, its seed and its frames. Where all of these agree, training again would give
the same weights bit for bit (on a CPU), so taking them changes no figure.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel

from polypda.cohorts.frames import OpenedCohort
from polypda.errors import DataError
from polypda.training.checkpoints import DONE, final_segmenter
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.recorded_data import LEARNT_OF_SOURCE, changes_since, data_table
from polypda.workflows.runs.stages import SOURCE_ONLY, START

MACHINE = frozenset({"compute.device", "compute.threads", "compute.trainings_at_once", "compute.workers"})
"""Where and how fast: what is trained is the same but for rounding."""
ORIGIN = frozenset({"start_from", "control_from", "oracle_from"})
"""Where models come from that were trained by the same recipe."""
CONTROL_MAY_DIFFER = (
    MACHINE
    | ORIGIN
    | {
        *("target", "method", "preset", "options", "final_statistics", "checkpoint_every"),
        *("selector", "oracle", "target_labels", "allow_leakage", "log_to", "keep"),
        *("guard", "parts", "accepted", "inference.scales", "inference.flips", "inference.peak"),
    }
)
"""Fields of a configuration that decide nothing of a source-only training; nested ones as ``section.field``.

Every field that is not named must agree: a new one does, until somebody decides otherwise.
"""
START_MAY_DIFFER = CONTROL_MAY_DIFFER | {"adapt_steps", "batch_norm", "frozen_stages"}
"""Nor of the start that goes before it."""
ORACLE_MAY_DIFFER = CONTROL_MAY_DIFFER
"""Of an oracle's run, which is compared with this run as if its target were the source."""
RUN_MAY_DIFFER = MACHINE | ORIGIN | {"log_to", "keep"}
"""Fields in which a run may differ from its plan without being another experiment."""


def differing(one: AdaptConfig, other: AdaptConfig, may_differ: Collection[str]) -> list[str]:
    """The fields, nested ones as ``section.field``, that differ and are not among those that may."""
    here, there = flat(one), flat(other)
    return [name for name in here if name not in may_differ and here[name] != there[name]]


def flat(settings: BaseModel, prefix: str = "") -> dict[str, object]:
    """Field → value of a configuration; fields of its sections as ``section.field``."""
    values: dict[str, object] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else {prefix + name: value}
    return values


def start_of(folder: Path, config: AdaptConfig, source: OpenedCohort) -> Path:
    """The segmenter of another run's finished start.

    Raises: DataError E_START_DIFFERS when that start was trained otherwise, E_START_MISSING when it is not finished.
    """
    run = RunFolder.open(folder)
    require_same_start(folder, config)
    _require_same_data(run, config, source, "start")
    return _finished(run, START, "start")


def require_same_start(folder: Path, config: AdaptConfig) -> None:
    """Compare settings alone, before any frame is looked at.

    Raises: DataError E_RUN_MISSING, E_START_DIFFERS, E_START_MISSING.
    """
    run = RunFolder.open(folder)
    _require_same_settings(run, config, START_MAY_DIFFER, "start")
    _finished(run, START, "start")


def has_same_control(folder: Path, config: AdaptConfig) -> bool:
    """Whether a run with the same start (see :func:`start_of`) also has the control that this one needs, finished."""
    run = RunFolder.open(folder)
    return not differing(run.config(), config, CONTROL_MAY_DIFFER) and _is_finished(run, SOURCE_ONLY)


def source_only_of(folder: Path) -> Path:
    """The source-only model of a run. Raises: DataError E_START_MISSING."""
    return _finished(RunFolder.open(folder), SOURCE_ONLY, "source-only model")


def oracle_of(folder: Path, config: AdaptConfig, target: OpenedCohort) -> Path:
    """A source-only model that learnt the target's own labels by this run's recipe, seed and budget.

    Raises: DataError E_START_DIFFERS, E_START_MISSING.
    """
    run = RunFolder.open(folder)
    as_source = config.model_copy(update={"source": target.id})
    _require_same_settings(run, as_source, ORACLE_MAY_DIFFER, "source-only model")
    _require_same_data(run, config, target, "source-only model")
    return _finished(run, SOURCE_ONLY, "source-only model")


def _require_same_settings(run: RunFolder, config: AdaptConfig, may_differ: Collection[str], what: str) -> None:
    other = run.config()
    different = [
        f"source ({other.source} instead of {config.source})" if name == "source" else name
        for name in differing(other, config, may_differ)
    ]
    if different:
        raise _differs(run, what, ", ".join(different))


def _require_same_data(run: RunFolder, config: AdaptConfig, learnt: OpenedCohort, what: str) -> None:
    now = data_table(learnt, LEARNT_OF_SOURCE, config.data.box_supervision)
    if different := changes_since(run, learnt.id, now):
        raise _differs(run, what, f"its data: of {learnt.id} there are now {different}")


def _differs(run: RunFolder, what: str, different: str) -> DataError:
    return DataError(
        "E_START_DIFFERS",
        f"that run's {what} differs in {different}.",
        where=run.name,
        fix="give the same settings and data, or let this run train its own.",
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
    return final_segmenter(run.stage(stage))
