"""A frame's picture file as 8-bit RGB, kept byte for byte where it already is that."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from polypda.cohorts.images import eight_bit_rgb
from polypda.cohorts.picture_kinds import JPEG, PNG, suffix_of
from polypda.cohorts.stored_pixels import decode_stored
from polypda.errors import DataError
from polypda.importing.contract import Picture, Remark, SourceTree
from polypda.importing.images.drawings import is_blank, is_drawing
from polypda.importing.images.orientation import turned


def read_picture(tree: SourceTree, path: str) -> Picture:
    """Read a frame. What had to be changed or guessed is told in the picture's remarks.

    Raises: DataError E_FILE_UNREADABLE, E_IMAGE_EMPTY_FILE, E_IMAGE_UNREADABLE, E_IMAGE_TRUNCATED,
        E_IMAGE_TOO_LARGE, E_IMAGE_ANIMATED, E_IMAGE_NAN, E_IMAGE_FLOAT, E_IMAGE_DEPTH, E_IMAGE_DRAWING (a mask or
        another drawing, no frame).
    """
    return picture_of(tree.read(path), path)


def picture_of(data: bytes, path: str) -> Picture:
    """As :func:`read_picture`, of bytes that are at hand; ``path`` is for messages and its suffix."""
    stored = decode_stored(data, path)
    remarks = []
    if suffix_of(path) not in stored.kind.suffixes:
        what = f"the name ends in '{suffix_of(path)}', but the file is a {stored.kind.name}; the content decides."
        remarks.append(Remark("N_IMAGE_SUFFIX", what))
    pixels, converted = eight_bit_rgb(stored, path)
    remarks += [Remark(*told) for told in converted]
    if is_drawing(pixels):
        what = "black and white, or of a few flat colours: a mask or another drawing, no frame."
        fix = "lay masks into a folder of their own (masks); if images and masks are swapped, swap the folders."
        raise DataError("E_IMAGE_DRAWING", what, where=path, fix=fix)
    if is_blank(pixels):
        what = "all of one colour: nothing can be seen on it. If it is an empty mask, take it out."
        remarks.append(Remark("W_IMAGE_BLANK", what))
    keeps = not converted and stored.kind in (JPEG, PNG) and stored.orientation == 1
    if stored.orientation != 1:
        what = f"turned upright as its EXIF orientation {stored.orientation} says."
        remarks.append(Remark("N_IMAGE_ORIENTATION", what))
    return Picture(
        np.ascontiguousarray(turned(pixels, stored.orientation)),
        data if keeps else None,
        stored.kind.suffixes[0] if keeps else ".png",
        stored.orientation,
        tuple(remarks),
    )


def picture_size(tree: SourceTree, path: str) -> tuple[int, int]:
    """A picture's (height, width) as stored, by its header where that tells. Raises: DataError."""
    data = tree.read(path)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.height, picture.width
    except Exception:  # a decoder that is fed foreign bytes raises anything; the whole decoding has its own errors
        height, width = decode_stored(data, path).pixels.shape[:2]
        return height, width
