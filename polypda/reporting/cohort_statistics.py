"""What the page of cohort statistics is made from, beside the comparisons themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from polypda.evaluation.cohort_differences import CohortDifferences, supported
from polypda.quality.frame_table import BY_NAME, PlaceMaps
from polypda.reporting.verdict import records
from polypda.reporting.wording import NO_BREAK, plain, signed


@dataclass(frozen=True)
class CohortFacts:
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
    facts: Sequence[CohortFacts]
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
        told = f"Labels were read of: {', '.join(read)}."
        return f"{told} None of: {', '.join(unread)}." if unread else told


MOST_IN_HEADLINE = 4
FRACTIONS = {1 / 2: "half", 1 / 3: "a third", 1 / 4: "a quarter", 1 / 5: "a fifth", 1 / 10: "a tenth"}
SAME_FRACTION = 0.08
"""A ratio this near to a fraction, of its own size, is told as that."""


@dataclass(frozen=True)
class Clause:
    """What is said of a cohort. its: follows "its", else "it". words: from the ratio of the two typical values and
    whether it lies higher."""

    words: Callable[[float, bool], str]
    its: bool = False


def _either(more: str, less: str, *, its: bool = False) -> Clause:
    return Clause(lambda _, higher: more if higher else less, its)


def _times(before: str, after: str, unknown: tuple[str, str], *, its: bool = False) -> Clause:
    """ "is 3.6× as sharp"; where one value is 0 no ratio is told."""

    def words(ratio: float, higher: bool) -> str:
        known = math.isfinite(ratio) and ratio > 0
        return f"{before} {times(ratio)} {after}" if known else unknown[0 if higher else 1]

    return Clause(words, its)


def _area(whose: str) -> Clause:
    def words(ratio: float, higher: bool) -> str:
        fraction = _fraction(ratio)
        return f"{whose} cover {fraction} of the area" if fraction else f"{whose} cover {times(ratio)} the area"

    return Clause(words, its=True)


# In order of what is told first among equally large effects
CLAUSES: dict[str, Clause] = {
    "laplacian_sd": _times("is", "as sharp", ("is sharper", "is less sharp")),
    "polyp_area_percent": _area("polyps"),
    "box_area_percent": _area("boxes"),
    "negative_percent": _either("frames show no polyp more often", "frames show a polyp more often", its=True),
    "lightness": _either("is lighter", "is darker"),
    "a": _either("is redder", "is less red"),
    "b": _either("is yellower", "is less yellow"),
    "specular_percent": _times("shows", "as much glare", ("shows more glare", "shows less glare")),
    "noise_sd": _times("is", "as noisy", ("is noisier", "is less noisy")),
    "rim_to_centre": _either("rim is lighter beside its centre", "rim is darker beside its centre", its=True),
    "lightness_sd": _either("has more light and dark within a frame", "is more evenly lit"),
    "a_sd": _either("red varies more within a frame", "red varies less within a frame", its=True),
    "b_sd": _either("yellow varies more within a frame", "yellow varies less within a frame", its=True),
    "contrast_lightness": _either("polyps stand out more by lightness", "polyps stand out less by lightness", its=True),
    "contrast_a": _either("polyps stand out more by redness", "polyps stand out less by redness", its=True),
    "contrast_b": _either("polyps stand out more by yellowness", "polyps stand out less by yellowness", its=True),
    "polyps": _either("shows more polyps a frame", "shows fewer polyps a frame"),
    "polyp_off_centre": _either("polyps lie nearer to the rim", "polyps lie nearer to the middle", its=True),
    "field_share": _either("field of view fills more of the frame", "field of view fills less of the frame", its=True),
    "field_fill": _either("field of view is more of a rectangle", "field of view is less of a rectangle", its=True),
    "field_aspect": _either("field of view is wider", "field of view is narrower", its=True),
    "longer_side_px": _either("frames are larger", "frames are smaller", its=True),
}  # fmt: skip
ORDER = list(CLAUSES)
OUTLINE = ("field_share", "field_fill", "field_aspect", "longer_side_px")
"""Told last, and one of them only: they are all but constant within a cohort, so any difference is a complete one."""


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
        return PairWords(_nothing_shown(one, other, judged=bool(effects["p_value"].notna().any())), ())
    inside = [row for row in shown if row["feature"] not in OUTLINE]
    outline = [row for row in shown if row["feature"] in OUTLINE]
    told = [_clause(row) for row in (*inside[:MOST_IN_HEADLINE], *outline[:1])]
    first = f"{other}’s {told[0][1]}" if told[0][0] else f"{other} {told[0][1]}"
    rest = [f"its {words}" if its else f"it {words}" for its, words in told[1:]]
    return PairWords(f"Beside {one}, {'; '.join([first, *rest])}.", tuple(_line(row) for row in shown))


def _nothing_shown(one: str, other: str, *, judged: bool) -> str:
    if not judged:
        return f"No difference between {one} and {other} is shown. Too few patients, sequences or frames for any claim."
    return f"No single measure shows a difference between {one} and {other}; their distance looks at all together."


def times(ratio: float) -> str:
    """ "3.6×", "12×", "1.08×", "half": a ratio above 0."""
    fraction = _fraction(ratio)
    if fraction:
        return fraction
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.1f}×" if ratio >= 1.5 else f"{ratio:.2f}×"


def _fraction(ratio: float) -> str:
    near = min(FRACTIONS, key=lambda fraction: abs(ratio / fraction - 1))
    return FRACTIONS[near] if abs(ratio / near - 1) <= SAME_FRACTION else ""


def _rank(row: dict[str, Any]) -> tuple[bool, float, int]:
    return row["feature"] in OUTLINE, -round(abs(row["delta"]), 1), ORDER.index(row["feature"])


def _clause(row: dict[str, Any]) -> tuple[bool, str]:
    ratio = row["other_value"] / row["value"] if row["value"] else math.inf
    clause = CLAUSES[row["feature"]]
    return clause.its, clause.words(ratio, row["delta"] > 0)


def _line(row: dict[str, Any]) -> str:
    feature = BY_NAME[row["feature"]]
    unit = f"{NO_BREAK}{feature.unit}" if feature.unit else ""
    values = f"{plain(row['other_value'], feature.digits)} against {plain(row['value'], feature.digits)}{unit}"
    return f"{feature.title}: {values} (δ {signed(row['delta'])})"
