"""In which order cases are handed out, and which of a sequence's frames."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from polypda.errors import UsageError

NO_POLYP_MARKED = 0.05
"""Share of the field at which a false mark on a frame without a polyp counts as bad as can be."""


class Order(StrEnum):
    """What comes first."""

    WORST = "worst"
    IMPROVED = "improved"
    HARMED = "harmed"
    DISAGREEMENT = "disagreement"
    UNCERTAIN = "uncertain"
    RANDOM = "random"

    @property
    def needs_reference(self) -> bool:
        return self in (Order.WORST, Order.IMPROVED, Order.HARMED)

    @property
    def needs_prediction(self) -> bool:
        return self in (Order.DISAGREEMENT, Order.UNCERTAIN)


@dataclass(frozen=True)
class Candidate:
    """A frame that may be handed out. worth_before, worth_after: 0 bad to 1 good; NaN where it was not scored.

    disagreement: 1 − IoU of the two masks. uncertainty: mean entropy of the adapted model in the field of view, bits.
    Both are NaN until they are asked for.
    """

    run: str
    cohort: str
    frame: str
    sequence: str = ""
    worth_before: float = float("nan")
    worth_after: float = float("nan")
    disagreement: float = float("nan")
    uncertainty: float = float("nan")

    @property
    def unit(self) -> Hashable:
        """What gives one frame only: a sequence, else the frame itself."""
        return (self.cohort, "sequence", self.sequence) if self.sequence else (self.cohort, "frame", self.frame)


def choose(
    candidates: Sequence[Candidate], order: Order, count: int, *, every_frame: bool, seed: int
) -> list[Candidate]:
    """At most ``count`` candidates in an order; of each run and sequence the first only, unless ``every_frame``.

    Ties, and what an order says nothing of (a frame that got worse, among the improved), fall by a shuffle of ``seed``.
    Raises: UsageError E_REVIEW_COUNT, E_REVIEW_ORDER (an order by scores of frames that have none).
    """
    if count < 1:
        raise UsageError("E_REVIEW_COUNT", f"{count} cases cannot be judged.", fix="give --cases from 1.")
    if order.needs_reference and all(np.isnan(one.worth_after) for one in candidates):
        raise UsageError(
            "E_REVIEW_ORDER",
            f"--order {order} needs frames that were scored; none of these was.",
            fix=f"--order {Order.DISAGREEMENT}, {Order.UNCERTAIN} or {Order.RANDOM}.",
        )
    by_name = sorted(candidates, key=lambda one: (one.run, one.cohort, one.frame))
    shuffled = [by_name[index] for index in np.random.default_rng(seed).permutation(len(by_name))]
    ranked = sorted(shuffled, key=lambda one: _rank(one, order))
    return (ranked if every_frame else list(_one_of_each(ranked)))[:count]


def _rank(one: Candidate, order: Order) -> float:
    """Smallest first; what has no value comes last."""
    value = {
        Order.WORST: one.worth_after,
        Order.IMPROVED: one.worth_before - one.worth_after,
        Order.HARMED: one.worth_after - one.worth_before,
        Order.DISAGREEMENT: -one.disagreement,
        Order.UNCERTAIN: -one.uncertainty,
        Order.RANDOM: 0.0,
    }[order]
    return float("inf") if np.isnan(value) else value


def _one_of_each(ranked: Iterable[Candidate]) -> Iterable[Candidate]:
    seen = set()
    for one in ranked:
        if (one.run, one.unit) not in seen:
            seen.add((one.run, one.unit))
            yield one


def worth(dice: float, fp_area_fraction: float) -> float:
    """What a prediction is worth, for ordering: Dice, or on a frame without a polyp 1 less what is wrongly marked."""
    return 1.0 - min(1.0, fp_area_fraction / NO_POLYP_MARKED) if np.isnan(dice) else dice
