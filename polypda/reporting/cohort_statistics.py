"""What the page of cohort statistics is made from, and what is said of two cohorts in words (cohort_clauses.yaml)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from polypda.evaluation.cohort_differences import CohortDifferences, supported
from polypda.quality.frame_table import BY_NAME, PlaceMaps
from polypda.reporting.verdict import records
from polypda.reporting.wording import NO_BREAK, plain, signed


@dataclass(frozen=True)
class MeasuredCohort:
    """One cohort as it was measured.

    frames: how many it has; measured: how many of them entered. labels: whose were read, in words. problems: frames or
    masks that could not be used, in words.
    """

    cohort: str
    frames: int
    measured: int
    labels: str
    labels_read: bool
    clusters: str
    sizes: str
    phantom: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class CohortStatistics:
    """All that a report shows. settings: name → text. samples: cohort → JPEG previews of some of its frames."""

    differences: CohortDifferences
    maps: Mapping[str, PlaceMaps]
    facts: Sequence[MeasuredCohort]
    settings: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    @property
    def phantom(self) -> bool:
        """Whether frames of any cohort were rendered."""
        return any(one.phantom for one in self.facts)

    @property
    def cohorts(self) -> list[str]:
        return [one.cohort for one in self.facts]

    @property
    def labels_sentence(self) -> str:
        """Whose labels were read."""
        read = [one.cohort for one in self.facts if one.labels_read]
        unread = [one.cohort for one in self.facts if not one.labels_read]
        if not read:
            return "No label was read: nothing here comes from a mask or a box."
        sentence = f"Labels were read of: {', '.join(read)}."
        return f"{sentence} None of: {', '.join(unread)}." if unread else sentence


MOST_IN_HEADLINE = 4
FRACTIONS = {1 / 2: "half", 1 / 3: "a third", 1 / 4: "a quarter", 1 / 5: "a fifth", 1 / 10: "a tenth"}
SAME_FRACTION = 0.08
"""A ratio this near to a fraction, of its own size, is written as that."""


@dataclass(frozen=True)
class Clause:
    """What is said of a cohort; cohort_clauses.yaml tells what its fields mean."""

    higher: str = ""
    lower: str = ""
    ratio: str = ""
    fraction: str = ""
    its: bool = False
    outline: bool = False

    def words(self, ratio: float, higher: bool) -> str:
        """From the ratio of the two typical values (no finite number above 0: unknown) and whether it lies higher."""
        if not self.ratio or (self.higher and not 0 < ratio < math.inf):
            return self.higher if higher else self.lower
        fraction = _fraction(ratio) if self.fraction else ""
        return self.fraction.format(fraction) if fraction else self.ratio.format(times(ratio))


_TEXT = Path(__file__).with_name("cohort_clauses.yaml").read_text(encoding="utf-8")
CLAUSES = {feature: Clause(**words) for feature, words in yaml.safe_load(_TEXT).items()}


@dataclass(frozen=True)
class PairWords:
    """sentence: the headline. lines: one per supported difference, with its numbers, the largest first."""

    sentence: str
    lines: tuple[str, ...]


def pair_words(effects: pd.DataFrame) -> PairWords:
    """What is said of the second cohort of a pair beside the first; ``effects``: the rows of this pair, not empty."""
    one, other = str(effects["cohort"].iloc[0]), str(effects["other"].iloc[0])
    shown = sorted(records(supported(effects)), key=_rank)
    if not shown:
        if effects["p_value"].isna().all():
            few = "Too few patients, sequences or frames for any claim."
            return PairWords(f"No difference between {one} and {other} is shown. {few}", ())
        together = "their distance looks at all together."
        return PairWords(f"No single measure shows a difference between {one} and {other}; {together}", ())
    inside = [row for row in shown if not CLAUSES[row["feature"]].outline]
    chosen = [*inside[:MOST_IN_HEADLINE], *shown[len(inside) :][:1]]
    (first_its, first), *rest = map(_clause, chosen)
    clauses = [f"{other}’s {first}" if first_its else f"{other} {first}"]
    clauses += [f"its {words}" if its else f"it {words}" for its, words in rest]
    return PairWords(f"Beside {one}, {'; '.join(clauses)}.", tuple(map(_line, shown)))


def times(ratio: float) -> str:
    """ "3.6×", "12×", "1.08×", "half": a ratio above 0."""
    return _fraction(ratio) or f"{ratio:.{0 if ratio >= 10 else 1 if ratio >= 1.5 else 2}f}×"


def _fraction(ratio: float) -> str:
    near = min(FRACTIONS, key=lambda fraction: abs(ratio / fraction - 1))
    return FRACTIONS[near] if abs(ratio / near - 1) <= SAME_FRACTION else ""


def _rank(row: dict[str, Any]) -> tuple[bool, float, int]:
    feature = row["feature"]
    return CLAUSES[feature].outline, -round(abs(row["delta"]), 1), list(CLAUSES).index(feature)


def _clause(row: dict[str, Any]) -> tuple[bool, str]:
    ratio = row["other_value"] / row["value"] if row["value"] else math.inf
    clause = CLAUSES[row["feature"]]
    return clause.its, clause.words(ratio, row["delta"] > 0)


def _line(row: dict[str, Any]) -> str:
    feature = BY_NAME[row["feature"]]
    unit = f"{NO_BREAK}{feature.unit}" if feature.unit else ""
    values = f"{plain(row['other_value'], feature.digits)} against {plain(row['value'], feature.digits)}{unit}"
    return f"{feature.title}: {values} (δ {signed(row['delta'])})"
