"""Choosing a checkpoint without target labels.

Every published table here was made with the best checkpoint on target labels. These rules see none: they score each
snapshot by its predictions on unlabelled target training frames, or by labelled source validation frames. All but
``last`` prefer, left alone, a model that finds no polyp anywhere (certain, dense, stable): a prior of the foreground's
area keeps such snapshots out.

    entropy            mean binary entropy, lower is better
    im                 mutual information of pixel and class: entropy of the mean minus mean entropy
    snd                soft neighbourhood density, Saito et al., "Tune it the right way", ICCV 2021
    teacher-agreement  Dice with a moving average of the earlier snapshots' maps (temporal ensembling, Laine and Aila,
                       ICLR 2017)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
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
DENSITY_PIXELS = 2048
"""Pixels of all scored frames together whose neighbourhoods are compared, each with each."""
DENSITY_TEMPERATURE = 0.05
"""As published."""
ENSEMBLE_KEEP = 0.6
"""What the average of earlier snapshots keeps of itself at each further one, as published."""
NOT_SCORED = float("nan")


class Selector(StrEnum):
    """How the checkpoint is chosen."""

    LAST = "last"
    SOURCE_DICE = "source-dice"  # highest Dice on source validation frames
    ENTROPY = "entropy"  # most certain on the target
    IM = "im"  # information maximisation: certain per pixel, yet both classes used
    SND = "snd"  # soft neighbourhood density: pixels fall into dense groups
    TEACHER_AGREEMENT = "teacher-agreement"  # most alike to an average of the snapshots before


@dataclass(frozen=True)
class SnapshotScore:
    """Label-free criteria of one snapshot. Entropies in bits per pixel, density in nats, shares and Dice in 0–1.

    NaN where there is nothing to score by: no source validation frame with a polyp, no earlier snapshot.
    """

    step: int
    target_entropy: float
    target_information: float
    target_foreground: float
    source_dice: float
    target_density: float = NOT_SCORED
    teacher_agreement: float = NOT_SCORED


@dataclass(frozen=True)
class Choice:
    """The chosen step and why.

    eligible: the steps that passed the area guard. choices: the step that each selector would have taken, by its name
    (empty when read from a run of an earlier version).
    """

    step: int
    selector: Selector
    eligible: tuple[int, ...]
    reason: str
    scores: tuple[SnapshotScore, ...]
    choices: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict:
        """Plain values; null for a criterion that could not be computed (JSON knows no NaN)."""
        scores = [
            {name: None if np.isnan(value) else value for name, value in asdict(score).items()} for score in self.scores
        ]
        return asdict(self) | {"selector": self.selector.value, "scores": scores}

    @classmethod
    def from_json(cls, text: str) -> Choice:
        """Reads what :meth:`as_json` wrote, in this version or an earlier one."""
        values = json.loads(text)
        scores = tuple(
            SnapshotScore(step, **{name: NOT_SCORED if value is None else value for name, value in score.items()})
            for score in values.pop("scores")
            for step in [score.pop("step")]
        )
        selector, eligible = Selector(values.pop("selector")), tuple(values.pop("eligible"))
        return cls(**values, selector=selector, eligible=eligible, scores=scores)


@dataclass(frozen=True)
class _Rule:
    """value: larger is better. told: the reason, with the value that was seen. missing: why there may be no value."""

    value: Callable[[SnapshotScore], float]
    told: str
    missing: str = "nothing to choose by"


_RULES = {
    Selector.SOURCE_DICE: _Rule(
        lambda score: score.source_dice,
        "highest source validation Dice ({:.3f})",
        "no source validation frame shows a polyp, so there is no Dice to choose by",
    ),
    Selector.ENTROPY: _Rule(lambda score: -score.target_entropy, "lowest entropy on the target ({:.3f} bit)"),
    Selector.IM: _Rule(lambda score: score.target_information, "highest mutual information on the target ({:.3f} bit)"),
    Selector.SND: _Rule(
        lambda score: score.target_density, "highest soft neighbourhood density on the target ({:.3f} nat)"
    ),
    Selector.TEACHER_AGREEMENT: _Rule(
        lambda score: score.teacher_agreement,
        "highest agreement with the average of earlier snapshots (Dice {:.3f})",
        "there is no earlier eligible snapshot to agree with",
    ),
}


def choose(scores: Sequence[SnapshotScore], selector: Selector, source_foreground: float, *, note: str = "") -> Choice:
    """Choose among snapshots; what every other selector would choose is told as well.

    Args:
        scores: at least one, earliest first.
        source_foreground: mean share of polyp pixels in the source's training masks, for the area guard.
        note: what else belongs to the reason when source validation frames decide.
    """
    low, high = source_foreground / AREA_GUARD, source_foreground * AREA_GUARD
    eligible = [score for score in scores if low <= score.target_foreground <= high]
    guard = f"no snapshot's foreground share lies within {low:.1%}–{high:.1%} of the target"
    picks = {rule: _pick(scores, eligible, rule, guard) for rule in Selector}
    step, reason = picks[selector]
    if note and selector is Selector.SOURCE_DICE and eligible:
        reason = f"{reason}; {note}"
    return Choice(
        step,
        selector,
        tuple(score.step for score in eligible),
        reason,
        tuple(scores),
        {rule.value: picked for rule, (picked, _) in picks.items()},
    )


def _pick(
    scores: Sequence[SnapshotScore], eligible: Sequence[SnapshotScore], selector: Selector, guard: str
) -> tuple[int, str]:
    """The step and the reason. Of equals the earliest."""
    last = scores[-1].step
    if selector is Selector.LAST:
        return last, "the last checkpoint"
    if not eligible:
        return last, f"{guard}: the last is taken"
    rule = _RULES[selector]
    scored = [score for score in eligible if not np.isnan(rule.value(score))]
    if not scored:
        return last, f"{rule.missing}: the last is taken"
    best = max(scored, key=rule.value)
    return best.step, rule.told.format(abs(rule.value(best)))


def score_snapshots(
    snapshots: Iterable[tuple[int, Segmenter]],
    target: CachedFrames,
    source_validation: CachedFrames,
    device: torch.device,
) -> list[SnapshotScore]:
    """Score a run's snapshots, earliest first, each also against the average of those before it.

    Args:
        snapshots: (step, segmenter on the device); may be a generator, so that one network is in memory at a time.
    """
    scores: list[SnapshotScore] = []
    teacher: list[torch.Tensor] = []
    for step, segmenter in snapshots:
        score, maps, insides = _score(segmenter, step, target, source_validation, device)
        if teacher:
            score = replace(score, teacher_agreement=_agreement(maps, teacher, insides))
            maps = [ENSEMBLE_KEEP * old + (1 - ENSEMBLE_KEEP) * new for old, new in zip(teacher, maps, strict=True)]
        teacher = maps
        scores.append(score)
    return scores


def score_snapshot(
    segmenter: Segmenter, step: int, target: CachedFrames, source_validation: CachedFrames, device: torch.device
) -> SnapshotScore:
    """Score a segmenter in evaluation mode on evenly spaced frames of both domains, at network size."""
    return _score(segmenter, step, target, source_validation, device)[0]


@torch.no_grad()
def _score(
    segmenter: Segmenter, step: int, target: CachedFrames, source_validation: CachedFrames, device: torch.device
) -> tuple[SnapshotScore, list[torch.Tensor], list[torch.Tensor]]:
    """The score; the target's probability maps and fields of view, B×H×W per batch."""
    segmenter.eval()
    maps, insides = [], []
    for batch in frame_batches(target, SCORING_BATCH, _places(target)):
        maps.append(_polyp_probability(segmenter, batch, device))
        insides.append(batch.valid[:, 0])
    inside = torch.cat([probability[valid] for probability, valid in zip(maps, insides, strict=True)])
    entropy = float(_binary_entropy(inside).mean())
    score = SnapshotScore(
        step,
        target_entropy=entropy,
        target_information=float(_binary_entropy(inside.mean())) - entropy,
        target_foreground=float((inside >= 0.5).float().mean()),
        source_dice=_mean_dice(segmenter, source_validation, device),
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
