"""Training batches step by step: what the loop iterates over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from polypda.data.augmentation import Augmentation, AugmentationKind
from polypda.data.batches import IGNORED, LabelledBatch, PseudoLabelledBatch, UnlabelledBatch
from polypda.data.cache import CachedFrames
from polypda.data.frame_changes import PolypRemoval, TargetColours
from polypda.data.sampling import PrevalenceSampler, Stream, UniformSampler, seed_of
from polypda.errors import PolypdaError
from polypda.processes import leave_signals_to_the_parent

StepBatches = tuple[LabelledBatch, UnlabelledBatch | None]


@dataclass(frozen=True)
class Fraction:
    """Which slots of every batch this process takes: ``rank``, ``rank + world``, … of the joint batch."""

    rank: int = 0
    world: int = 1

    def of(self, slots: Sequence[int]) -> list[tuple[int, int]]:
        """(slot, frame index) pairs of this process."""
        return list(enumerate(slots))[self.rank :: self.world]


NO_SOURCE_FRAMES = LabelledBatch(
    torch.empty(0, 3, 1, 1), torch.empty(0, 1, 1, 1, dtype=torch.bool), (), torch.empty(0, 1, 1, dtype=torch.int64)
)
"""The source batch of a training that has no source frames."""


@dataclass(frozen=True)
class Recolouring:
    """Source frames in the colours of random target frames."""

    colours: TargetColours
    target: CachedFrames

    def __call__(self, image: np.ndarray, valid: np.ndarray, seed: int) -> np.ndarray:
        """A source frame recoloured, or as it is; the same seed gives the same frame."""
        chance = np.random.default_rng(seed)
        index = int(chance.integers(len(self.target)))
        return self.colours.apply(image, valid, self.target.images[index], self.target.valid[index], chance)


class LabelledFrames:
    """The source's part of each step; the target's where the user permitted to learn its labels."""

    def __init__(
        self,
        cached: CachedFrames,
        sampler: UniformSampler | PrevalenceSampler,
        augmentation: AugmentationKind,
        seed: int,
        stream: Stream = Stream.SOURCE_AUGMENTATION,
        recolouring: Recolouring | None = None,
        removal: PolypRemoval | None = None,
    ) -> None:
        """Args: stream: which random numbers the augmentation draws. recolouring, removal: done before it."""
        self.cached = cached
        self.sampler = sampler
        self.stream = stream
        self.recolouring = recolouring
        self.removal = removal if cached.boxes is None else None  # a filled box is not the polyp's outline
        # A box is tight along the frame's axes alone: turned, its projections would no longer be the polyp's.
        self.augmentation = Augmentation(augmentation, upright=cached.boxes is not None)
        self.seed = seed

    def batch(self, step: int, fraction: Fraction) -> LabelledBatch:
        assert self.cached.masks is not None  # built by FrameCache.labelled
        images, valids, masks, boxes, names = [], [], [], [], []
        for slot, index in fraction.of(self.sampler.batch(step)):
            image, valid, mask = self.cached.images[index], self.cached.valid[index], self.cached.masks[index]
            if self.removal is not None:
                image, mask = self.removal(image, valid, mask, seed_of(self.seed, Stream.SOURCE_REMOVAL, step, slot))
            maps = [valid, mask]
            if self.cached.boxes is not None:
                maps.append(self.cached.boxes[index])
            seed = seed_of(self.seed, self.stream, step, slot)
            if self.recolouring is not None:
                image = self.recolouring(image, maps[0], seed_of(self.seed, Stream.TARGET_COLOURS, step, slot))
            image, (valid, mask, *moved) = self.augmentation(image, maps, seed)
            images.append(image)
            valids.append(valid > 0)
            masks.append(np.where(valid > 0, mask, IGNORED))
            boxes += moved
            names.append(self.cached.name(index))
        bits = _labels(boxes) if boxes else None
        return LabelledBatch(_images(images), _valid(valids), tuple(names), _labels(masks), bits)


class UnlabelledFrames:
    """The target's part of each step; with a model's answers where the frames carry some."""

    def __init__(
        self,
        cached: CachedFrames,
        sampler: UniformSampler,
        augmentation: AugmentationKind,
        seed: int,
        removal: PolypRemoval | None = None,
    ) -> None:
        self.cached = cached
        self.sampler = sampler
        self.removal = removal
        self.augmentation = Augmentation(augmentation)
        self.seed = seed

    def batch(self, step: int, fraction: Fraction) -> UnlabelledBatch:
        images, valids, pseudo, names = [], [], [], []
        for slot, index in fraction.of(self.sampler.batch(step)):
            seed = seed_of(self.seed, Stream.TARGET_AUGMENTATION, step, slot)
            image, maps = self.cached.images[index], [self.cached.valid[index]]
            if self.cached.pseudo is not None:
                maps.append(self.cached.pseudo[index])
                if self.removal is not None:
                    removal_seed = seed_of(self.seed, Stream.TARGET_REMOVAL, step, slot)
                    image, maps[1] = self.removal(image, maps[0], maps[1], removal_seed)
            image, (valid, *answers) = self.augmentation(image, maps, seed)
            images.append(image)
            valids.append(valid > 0)
            pseudo += [np.where(valid > 0, answer, IGNORED) for answer in answers]
            names.append(self.cached.name(index))
        if self.cached.pseudo is None:
            return UnlabelledBatch(_images(images), _valid(valids), tuple(names))
        return PseudoLabelledBatch(_images(images), _valid(valids), tuple(names), _labels(pseudo))


class StepDataset(Dataset[StepBatches]):
    """Item k is the whole batch of step k: workers share out steps, and their number changes nothing."""

    def __init__(
        self, source: LabelledFrames | None, target: LabelledFrames | UnlabelledFrames | None, fraction: Fraction
    ) -> None:
        """Args: source: None where something else stands for source frames; its batches are then empty."""
        self.source = source
        self.target = target
        self.fraction = fraction

    def __getitem__(self, step: int) -> StepBatches:
        target = self.target.batch(step, self.fraction) if self.target else None
        return self.source.batch(step, self.fraction) if self.source else NO_SOURCE_FRAMES, target


def step_batches(
    dataset: StepDataset, start: int, stop: int, *, workers: int = 0, pinned: bool = False
) -> Iterator[StepBatches]:
    """The batches of steps ``start`` … ``stop − 1``, in order. pinned: in memory that a GPU copies from.

    Raises: what reading a frame raises, also in a worker.
    """
    for batches in DataLoader(
        _WithErrors(dataset),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        pin_memory=pinned,
        collate_fn=_as_it_is,
        worker_init_fn=_begin_worker,
    ):
        if isinstance(batches, PolypdaError):
            raise batches
        yield batches


@dataclass(frozen=True)
class _WithErrors(Dataset[StepBatches | PolypdaError]):
    """An error of ours is an item, too: of one that leaves a worker torch makes a RuntimeError without its code."""

    dataset: StepDataset

    def __getitem__(self, step: int) -> StepBatches | PolypdaError:
        try:
            return self.dataset[step]
        except PolypdaError as error:
            return error


def frame_batches(
    cached: CachedFrames, batch_size: int, indices: Sequence[int] | None = None
) -> Iterator[UnlabelledBatch]:
    """Frames once, in order, unchanged (those at ``indices``; by default all); the last batch may be smaller."""
    chosen = range(len(cached)) if indices is None else indices
    for start in range(0, len(chosen), batch_size):
        part = chosen[start : start + batch_size]
        images, valids = [cached.images[index] for index in part], [cached.valid[index] > 0 for index in part]
        yield UnlabelledBatch(_images(images), _valid(valids), tuple(cached.name(index) for index in part))


def image_tensor(*images: np.ndarray) -> torch.Tensor:
    """Images of one size, uint8 H×W×3 each → float32 B×3×H×W in [0, 1]."""
    return _images(images)


def _begin_worker(_: int) -> None:
    leave_signals_to_the_parent()


def _as_it_is(batch: Any) -> Any:
    return batch


def _images(images: Sequence[np.ndarray]) -> torch.Tensor:
    """uint8 H×W×3 each → float32 B×3×H×W in [0, 1], in memory channels last, as networks want it and images are."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255)


def _labels(maps: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(maps).astype(np.int64))


def _valid(maps: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(maps)).unsqueeze(1)
