"""What is known of a snapshot without target labels: the criteria by which checkpoints are chosen.

Each snapshot is scored by its predictions on unlabelled target training frames and on labelled source validation
frames, always the same evenly spaced ones, at network size.

    entropy            mean binary entropy, lower is better
    im                 mutual information of pixel and class: entropy of the mean minus mean entropy
    snd                soft neighbourhood density, Saito et al., "Tune it the right way", ICCV 2021
    teacher-agreement  Dice with a moving average of the earlier snapshots' maps (temporal ensembling, Laine and Aila,
                       ICLR 2017)
    ensemble           Dice with the mean map of all candidates, after the checkpoint choice of Hu et al., "Towards
                       Reliable Model Selection for Unsupervised Domain Adaptation" (EnsV), NeurIPS 2024
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from polypda.data.batches import IGNORED, UnlabelledBatch
from polypda.data.cache import CachedFrames
from polypda.data.loading import frame_batches
from polypda.methods.segmentation import to_image_size
from polypda.networks.segmenter import POLYP, Segmenter

SCORED_FRAMES = 64
"""Frames of each domain that a snapshot is scored on: enough to rank, cheap enough for every snapshot."""
SCORING_BATCH = 8
DENSITY_PIXELS = 2048
"""Pixels of all scored frames together whose neighbourhoods are compared, each with each."""
DENSITY_TEMPERATURE = 0.05
"""As published."""
ENSEMBLE_KEEP = 0.6
"""What the average of earlier snapshots keeps of itself at each further one, as published."""
NOT_SCORED = float("nan")
CONTROL_STEP = -1
"""Stands for the source-only control among the candidates."""


@dataclass(frozen=True)
class SnapshotScore:
    """Label-free criteria of one snapshot. Entropies in bits per pixel, density in nats, shares and Dice in 0–1.

    NaN where there is nothing to score by: no source validation frame with a polyp, no earlier snapshot.
    foreground: share of the field of view that is called polyp. control_agreement: Dice with the source-only control's
    maps. target_dice: only for the selector ``oracle``.
    """

    step: int
    target_entropy: float
    target_information: float
    target_foreground: float
    source_dice: float
    target_density: float = NOT_SCORED
    teacher_agreement: float = NOT_SCORED
    source_foreground: float = NOT_SCORED
    target_dice: float = NOT_SCORED
    ensemble_agreement: float = NOT_SCORED
    control_agreement: float = NOT_SCORED


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
    teacher: list[torch.Tensor] = []
    everyone: list[list[torch.Tensor]] = []
    for step, segmenter in snapshots:
        score, maps, insides = _score(segmenter, step, target, source_validation, device)
        everyone.append([map_.half() for map_ in maps])
        if labelled_target is not None:
            score = replace(score, target_dice=_on_labels(segmenter, labelled_target, device)[0])
        if teacher:
            score = replace(score, teacher_agreement=_agreement(maps, teacher, insides))
            maps = [ENSEMBLE_KEEP * old + (1 - ENSEMBLE_KEEP) * new for old, new in zip(teacher, maps, strict=True)]
        teacher = maps
        scores.append(score)
    if not scores:
        return scores
    ensemble = [sum(map_.float() for map_ in together) / len(everyone) for together in zip(*everyone, strict=True)]
    control = everyone[-1] if scores[-1].step == CONTROL_STEP else None
    return [
        replace(
            score,
            ensemble_agreement=_agreement(maps, ensemble, insides),
            control_agreement=_agreement(maps, control, insides) if control is not None else NOT_SCORED,
        )
        for score, maps in zip(scores, everyone, strict=True)
    ]


def score_snapshot(
    segmenter: Segmenter, step: int, target: CachedFrames, source_validation: CachedFrames | None, device: torch.device
) -> SnapshotScore:
    """Score a segmenter in evaluation mode on evenly spaced frames of both domains, at network size."""
    return _score(segmenter, step, target, source_validation, device)[0]


@torch.no_grad()
def _score(
    segmenter: Segmenter, step: int, target: CachedFrames, source_validation: CachedFrames | None, device: torch.device
) -> tuple[SnapshotScore, list[torch.Tensor], list[torch.Tensor]]:
    """The score; the target's probability maps and fields of view, B×H×W per batch."""
    segmenter.eval()
    maps, insides = [], []
    for batch in frame_batches(target, SCORING_BATCH, _places(target)):
        maps.append(_polyp_probability(segmenter, batch, device))
        insides.append(batch.valid[:, 0])
    inside = torch.cat([probability[valid] for probability, valid in zip(maps, insides, strict=True)])
    entropy = float(_binary_entropy(inside).mean())
    source_dice, source_foreground = _on_labels(segmenter, source_validation, device)
    score = SnapshotScore(
        step,
        target_entropy=entropy,
        target_information=float(_binary_entropy(inside.mean())) - entropy,
        target_foreground=float((inside >= 0.5).float().mean()),
        source_dice=source_dice,
        source_foreground=source_foreground,
        target_density=soft_neighbourhood_density(_spread(inside, DENSITY_PIXELS)),
    )
    return score, maps, insides


def soft_neighbourhood_density(probabilities: torch.Tensor) -> float:
    """Mean entropy (nats) of each pixel's soft neighbourhood: high where pixels lie in dense groups.

    Args:
        probabilities: N ≥ 2 polyp probabilities; pixels are compared by the cosine of (1−p, p).
    Returns: between 0 (every pixel has one neighbour) and ln(N−1) (all pixels alike).
    """
    classes = torch.nn.functional.normalize(torch.stack([1 - probabilities, probabilities], dim=1).double(), dim=1)
    similarity = classes @ classes.T / DENSITY_TEMPERATURE
    similarity.fill_diagonal_(-torch.inf)
    neighbourhood = similarity.softmax(dim=1)
    return float(torch.special.entr(neighbourhood).sum(dim=1).mean())


def _agreement(maps: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], insides: Sequence[torch.Tensor]) -> float:
    """Mean Dice over frames between two sets of thresholded maps; 1 where both find nothing."""
    values = []
    for map_, other, inside in zip(maps, teacher, insides, strict=True):
        mine, theirs = (map_ >= 0.5) & inside, (other >= 0.5) & inside
        sizes = (mine.sum(dim=(1, 2)) + theirs.sum(dim=(1, 2))).double()
        overlap = 2 * (mine & theirs).sum(dim=(1, 2)) / sizes.clamp_min(1)
        values.append(torch.where(sizes > 0, overlap, 1.0))
    return float(torch.cat(values).mean())


def _spread(values: torch.Tensor, count: int) -> torch.Tensor:
    """At most ``count`` evenly spaced entries of a vector."""
    places = torch.linspace(0, len(values) - 1, min(count, len(values))).round().long()
    return values[places]


def foreground_share(cached: CachedFrames) -> float:
    """Mean share of polyp pixels within the field of view of (evenly spaced) labelled frames."""
    assert cached.masks is not None
    shares = []
    for place in _places(cached):
        inside = cached.valid[place] > 0
        labels = cached.masks[place][inside]
        # Half of the band that filled boxes leave out is polyp on average (see polypda.data.box_targets).
        shares.append(np.mean(labels == POLYP) + 0.5 * np.mean(labels == IGNORED) if inside.any() else 0.0)
    return float(np.mean(shares))


@torch.no_grad()
def _on_labels(segmenter: Segmenter, cached: CachedFrames | None, device: torch.device) -> tuple[float, float]:
    """Mean Dice over frames with a polyp (NaN without such frames), and the share of the field called polyp."""
    if cached is None:
        return NOT_SCORED, NOT_SCORED
    assert cached.masks is not None
    values, places, marked, seen = [], iter(_places(cached)), 0, 0
    for batch in frame_batches(cached, SCORING_BATCH, _places(cached)):
        predictions = (_polyp_probability(segmenter, batch, device) >= 0.5).numpy()
        for predicted, inside in zip(predictions, batch.valid[:, 0].numpy(), strict=True):
            labels = cached.masks[next(places)]
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


def _binary_entropy(p: torch.Tensor) -> torch.Tensor:
    p = p.clamp(1e-7, 1 - 1e-7)
    return -(p * p.log2() + (1 - p) * (1 - p).log2())
