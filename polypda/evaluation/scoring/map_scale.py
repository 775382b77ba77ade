"""What the values of external maps mean, decided from all maps of a folder; what is ambiguous is refused.

A scale is given by ``--scale`` or found: files of whole numbers hold 0 … full scale, 0 … 255 in 16 bits, 0 … 100 (per
cent), 0 and 1, or black and one bright value. A folder whose values would make no pixel at all polyp at the scale of
its files, or that holds few dark values as classes do, is asked about: perfect maps would score 0 in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError, UsageError

FULL_SCALE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
PER_CENT = 100
MOST_CLASSES = 16
"""Values of a folder are listed up to this number; more are no classes."""
LEAST_AT_TOP = 0.25
"""Soft maps in per cent reach 100 in at least this fraction of the files that hold anything."""
FAINTEST = 0.01
"""Floating-point maps that end below this were divided twice: no map of a segmenter is as faint."""


class MapKind(StrEnum):
    """How a file stores its values; the words stand in notes."""

    EIGHT = "8-bit"
    SIXTEEN = "16-bit"
    FLOAT = "floating-point"
    BOOL = "boolean"

    @classmethod
    def of(cls, values: NDArray) -> MapKind:
        """Of an array of uint8, uint16, bool or floats."""
        if values.dtype in FULL_SCALE:
            return cls.EIGHT if values.dtype == np.uint8 else cls.SIXTEEN
        return cls.BOOL if values.dtype == bool else cls.FLOAT


@dataclass(frozen=True)
class MapScale:
    """Values 0 … white stand for P(polyp) 0 … 1; or those in ``classes`` are polyp and all others are not."""

    white: float = 1.0
    classes: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> MapScale:
        """Read ``0-255``, ``0-1``… or ``class:2``, ``class:1,3``. Raises: UsageError E_SCALE."""
        kind, colon, listed = text.strip().partition(":")
        try:
            if colon and kind == "class":
                classes = tuple(int(part) for part in listed.split(","))
                if min(classes) >= 0:
                    return cls(classes=classes)
            low, dash, high = text.strip().partition("-")
            if dash and float(low) == 0 and 0 < float(high) < float("inf"):
                return cls(float(high))
        except ValueError:
            pass
        raise UsageError("E_SCALE", f"'{text}' is no scale.", fix="0-1, 0-100, 0-255, 0-65535, 0-N, or class:K[,K…].")

    def __str__(self) -> str:
        return f"class {', '.join(map(str, self.classes))}" if self.classes else f"0–{self.white:g}"

    def probability(self, values: NDArray) -> NDArray[np.float32]:
        """Stored values H×W → P(polyp), float32 H×W."""
        if self.classes:
            return np.isin(values, self.classes).astype(np.float32)
        return values.astype(np.float32) / np.float32(self.white)


@dataclass(frozen=True)
class MapFacts:
    """What one map holds. values: the distinct ones of whole numbers, up to ``MOST_CLASSES``; None: more, or floats."""

    kind: MapKind
    lowest: float
    highest: float
    values: frozenset[int] | None

    @classmethod
    def of(cls, values: NDArray) -> MapFacts:
        """Of uint8, uint16, bool or float H×W; what is no number is passed over (scoring refuses it)."""
        if values.dtype in FULL_SCALE:
            present = np.flatnonzero(np.bincount(values.ravel(), minlength=1))
            few = frozenset(map(int, present)) if len(present) <= MOST_CLASSES else None
            return cls(MapKind.of(values), int(present.min(initial=0)), int(present.max(initial=0)), few)
        kind = MapKind.of(values)
        finite = values[np.isfinite(values)] if kind is MapKind.FLOAT else values
        return cls(kind, float(finite.min(initial=0)), float(finite.max(initial=0)), None)


@dataclass(frozen=True)
class Decision:
    """How the files of one kind are read. masks: they hold two values alone. dark: files that end at 1 where others do
    not. count: of files."""

    kind: MapKind
    scale: MapScale
    count: int
    masks: bool = False
    dark: int = 0
    given: bool = False

    @property
    def note(self) -> str:
        """What the user must know of it."""
        how = "as --scale says" if self.given else "decided from all of them"
        text = f"{self.count} {self.kind} maps, read as {self.scale} ({how})"
        if self.masks and self.scale == MapScale() and self.kind is not MapKind.BOOL:
            return f"{text}; the maps hold only 0 and 1, so calibration says nothing."
        if self.masks:
            return f"{text}; they hold two values alone, so calibration says nothing."
        if self.dark:
            text += f"; {self.dark} maps have no value above 1 beside others that do, and were read as probabilities "
            text += f"of at most 1/{self.scale.white:g}; masks belong into one folder, all 0/255 or all 0/1"
        return f"{text}."


def decide(facts: Sequence[MapFacts], given: MapScale | None, where: str) -> dict[MapKind, Decision]:
    """How the maps of a folder are read, by the kind of their files.

    Raises: DataError E_PREDICTION_SCALE where their values are ambiguous, or do not fit the scale that was given.
    """
    decisions: dict[MapKind, Decision] = {}
    for kind in dict.fromkeys(fact.kind for fact in facts):
        of_kind = [fact for fact in facts if fact.kind is kind]
        if kind is MapKind.BOOL:
            decisions[kind] = Decision(kind, MapScale(), len(of_kind), masks=True)
        elif given is not None:
            decisions[kind] = _as_given(kind, of_kind, given, where)
        else:
            decisions[kind] = _float(of_kind, where) if kind is MapKind.FLOAT else _whole(kind, of_kind, where)
    return decisions


def _as_given(kind: MapKind, facts: Sequence[MapFacts], given: MapScale, where: str) -> Decision:
    highest = max(fact.highest for fact in facts)
    if not given.classes and highest > given.white * (1 + 1e-5):
        what = f"{kind} maps hold values up to {highest:g}, beyond the scale {given} that was given."
        raise DataError("E_PREDICTION_SCALE", what, where=where, fix="give the scale that they have, or none.")
    values = _values(facts)
    masks = bool(given.classes) or (values is not None and len(values) == 2)
    return Decision(kind, given, len(facts), masks, given=True)


def _float(facts: Sequence[MapFacts], where: str) -> Decision:
    highest = max(fact.highest for fact in facts)
    if 0 < highest < FAINTEST and min(fact.lowest for fact in facts) >= 0:
        what = f"no value of {len(facts)} floating-point maps is above {highest:.3g}: were they divided twice?"
        fix = f"--scale 0-{highest:.3g} (the brightest is certain), or 0-1 (as they are)."
        raise DataError("E_PREDICTION_SCALE", what, where=where, fix=fix)
    return Decision(MapKind.FLOAT, MapScale(), len(facts))


def _whole(kind: MapKind, facts: Sequence[MapFacts], where: str) -> Decision:
    full = 255 if kind is MapKind.EIGHT else 65535
    values, highest = _values(facts), int(max(fact.highest for fact in facts))
    white = _white(facts, values, highest, full)
    if white is None:
        raise _ambiguous(kind, len(facts), values, highest, full, where)
    masks = values is not None and len(values) == 2 and 0 in values
    dark = 0 if masks or highest <= 1 else sum(fact.highest == 1 for fact in facts)
    return Decision(kind, MapScale(white), len(facts), masks, dark)


def _white(facts: Sequence[MapFacts], values: frozenset[int] | None, highest: int, full: int) -> int | None:
    """The value of certainty; None where it is not clear."""
    half = (full + 1) // 2
    if highest <= 1:
        return 1 if highest else full
    if values is not None and values <= {0, highest}:  # two values alone
        return highest if highest in (PER_CENT, 255) or highest >= half else None
    between = (values or frozenset()) - {0, highest}
    if between and max(between) <= MOST_CLASSES:  # 0/1 beside 0/255, or classes beside "void"
        return None
    if highest == PER_CENT:
        filled = [fact for fact in facts if fact.highest]
        return PER_CENT if sum(fact.highest == PER_CENT for fact in filled) >= LEAST_AT_TOP * len(filled) else None
    if highest >= half:
        return full
    return 255 if full > 255 and 128 <= highest <= 255 else None


def _values(facts: Sequence[MapFacts]) -> frozenset[int] | None:
    """The distinct values of all maps; None where they are too many to be classes."""
    found: set[int] = set()
    for fact in facts:
        if fact.values is None:
            return None
        found |= fact.values
    return frozenset(found) if len(found) <= MOST_CLASSES else None


def _ambiguous(
    kind: MapKind, count: int, values: frozenset[int] | None, highest: int, full: int, where: str
) -> DataError:
    if values is None:
        held = f"values up to {highest}, where {full} is full scale: no pixel of any map would be polyp"
    else:
        held = f"the values {', '.join(map(str, sorted(values)))} alone, where {full} is full scale"
    scales = [f"0-{full} (as the files are)", f"0-{highest} (the brightest is certain)"]
    if highest <= PER_CENT:
        scales.insert(1, "0-100 (per cent)")
    if values is not None:
        scales += [f"class:{value}" for value in sorted(values - {0})][:3]
    what = f"{count} {kind} maps hold {held}: at which scale they were written is not known."
    return DataError("E_PREDICTION_SCALE", what, where=where, fix=f"say it: --scale {', or '.join(scales)}.")
