"""Checkpoints: folders ``step-000150`` of one safetensors file per network, ``optimizers.pt`` and ``checkpoint.json``.

The optimisers' file is one that ``torch.load(weights_only=True)`` accepts. A folder of that name is whole.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch

from polypda.errors import DataError, TrainingError
from polypda.files import UNFINISHED, whole_file, whole_folder, write_json
from polypda.methods.contract import SEGMENTER, Method
from polypda.networks.weights import SHOWN_KEYS, load_module, not_finite, save_module

FORMAT = 1
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
            meta = json.loads((self.folder / "checkpoint.json").read_text(encoding="utf-8"))
            name = meta.get("adapted", SEGMENTER)
        except (OSError, ValueError):  # said when the checkpoint is loaded
            name = SEGMENTER
        return self.folder / f"{name}.safetensors"

    @property
    def resumable(self) -> bool:
        return (self.folder / "optimizers.pt").exists()


def save_checkpoint(stage: Path, method: Method, step: int) -> Checkpoint:
    """Write the method's whole state after ``step`` steps. Randomness needs none: it is a function of (seed, step).

    Raises: DataError E_CHECKPOINT_WRITE; TrainingError E_NONFINITE where there is nothing to go on from.
    """
    checkpoint = Checkpoint(stage / f"step-{step:06d}", step)
    if checkpoint.resumable:
        return checkpoint
    _require_finite(method, step)
    for unfinished in stage.glob(f".step-*{UNFINISHED}"):  # of a run that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with whole_folder(checkpoint.folder, replace=True) as folder:  # over a snapshot that lost its state
            _write(folder, method, step)
    except (OSError, RuntimeError) as error:
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


def _write(folder: Path, method: Method, step: int) -> None:
    for name, module in method.modules().items():
        save_module(module, folder / f"{name}.safetensors")
    state = {player.name: player.optimizer.state_dict() for player in method.players()}
    with whole_file(folder / "optimizers.pt") as file:
        torch.save(state, file)
    networks = method.modules()
    adapted = next(name for name, network in networks.items() if network is method.adapted())
    meta = {"format": FORMAT, "step": step, "method": method.name, "networks": sorted(networks), "adapted": adapted}
    write_json(folder / "checkpoint.json", meta)


def load_checkpoint(checkpoint: Checkpoint, method: Method) -> None:
    """Put a checkpoint's state into a freshly built method. Raises: DataError E_CHECKPOINT."""
    try:
        meta = json.loads((checkpoint.folder / "checkpoint.json").read_text(encoding="utf-8"))
        for name, module in method.modules().items():
            load_module(module, checkpoint.folder / f"{name}.safetensors")
        states = torch.load(checkpoint.folder / "optimizers.pt", weights_only=True, map_location="cpu")
    except (OSError, ValueError, RuntimeError, LookupError, EOFError, UnpicklingError, DataError) as error:
        message = f"{error.code}: {error.what}" if isinstance(error, DataError) else str(error)
        fix = "remove this checkpoint's folder; the run then resumes from the one before it."
        raise DataError("E_CHECKPOINT", f"cannot be read: {message}", where=checkpoint.folder.name, fix=fix) from error
    if meta["method"] != method.name or meta["format"] != FORMAT:
        what = f"belongs to method '{meta['method']}' (format {meta['format']}), not to '{method.name}' ({FORMAT})."
        fix = "resume with the configuration that the run was started with."
        raise DataError("E_CHECKPOINT", what, where=checkpoint.folder.name, fix=fix)
    for player in method.players():
        rates = player.initial_learning_rates
        player.optimizer.load_state_dict(states[player.name])
        player.initial_learning_rates = rates


def list_checkpoints(stage: Path) -> list[Checkpoint]:
    """All whole checkpoints of a stage, earliest first."""
    if not stage.is_dir():
        return []
    found = [(match, folder) for folder in stage.iterdir() if (match := _NAME.fullmatch(folder.name))]
    return sorted((Checkpoint(folder, int(match[1])) for match, folder in found), key=lambda item: item.step)


def thin_out(stage: Path, *, keep_segmenters: bool) -> None:
    """Keep the two newest checkpoints whole (should one be damaged); of older ones only the segmenter, or nothing."""
    for checkpoint in list_checkpoints(stage)[:-2]:
        if not keep_segmenters:
            shutil.rmtree(checkpoint.folder)
            continue
        # The state file goes first: what is left without it is a snapshot, and never resumed from.
        for file in sorted(checkpoint.folder.iterdir(), key=lambda path: path.suffix != ".pt"):
            if file != checkpoint.segmenter and file.name != "checkpoint.json":
                file.unlink()
