"""The kept checkpoints of an adaptation: as they would be used, and what each is worth once all is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from polypda.cohorts.frames import Frame
from polypda.data.cache import CachedFrames
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.prediction import predict_native
from polypda.networks.batch_norm import recompute_statistics
from polypda.networks.registry import load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import AdaptConfig, FinalStatistics
from polypda.training.preparation import statistics_batches
from polypda.training.progress import Progress


@dataclass(frozen=True)
class Snapshots:
    """folder: of the method's stage. target: unlabelled frames, for the statistics that a model is used with."""

    config: AdaptConfig
    folder: Path
    target: CachedFrames
    device: torch.device

    @cached_property
    def files(self) -> dict[int, Path]:
        """Step → segmenter, earliest first."""
        return {checkpoint.step: checkpoint.segmenter for checkpoint in list_checkpoints(self.folder)}

    def as_used(self, step: int) -> Segmenter:
        """A snapshot with the batch-norm statistics that the run uses it with, on the device."""
        segmenter = load_segmenter(self.config.network, self.files[step]).to(self.device)
        if self.config.final_statistics is FinalStatistics.TARGET:
            batches = statistics_batches(self.target, self.config.data.augmentation)
            recompute_statistics(segmenter, (batch.images.to(self.device) for batch in batches))
        return segmenter

    def dice(self, frames: Sequence[Frame], progress: Progress) -> tuple[dict[int, float], int]:
        """Mean Dice of every snapshot over the frames with a polyp and a mask, at native resolution; and their number.

        One network at a time: a long run keeps many. Without such a frame the means are NaN.
        """
        means, n = {}, 0
        progress.begin("scoring snapshots", 0, len(self.files))
        try:
            for number, step in enumerate(self.files, 1):
                values = self._dice_of(step, frames)
                means[step], n = float(np.mean(values)) if values else float("nan"), len(values)
                progress.advance(number)
        finally:
            progress.end()
        return means, n

    def _dice_of(self, step: int, frames: Sequence[Frame]) -> list[float]:
        values = []
        for seen in predict_native({"": self.as_used(step)}, frames, self.config.asked(self.device)):
            if seen.reference is None:  # boxes allow no Dice
                continue
            reference = (seen.reference > 0) & seen.valid
            if reference.any():
                marked = (seen.probabilities[""] >= DEFAULT_THRESHOLD) & seen.valid
                values.append(2 * np.count_nonzero(marked & reference) / (marked.sum() + reference.sum()))
        return values
