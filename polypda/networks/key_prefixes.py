"""Which prefix of a weights file's keys has to change so that they are a network's own names.

Wrappers put words before every name: ``module.`` (data-parallel), ``_orig_mod.`` (compiled), ``encoder.`` (a part of a
larger network), ``state_dict.``, one inside another. So no list of them is kept: the change that fits most is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from polypda.errors import DataError


@dataclass(frozen=True)
class Renamed:
    """A file's tensors under a network's names. unused: the file's own keys, as they are there, that are none of these
    names. taken, added: the prefix of the file that was taken off, and the network's that was put in its place; both
    may be empty."""

    tensors: dict[str, Tensor]
    unused: tuple[str, ...]
    taken: str
    added: str

    @property
    def told(self) -> str:
        """The change in words, an empty string where there is none."""
        parts = [f"'{self.taken}' taken off"] if self.taken else []
        parts += [f"'{self.added}' put before"] if self.added else []
        return " and ".join(parts)


def renamed_to_fit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], where: str | Path = "") -> Renamed:
    """Return the state under the change of prefix that makes most of its tensors fit, by name and shape.

    Only keys with that prefix are kept. Prefixes end at a dot. Where nothing fits, nothing is changed.

    Raises DataError E_WEIGHTS_AMBIGUOUS when two prefixes fit wholly, with other values (a student and its teacher).
    """
    names: Counter[tuple[str, str]] = Counter()
    shapes: Counter[tuple[str, str]] = Counter()
    adding = [
        prefix for prefix in _prefixes(next(iter(expected), "")) if all(key.startswith(prefix) for key in expected)
    ]
    for key, value in state.items():
        for taken in _prefixes(key):
            for added in adding:
                wanted = expected.get(added + key[len(taken) :])
                if wanted is not None:
                    names[taken, added] += 1
                    shapes[taken, added] += wanted.shape == value.shape
    if not names:
        return Renamed(dict(state), tuple(state), "", "")
    ranked = sorted(names, key=lambda pair: (-shapes[pair], -names[pair], len(pair[0]), len(pair[1]), pair))
    best, *rivals = (_renamed(expected, state, *pair) for pair in ranked)
    needed = {key: value for key, value in expected.items() if not is_counter(key)}
    if _fits(needed, best):
        for rival in rivals:
            if _fits(needed, rival) and any(not torch.equal(best.tensors[key], rival.tensors[key]) for key in needed):
                what = f"the file holds this network twice, under '{best.taken}' and under '{rival.taken}'"
                fix = "save the one that is meant in a file of its own."
                raise DataError("E_WEIGHTS_AMBIGUOUS", what, where=where, fix=fix)
    return best


def is_counter(key: str) -> bool:
    """Say whether a tensor only counts batches: it matters for a cumulative average alone, and older files lack it."""
    return key.endswith("num_batches_tracked")


def _fits(needed: Mapping[str, Tensor], found: Renamed) -> bool:
    return all(key in found.tensors and found.tensors[key].shape == value.shape for key, value in needed.items())


def _renamed(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], taken: str, added: str) -> Renamed:
    names = {key: added + key[len(taken) :] for key in state if key.startswith(taken)}
    unused = tuple(key for key in state if names.get(key) not in expected)
    return Renamed({name: state[key] for key, name in names.items()}, unused, taken, added)


def _prefixes(key: str) -> Iterator[str]:
    """Yield "", "a.", "a.b." of "a.b.weight"."""
    yield ""
    yield from (key[: place + 1] for place, letter in enumerate(key) if letter == ".")
