"""All pairs of 256-bit hashes that differ in few bits: exclusive or and population count, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 128
"""Times 10,000 columns this is a megabyte of distances: it stays in the processor's cache."""

Indices = NDArray[np.intp]


def near_pairs(
    left: NDArray[np.uint64], right: NDArray[np.uint64], most_bits: int, *, above_diagonal: bool = False
) -> Iterator[tuple[Indices, Indices, NDArray[np.uint16]]]:
    """Rows of ``left`` and ``right`` that differ in at most ``most_bits`` bits.

    Args:
        left, right: uint64, N×words and M×words.
        above_diagonal: only pairs with first < second, for a table against itself (or its mirror images).
    Yields: per block of rows, positions in ``left``, positions in ``right``, and bits that differ.
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
            kept = row < column
            row, column, bits = row[kept], column[kept], bits[kept]
        if len(row):
            yield row, column, bits
