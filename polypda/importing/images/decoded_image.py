"""A frame's image file as upright 8-bit RGB, kept byte for byte where it already is that; drawings are refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polypda.cohorts.image_files import JPEG, PNG
from polypda.cohorts.images import file_bytes, inspect_image
from polypda.cohorts.stored_pixels import decode_stored
from polypda.importing.contract import DecodedImage, Pixels, Remark, SourceTree


def read_image(tree: SourceTree, path: str) -> DecodedImage:
    """Read a frame. What had to be changed or guessed stands in its remarks.

    Raises: DataError E_FILE_UNREADABLE, E_FILE_TOO_LARGE, E_IMAGE_EMPTY_FILE, E_IMAGE_UNREADABLE,
        E_IMAGE_TRUNCATED, E_IMAGE_TOO_LARGE, E_IMAGE_ANIMATED, E_IMAGE_SMALL, E_IMAGE_NAN, E_IMAGE_FLOAT,
        E_IMAGE_DEPTH, E_IMAGE_DRAWING (a mask or another drawing, no frame).
    """
    return image_of(tree.read(path), path)


def read_upright(path: Path) -> Pixels:
    """The pixels of an image file that lies by itself, as a prediction sees them: turned by its EXIF orientation.

    Raises: DataError E_IMAGE_MISSING, and as :func:`read_image`.
    """
    return image_of(file_bytes(path, "E_IMAGE"), str(path)).pixels


def image_of(data: bytes, path: str) -> DecodedImage:
    """As :func:`read_image`, of bytes that are at hand; ``path`` is for messages and its suffix."""
    file = inspect_image(data, path)
    if file.drawing is not None:
        raise file.drawing
    stored, remarks = file.stored, [Remark(*remark) for remark in file.remarks]
    keeps = not file.converted and stored.kind in (JPEG, PNG) and stored.orientation == 1
    if stored.orientation != 1:
        what = f"turned upright as its EXIF orientation {stored.orientation} says."
        remarks.append(Remark("N_IMAGE_ORIENTATION", what))
    return DecodedImage(
        np.ascontiguousarray(turned(file.pixels, stored.orientation)),
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
