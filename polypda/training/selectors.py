"""Choosing a checkpoint without target labels.

Every published table here was made with the best checkpoint on target labels. These rules see none: they score each
snapshot by its predictions on unlabelled target training frames, or by labelled source validation frames. All but
``last`` prefer, left alone, a model that finds no polyp anywhere (certain, dense, stable): a prior of the foreground's
area keeps such snapshots out.

The criteria are those of :mod:`polypda.training.criteria`. ``oracle`` is the rule of those tables: it is taken
only where the user permits target labels, reads those of the target's *validation* part, and is stamped on every table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from polypda.training.criteria import CRITERIA, LAST, ORACLE, Criterion
from polypda.training.snapshot_scores import SnapshotScore

SELECTION = "selection.json"
AREA_GUARD = 4.0
"""A snapshot whose foreground share on the target is this many times off the source's share is not eligible."""


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
        scores = tuple(SnapshotScore.from_row(score) for score in values.pop("scores"))
        start = values.pop("start", None)
        control, verdict = values.pop("control", None), Verdict(values.pop("verdict", Verdict.ADAPTED))
        alarms = tuple(values.pop("alarms", ()))
        eligible = tuple(values.pop("eligible"))
        return cls(
            **values,
            eligible=eligible,
            scores=scores,
            start=SnapshotScore.from_row(start) if start else None,
            control=SnapshotScore.from_row(control) if control else None,
            verdict=verdict,
            alarms=alarms,
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
    scored = [rule for rule in CRITERIA.values() if not rule.reads_target_labels or rule.name == selector]
    # The target's labels need no guard against an empty prediction.
    picks = {rule.name: _pick(scores, scores if rule.reads_target_labels else eligible, rule, guard) for rule in scored}
    step, reason = picks[selector]
    if note and CRITERIA[selector].reads_source_labels and eligible:
        reason = f"{reason}; {note}"
    return Choice(
        step,
        selector,
        tuple(score.step for score in eligible),
        reason,
        tuple(scores),
        {rule: picked for rule, (picked, _) in picks.items()},
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
    if choice.step not in choice.eligible and choice.selector != ORACLE:
        low, high = source_foreground / AREA_GUARD, source_foreground * AREA_GUARD
        found.append(f"it marks {chosen.target_foreground:.1%} of the target, outside {low:.1%}–{high:.1%}")
    if chosen.control_agreement < LEAST_AGREEMENT:
        found.append(f"it agrees with the source-only control by a Dice of only {chosen.control_agreement:.2f}")
    speaking = [rule for rule in CRITERIA.values() if rule.speaks_for_adaptation]
    if not any(rule.direction * (chosen[rule.key] - control[rule.key]) > 0 for rule in speaking):
        found.append("no label-free criterion prefers it to the source-only control")
    return replace(choice, control=control, verdict=Verdict.SOURCE if found else Verdict.ADAPTED, alarms=tuple(found))


def set_aside(run_folder: Path) -> tuple[str, ...]:
    """Why a run hands out its source-only control as adapted; empty where it does not, or has not chosen yet."""
    path = run_folder / SELECTION
    if not path.is_file():
        return ()
    told = json.loads(path.read_text(encoding="utf-8"))
    return tuple(told.get("alarms", ())) if told.get("verdict") == Verdict.SOURCE.value else ()


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
