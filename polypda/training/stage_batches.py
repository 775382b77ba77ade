"""Which batches a stage sees, step by step: who is drawn, what is changed before, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polypda.data.batched_augmentation import BatchChanges, BatchedAugmentation
from polypda.data.cache import CachedFrames
from polypda.data.loading import Fraction, LabelledFrames, Recolouring, StepDataset, UnlabelledFrames
from polypda.data.polyp_removal import PolypRemoval
from polypda.data.sampling import PrevalenceSampler, Stream, UniformSampler
from polypda.methods.contract import Method
from polypda.training.config import AugmentOn, DataConfig

if TYPE_CHECKING:
    from polypda.training.stage import Stage


def step_dataset(stage: Stage, method: Method, share: Fraction) -> StepDataset:
    """The batches of a stage's steps, as one process sees them."""
    data, seed = stage.data, stage.seed
    target: LabelledFrames | UnlabelledFrames | None = None
    if method.plays_on_target:
        target_sampler = UniformSampler(len(stage.target), data.batch_size, seed, Stream.TARGET)
        target = _target_batches(stage.target, target_sampler, data, seed)
    colours = method.options.target_colours
    recolouring = Recolouring(colours, stage.target) if colours is not None else None
    source = _labelled(stage.labelled, data, seed, recolouring) if stage.labelled is not None else None
    return StepDataset(source, target, share)


def batch_changes(stage: Stage, share: Fraction) -> BatchChanges | None:
    """How batches are changed on the device; None where each frame is changed before."""
    if stage.data.augment_on is not AugmentOn.DEVICE:
        return None
    slots = tuple(slot for slot, _ in share.of(range(stage.data.batch_size)))
    boxed = stage.labelled is not None and stage.labelled.boxes is not None
    return BatchChanges(BatchedAugmentation(upright=boxed), stage.seed, slots)


def _target_batches(
    target: CachedFrames, sampler: UniformSampler, data: DataConfig, seed: int
) -> LabelledFrames | UnlabelledFrames:
    if target.masks is None:
        removal = PolypRemoval.up_to(data.polyp_free, target.pseudo, len(target))
        return UnlabelledFrames(target, sampler, data.on_processor, seed, removal)
    return LabelledFrames(target, sampler, data.on_processor, seed, Stream.TARGET_AUGMENTATION)


def _labelled(labelled: CachedFrames, data: DataConfig, seed: int, recolouring: Recolouring | None) -> LabelledFrames:
    removal = PolypRemoval.up_to(data.polyp_free, labelled.masks, len(labelled))
    if data.prevalence is None:
        uniform = UniformSampler(len(labelled), data.batch_size, seed, Stream.SOURCE_POSITIVE)
        return LabelledFrames(labelled, uniform, data.on_processor, seed, recolouring=recolouring, removal=removal)
    assert labelled.masks is not None
    positive = [bool(labelled.masks[index].any()) for index in range(len(labelled))]
    prevalence = PrevalenceSampler(positive, data.prevalence, data.batch_size, seed)
    return LabelledFrames(labelled, prevalence, data.on_processor, seed, recolouring=recolouring, removal=removal)
