"""Which frames of a large cohort are measured: some, drawn evenly over all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def drawn_evenly(items: Sequence[Item], count: int | None, *, name: str, seed: int = 0) -> tuple[Item, ...]:
    """``count`` of the items, in their order: one drawn at random from each of ``count`` stretches of equal length.

    Frames lie in natural order, sequence by sequence, so every sequence gives its share. The draw depends on seed,
    name (the cohort's) and the number of items alone. None, or a count that is not below theirs: all of them.
    """
    if count is None or count >= len(items):
        return tuple(items)
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    edges = np.linspace(0, len(items), count + 1)
    # Each stretch holds at least one whole position, since it is at least one long
    first, last = np.ceil(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    return tuple(items[int(position)] for position in generator.integers(first, last))
