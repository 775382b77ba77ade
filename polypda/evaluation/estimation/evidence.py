"""What can be said of two models without labels: how much they mark, how steadily, and the Dice to expect of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from polypda.evaluation.estimation.estimated_dice import DiceEstimate

NOT_MEASURED = math.nan


@dataclass(frozen=True)
class ModelEvidence:
    """Of one model on the target, without labels; NaN where something was not measured.

    foreground: mean share of the field of view that is marked, 0–1. unmarked: share of frames on which nothing is.
    scales: mean Dice between its answers at two input sizes. criteria: values of the checkpoint criteria by column.
    source_dice: mean Dice on held-out frames of the source, whose labels are known.
    """

    foreground: float
    unmarked: float
    scales: float = NOT_MEASURED
    criteria: dict[str, float] = field(default_factory=dict)
    source_dice: float = NOT_MEASURED


@dataclass(frozen=True)
class LabelFreeEvidence:
    """Of source-only (before) and adapted (after) on all frames of a target.

    frames: how many. source_foreground: share of polyp in the source's labels, 0–1. agreement: mean Dice between the
    two models' answers. changed: share of frames on which they agree by less than 0.5. scales: the two input sizes that
    are compared, relative to the training's. source_frames: held-out source frames with a label.
    drift: of each snapshot of the training, and of source-only as step −1: step, share that it marks, agreement with
    source-only and with the mean of all. estimates: () where nothing could be calibrated. findings: alarms, in words.
    """

    frames: int
    source_foreground: float
    before: ModelEvidence
    after: ModelEvidence
    agreement: float
    changed: float
    scales: tuple[float, float]
    source_frames: int = 0
    drift: tuple[tuple[int, float, float, float], ...] = ()
    estimates: tuple[DiceEstimate, ...] = ()
    pseudo_targets: dict[str, int] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values; null for what was not measured (JSON knows no NaN)."""
        return _plain(asdict(self))

    def estimate(self, quantity: str, rule: str = "temperature") -> DiceEstimate | None:
        """One estimate; None where nothing could be calibrated."""
        return next((one for one in self.estimates if (one.quantity, one.rule) == (quantity, rule)), None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
