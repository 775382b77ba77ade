"""Choosing a checkpoint without target labels.

Every published table here was made with the best checkpoint on target labels. These rules see none: they score each
snapshot by its predictions on unlabelled target training frames, or by labelled source validation frames. All but
``last`` prefer, left alone, a model that finds no polyp anywhere (certain, dense, stable): a prior of the foreground's
area keeps such snapshots out.

The criteria are those of :mod:`polypda.training.snapshot_scores`. ``oracle`` is the rule of those tables: it is taken
only where the user permits target labels, reads those of the target's *validation* part, and is stamped on every table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from polypda.training.snapshot_scores import NOT_SCORED, SnapshotScore

SELECTION = "selection.json"
AREA_GUARD = 4.0
"""A snapshot whose foreground share on the target is this many times off the source's share is not eligible."""


class Selector(StrEnum):
    """How the checkpoint is chosen."""

    LAST = "last"
    SOURCE_DICE = "source-dice"  # highest Dice on source validation frames
    ENTROPY = "entropy"  # most certain on the target
    IM = "im"  # information maximisation: certain per pixel, yet both classes used
    SND = "snd"  # soft neighbourhood density: pixels fall into dense groups
    TEACHER_AGREEMENT = "teacher-agreement"  # most alike to an average of the snapshots before
    ENSEMBLE = "ensemble"  # most alike to the mean map of all candidates
    ORACLE = "oracle"  # highest Dice on labelled target validation frames: needs permission, is no method


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
    selector: Selector
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
            "selector": self.selector.value,
            "scores": [_plain(score) for score in self.scores],
            "start": _plain(self.start) if self.start else None,
            "control": _plain(self.control) if self.control else None,
            "verdict": self.verdict.value,
        }

    @classmethod
    def from_json(cls, text: str) -> Choice:
        """Reads what :meth:`as_json` wrote, in this version or an earlier one."""
        values = json.loads(text)
        scores, start = tuple(_score(score) for score in values.pop("scores")), values.pop("start", None)
        control, verdict = values.pop("control", None), Verdict(values.pop("verdict", Verdict.ADAPTED))
        alarms = tuple(values.pop("alarms", ()))
        selector, eligible = Selector(values.pop("selector")), tuple(values.pop("eligible"))
        return cls(
            **values,
            selector=selector,
            eligible=eligible,
            scores=scores,
            start=_score(start) if start else None,
            control=_score(control) if control else None,
            verdict=verdict,
            alarms=alarms,
        )


def _plain(score: SnapshotScore) -> dict[str, Any]:
    return {name: None if np.isnan(value) else value for name, value in asdict(score).items()}


def _score(plain: dict[str, Any]) -> SnapshotScore:
    values: dict[str, Any] = {name: NOT_SCORED if value is None else value for name, value in plain.items()}
    return SnapshotScore(**values)


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
    Selector.ENSEMBLE: _Rule(
        lambda score: score.ensemble_agreement, "highest agreement with the mean of all candidates (Dice {:.3f})"
    ),
    Selector.ORACLE: _Rule(
        lambda score: score.target_dice,
        "highest Dice on the TARGET'S labelled validation frames ({:.3f})",
        "no labelled target validation frame shows a polyp",
    ),
}


def choose(
    scores: Sequence[SnapshotScore],
    selector: Selector,
    source_foreground: float,
    *,
    note: str = "",
    start: SnapshotScore | None = None,
) -> Choice:
    """Choose among snapshots; what every other selector would choose is told as well.

    Args:
        scores: at least one, earliest first.
        source_foreground: mean share of polyp pixels in the source's training masks, for the area guard.
        note: what else belongs to the reason when source validation frames decide.
        start: the model that the method began with; told, never chosen.
    """
    low, high = source_foreground / AREA_GUARD, source_foreground * AREA_GUARD
    eligible = [score for score in scores if low <= score.target_foreground <= high]
    guard = f"no snapshot's foreground share lies within {low:.1%}–{high:.1%} of the target"
    scored = [rule for rule in Selector if rule is not Selector.ORACLE or selector is Selector.ORACLE]
    # Labels need no guard against an empty prediction.
    picks = {rule: _pick(scores, scores if rule is Selector.ORACLE else eligible, rule, guard) for rule in scored}
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
        start,
    )


LEAST_AGREEMENT = 0.3
"""An adapted model whose maps on the target are less alike the control's (mean Dice) has forgotten its task."""


def judged(choice: Choice, control: SnapshotScore, source_foreground: float, alarms: Sequence[str] = ()) -> Choice:
    """The choice with its verdict: the adapted model only where no alarm fires and a label-free criterion prefers it.

    Args: control: the source-only control by the same criteria. source_foreground: as for :func:`choose`. alarms: those
        of the trainings before.
    """
    chosen = next(score for score in choice.scores if score.step == choice.step)
    found = list(alarms)
    if choice.step not in choice.eligible and choice.selector is not Selector.ORACLE:
        low, high = source_foreground / AREA_GUARD, source_foreground * AREA_GUARD
        found.append(f"it marks {chosen.target_foreground:.1%} of the target, outside {low:.1%}–{high:.1%}")
    if chosen.control_agreement < LEAST_AGREEMENT:
        found.append(f"it agrees with the source-only control by a Dice of only {chosen.control_agreement:.2f}")
    if not any(_RULES[rule].value(chosen) > _RULES[rule].value(control) for rule in _PREFERENCE):
        found.append("no label-free criterion prefers it to the source-only control")
    return replace(choice, control=control, verdict=Verdict.SOURCE if found else Verdict.ADAPTED, alarms=tuple(found))


_PREFERENCE = (Selector.ENTROPY, Selector.IM, Selector.SND, Selector.ENSEMBLE)


def set_aside(run_folder: Path) -> tuple[str, ...]:
    """Why a run hands out its source-only control as adapted; empty where it does not, or has not chosen yet."""
    path = run_folder / SELECTION
    if not path.is_file():
        return ()
    told = json.loads(path.read_text(encoding="utf-8"))
    return tuple(told.get("alarms", ())) if told.get("verdict") == Verdict.SOURCE.value else ()


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
