"""A stage played without anybody stepping, before anything is trained: what cannot work is told at once.

The method is built and prepared as later, but on the segmenter as it is before training and on one batch of the
target, and its first and last step are played forward. Nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from polypda.data.batches import UnlabelledBatch
from polypda.data.loading import Fraction
from polypda.methods.contract import require_several_target_frames
from polypda.networks.segmenter import channels_last
from polypda.training.config import Compute, Precision
from polypda.training.devices import open_fabric
from polypda.training.preparation import StagePreparation
from polypda.training.stage import Stage, build_method, training_mode
from polypda.training.stage_batches import step_dataset


@dataclass(frozen=True)
class _OneBatch(StagePreparation):
    """Of the target one batch: whole passes over it (batch-norm statistics) are for the real preparation."""

    def target(self) -> Iterator[UnlabelledBatch]:
        return islice(super().target(), 1)


def rehearse(stage: Stage, compute: Compute) -> None:
    """Raise what a stage's method would raise before or in its steps.

    Raises: DataError E_TARGET_FRAMES, E_PRIOR_EMPTY, E_PRIOR_GROUP…; UsageError E_FEATURE_TAP, E_METHOD_SEGMENTER,
        E_INPUT_SIZE, E_METHOD_OPTION, E_TARGET_LABELS….
    """
    fabric = open_fabric(compute, one_process=True)
    dtype = torch.float64 if compute.precision is Precision.FP64 else torch.float32
    method = build_method(stage)
    for module in method.modules().values():
        channels_last(module.to(fabric.device, dtype))
    frames = _OneBatch(stage.labelled, stage.target, fabric.device, dtype)
    if method.plays_on_target:
        require_several_target_frames(frames)
    method.prepare(frames)
    training_mode(method, stage)
    batches = step_dataset(stage, method, Fraction(0, compute.processes))
    for step in dict.fromkeys((0, stage.config.steps - 1)):
        source, target = batches[step]
        target = target.to(fabric.device, dtype) if target else None
        with fabric.autocast():
            for losses in method.play(source.to(fabric.device, dtype), target, step):
                del losses  # frees its graph
