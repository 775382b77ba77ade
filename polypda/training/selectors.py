"""Choosing a checkpoint without target labels.

Every published table here was made with the best checkpoint on target labels. These rules see none: they score each
snapshot by its predictions on unlabelled target training frames, or by labelled source validation frames.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
import torch

from polypda.data.batches import UnlabelledBatch
from polypda.data.cache import CachedFrames
from polypda.data.loading import frame_batches
from polypda.methods.segmentation import to_image_size
from polypda.networks.segmenter import POLYP, Segmenter

SCORED_FRAMES = 64
"""Frames of each domain that a snapshot is scored on: enough to rank, cheap enough for every snapshot."""
SCORING_BATCH = 8
AREA_GUARD = 4.0
"""A snapshot whose foreground share on the target is this many times off the source's share is not eligible."""


class Selector(StrEnum):
    """How the checkpoint is chosen."""

    LAST = "last"
    SOURCE_DICE = "source-dice"  # highest Dice on source validation frames
    ENTROPY = "entropy"  # most certain on the target
    IM = "im"  # information maximisation: certain per pixel, yet both classes used


@dataclass(frozen=True)
class SnapshotScore:
    """Label-free criteria of one snapshot. Entropies in bits per pixel, shares and Dice in 0–1."""

    step: int
    target_entropy: float
    target_information: float
    target_foreground: float
    source_dice: float


@dataclass(frozen=True)
class Choice:
    """The chosen step and why; ``eligible`` are the steps that passed the area guard."""

    step: int
    selector: Selector
    eligible: tuple[int, ...]
    reason: str
    scores: tuple[SnapshotScore, ...]

    def as_json(self) -> dict:
        return asdict(self) | {"selector": self.selector.value}

    @classmethod
    def from_json(cls, text: str) -> Choice:
        """Reads what :meth:`as_json` wrote."""
        values = json.loads(text)
        scores = tuple(SnapshotScore(**score) for score in values.pop("scores"))
        selector, eligible = Selector(values.pop("selector")), tuple(values.pop("eligible"))
        return cls(**values, selector=selector, eligible=eligible, scores=scores)


def choose(scores: Sequence[SnapshotScore], selector: Selector, source_foreground: float, *, note: str = "") -> Choice:
    """Choose among snapshots.

    Args:
        scores: at least one, earliest first.
        source_foreground: mean share of polyp pixels in the source's training masks, for the area guard.
        note: what else belongs to the reason.
    """
    last = scores[-1]
    low, high = source_foreground / AREA_GUARD, source_foreground * AREA_GUARD
    eligible = [score for score in scores if low <= score.target_foreground <= high]
    steps = tuple(score.step for score in eligible)
    if selector is Selector.LAST:
        return Choice(last.step, selector, steps, "the last checkpoint", tuple(scores))
    if not eligible:
        reason = f"no snapshot's foreground share lies within {low:.1%}–{high:.1%} of the target: the last is taken"
        return Choice(last.step, selector, steps, reason, tuple(scores))
    if selector is Selector.SOURCE_DICE:
        eligible = [score for score in eligible if not np.isnan(score.source_dice)]
        if not eligible:
            reason = "no source validation frame shows a polyp, so there is no Dice to choose by: the last is taken"
            return Choice(last.step, selector, steps, reason, tuple(scores))
        best = max(eligible, key=lambda score: score.source_dice)
        reason = f"highest source validation Dice ({best.source_dice:.3f}){note and f'; {note}'}"
    elif selector is Selector.ENTROPY:
        best = min(eligible, key=lambda score: score.target_entropy)
        reason = f"lowest entropy on the target ({best.target_entropy:.3f} bit)"
    else:
        best = max(eligible, key=lambda score: score.target_information)
        reason = f"highest mutual information on the target ({best.target_information:.3f} bit)"
    return Choice(best.step, selector, steps, reason, tuple(scores))


@torch.no_grad()
def score_snapshot(
    segmenter: Segmenter, step: int, target: CachedFrames, source_validation: CachedFrames, device: torch.device
) -> SnapshotScore:
    """Score a segmenter in evaluation mode on evenly spaced frames of both domains, at network size."""
    segmenter.eval()
    batches = list(frame_batches(target, SCORING_BATCH, _places(target)))
    inside = torch.cat([_polyp_probability(segmenter, batch, device)[batch.valid[:, 0]] for batch in batches])
    entropy = float(_binary_entropy(inside).mean())
    return SnapshotScore(
        step,
        target_entropy=entropy,
        target_information=float(_binary_entropy(inside.mean())) - entropy,
        target_foreground=float((inside >= 0.5).float().mean()),
        source_dice=_mean_dice(segmenter, source_validation, device),
    )


def foreground_share(cached: CachedFrames) -> float:
    """Mean share of polyp pixels within the field of view of (evenly spaced) labelled frames."""
    assert cached.masks is not None
    shares = []
    for place in _places(cached):
        inside = cached.valid[place] > 0
        shares.append(cached.masks[place][inside].mean() if inside.any() else 0.0)
    return float(np.mean(shares))


def _mean_dice(segmenter: Segmenter, cached: CachedFrames, device: torch.device) -> float:
    """Mean Dice over frames with a polyp, at network size; NaN without such frames."""
    assert cached.masks is not None
    values, places = [], iter(_places(cached))
    for batch in frame_batches(cached, SCORING_BATCH, _places(cached)):
        for predicted in (_polyp_probability(segmenter, batch, device) >= 0.5).numpy():
            mask = cached.masks[next(places)] > 0
            if mask.any():
                values.append(2 * np.count_nonzero(predicted & mask) / (predicted.sum() + mask.sum()))
    return float(np.mean(values)) if values else float("nan")


def _places(cached: CachedFrames) -> list[int]:
    return np.unique(np.linspace(0, len(cached) - 1, min(len(cached), SCORED_FRAMES)).round().astype(int)).tolist()


def _polyp_probability(segmenter: Segmenter, batch: UnlabelledBatch, device: torch.device) -> torch.Tensor:
    logits = to_image_size(segmenter(batch.images.to(device)).logits["main"], *batch.images.shape[-2:])
    return logits.softmax(dim=1)[:, POLYP].float().cpu()


def _binary_entropy(p: torch.Tensor) -> torch.Tensor:
    p = p.clamp(1e-7, 1 - 1e-7)
    return -(p * p.log2() + (1 - p) * (1 - p).log2())
