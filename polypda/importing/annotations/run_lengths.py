"""Masks as run lengths, as COCO and CVAT write them.

Both alternate between runs of background and of polyp and begin with background. COCO walks down the columns of the
whole frame; CVAT walks along the rows of a window. COCO's text packs the runs six bits to a character. pycocotools
decodes it too, but returns memory that it never wrote when the runs are too short, and reads beyond a text that breaks
off: files from elsewhere must not reach it unchecked, and once checked nothing is left for it to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

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
