"""Scoring a run's snapshots, and choosing one without target labels.

Every published table here was made with the best checkpoint on target labels. The rules of
:mod:`polypda.training.criteria` see none: they score each snapshot by its predictions on unlabelled target training
frames, or by labelled source validation frames. All but ``last`` prefer, left alone, a model that finds no polyp
anywhere (certain, dense, stable): a prior of the foreground's area keeps such snapshots out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polypda.data.batches import IGNORED
from polypda.data.cache import CachedFrames
from polypda.data.loading import frame_batches
from polypda.networks.averaged_prediction import polyp_probability
from polypda.networks.segmenter import POLYP, Segmenter
from polypda.training.collapse_limits import AREA_FACTOR, LEAST_AGREEMENT
from polypda.training.criteria import (
    CRITERIA,
    LAST,
    NOT_SCORED,
    ORACLE,
    Criterion,
    SeenSnapshot,
    SnapshotScore,
    agreement,
)

SELECTION = "selection.json"
SCORED_FRAMES = 64
"""Evenly spaced frames of each domain that a snapshot is scored on, at network size, always the same."""
SCORING_BATCH = 8
ENSEMBLE_KEEP = 0.6
"""What the average of earlier snapshots keeps of itself at each further one, as published."""
CONTROL_STEP = -1
"""Stands for the source-only control among the candidates."""


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
    """Score one segmenter, with nothing to compare it with."""
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
    for batch in frame_batches(target, SCORING_BATCH, _scored_indices(target)):
        maps.append(polyp_probability(segmenter, batch.images.to(device)).float().cpu())
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
    """Mean fraction of polyp pixels within the field of view of (evenly spaced) labelled frames."""
    assert cached.masks is not None
    fractions = []
    for index in _scored_indices(cached):
        inside = cached.valid[index] > 0
        labels = cached.masks[index][inside]
        # Half of the band that filled boxes leave out is polyp on average (see polypda.data.labels).
        fractions.append(np.mean(labels == POLYP) + 0.5 * np.mean(labels == IGNORED) if inside.any() else 0.0)
    return float(np.mean(fractions))


def _on_labels(segmenter: Segmenter, cached: CachedFrames | None, device: torch.device) -> tuple[float, float]:
    """Mean Dice over frames with a polyp (NaN without such frames), and the fraction of the field called polyp."""
    if cached is None:
        return NOT_SCORED, NOT_SCORED
    assert cached.masks is not None
    values, indices, predicted_px, seen_px = [], iter(_scored_indices(cached)), 0, 0
    for batch in frame_batches(cached, SCORING_BATCH, _scored_indices(cached)):
        predictions = (polyp_probability(segmenter, batch.images.to(device)).float().cpu() >= 0.5).numpy()
        for predicted, inside in zip(predictions, batch.valid[:, 0].numpy(), strict=True):
            labels = cached.masks[next(indices)]
            mask, counted = (labels == POLYP) & inside, predicted & (labels != IGNORED) & inside
            predicted_px, seen_px = predicted_px + int((predicted & inside).sum()), seen_px + int(inside.sum())
            if mask.any():
                values.append(2 * np.count_nonzero(counted & mask) / (counted.sum() + mask.sum()))
    return float(np.mean(values)) if values else NOT_SCORED, predicted_px / max(1, seen_px)


def _scored_indices(cached: CachedFrames) -> list[int]:
    return np.unique(np.linspace(0, len(cached) - 1, min(len(cached), SCORED_FRAMES)).round().astype(int)).tolist()


class Verdict(StrEnum):
    """Which model a run hands out as adapted."""

    ADAPTED = "adapted"
    SOURCE = "keep the source model"


@dataclass(frozen=True)
class Choice:
    """The chosen step and why.

    eligible: the steps that passed the area guard. choices: the step that each selector would have taken, by its name
    (empty when read from a run of an earlier version). start: the model that the method began with, never chosen.
    control: the source-only control, by the same criteria. verdict: whether the chosen snapshot or the control is what
    the run hands out. alarms: what speaks against the adaptation, in words.
    """

    step: int
    selector: str
    eligible: tuple[int, ...]
    reason: str
    scores: tuple[SnapshotScore, ...]
    choices: dict[str, int] = field(default_factory=dict)
    start: SnapshotScore | None = None
    control: SnapshotScore | None = None
    verdict: Verdict = Verdict.ADAPTED
    alarms: tuple[str, ...] = ()

    def as_json(self) -> dict:
        """Plain values; null for a criterion that could not be computed (JSON knows no NaN)."""
        return asdict(self) | {
            "scores": [_plain(score) for score in self.scores],
            "start": _plain(self.start) if self.start else None,
            "control": _plain(self.control) if self.control else None,
            "verdict": self.verdict.value,
        }

    @classmethod
    def from_json(cls, text: str) -> Choice:
        """Reads what :meth:`as_json` wrote, in this version or an earlier one."""
        values = json.loads(text)
        for name in ("start", "control"):
            values[name] = SnapshotScore.from_row(values[name]) if values.get(name) else None
        return cls(
            **values
            | {
                "scores": tuple(SnapshotScore.from_row(score) for score in values["scores"]),
                "eligible": tuple(values["eligible"]),
                "alarms": tuple(values.get("alarms", ())),
                "verdict": Verdict(values.get("verdict", Verdict.ADAPTED)),
            }
        )


def _plain(score: SnapshotScore) -> dict[str, Any]:
    return {name: None if np.isnan(value) else value for name, value in score.as_row().items()}


def choose(
    scores: Sequence[SnapshotScore],
    selector: str,
    source_foreground: float,
    *,
    note: str = "",
    start: SnapshotScore | None = None,
) -> Choice:
    """Choose among snapshots; what every other selector would choose is recorded as well.

    Args:
        scores: at least one, earliest first.
        source_foreground: mean fraction of polyp pixels in the source's training masks, for the area guard.
        note: what else belongs to the reason when source validation frames decide.
        start: the model that the method began with; recorded, never chosen.
    """
    low, high = source_foreground / AREA_FACTOR, source_foreground * AREA_FACTOR
    eligible = [score for score in scores if low <= score.target_foreground <= high]
    guard = f"no snapshot's foreground share lies within {low:.1%}–{high:.1%} of the target"
    scored = [rule for rule in CRITERIA.values() if not rule.reads_target_labels or rule.name == selector]
    # The target's labels need no guard against an empty prediction.
    picks = {rule.name: _pick(scores, scores if rule.reads_target_labels else eligible, rule, guard) for rule in scored}
    step, reason = picks[selector]
    if note and CRITERIA[selector].reads_source_labels and eligible:
        reason = f"{reason}; {note}"
    passed = tuple(score.step for score in eligible)
    choices = {rule: picked for rule, (picked, _) in picks.items()}
    return Choice(step, selector, passed, reason, tuple(scores), choices, start)


def judged(choice: Choice, control: SnapshotScore, source_foreground: float, alarms: Sequence[str] = ()) -> Choice:
    """The choice with its verdict: the adapted model only where no alarm fires and a label-free criterion prefers it.

    Args: control: the source-only control by the same criteria. source_foreground: as for :func:`choose`. alarms: those
        of the trainings before.
    """
    chosen = next(score for score in choice.scores if score.step == choice.step)
    found = list(alarms)
    if choice.step not in choice.eligible and choice.selector != ORACLE:
        low, high = source_foreground / AREA_FACTOR, source_foreground * AREA_FACTOR
        found.append(f"it marks {chosen.target_foreground:.1%} of the target, outside {low:.1%}–{high:.1%}")
    if chosen.control_agreement < LEAST_AGREEMENT:
        found.append(f"it agrees with the source-only control by a Dice of only {chosen.control_agreement:.2f}")
    speaking = [rule for rule in CRITERIA.values() if rule.speaks_for_adaptation]
    if not any(rule.direction * (chosen[rule.key] - control[rule.key]) > 0 for rule in speaking):
        found.append("no label-free criterion prefers it to the source-only control")
    return replace(choice, control=control, verdict=Verdict.SOURCE if found else Verdict.ADAPTED, alarms=tuple(found))


def recorded_choice(run_folder: Path) -> Choice | None:
    """What a run chose; None where it has not chosen, or adapted nothing."""
    path = run_folder / SELECTION
    return Choice.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def set_aside(run_folder: Path) -> tuple[str, ...]:
    """Why a run hands out its source-only control as adapted; empty where it does not, or has not chosen yet."""
    path = run_folder / SELECTION
    if not path.is_file():
        return ()
    selection = json.loads(path.read_text(encoding="utf-8"))
    return tuple(selection.get("alarms", ())) if selection.get("verdict") == Verdict.SOURCE.value else ()


def _pick(
    scores: Sequence[SnapshotScore], eligible: Sequence[SnapshotScore], rule: Criterion, guard: str
) -> tuple[int, str]:
    """The step and the reason. Of equals the earliest."""
    last = scores[-1].step
    if rule.name == LAST:
        return last, "the last checkpoint"
    if not eligible:
        return last, f"{guard}: the last is taken"
    scored = [score for score in eligible if not np.isnan(score[rule.key])]
    if not scored:
        return last, f"{rule.missing}: the last is taken"
    best = max(scored, key=lambda score: rule.direction * score[rule.key])
    return best.step, rule.reason(best[rule.key])
