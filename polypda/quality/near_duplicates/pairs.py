"""Pairs of frames that show the same picture: candidates by their hashes, confirmed by correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.quality.near_duplicates.confirmation import Likeness, Mirroring, likeness, mirrored
from polypda.quality.near_duplicates.fingerprint import HASH_WORDS, Fingerprint, difference_hash
from polypda.quality.near_duplicates.hash_search import near_pairs

MOST_DIFFERENT_BITS = 76
"""Copies differ in up to 76 of 256 bits, unrelated frames of one scope in fewer than 79 once in a thousand."""
LEAST_COARSE, LEAST_FINE = 0.8, 0.6
"""Correlations (of reliefs, of their details) from which two frames count as the same picture."""
MIRRORED_FINE = 0.75
"""The second, for mirrored frames: nobody films a scene twice mirrored, so only true copies count (turned over, reduced
to 0.6 and recompressed at quality 50, details of real frames still agree to 0.79), and three more ways to fit give
smooth walls with one fold three more chances to agree."""
SCENE_COARSE, SCENE_FINE = 0.75, 0.45
"""The same, for frames that seem to show one scene from nearly one place; a hint, not a proof."""
MOST_CANDIDATES = 400_000
"""Candidates that are confirmed, the nearest first: a film of a still scene would otherwise take hours."""


@dataclass(frozen=True)
class AlikePair:
    """Two frames (positions, first < second) that show the same picture or, less sure, the same scene."""

    first: int
    second: int
    mirroring: Mirroring
    likeness: Likeness
    bits: int

    @property
    def same_picture(self) -> bool:
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
        """The pairs that show the same picture."""
        return tuple(pair for pair in self.pairs if pair.same_picture)


def find_alike(fingerprints: Sequence[Fingerprint | None], groups: Sequence[object] | None = None) -> PairSearch:
    """All pairs of frames that show the same picture (mirrored ones, too) or the same scene (not mirrored).

    Args:
        fingerprints: None for a frame that has none; it is in no pair.
        groups: pairs within one group are not looked for (neighbours of one known sequence); None belongs to none.
    """
    known = np.array([place for place, entry in enumerate(fingerprints) if entry is not None], np.intp)
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
    return pair.same_picture or same_scene


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
    of = [groups[place] for place in known]
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in of], np.int64)
