"""Estimated mean Dice of two models in a centre without labels, with how far such estimates are off where it is known.

The calibrator is always that of the source-only model on held-out source frames: an adapted model is surer of itself
(self-training teaches certainty), and its own probabilities would flatter it.

The interval is calibrated on pseudo-targets, sets of labelled frames that the models did not learn: held-out source
frames restyled after the target, and other public cohorts. On each of them the estimate's error is known. If the target
is to them as they are to each other, the truth lies between (estimate − largest error) and (estimate − smallest error)
in (K − 1) of (K + 1) cases. The value that is told is the estimate less their mean error, so that it lies between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polypda.evaluation.estimation.confidence import (
    CALIBRATORS,
    LEAST_FRAMES,
    Calibrator,
    ConfidenceCounts,
)

BEFORE, AFTER, CHANGE = "before", "after", "change"
LEAST_PSEUDO_TARGETS = 3
"""From fewer no interval is made."""


@dataclass(frozen=True, eq=False)
class PairCounts:
    """The same frames as two models see them: source-only and adapted."""

    before: ConfidenceCounts
    after: ConfidenceCounts


@dataclass(frozen=True, eq=False)
class PseudoTarget:
    """Labelled frames that stand in for a target.

    kind: "as it is", "restyled" or "other cohort". fitted_on: the source-only model's counts of the held-out source
    frames that the calibrator may be fitted on when this one is estimated (none of its own).
    """

    name: str
    kind: str
    counts: PairCounts
    fitted_on: ConfidenceCounts


@dataclass(frozen=True)
class DiceEstimate:
    """An estimated mean Dice (or change of it), 0–1, of all frames as if each showed a polyp.

    rule: of the calibrator. quantity: before, after or change. value: less the mean error on pseudo-targets where there
    are enough of them; uncorrected: as it came. low, high: NaN without enough pseudo-targets. errors: estimate − truth
    on each pseudo-target, by its name.
    """

    rule: str
    quantity: str
    value: float
    uncorrected: float
    low: float
    high: float
    errors: dict[str, float]

    @property
    def confidence(self) -> float:
        """How often such an interval holds the truth if the target is like the pseudo-targets, 0–1."""
        return (len(self.errors) - 1) / (len(self.errors) + 1)


def estimate_dice(
    target: PairCounts, source: ConfidenceCounts, pseudo_targets: Sequence[PseudoTarget]
) -> list[DiceEstimate]:
    """Estimate the Dice of both models and its change by every calibrator.

    Args: source: held-out labelled source frames as the source-only model sees them.
    Raises: DataError E_ESTIMATION_FRAMES, E_NO_LABEL.
    """
    found = []
    for fit in CALIBRATORS:
        calibrator = fit(source)
        errors = {one.name: _errors(one, fit) for one in pseudo_targets if _usable(one)}
        for quantity, value in mean_estimates(target, calibrator).items():
            own = {name: error[quantity] for name, error in errors.items()}
            least = -1.0 if quantity == CHANGE else 0.0
            low, high = error_limits(value, list(own.values()), least)
            bias = float(np.mean(list(own.values()))) if len(own) >= LEAST_PSEUDO_TARGETS else 0.0
            corrected = min(max(value - bias, least), 1.0)
            found.append(DiceEstimate(calibrator.name, quantity, corrected, value, low, high, own))
    return found


def mean_estimates(target: PairCounts, calibrator: Calibrator) -> dict[str, float]:
    """Expected mean Dice over all frames, before and after, and the change."""
    before, after = (float(calibrator.expected_dice(one).mean()) for one in (target.before, target.after))
    return {BEFORE: before, AFTER: after, CHANGE: after - before}


def true_means(counts: PairCounts) -> dict[str, float]:
    """Mean Dice over the frames that show a polyp, before and after, and the change."""
    before, after = (float(np.nanmean(one.dice)) for one in (counts.before, counts.after))
    return {BEFORE: before, AFTER: after, CHANGE: after - before}


def error_limits(value: float, errors: Sequence[float], least: float = 0.0) -> tuple[float, float]:
    """The interval that the pseudo-targets' errors leave; NaN where they are too few. least: the quantity's lowest."""
    if len(errors) < LEAST_PSEUDO_TARGETS:
        return float("nan"), float("nan")
    low, high = value - max(errors), value - min(errors)
    return max(low, least), min(high, 1.0)


def _errors(pseudo: PseudoTarget, fit: Callable[[ConfidenceCounts], Calibrator]) -> dict[str, float]:
    truth = true_means(pseudo.counts)
    told = mean_estimates(pseudo.counts, fit(pseudo.fitted_on))
    return {quantity: told[quantity] - truth[quantity] for quantity in truth}


def _usable(pseudo: PseudoTarget) -> bool:
    enough = (pseudo.counts.before, pseudo.fitted_on)
    return all(int(counts.positive.sum()) >= LEAST_FRAMES for counts in enough)
