"""Masks as runs of pixels, as COCO, CVAT and Label Studio write them.

COCO and CVAT alternate between runs of background and of polyp and begin with background. COCO walks down the columns
of the whole frame; CVAT walks along the rows of a window. COCO's text packs the runs six bits to a character.
pycocotools decodes it too, but returns memory that it never wrote when the runs are too short, and reads beyond a text
that breaks off: files from elsewhere must not reach it unchecked, and once checked nothing is left for it to do.

Label Studio's brush holds RGBA values of the frame, row by row, as runs and literals packed into bits: 32 bits, how
many values (height · width · 4); 5 bits, bits per value less one; four times 4 bits, the lengths of run counters less
one. Then blocks until all values are there: one bit, 1 for a run and 0 for literals; two bits, which of the four
counters; the counter, how many less one; then one value, or that many.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError
from polypda.importing.contract import MaskPixels

_FIRST, _LAST = ord("0"), ord("o")  # 64 characters, six bits each
_MORE, _SIGN, _VALUE = 0x20, 0x10, 0x1F
_LISTED = re.compile(r" *\[ *\d{1,9}(?:\.0)? *(?:, *\d{1,9}(?:\.0)? *)+\] *")
"""A list of runs that somebody wrote as text; a comma is no character of COCO's own text."""
_MOST_CHARACTERS = 8  # 40 bits: beyond any run of any picture


def coco_mask(counts: object, size: tuple[int, int], where: str) -> MaskPixels:
    """A COCO mask of the whole frame: column by column, ``counts`` a list of runs or COCO's text.

    size: (height, width) of the mask. Raises: DataError E_RLE, E_RLE_LENGTH.
    """
    if isinstance(counts, str) and _LISTED.fullmatch(counts):
        counts = [float(run) for run in counts.strip(" []").split(",")]
    runs = coco_runs(counts, where) if isinstance(counts, (str, bytes)) else _checked(counts, where)
    height, width = size
    return np.ascontiguousarray(_spread(runs, height * width, where).reshape(width, height).T)


def cvat_mask(
    counts: Sequence[object], window: tuple[int, int, int, int], size: tuple[int, int], where: str
) -> MaskPixels:
    """A CVAT mask: row by row in a window (left, top, width, height, px) of a frame of ``size`` (height, width).

    Raises: DataError E_RLE, E_RLE_LENGTH, E_RLE_WINDOW.
    """
    left, top, width, height = window
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size[1] or top + height > size[0]:
        what = f"the mask's window {width}×{height} at ({left}, {top}) leaves the frame of {size[1]}×{size[0]}."
        raise DataError("E_RLE_WINDOW", what, where=where, fix="export the annotation again.")
    mask = np.zeros(size, np.uint8)
    pixels = _spread(_checked(counts, where), width * height, where)
    mask[top : top + height, left : left + width] = pixels.reshape(height, width)
    return mask


def coco_runs(packed: str | bytes, where: str) -> list[int]:
    """The runs that COCO's text holds: groups of five bits, lowest first; from the fourth run on, what is added to the
    run before the last. Raises: DataError E_RLE."""
    codes = packed.encode("utf-8", "replace") if isinstance(packed, str) else packed
    runs: list[int] = []
    value, shift = 0, 0
    for code in codes:
        if not _FIRST <= code <= _LAST or shift >= 5 * _MOST_CHARACTERS:
            break
        bits = code - _FIRST
        value |= (bits & _VALUE) << shift
        shift += 5
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value, shift = 0, 0
    else:
        if shift == 0:
            return _checked(runs, where)
    what = f"the packed mask breaks off or holds a strange character after {len(runs)} runs."
    raise DataError("E_RLE", what, where=where, fix="export the annotation again.")


def _checked(counts: object, where: str) -> list[int]:
    runs = counts if isinstance(counts, Sequence) and not isinstance(counts, (str, bytes)) else [None]
    if all(isinstance(run, (int, float)) and not isinstance(run, bool) and 0 <= run == run // 1 for run in runs):
        return [int(run) for run in runs if run is not None]
    raise DataError("E_RLE", "a run of the mask is no count.", where=where, fix="export the annotation again.")


def _spread(runs: list[int], pixels: int, where: str) -> MaskPixels:
    total = sum(runs)
    if total != pixels:
        what = f"the mask's runs cover {total} pixels, but it has {pixels}."
        raise DataError("E_RLE_LENGTH", what, where=where, fix="find the annotation of this very picture.")
    return np.repeat(np.arange(len(runs), dtype=np.int64) & 1, runs).astype(np.uint8)


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
    done, index = 0, 53
    while done < count:
        try:
            run = text[index] == "1"
            counter = counters[int(text[index + 1 : index + 3], 2)]
            index += 3
            many = min(_number(text, index, counter) + 1, count - done)
            index += counter
            if run:
                values[done : done + many] = _number(text, index, word)
                index += word
            else:
                values[done : done + many] = bits[index : index + many * word].reshape(many, word) @ weights
                index += many * word
        except (ValueError, IndexError):
            raise _broken(f"the packed brush breaks off after {done} of {count} values.", where) from None
        done += many
    return values


def _number(text: str, index: int, length: int) -> int:
    digits = text[index : index + length]
    if len(digits) < length:
        raise IndexError(index)
    return int(digits, 2)


def _broken(what: str, where: str) -> DataError:
    return DataError("E_RLE", what, where=where, fix="export the annotation again.")
