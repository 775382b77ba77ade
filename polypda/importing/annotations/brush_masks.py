"""Label Studio's brush: RGBA values of the frame, row by row, as runs and literals packed into bits.

The stream: 32 bits, how many values (height · width · 4); 5 bits, bits per value less one; four times 4 bits, the
lengths of run counters less one. Then blocks until all values are there: one bit, 1 for a run and 0 for literals; two
bits, which of the four counters; the counter, how many less one; then one value, or that many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError
from polypda.importing.contract import MaskPixels

LEAST_OPAQUE = 128
"""A pixel is polyp when its opacity (0–255) reaches this; the rim of a brush is half transparent."""


def brush_mask(stream: Sequence[object], size: tuple[int, int], where: str) -> MaskPixels:
    """The mask of a brush region.

    stream: the bytes, 0–255. size: (height, width) of the picture that was painted on.
    Raises: DataError E_RLE, E_RLE_LENGTH.
    """
    height, width = size
    values = _values(_bits(stream, where), height * width * 4, where)
    return (values.reshape(height, width, 4)[..., 3] >= LEAST_OPAQUE).astype(np.uint8)


def _bits(stream: Sequence[object], where: str) -> NDArray[np.uint8]:
    if not all(isinstance(byte, int) and not isinstance(byte, bool) and 0 <= byte <= 255 for byte in stream):
        raise _broken("a value of the packed brush is no byte.", where)
    return np.unpackbits(np.array(stream, np.uint8))


def _values(bits: NDArray[np.uint8], expected: int, where: str) -> NDArray[np.int64]:
    text = bits.tobytes().translate(bytes([48, 49]) + bytes(254)).decode("ascii")  # int() reads ranges of digits fast
    try:
        count, word = int(text[:32], 2), int(text[32:37], 2) + 1
        counters = [int(text[start : start + 4], 2) + 1 for start in range(37, 53, 4)]
    except ValueError:
        raise _broken("the packed brush has no header.", where) from None
    if count != expected:
        what = f"the brush covers {count} values, but the picture that was painted on has {expected}."
        raise DataError("E_RLE_LENGTH", what, where=where, fix="find the annotation of this very picture.")
    weights = 1 << np.arange(word, dtype=np.int64)[::-1]
    values = np.zeros(count, np.int64)
    done, place = 0, 53
    while done < count:
        try:
            run = text[place] == "1"
            counter = counters[int(text[place + 1 : place + 3], 2)]
            place += 3
            many = min(_number(text, place, counter) + 1, count - done)
            place += counter
            if run:
                values[done : done + many] = _number(text, place, word)
                place += word
            else:
                values[done : done + many] = bits[place : place + many * word].reshape(many, word) @ weights
                place += many * word
        except (ValueError, IndexError):
            raise _broken(f"the packed brush breaks off after {done} of {count} values.", where) from None
        done += many
    return values


def _number(text: str, place: int, length: int) -> int:
    digits = text[place : place + length]
    if len(digits) < length:
        raise IndexError(place)
    return int(digits, 2)


def _broken(what: str, where: str) -> DataError:
    return DataError("E_RLE", what, where=where, fix="export the annotation again.")
