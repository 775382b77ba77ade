"""Scoring a run's snapshots by every criterion of :mod:`polypda.training.criteria`.

Each snapshot is scored by its predictions on unlabelled target training frames and on labelled source validation
frames, always the same evenly spaced ones, at network size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from polypda.data.batches import IGNORED, UnlabelledBatch
from polypda.data.cache import CachedFrames
from polypda.data.loading import frame_batches
from polypda.networks.segmenter import POLYP, Segmenter, to_image_size
from polypda.training.criteria import CRITERIA, NOT_SCORED, SeenSnapshot, agreement

SCORED_FRAMES = 64
"""Frames of each domain that a snapshot is scored on: enough to rank, cheap enough for every snapshot."""
SCORING_BATCH = 8
ENSEMBLE_KEEP = 0.6
"""What the average of earlier snapshots keeps of itself at each further one, as published."""
CONTROL_STEP = -1
"""Stands for the source-only control among the candidates."""


@dataclass(frozen=True)
class SnapshotScore:
    """What is known of one snapshot, mostly without labels.

    target_foreground, source_foreground: share of the field of view that is called polyp, 0–1. criteria: column of a
    :class:`~polypda.training.criteria.Criterion` → its value, absent (and read as NaN) where there is nothing to score
    by: no source validation frame with a polyp, no earlier snapshot. control_agreement: Dice with the control's maps.
    """

    step: int
    target_foreground: float
    source_foreground: float = NOT_SCORED
    control_agreement: float = NOT_SCORED
    criteria: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, column: str) -> float:
        return self.criteria.get(column, NOT_SCORED)

    def as_row(self) -> dict[str, Any]:
        """Flat: step, foregrounds and agreement, and a column per criterion."""
        row = asdict(self)
        known = {rule.key: self[rule.key] for rule in CRITERIA.values() if rule.function is not None}
        return {**known, **row.pop("criteria"), **row}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> SnapshotScore:
        """Reads :meth:`as_row`, of an earlier version as well; None counts as NaN."""
        known = {name: value for name, value in row.items() if value is not None}
        own: dict[str, Any] = {name: known.pop(name) for name in cls.__dataclass_fields__ if name in known}
        return cls(**own, criteria=known)


def score_snapshots(
    snapshots: Iterable[tuple[int, Segmenter]],
    target: CachedFrames,
    source_validation: CachedFrames | None,
    device: torch.device,
    labelled_target: CachedFrames | None = None,
) -> list[SnapshotScore]:
    """Score a run's snapshots, earliest first, each also against the average of those before it and of all.

    Args:
        snapshots: (step, segmenter on the device); may be a generator, so that one network is in memory at a time.
            The source-only control may come last, as step CONTROL_STEP.
        labelled_target: labelled target validation frames, only where the user permits target labels.
    """
    scores: list[SnapshotScore] = []
    earlier: list[torch.Tensor] | None = None
    everyone: list[SeenSnapshot] = []
    for step, segmenter in snapshots:
        score, seen = _score(segmenter, step, target, source_validation, device, labelled_target, earlier)
        maps = list(seen.maps)
        if earlier is not None:
            maps = [ENSEMBLE_KEEP * old + (1 - ENSEMBLE_KEEP) * new for old, new in zip(earlier, maps, strict=True)]
        earlier = maps
        scores.append(score)
        everyone.append(replace(seen, maps=[map_.half() for map_ in seen.maps], earlier=None))
    if not scores:
        return scores
    together = zip(*(seen.maps for seen in everyone), strict=True)
    mean = [sum(map_.float() for map_ in maps) / len(everyone) for maps in together]
    control = everyone[-1].maps if scores[-1].step == CONTROL_STEP else None
    return [
        replace(
            score,
            criteria=score.criteria | _values(replace(seen, mean=mean), asked_last=True),
            control_agreement=agreement(seen.maps, control, seen.insides) if control is not None else NOT_SCORED,
        )
        for score, seen in zip(scores, everyone, strict=True)
    ]


def score_snapshot(
    segmenter: Segmenter, step: int, target: CachedFrames, source_validation: CachedFrames | None, device: torch.device
) -> SnapshotScore:
    """Score a segmenter in evaluation mode on evenly spaced frames of both domains, at network size."""
    return _score(segmenter, step, target, source_validation, device, None, None)[0]


@torch.no_grad()
def _score(
    segmenter: Segmenter,
    step: int,
    target: CachedFrames,
    source_validation: CachedFrames | None,
    device: torch.device,
    labelled_target: CachedFrames | None,
    earlier: list[torch.Tensor] | None,
) -> tuple[SnapshotScore, SeenSnapshot]:
    segmenter.eval()
    maps, insides = [], []
    for batch in frame_batches(target, SCORING_BATCH, _places(target)):
        maps.append(_polyp_probability(segmenter, batch, device))
        insides.append(batch.valid[:, 0])
    source_dice, source_foreground = _on_labels(segmenter, source_validation, device)
    target_dice, _ = _on_labels(segmenter, labelled_target, device)
    seen = SeenSnapshot(maps, insides, earlier, None, source_dice, target_dice)
    foreground = float((seen.probabilities >= 0.5).float().mean())
    return SnapshotScore(step, foreground, source_foreground, criteria=_values(seen, asked_last=False)), seen


def _values(seen: SeenSnapshot, *, asked_last: bool) -> dict[str, float]:
    rules = [rule for rule in CRITERIA.values() if rule.asked_last is asked_last]
    values = {rule.key: rule.function(seen) for rule in rules if rule.function is not None}
    return {column: value for column, value in values.items() if not np.isnan(value)}


def foreground_fraction(cached: CachedFrames) -> float:
    """Mean share of polyp pixels within the field of view of (evenly spaced) labelled frames."""
    assert cached.masks is not None
    shares = []
    for index in _places(cached):
        inside = cached.valid[index] > 0
        labels = cached.masks[index][inside]
        # Half of the band that filled boxes leave out is polyp on average (see polypda.data.labels).
        shares.append(np.mean(labels == POLYP) + 0.5 * np.mean(labels == IGNORED) if inside.any() else 0.0)
    return float(np.mean(shares))


@torch.no_grad()
def _on_labels(segmenter: Segmenter, cached: CachedFrames | None, device: torch.device) -> tuple[float, float]:
    """Mean Dice over frames with a polyp (NaN without such frames), and the share of the field called polyp."""
    if cached is None:
        return NOT_SCORED, NOT_SCORED
    assert cached.masks is not None
    values, indices, marked, seen = [], iter(_places(cached)), 0, 0
    for batch in frame_batches(cached, SCORING_BATCH, _places(cached)):
        predictions = (_polyp_probability(segmenter, batch, device) >= 0.5).numpy()
        for predicted, inside in zip(predictions, batch.valid[:, 0].numpy(), strict=True):
            labels = cached.masks[next(indices)]
            mask, counted = labels == POLYP, predicted & (labels != IGNORED)
            marked, seen = marked + int((predicted & inside).sum()), seen + int(inside.sum())
            if mask.any():
                values.append(2 * np.count_nonzero(counted & mask) / (counted.sum() + mask.sum()))
    return float(np.mean(values)) if values else float("nan"), marked / max(1, seen)


def _places(cached: CachedFrames) -> list[int]:
    return np.unique(np.linspace(0, len(cached) - 1, min(len(cached), SCORED_FRAMES)).round().astype(int)).tolist()


def _polyp_probability(segmenter: Segmenter, batch: UnlabelledBatch, device: torch.device) -> torch.Tensor:
    logits = to_image_size(segmenter(batch.images.to(device)).logits["main"], *batch.images.shape[-2:])
    return logits.softmax(dim=1)[:, POLYP].float().cpu()
