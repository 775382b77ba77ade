"""Which frames make up the batch of a step: a pure function of (seed, step), so a resumed run goes on exactly."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError


class Stream(IntEnum):
    """Independent random streams of one run."""

    SOURCE_POSITIVE = 1
    SOURCE_NEGATIVE = 2
    TARGET = 3
    SOURCE_AUGMENTATION = 4
    TARGET_AUGMENTATION = 5
    STEP = 6
    STATISTICS = 7
    TARGET_COLOURS = 8
    SOURCE_REMOVAL = 9
    TARGET_REMOVAL = 10


def seed_of(seed: int, *path: int) -> int:
    """A 32-bit seed for one purpose: different paths give independent streams."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1)[0])


class Deck:
    """An endless deck: all cards once in random order, then all again in another order, and so on."""

    def __init__(self, cards: Sequence[int], seed: int, stream: Stream) -> None:
        self.cards = np.asarray(cards)
        self.seed = seed
        self.stream = stream
        self._shuffled = lru_cache(maxsize=2)(self._shuffle)

    def draw(self, start: int, count: int) -> list[int]:
        """Cards number ``start`` … ``start + count − 1`` of the endless deck."""
        return [
            int(self._shuffled(index // len(self.cards))[index % len(self.cards)])
            for index in range(start, start + count)
        ]

    def _shuffle(self, round_number: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, self.stream, round_number]).permutation(self.cards)

    def __getstate__(self) -> tuple:
        return self.cards, self.seed, self.stream

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)  # type: ignore[misc]


class UniformSampler:
    """Batches of equally likely frames."""

    def __init__(self, count: int, batch_size: int, seed: int, stream: Stream) -> None:
        self.batch_size = batch_size
        self.deck = Deck(range(count), seed, stream)

    def batch(self, step: int) -> list[int]:
        """The frames' indices in the batch of a step."""
        return self.deck.draw(step * self.batch_size, self.batch_size)


class PrevalenceSampler:
    """Batches with a controlled fraction of polyp frames (output-space alignment matches prevalence, too)."""

    def __init__(self, positive: Sequence[bool], prevalence: float, batch_size: int, seed: int) -> None:
        """Args: positive: per frame, whether it shows a polyp. prevalence: wanted fraction of those, in [0, 1].

        Raises: DataError E_PREVALENCE when frames of a needed kind are missing.
        """
        self.batch_size = batch_size
        self.prevalence = prevalence
        indices = np.arange(len(positive))
        flags = np.asarray(positive, bool)
        for wanted, there, kind in ((prevalence, flags.any(), "with"), (1 - prevalence, (~flags).any(), "without")):
            if wanted > 0 and not there:
                what = f"a prevalence of {prevalence:g} needs source frames {kind} a polyp, and there are none."
                fix = "leave --prevalence out (natural prevalence), or add such frames."
                raise DataError("E_PREVALENCE", what, fix=fix)
        self.positive = Deck(indices[flags], seed, Stream.SOURCE_POSITIVE)
        self.negative = Deck(indices[~flags], seed, Stream.SOURCE_NEGATIVE)

    def batch(self, step: int) -> list[int]:
        """The frames' indices in the batch of a step; counts that are no whole number even out over the steps."""
        before, after = (int(np.floor(n * self.batch_size * self.prevalence + 1e-9)) for n in (step, step + 1))
        positives = after - before
        return self.positive.draw(before, positives) + self.negative.draw(
            step * self.batch_size - before, self.batch_size - positives
        )
