"""Estimated mean Dice of two models in a centre without labels, with how far such estimates are off where it is known.

The calibrator is always that of the source-only model on held-out source frames: an adapted model is surer of itself
(self-training teaches certainty), and its own probabilities would flatter it.

The interval is calibrated on pseudo-targets, sets of labelled frames that the models did not learn: held-out source
frames restyled after the target, and other public cohorts. On each of them the estimate's error is known. Those of the
same frames in several styles are one, for they err alike. The value that is told is the estimate less the mean error of
the K sets; the interval is the t prediction interval for one set more, the target. A few sets tell little of how far
errors lie apart, so what was measured on pairs whose truth is known (:mod:`.known_errors`) counts beside them, as much
as so many pairs can (a normal variance with a scaled inverse χ² prior).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from polypda.evaluation.estimation.confidence import (
    CALIBRATORS,
    LEAST_FRAMES,
    Calibrator,
    ConfidenceCounts,
)
from polypda.evaluation.estimation.known_errors import SOURCE, known_errors

BEFORE, AFTER, CHANGE = "before", "after", "change"
LEAST_SETS = 2
"""From fewer no interval is made."""
CONFIDENCE = 0.9
"""How often an interval is to hold the truth, 0–1."""


@dataclass(frozen=True, eq=False)
class PairCounts:
    """The same frames as two models see them: source-only and adapted."""

    before: ConfidenceCounts
    after: ConfidenceCounts


@dataclass(frozen=True, eq=False)
class PseudoTarget:
    """Labelled frames that stand in for a target.

    kind: "as it is", "restyled" or "other cohort". fitted_on: the source-only model's counts of the held-out source
    frames that the calibrator may be fitted on when this one is estimated (none of its own). of: the set of frames that
    it is a style of; "" for one by itself.
    """

    name: str
    kind: str
    counts: PairCounts
    fitted_on: ConfidenceCounts
    of: str = ""


@dataclass(frozen=True)
class Spread:
    """How far errors of sets of frames lie apart from each other, as measured elsewhere.

    variance: mean of those of several pairs. degrees: what it is worth, in sets.
    """

    variance: float = 0.0
    degrees: int = 0


@dataclass(frozen=True)
class DiceEstimate:
    """An estimated mean Dice (or change of it), 0–1, of all frames as if each showed a polyp.

    rule: of the calibrator. quantity: before, after or change. value: less the mean error on pseudo-targets where there
    are enough of them; uncorrected: as it came. low, high: NaN without enough pseudo-targets. errors: estimate − truth
    on each pseudo-target, by its name. sets: of how many sets of frames these are. variance: of the sets' mean errors;
    NaN from fewer than two.
    """

    rule: str
    quantity: str
    value: float
    uncorrected: float
    low: float
    high: float
    errors: dict[str, float]
    sets: int = 0
    variance: float = float("nan")


def estimate_dice(
    target: PairCounts,
    source: ConfidenceCounts,
    pseudo_targets: Sequence[PseudoTarget],
    known: Callable[[str, str], Spread] | None = None,
) -> list[DiceEstimate]:
    """Estimate the Dice of both models and its change by every calibrator.

    Args: source: held-out labelled source frames as the source-only model sees them. known: (rule, quantity) → how far
        errors lay apart where the truth is known; None: as the package was measured.
    Raises: DataError E_ESTIMATION_FRAMES, E_NO_LABEL.
    """
    known = known or known_spread
    found = []
    for fit in CALIBRATORS:
        calibrator = fit(source)
        usable = [one for one in pseudo_targets if _usable(one)]
        errors = {one.name: _errors(one, fit) for one in usable}
        sets = [one.of or one.name for one in usable]
        for quantity, value in mean_estimates(target, calibrator).items():
            own = {name: error[quantity] for name, error in errors.items()}
            least = -1.0 if quantity == CHANGE else 0.0
            means = set_means(sets, list(own.values()))
            low, high = error_limits(value, means, least, known(calibrator.name, quantity))
            bias = float(np.mean(means)) if len(means) >= LEAST_SETS else 0.0
            corrected = min(max(value - bias, least), 1.0)
            variance = float(np.var(means, ddof=1)) if len(means) >= LEAST_SETS else float("nan")
            told = (calibrator.name, quantity, corrected, value, low, high, own, len(means), variance)
            found.append(DiceEstimate(*told))
    return found


def mean_estimates(target: PairCounts, calibrator: Calibrator) -> dict[str, float]:
    """Expected mean Dice over all frames, before and after, and the change."""
    before, after = (float(calibrator.expected_dice(one).mean()) for one in (target.before, target.after))
    return {BEFORE: before, AFTER: after, CHANGE: after - before}


def true_means(counts: PairCounts) -> dict[str, float]:
    """Mean Dice over the frames that show a polyp, before and after, and the change."""
    before, after = (float(np.nanmean(one.dice)) for one in (counts.before, counts.after))
    return {BEFORE: before, AFTER: after, CHANGE: after - before}


def set_means(sets: Sequence[str], errors: Sequence[float]) -> list[float]:
    """The mean error of each set of frames, in their order. sets: of each error, the set that it is of."""
    of_set: dict[str, list[float]] = {}
    for name, error in zip(sets, errors, strict=True):
        of_set.setdefault(name, []).append(error)
    return [float(np.mean(values)) for values in of_set.values()]


def error_limits(
    value: float,
    errors: Sequence[float],
    least: float = 0.0,
    known: Spread = Spread(),
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Where the truth is to be looked for by the errors of sets of frames; NaN where they are too few.

    Args: errors: one of each set. least: the quantity's lowest value. known: how far they lay apart elsewhere.
    """
    count = len(errors)
    if count < LEAST_SETS:
        return float("nan"), float("nan")
    degrees = known.degrees + count - 1
    variance = (known.degrees * known.variance + (count - 1) * float(np.var(errors, ddof=1))) / degrees
    half = float(stats.t.ppf((1 + confidence) / 2, degrees)) * math.sqrt(variance * (1 + 1 / count))
    middle = value - float(np.mean(errors))
    return min(max(middle - half, least), 1.0), max(min(middle + half, 1.0), least)


def known_spread(rule: str, quantity: str) -> Spread:
    """How far errors of sets lay apart on the pairs that the package was measured on."""
    table = known_errors()
    if table.empty or "variance" not in table:
        return Spread()
    rows = table[(table["rule"] == rule) & (table["calibrator"] == SOURCE) & (table["quantity"] == quantity)]
    return Spread(float(rows["variance"].iloc[0]), int(rows["pairs"].iloc[0]) - 1) if len(rows) else Spread()


def _errors(pseudo: PseudoTarget, fit: Callable[[ConfidenceCounts], Calibrator]) -> dict[str, float]:
    truth = true_means(pseudo.counts)
    told = mean_estimates(pseudo.counts, fit(pseudo.fitted_on))
    return {quantity: told[quantity] - truth[quantity] for quantity in truth}


def _usable(pseudo: PseudoTarget) -> bool:
    enough = (pseudo.counts.before, pseudo.fitted_on)
    return all(int(counts.positive.sum()) >= LEAST_FRAMES for counts in enough)
