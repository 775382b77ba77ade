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

ROWS_AT_ONCE, COLUMNS_AT_ONCE = 128, 8192
"""Two megabytes of distances: they stay in the processor's cache, and 200,000 frames need no more."""

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
        found = []
        for left_edge in range(first_column, len(right), COLUMNS_AT_ONCE):
            part = columns[:, left_edge : left_edge + COLUMNS_AT_ONCE]
            different = np.zeros((len(rows), part.shape[1]), np.uint16)
            for word in range(left.shape[1]):
                different += np.bitwise_count(rows[:, word, None] ^ part[word])
            row, column = np.nonzero(different <= most_bits)
            if len(row):
                found.append((row + start, column + left_edge, different[row, column]))
        if not found:
            continue
        row, column, bits = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if above_diagonal:
            above = row < column
            row, column, bits = row[above], column[above], bits[above]
        if len(found) > 1:
            order = np.lexsort((column, row))
            row, column, bits = row[order], column[order], bits[order]
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
COLUMNS = ("first", "second", "different")
MOST_CANDIDATES = 400_000
"""Candidates that are confirmed, the nearest first: a video of a still scene would otherwise take hours."""


@dataclass(frozen=True, slots=True)
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
    known, hashes = _hashes(fingerprints)
    if len(known) < 2:
        return PairSearch(())
    group = _group_numbers(groups, known)
    found = [_candidates(hashes[Mirroring.NONE], hashes[how], group) for how in Mirroring]
    first, second, different = (np.concatenate([getattr(part, name) for part in found]) for name in COLUMNS)
    how = np.repeat(np.arange(len(found)), [len(part.first) for part in found])
    order = np.argsort(different, kind="stable")[:MOST_CANDIDATES]
    best: dict[tuple[int, int], AlikePair] = {}
    for one, other, turned, distance in zip(first[order], second[order], how[order], different[order], strict=True):
        mirroring = tuple(Mirroring)[turned]
        key = int(known[one]), int(known[other])
        here, there = fingerprints[key[0]], fingerprints[key[1]]
        assert here is not None and there is not None  # the others are in no pair
        found_likeness = likeness(here.relief, mirrored(there.relief, mirroring))
        pair = AlikePair(*key, mirroring, found_likeness, int(distance))
        if _counts(pair) and (key not in best or best[key].likeness.fine < found_likeness.fine):
            best[key] = pair
    unconfirmed = max(0, sum(part.among for part in found) - MOST_CANDIDATES)
    return PairSearch(tuple(best[key] for key in sorted(best)), unconfirmed)


def _hashes(fingerprints: Sequence[Fingerprint | None]) -> tuple[NDArray[np.intp], dict[Mirroring, NDArray[np.uint64]]]:
    """Which frames have a fingerprint, and their hashes, N×words, as they are and turned over; each is read once."""
    known = np.zeros(len(fingerprints), np.intp)
    hashes = {how: np.zeros((len(fingerprints), HASH_WORDS), np.uint64) for how in Mirroring}
    count = 0
    for index, entry in enumerate(fingerprints):
        if entry is None:
            continue
        known[count] = index
        for how, table in hashes.items():
            unturned = how is Mirroring.NONE
            table[count] = entry.bits if unturned else difference_hash(mirrored(entry.relief, how))
        count += 1
    return known[:count], {how: table[:count] for how, table in hashes.items()}


def _counts(pair: AlikePair) -> bool:
    coarse, fine = pair.likeness
    same_scene = pair.mirroring is Mirroring.NONE and coarse >= SCENE_COARSE and fine >= SCENE_FINE
    return pair.same_image or same_scene


class _Candidates(NamedTuple):
    """Pairs of frames (indices) that may show the same image, the nearest ones of ``among``."""

    first: Indices
    second: Indices
    different: NDArray[np.uint16]
    among: int = 0


def _candidates(bits: NDArray[np.uint64], turned: NDArray[np.uint64], group: NDArray[np.int64]) -> _Candidates:
    """Never more than twice as many as will be looked at are held."""
    nothing = np.zeros(0, np.intp)
    parts, count, size = [_Candidates(nothing, nothing, np.zeros(0, np.uint16))], 0, 0
    for first, second, different in near_pairs(bits, turned, MOST_DIFFERENT_BITS, above_diagonal=True):
        apart = (group[first] != group[second]) | (group[first] < 0)
        parts.append(_Candidates(first[apart], second[apart], different[apart]))
        count, size = count + int(apart.sum()), size + int(apart.sum())
        if size > 2 * MOST_CANDIDATES:
            parts = [_nearest(parts)]
            size = len(parts[0].first)
    return _nearest(parts)._replace(among=count)


def _nearest(parts: Sequence[_Candidates]) -> _Candidates:
    """The nearest, at most MOST_CANDIDATES, in their order."""
    first, second, different = (np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS)
    kept = np.sort(np.argsort(different, kind="stable")[:MOST_CANDIDATES])
    return _Candidates(first[kept], second[kept], different[kept])


def _group_numbers(groups: Sequence[object] | None, known: NDArray[np.intp]) -> NDArray[np.int64]:
    if groups is None:
        return np.full(len(known), -1, np.int64)
    numbers: dict[object, int] = {}
    of = [groups[index] for index in known]
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in of], np.int64)
