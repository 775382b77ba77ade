"""One moment out of a picture that holds two: a still of an interlaced recording, without its neighbours in time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from polypda.importing.contract import ImportedFrame, Picture, Pixels, Remark
from polypda.quality.interlacing import measure_comb


def of_one_moment(frame: ImportedFrame) -> ImportedFrame:
    """The frame, which keeps one field only where a comb is seen when it is read; nothing is read here."""
    return replace(frame, read=partial(_read, frame))


def _read(frame: ImportedFrame) -> Picture:
    picture = frame.read()
    comb = measure_comb(picture.pixels)
    if not comb.combed:
        return picture
    what = f"it held two moments in alternate lines (score {comb.score:.2f}): the even lines are kept, the others are"
    remark = Remark("N_DEINTERLACED", f"{what} interpolated from them.")
    return replace(picture, pixels=one_field(picture.pixels), encoded=None, remarks=(*picture.remarks, remark))


def one_field(pixels: Pixels, *, top: bool = True) -> Pixels:
    """One field, the lines between interpolated from it (four taps, −1 9 9 −1); same size.

    Args:
        pixels: uint8 H×W×3. top: keep the even lines (0, 2…), else the odd ones.
    """
    start = 0 if top else 1
    field = pixels[start::2].astype(np.int16)
    if field.shape[0] == 0:
        return pixels.copy()
    padded = np.concatenate([field[:1], field[:1], field, field[-1:], field[-1:]])
    between = 9 * (padded[1:-2] + padded[2:-1]) - padded[:-3] - padded[3:]  # before, within and after the field
    lines = np.clip((between + 8) >> 4, 0, 255).astype(np.uint8)
    result = pixels.copy()
    missing = result[1 - start :: 2]
    first = 0 if start else 1
    missing[:] = lines[first : first + missing.shape[0]]
    return result
