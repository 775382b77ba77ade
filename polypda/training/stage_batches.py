"""Which frames a stage sees: in each step, and before its first step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from polypda.data.augmentation import AugmentationKind, BatchChanges, BatchedAugmentation
from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.data.cache import CachedFrames
from polypda.data.frame_changes import PolypRemoval
from polypda.data.loading import Fraction, LabelledFrames, Recolouring, StepDataset, UnlabelledFrames, frame_batches
from polypda.data.sampling import Deck, PrevalenceSampler, Stream, UniformSampler
from polypda.methods.contract import Method
from polypda.training.config import AugmentOn

if TYPE_CHECKING:
    from polypda.training.stage import Stage

STATISTICS_BATCH = 16
CHANGED_PASSES = 2
"""Passes over the frames where each is changed at random."""


def step_dataset(stage: Stage, method: Method, fraction: Fraction) -> StepDataset:
    """The batches of a stage's steps, as one process sees them."""
    source = _source(stage, method) if stage.labelled is not None else None
    return StepDataset(source, _target(stage) if method.plays_on_target else None, fraction)


def _source(stage: Stage, method: Method) -> LabelledFrames:
    labelled, data, seed = stage.labelled, stage.data, stage.seed
    assert labelled is not None and labelled.masks is not None  # built by FrameCache.labelled
    sampler: UniformSampler | PrevalenceSampler
    if data.prevalence is None:
        sampler = UniformSampler(len(labelled), data.batch_size, seed, Stream.SOURCE_POSITIVE)
    else:
        positive = [bool(labelled.masks[index].any()) for index in range(len(labelled))]
        sampler = PrevalenceSampler(positive, data.prevalence, data.batch_size, seed)
    colours = method.options.target_colours
    recolouring = Recolouring(colours, stage.target) if colours is not None else None
    removal = PolypRemoval.up_to(data.polyp_free, labelled.masks, len(labelled))
    return LabelledFrames(labelled, sampler, data.on_processor, seed, recolouring=recolouring, removal=removal)


def _target(stage: Stage) -> LabelledFrames | UnlabelledFrames:
    target, data, seed = stage.target, stage.data, stage.seed
    sampler = UniformSampler(len(target), data.batch_size, seed, Stream.TARGET)
    if target.masks is not None:
        return LabelledFrames(target, sampler, data.on_processor, seed, Stream.TARGET_AUGMENTATION)
    removal = PolypRemoval.up_to(data.polyp_free, target.pseudo, len(target))
    return UnlabelledFrames(target, sampler, data.on_processor, seed, removal)


def batch_changes(stage: Stage, fraction: Fraction) -> BatchChanges | None:
    """How batches are changed on the device; None where each frame is changed before."""
    if stage.data.augment_on is not AugmentOn.DEVICE:
        return None
    slots = tuple(slot for slot, _ in fraction.of(range(stage.data.batch_size)))
    boxed = stage.labelled is not None and stage.labelled.boxes is not None
    return BatchChanges(BatchedAugmentation(upright=boxed), stage.seed, slots)


@dataclass(frozen=True)
class StagePreparation:
    """A stage's frames as :class:`~polypda.methods.contract.Preparation`, on the training's device and dtype."""

    labelled: CachedFrames | None
    adapted_to: CachedFrames
    device: torch.device
    dtype: torch.dtype
    augmentation: AugmentationKind = AugmentationKind.NONE

    def source(self) -> Iterator[LabelledBatch]:
        """Every labelled frame once, in random order; the last batch may be smaller. None where there are none."""
        if self.labelled is None:
            return iter(())
        return (batch.to(self.device, self.dtype) for batch in labelled_batches(self.labelled))

    def target(self) -> Iterator[UnlabelledBatch]:
        """Batches of one size, in random order; the few frames left over are dropped (each batch counts alike)."""
        if self.adapted_to.masks is None:
            batches: Iterator[UnlabelledBatch] = statistics_batches(self.adapted_to)
        else:
            size = min(STATISTICS_BATCH, len(self.adapted_to))
            batches = (batch for batch in labelled_batches(self.adapted_to) if len(batch.frames) == size)
        return (batch.to(self.device, self.dtype) for batch in batches)

    def statistics(self) -> Iterator[UnlabelledBatch]:
        """Target frames changed at random as the training changes them, in batches of one size."""
        batches = statistics_batches(self.adapted_to, self.augmentation)
        return (batch.to(self.device, self.dtype) for batch in batches)

    def target_names(self) -> list[str]:
        """``cohort/frame`` of every target frame."""
        return [self.adapted_to.name(index) for index in range(len(self.adapted_to))]


def statistics_batches(
    cached: CachedFrames, augmentation: AugmentationKind = AugmentationKind.NONE
) -> Iterator[UnlabelledBatch]:
    """Batches to compute batch-norm statistics from: of one size (each counts alike), in random order.

    In the cohort's order a batch would hold one sequence, and its variance would miss that between sequences. The few
    frames left over are dropped. augmentation: how the network's training changes frames; strong changes are part of
    what its statistics describe, and a model that is given those of unchanged frames is worse at home, too.
    """
    size = min(STATISTICS_BATCH, len(cached))
    if augmentation is not AugmentationKind.NONE:
        frames = UnlabelledFrames(cached, UniformSampler(len(cached), size, 0, Stream.STATISTICS), augmentation, 0)
        yield from (frames.batch(step, Fraction()) for step in range(CHANGED_PASSES * (len(cached) // size)))
        return
    indices = Deck(range(len(cached)), 0, Stream.STATISTICS).draw(0, len(cached) // size * size)
    yield from frame_batches(cached, size, indices)


def labelled_batches(cached: CachedFrames) -> Iterator[LabelledBatch]:
    """All frames once with their masks (255 outside the field of view), in random order; the last batch may be smaller.

    Args: cached: frames of :meth:`FrameCache.labelled`.
    """
    assert cached.masks is not None  # built by FrameCache.labelled
    indices = Deck(range(len(cached)), 0, Stream.STATISTICS).draw(0, len(cached))
    remaining = iter(indices)
    # Boxes are left out: what is prepared (priors, statistics) asks for pixels, of which the masks hold an estimate.
    for batch in frame_batches(cached, min(STATISTICS_BATCH, len(cached)), indices):
        masks = np.stack([cached.masks[next(remaining)] for _ in batch.frames]).astype(np.int64)
        counted = torch.where(batch.valid[:, 0], torch.from_numpy(masks), IGNORED)
        yield LabelledBatch(batch.images, batch.valid, batch.frames, counted)
