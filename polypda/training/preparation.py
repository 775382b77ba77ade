"""What a method may look at before its first step: labelled source frames, unlabelled target frames, unaugmented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from polypda.data.augmentation import AugmentationKind
from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.data.cache import CachedFrames
from polypda.data.loading import Fraction, UnlabelledFrames, frame_batches
from polypda.data.sampling import Deck, Stream, UniformSampler

STATISTICS_BATCH = 16
CHANGED_PASSES = 2
"""Passes over the frames where each is changed at random."""


@dataclass(frozen=True)
class StagePreparation:
    """A stage's frames as :class:`~polypda.methods.contract.Preparation`, on the training's device and number type."""

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

    augmentation: how the network's training changes frames. Strong changes are part of what its statistics describe:
    those of unchanged frames belong to another network, and a model that is given them is worse at home, too.

    In the cohort's order a batch would hold one sequence, and its variance would miss that between sequences. The few
    frames left over are dropped.
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
