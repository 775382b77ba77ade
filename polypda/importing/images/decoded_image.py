"""A frame's image file as upright 8-bit RGB, kept byte for byte where it already is that; drawings are refused."""

from __future__ import annotations

import io
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polypda.cohorts.image_files import JPEG, PNG, suffix_of
from polypda.cohorts.images import eight_bit_rgb
from polypda.cohorts.stored_pixels import decode_stored
from polypda.errors import DataError
from polypda.importing.contract import DecodedImage, Pixels, Remark, SourceTree


def read_image(tree: SourceTree, path: str) -> DecodedImage:
    """Read a frame. What had to be changed or guessed stands in its remarks.

    Raises: DataError E_FILE_UNREADABLE, E_IMAGE_EMPTY_FILE, E_IMAGE_UNREADABLE, E_IMAGE_TRUNCATED,
        E_IMAGE_TOO_LARGE, E_IMAGE_ANIMATED, E_IMAGE_NAN, E_IMAGE_FLOAT, E_IMAGE_DEPTH, E_IMAGE_DRAWING (a mask or
        another drawing, no frame).
    """
    return image_of(tree.read(path), path)


def image_of(data: bytes, path: str) -> DecodedImage:
    """As :func:`read_image`, of bytes that are at hand; ``path`` is for messages and its suffix."""
    stored = decode_stored(data, path)
    remarks = []
    if suffix_of(path) not in stored.kind.suffixes:
        what = f"the name ends in '{suffix_of(path)}', but the file is a {stored.kind.name}; the content decides."
        remarks.append(Remark("N_IMAGE_SUFFIX", what))
    pixels, converted = eight_bit_rgb(stored, path)
    remarks += [Remark(*change) for change in converted]
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
    return DecodedImage(
        np.ascontiguousarray(turned(pixels, stored.orientation)),
        data if keeps else None,
        stored.kind.suffixes[0] if keeps else ".png",
        stored.orientation,
        tuple(remarks),
    )


def image_size(tree: SourceTree, path: str) -> tuple[int, int]:
    """An image's (height, width) as stored, by its header where that tells. Raises: DataError."""
    data = tree.read(path)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except Exception:  # a decoder that is fed other bytes raises anything; the whole decoding has its own errors
        height, width = decode_stored(data, path).pixels.shape[:2]
        return height, width


MOST_LOOKED_AT_PX = 256
"""Longer sides are thinned out."""
LEAST_PLAIN_FRACTION = 0.9
"""Of the pixels that are black or white: a frame's border is black and may be large, but what it shows is neither."""
LEAST_GREY_FRACTION = 0.995
END, CHROMA = 8, 12
"""How far from 0 or 255, and between channels, JPEG leaves black and white."""
MOST_COLOURS = 8
"""A frame has thousands; so few were chosen by somebody."""


def is_drawing(pixels: Pixels) -> bool:
    """Whether nearly all is black and white, both of them, or of a few colours. pixels: uint8 H×W×3."""
    step = -(-max(pixels.shape[:2]) // MOST_LOOKED_AT_PX)
    thin = pixels[::step, ::step].reshape(-1, 3)
    low, high = thin.min(axis=1), thin.max(axis=1)
    grey = np.mean(high - low <= CHROMA)
    black, white = high <= END, low >= 255 - END
    if grey >= LEAST_GREY_FRACTION and black.any() and white.any() and np.mean(black | white) >= LEAST_PLAIN_FRACTION:
        return True
    return 1 < len(np.unique(thin.astype(np.int32) @ np.array([0x10000, 0x100, 1]))) <= MOST_COLOURS


def is_blank(pixels: Pixels) -> bool:
    """Whether all is of one colour, as in a video's lead-in, or in an empty mask."""
    return bool((pixels == pixels[:1, :1]).all())


Plane = TypeVar("Plane", bound=NDArray)

SIDES_SWAPPED = (5, 6, 7, 8)
"""Orientations whose upright image is as wide as the stored one is high."""


def turned(stored: Plane, orientation: int) -> Plane:
    """H×W or H×W×C as stored → upright.

    EXIF names where row 0 and column 0 of the stored image belong: 2 top right, 3 bottom right, 4 bottom left,
    5 left top, 6 right top, 7 right bottom, 8 left bottom (EXIF 2.3, tag 0x0112).
    """
    if orientation in SIDES_SWAPPED:
        stored = np.swapaxes(stored, 0, 1)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]  # type: ignore[assignment]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]  # type: ignore[assignment]
    return stored


def turned_box(
    box: tuple[float, float, float, float], stored_size: tuple[int, int], orientation: int
) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in px of the stored image of (height, width) → in px of the upright one."""
    x0, y0, x1, y1 = box
    height, width = stored_size
    if orientation in SIDES_SWAPPED:
        x0, y0, x1, y1 = y0, x0, y1, x1
        height, width = width, height
    if orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return x0, y0, x1, y1
