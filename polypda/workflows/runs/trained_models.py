"""Where the models of a finished run lie."""

from __future__ import annotations

from pathlib import Path

from polypda.errors import DataError
from polypda.methods.registry import method_options, parts_of
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder
from polypda.training.stage import DONE
from polypda.workflows.runs.stages import ADABN, ORACLE, SOURCE_ONLY, adapts

INITIAL, ADAPTED = "initial.safetensors", "adapted.safetensors"
REUSED_START, REUSED_CONTROL, REUSED_ORACLE = "start.safetensors", "control.safetensors", "oracle.safetensors"


def trained_parts(config: AdaptConfig) -> tuple[str, ...]:
    """The sums that the run trains beside its method, one part added at a time; without the controls."""
    return tuple(part for part in parts_of(config.method) if adapts(part)) if config.parts else ()


def part_file(part: str) -> str:
    """Name of a part's model in the run."""
    return f"part-{part}.safetensors"


def wants_oracle(config: AdaptConfig) -> bool:
    """Whether the run has an upper bound."""
    return config.oracle or config.method == ORACLE


def learns_target_labels(config: AdaptConfig) -> bool:
    """Whether the method itself is taught by target labels (semi-supervised), beside the oracle."""
    if not adapts(config.method):
        return False
    return method_options(config.method, {**config.supervised, **config.options}).learns_target_labels


def trained_models(run: RunFolder, config: AdaptConfig) -> dict[str, Path]:
    """Model name → weights of a run whose trainings are finished, controls first.

    Raises: DataError E_RUN_UNFINISHED, E_RUN_INCOMPLETE.
    """
    control = kept(run, REUSED_CONTROL) if config.control_from else _final(run, SOURCE_ONLY)
    models = {SOURCE_ONLY: control, ADABN: _final(run, ADABN)}
    if adapts(config.method):
        if not (run.folder / ADAPTED).is_file():
            raise _unfinished(run, config.method)
        for part in trained_parts(config):
            models[part] = kept(run, part_file(part))
        models[config.method] = run.folder / ADAPTED
    if wants_oracle(config):
        models[ORACLE] = kept(run, REUSED_ORACLE) if config.oracle_from else _final(run, ORACLE)
    return models


def kept(run: RunFolder, name: str) -> Path:
    """A network that was copied into the run when it was created. Raises: DataError E_RUN_INCOMPLETE."""
    path = run.folder / name
    if not path.is_file():
        raise DataError(
            "E_RUN_INCOMPLETE",
            f"the run was stopped before {name} was written; nothing was trained yet.",
            where=run.name,
            fix="remove the folder and start the run anew.",
        )
    return path


def _final(run: RunFolder, stage: str) -> Path:
    folder = run.stage(stage)
    if not (folder / DONE).is_file():
        raise _unfinished(run, stage)
    return list_checkpoints(folder)[-1].segmenter


def _unfinished(run: RunFolder, stage: str) -> DataError:
    return DataError(
        "E_RUN_UNFINISHED",
        f"stage '{stage}' is not finished.",
        where=run.name,
        fix=f"go on with it: `polypda adapt --resume {run.name}`.",
    )
