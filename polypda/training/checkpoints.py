"""Checkpoints: folders ``step-000150`` of one safetensors file per network, ``optimizers.pt`` and ``checkpoint.json``.

The optimisers' file is one that ``torch.load(weights_only=True)`` accepts. A folder of that name is whole, and the list
of checksums in it tells whether its files are still what was written.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch

from polypda.errors import DataError, TrainingError
from polypda.files import remove_leftovers, whole_file, whole_folder, write_json
from polypda.integrity import CHECKSUMS, check, check_folder
from polypda.methods.contract import SEGMENTER, Method
from polypda.networks.weights import SHOWN_KEYS, load_module, not_finite, save_module

FORMAT = 1
STATE, META = "optimizers.pt", "checkpoint.json"
DONE = "done.json"
"""Written when a stage has made its last step and its checkpoint lies there."""
PUT_BACK = "put back a copy, or train the run anew: it did not keep what this could be made from again."
REMOVE_IT = "remove this checkpoint's folder; the run then resumes from the one before it."
LOADER_GONE = "DataLoader worker (pid"
"""How torch begins to say that a process which prepares batches has died."""
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk, after ``step`` steps."""

    folder: Path
    step: int

    @property
    def segmenter(self) -> Path:
        """The network that is used afterwards: the segmenter, or the teacher instead of it."""
        try:
            meta = json.loads((self.folder / META).read_text(encoding="utf-8"))
            name = meta.get("adapted", SEGMENTER)
        except (OSError, ValueError):  # said when the checkpoint is loaded
            name = SEGMENTER
        return self.folder / f"{name}.safetensors"

    @property
    def resumable(self) -> bool:
        return (self.folder / STATE).exists()


def save_checkpoint(stage: Path, method: Method, step: int) -> Checkpoint:
    """Write the method's whole state after ``step`` steps. Randomness needs none: it is a function of (seed, step).

    Raises: DataError E_CHECKPOINT_WRITE; TrainingError E_NONFINITE where there is nothing to go on from.
    """
    checkpoint = Checkpoint(stage / f"step-{step:06d}", step)
    if checkpoint.resumable:
        return checkpoint
    _require_finite(method, step)
    remove_leftovers(stage)  # of a run that was killed
    try:
        # over a snapshot that lost its state
        with whole_folder(checkpoint.folder, replace=True, sealed=True) as folder:
            _write(folder, method, step)
    except (OSError, RuntimeError) as error:
        if LOADER_GONE in str(error):  # that a batch's process died is told wherever the loop is just then
            raise
        what, where = f"could not be written: {error}; nothing half-written was left.", checkpoint.folder.name
        fix = "make room on the disk and resume the run."
        raise DataError("E_CHECKPOINT_WRITE", what, where=f"{stage.name}/{where}", fix=fix) from error
    return checkpoint


def _require_finite(method: Method, step: int) -> None:
    """A finite gradient can still be stepped beyond what a number holds, and statistics can run away."""
    states = (
        (f"{name}.{key}", value)
        for name, module in method.modules().items()
        for key, value in module.state_dict().items()
    )
    broken = not_finite(states)
    if broken:
        what = f"after step {step} weights are not finite: {', '.join(broken[:SHOWN_KEYS])}; they were not saved."
        fix = "the last good checkpoint is kept; lower the learning rate or λ_adv."
        raise TrainingError("E_NONFINITE", what, where=method.name, fix=fix)
    optimizers = {player.name: player.optimizer.state_dict() for player in method.players()}
    if broken := not_finite(_tensors_of(optimizers)):
        what = f"after step {step} the optimisers' state is not finite: {', '.join(broken[:SHOWN_KEYS])}; not saved."
        fix = "the last good checkpoint is kept; lower the learning rate or λ_adv, or clip the gradients."
        raise TrainingError("E_NONFINITE", what, where=method.name, fix=fix)


def _write(folder: Path, method: Method, step: int) -> None:
    for name, module in method.modules().items():
        save_module(module, folder / f"{name}.safetensors")
    state = {player.name: player.optimizer.state_dict() for player in method.players()}
    with whole_file(folder / STATE) as file:
        torch.save(state, file)
    networks = method.modules()
    adapted = next(name for name, network in networks.items() if network is method.adapted())
    meta = {"format": FORMAT, "step": step, "method": method.name, "networks": sorted(networks), "adapted": adapted}
    write_json(folder / META, meta)


def load_checkpoint(checkpoint: Checkpoint, method: Method) -> None:
    """Put a checkpoint's state into a freshly built method.

    Raises: DataError E_CHECKPOINT where it is damaged, holds numbers that are not finite, or is another method's.
    """
    try:
        check_folder(checkpoint.folder)
        meta = json.loads((checkpoint.folder / META).read_text(encoding="utf-8"))
        for name, module in method.modules().items():
            load_module(module, checkpoint.folder / f"{name}.safetensors")
        states = torch.load(checkpoint.folder / STATE, weights_only=True, map_location="cpu")
    except (OSError, ValueError, RuntimeError, LookupError, EOFError, UnpicklingError, DataError) as error:
        message = f"{error.code}: {error.what}" if isinstance(error, DataError) else str(error)
        raise _unusable(checkpoint, f"cannot be read: {message}") from error
    if meta["method"] != method.name or meta["format"] != FORMAT:
        what = f"belongs to method '{meta['method']}' (format {meta['format']}), not to '{method.name}' ({FORMAT})."
        fix = "resume with the configuration that the run was started with."
        raise DataError("E_CHECKPOINT", what, where=checkpoint.folder.name, fix=fix)
    try:
        if broken := not_finite(_tensors_of(states)):
            raise _unusable(checkpoint, f"its optimisers' state is not finite: {', '.join(broken[:SHOWN_KEYS])}.")
        for player in method.players():
            rates = player.initial_learning_rates
            player.optimizer.load_state_dict(states[player.name])
            player.initial_learning_rates = rates
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(checkpoint, f"its optimisers' state is not this method's ({error}).") from error


def _tensors_of(states: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The floating tensors of nested dictionaries and lists, by their keys joined with points."""
    if isinstance(states, torch.Tensor):
        if states.is_floating_point():
            yield name, states
    elif isinstance(states, dict | list):
        for key, value in states.items() if isinstance(states, dict) else enumerate(states):
            yield from _tensors_of(value, f"{name}.{key}" if name else str(key))


def _unusable(checkpoint: Checkpoint, what: str) -> DataError:
    return DataError("E_CHECKPOINT", what, where=checkpoint.folder.name, fix=REMOVE_IT)


def final_segmenter(stage: Path, *, again: bool = True) -> Path:
    """The segmenter after a finished stage's last step, as it was written.

    Args: again: whether the run still has what the stage could be trained from again.
    Raises: DataError E_CHECKPOINT_GONE where the stage says that it is finished and no checkpoint lies there,
        E_FILE_CHANGED.
    """
    found = list_checkpoints(stage)
    if not found:
        raise DataError(
            "E_CHECKPOINT_GONE",
            f"{DONE} says that this stage is finished, but its checkpoints are gone.",
            where=stage.name,
            fix=f"put them back, or remove the folder stages/{stage.name} and resume the run, which trains it again."
            if again
            else PUT_BACK,
        )
    check(stage / DONE)
    trained_again = f"put back a copy, or remove stages/{stage.name} and resume the run: it trains again."
    check(found[-1].segmenter, fix=trained_again if again else PUT_BACK)
    return found[-1].segmenter


def list_checkpoints(stage: Path) -> list[Checkpoint]:
    """All whole checkpoints of a stage, earliest first."""
    if not stage.is_dir():
        return []
    found = [(match, folder) for folder in stage.iterdir() if (match := _NAME.fullmatch(folder.name))]
    return sorted((Checkpoint(folder, int(match[1])) for match, folder in found), key=lambda item: item.step)


def planned(checkpoints: Iterable[Checkpoint], every: int) -> list[Checkpoint]:
    """Those that lie there however often a stage was interrupted: after every so many steps, and the last."""
    found = list(checkpoints)
    return [one for one in found if one.step % every == 0 or one is found[-1]]


def thin_out(stage: Path, *, keep_segmenters: bool, every: int) -> None:
    """Keep the two newest checkpoints whole (should one be damaged); of older ones only the segmenter, or nothing.

    every: steps between planned checkpoints; of one that an interruption left nothing is kept.
    """
    found = list_checkpoints(stage)
    snapshots = planned(found, every) if keep_segmenters else []
    for checkpoint in found[:-2]:
        if checkpoint in snapshots:
            keep_snapshot(checkpoint)
        else:
            shutil.rmtree(checkpoint.folder)


def keep_snapshot(checkpoint: Checkpoint) -> None:
    """Keep of a checkpoint what a model is made of; nothing can be resumed from it any more."""
    kept = (checkpoint.segmenter.name, META, CHECKSUMS)
    # The state file goes first: what is left without it is a snapshot, and never resumed from.
    for file in sorted(checkpoint.folder.iterdir(), key=lambda path: path.suffix != ".pt"):
        if file.name not in kept:
            file.unlink()
