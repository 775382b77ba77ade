"""Pairs of frames that show the same image: candidates by their hashes, confirmed by correlation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.quality.fingerprints import HASH_WORDS, RELIEF_SIDE, Fingerprint, Relief, difference_hash

ROWS_AT_ONCE = 128
"""Times 10,000 columns this is a megabyte of distances: it stays in the processor's cache."""

Indices = NDArray[np.intp]


def near_pairs(
    left: NDArray[np.uint64], right: NDArray[np.uint64], most_bits: int, *, above_diagonal: bool = False
) -> Iterator[tuple[Indices, Indices, NDArray[np.uint16]]]:
    """Rows of ``left`` and ``right`` (uint64, N×words and M×words) that differ in at most ``most_bits`` bits.

    above_diagonal: only pairs with first < second, for a table against itself (or its mirror images).
    Yields: per block of rows, indices in ``left``, indices in ``right``, and bits that differ.
    """
    columns = np.ascontiguousarray(right.T)
    for start in range(0, len(left), ROWS_AT_ONCE):
        rows = left[start : start + ROWS_AT_ONCE]
        first_column = start + 1 if above_diagonal else 0
        different = np.zeros((len(rows), max(0, len(right) - first_column)), np.uint16)
        for word in range(left.shape[1]):
            different += np.bitwise_count(rows[:, word, None] ^ columns[word, None, first_column:])
        row, column = np.nonzero(different <= most_bits)
        bits = different[row, column]
        row, column = row + start, column + first_column
        if above_diagonal:
            above = row < column
            row, column, bits = row[above], column[above], bits[above]
        if len(row):
            yield row, column, bits


TEMPLATE_SIDE = 44
"""Cells of the middle of one relief that are looked for in the other: shifts up to a sixth of the image are found."""
ZOOMS = (1.0, 0.94, 1.06, 0.88, 1.14)
"""Sizes at which the middle is tried: a shifted or bordered copy may have been cut a little wider or narrower."""
HOPELESS = 0.45
"""Best correlation at equal size below which other sizes are not tried."""
CLEAR = 0.97


FINE_BLUR = 2.5
"""Details smaller than this (cells of 64) are compared by themselves: folds and lumens of other scenes may agree in the
large, never in these."""


class Likeness(NamedTuple):
    """Correlations, −1 to 1: of the reliefs, and of their details alone."""

    coarse: float
    fine: float


class Mirroring(StrEnum):
    """How a copy was turned over."""

    NONE = "as it is"
    HORIZONTAL = "mirrored left to right"
    VERTICAL = "mirrored top to bottom"
    BOTH = "turned by 180°"


def mirrored(relief: Relief, how: Mirroring) -> Relief:
    """The relief turned over."""
    rows = slice(None, None, -1) if how in (Mirroring.VERTICAL, Mirroring.BOTH) else slice(None)
    columns = slice(None, None, -1) if how in (Mirroring.HORIZONTAL, Mirroring.BOTH) else slice(None)
    return np.ascontiguousarray(relief[rows, columns])


def likeness(one: Relief, other: Relief) -> Likeness:
    """How alike two reliefs are, at the position and size where the middle of one fits best into the other."""
    middle, whole = _middle(one), other.astype(np.float32)
    best = Likeness(-1.0, -1.0)
    for zoom in ZOOMS:
        side = round(TEMPLATE_SIDE * zoom)
        template = middle if zoom == 1.0 else cv2.resize(middle, (side, side), interpolation=cv2.INTER_LINEAR)
        _, coarse, _, (left, top) = cv2.minMaxLoc(cv2.matchTemplate(whole, template, cv2.TM_CCOEFF_NORMED))
        if coarse > best.coarse:
            best = Likeness(coarse, _fine(template, whole[top : top + side, left : left + side]))
        if best.coarse > CLEAR or best.coarse < HOPELESS:
            break
    return best


def _fine(one: NDArray, other: NDArray) -> float:
    details = [(part - cv2.GaussianBlur(part, (0, 0), FINE_BLUR)).ravel() for part in (one, other)]
    norms = [float(np.linalg.norm(part)) for part in details]
    return float(details[0] @ details[1]) / (norms[0] * norms[1]) if min(norms) > 0 else 0.0


def _middle(relief: Relief) -> NDArray[np.float32]:
    edge = (RELIEF_SIDE - TEMPLATE_SIDE) // 2
    return np.ascontiguousarray(relief[edge : edge + TEMPLATE_SIDE, edge : edge + TEMPLATE_SIDE]).astype(np.float32)


MOST_DIFFERENT_BITS = 76
"""Copies differ in up to 76 of 256 bits, unrelated frames of one scope in fewer than 79 once in a thousand."""
LEAST_COARSE, LEAST_FINE = 0.8, 0.6
"""Correlations (of reliefs, of their details) from which two frames count as the same image."""
MIRRORED_FINE = 0.75
"""The second, for mirrored frames: nobody films a scene twice mirrored, so only true copies count (turned over, reduced
to 0.6 and recompressed at quality 50, details of real frames still agree to 0.79), and three more ways to fit give
smooth walls with one fold three more chances to agree."""
SCENE_COARSE, SCENE_FINE = 0.75, 0.45
"""The same, for frames that seem to show one scene from nearly one position; a hint, not a proof."""
MOST_CANDIDATES = 400_000
"""Candidates that are confirmed, the nearest first: a video of a still scene would otherwise take hours."""


@dataclass(frozen=True)
class AlikePair:
    """Two frames (indices, first < second) that show the same image or, less sure, the same scene."""

    first: int
    second: int
    mirroring: Mirroring
    likeness: Likeness
    bits: int

    @property
    def same_image(self) -> bool:
        """True for a copy or all but a copy; False for what is only alike."""
        least_fine = LEAST_FINE if self.mirroring is Mirroring.NONE else MIRRORED_FINE
        return self.likeness.coarse >= LEAST_COARSE and self.likeness.fine >= least_fine


@dataclass(frozen=True)
class PairSearch:
    """What was found; unconfirmed: candidates beyond ``MOST_CANDIDATES`` that nobody looked at."""

    pairs: tuple[AlikePair, ...]
    unconfirmed: int = 0

    @property
    def copies(self) -> tuple[AlikePair, ...]:
        """The pairs that show the same image."""
        return tuple(pair for pair in self.pairs if pair.same_image)


def find_alike(fingerprints: Sequence[Fingerprint | None], groups: Sequence[object] | None = None) -> PairSearch:
    """All pairs of frames that show the same image (mirrored ones, too) or the same scene (not mirrored).

    fingerprints: None for a frame that has none; it is in no pair. groups: pairs within one group are not looked for
    (neighbours of one known sequence); None belongs to none.
    """
    known = np.array([index for index, entry in enumerate(fingerprints) if entry is not None], np.intp)
    if len(known) < 2:
        return PairSearch(())
    held = [entry for entry in fingerprints if entry is not None]
    group = _group_numbers(groups, known)
    bits = np.stack([entry.bits for entry in held])
    found = [_candidates(bits, held, how, group) for how in Mirroring]
    first, second, different = (np.concatenate([part[k] for part in found]) for k in range(3))
    how = np.repeat(np.arange(len(found)), [len(part[0]) for part in found])
    order = np.argsort(different, kind="stable")[:MOST_CANDIDATES]
    best: dict[tuple[int, int], AlikePair] = {}
    for one, other, turned, distance in zip(first[order], second[order], how[order], different[order], strict=True):
        mirroring = tuple(Mirroring)[turned]
        found_likeness = likeness(held[one].relief, mirrored(held[other].relief, mirroring))
        key = int(known[one]), int(known[other])
        pair = AlikePair(*key, mirroring, found_likeness, int(distance))
        if _counts(pair) and (key not in best or best[key].likeness.fine < found_likeness.fine):
            best[key] = pair
    return PairSearch(tuple(best[key] for key in sorted(best)), max(0, len(first) - MOST_CANDIDATES))


def _counts(pair: AlikePair) -> bool:
    coarse, fine = pair.likeness
    same_scene = pair.mirroring is Mirroring.NONE and coarse >= SCENE_COARSE and fine >= SCENE_FINE
    return pair.same_image or same_scene


def _candidates(
    bits: NDArray[np.uint64], held: Sequence[Fingerprint], how: Mirroring, group: NDArray[np.int64]
) -> tuple[NDArray, NDArray, NDArray]:
    right = bits
    if how is not Mirroring.NONE:
        right = np.stack([difference_hash(mirrored(entry.relief, how)) for entry in held]).reshape(-1, HASH_WORDS)
    parts = list(near_pairs(bits, right, MOST_DIFFERENT_BITS, above_diagonal=True))
    if not parts:
        nothing = np.zeros(0, np.intp)
        return nothing, nothing, nothing
    first, second, different = (np.concatenate([part[k] for part in parts]) for k in range(3))
    apart = (group[first] != group[second]) | (group[first] < 0)
    return first[apart], second[apart], different[apart]


def _group_numbers(groups: Sequence[object] | None, known: NDArray[np.intp]) -> NDArray[np.int64]:
    if groups is None:
        return np.full(len(known), -1, np.int64)
    numbers: dict[object, int] = {}
    of = [groups[index] for index in known]
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in of], np.int64)
