"""Random frames for the laws of the metrics: small masks of any shape, and larger frames with several lesions.

A mask is decoded from one whole number. Drawing every side of every rectangle by itself takes longer than scoring the
frame, and 10,000 frames are tried per law.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from polypda.evaluation.scoring.metrics import FrameMetrics, frame_metrics

SIZES = ((1, 7), (7, 1), (3, 4), (6, 5), (5, 9), (9, 4))
MOST_PIXELS = 45
CELLS_DOWN, CELLS_ACROSS, CELL = 2, 3, 9
"""A frame with room for several lesions of 20 px and more: 18 × 27 px."""
LESION = (4, 5, 8, 7)
"""How many values a lesion's top, left, height (from 2) and width (from 4) may take in its cell."""

Mask = NDArray[np.bool_]


class Masks(NamedTuple):
    """Bool H×W each."""

    reference: Mask
    prediction: Mask
    valid: Mask

    @property
    def scores(self) -> FrameMetrics:
        return frame_metrics(self.prediction.astype(float), self.reference, self.valid)

    def __repr__(self) -> str:
        """The drawing of :mod:`conformance_case`, to be pasted into the table."""
        letters = np.array(list("~PGB.pgT"))[4 * self.valid + 2 * self.reference + self.prediction]
        return " ".join("".join(row) for row in letters)


def from_bits(bits: int, size: tuple[int, int]) -> Mask:
    """The lowest bits of a number, row by row."""
    count = size[0] * size[1]
    octets = (bits & ((1 << count) - 1)).to_bytes(count // 8 + 1, "little")
    return np.unpackbits(np.frombuffer(octets, np.uint8), bitorder="little")[:count].astype(bool).reshape(size)


def digits(number: int, bases: tuple[int, ...]) -> list[int]:
    """A number's digits, each to a base of its own, the lowest first; what is left of the number is dropped."""
    found = []
    for base in bases:
        number, digit = divmod(number, base)
        found.append(digit)
    return found


def from_rectangle(number: int, size: tuple[int, int]) -> Mask:
    height, width = size
    top, left, tall, wide = digits(number, (height, width, height, width))
    mask = np.zeros(size, bool)
    mask[top : top + tall + 1, left : left + wide + 1] = True
    return mask


def decoded(number: int, size: tuple[int, int]) -> Mask:
    """Nothing, scattered pixels, one rectangle, two, a rectangle cut by another, or everything."""
    number, kind = divmod(number, 8)
    if kind < 3:
        return from_bits(number, size)
    one, other = from_rectangle(number, size), from_rectangle(number // 4096, size)
    return (one, one | other, one & ~other, np.zeros(size, bool), np.ones(size, bool))[kind - 3]


def with_one_pixel(mask: Mask, index: int) -> Mask:
    """The mask, or one pixel where it is empty."""
    if not mask.any():
        mask = mask.copy()
        mask.flat[index % mask.size] = True
    return mask


def masks(*, both_marked: bool = False) -> st.SearchStrategy[Masks]:
    """Reference, prediction and a valid area; with ``both_marked`` neither mask is empty inside the valid area."""

    def build(size: tuple[int, int], numbers: tuple[int, int, int], index: int) -> Masks:
        reference, prediction, hidden = (decoded(number, size) for number in numbers)
        valid = with_one_pixel(~hidden, index)
        if both_marked:
            inside = int(np.flatnonzero(valid)[index % valid.sum()])
            reference = reference | with_one_pixel(reference & valid, inside)
            prediction = prediction | with_one_pixel(prediction & valid, inside)
        return Masks(reference, prediction, valid)

    number = st.integers(0, 8 * 2**MOST_PIXELS - 1)
    hidden = st.one_of(st.just(6), number)  # 6: nothing is hidden
    return st.builds(build, st.sampled_from(SIZES), st.tuples(number, number, hidden), st.integers(0, MOST_PIXELS - 1))


def lesion_frames() -> st.SearchStrategy[Masks]:
    """In each cell perhaps a polyp, perhaps a mark, 4 to 10 px a side: they meet, merge, miss, reach next door."""
    size = CELLS_DOWN * CELL, CELLS_ACROSS * CELL
    cells, per_cell = CELLS_DOWN * CELLS_ACROSS, int(np.prod(LESION))

    def lesions(number: int) -> Mask:
        mask = np.zeros(size, bool)
        for cell, code in enumerate(digits(number, (per_cell,) * cells)):
            top, left, height, width = digits(code, LESION)
            if height > 1:
                top, left = top + cell // CELLS_ACROSS * CELL, left + cell % CELLS_ACROSS * CELL
                mask[top : top + height + 2, left : left + width + 4] = True
        return mask

    def build(polyps: int, marks: int, strip: int) -> Masks:
        valid = np.ones(size, bool)
        hidden, row, column = digits(strip, (4, size[0], size[1]))
        if hidden == 3:
            valid[row + 1 :, column : column + 2] = False
        return Masks(lesions(polyps), lesions(marks), valid)

    many = st.integers(0, per_cell**cells - 1)
    return st.builds(build, many, many, st.integers(0, size[0] * size[1] * 4 - 1))
