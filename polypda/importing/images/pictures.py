"""A frame's picture file as 8-bit RGB, kept byte for byte where it already is that."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polypda.errors import DataError
from polypda.importing.contract import Picture, Pixels, Remark, SourceTree
from polypda.importing.images.drawings import is_blank, is_drawing
from polypda.importing.images.orientation import turned
from polypda.importing.images.picture_kinds import JPEG, PNG, suffix_of
from polypda.importing.images.stored_pixels import StoredPixels, decode_stored

FULL_16_BIT = 65535
TWELVE_BIT = 4096
"""16-bit files whose largest value lies below this hold 12 bits or fewer: scaled as 16 they would be nearly black."""


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
    pixels, converted = _eight_bit_rgb(stored, path)
    remarks += converted
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


def _eight_bit_rgb(stored: StoredPixels, where: str) -> tuple[Pixels, list[Remark]]:
    remarks = []
    pixels, alpha = stored.pixels, stored.alpha
    if pixels.dtype != np.uint8:
        pixels, remark = _to_eight_bit(pixels, where)
        remarks.append(remark)
        alpha = None if alpha is None else _to_eight_bit(alpha, where)[0]
    if stored.mode == "cmyk":
        pixels = np.asarray(Image.fromarray(pixels, "CMYK").convert("RGB"))
        what = "converted from CMYK without a colour profile: its colours are approximate."
        remarks.append(Remark("W_IMAGE_CMYK", what))
    if stored.mode == "palette":
        remarks.append(Remark("N_IMAGE_PALETTE", "a picture with a palette, written as RGB."))
    if alpha is not None:
        hidden = float(np.mean(alpha < 255))
        if hidden:
            pixels = _over_black(pixels, alpha)
            what = f"{hidden:.0%} of the pixels are transparent; they were laid over black."
            remarks.append(Remark("W_IMAGE_ALPHA", what))
        else:
            remarks.append(Remark("N_IMAGE_ALPHA", "an alpha channel that hides nothing was dropped."))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels, remarks


def _to_eight_bit(pixels: NDArray[Any], where: str) -> tuple[Pixels, Remark]:
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            share = float(np.mean(~np.isfinite(pixels)))
            what = f"{share:.1%} of its values are no numbers (NaN or infinite)."
            raise DataError("E_IMAGE_NAN", what, where=where, fix="export the frame as 8-bit PNG.")
        what = f"floating-point values from {pixels.min():.3g} to {pixels.max():.3g}, whose range is not told."
        raise DataError("E_IMAGE_FLOAT", what, where=where, fix="export the frame as 8-bit PNG.")
    largest = int(pixels.max(initial=0))
    if pixels.dtype != np.uint16 or largest < TWELVE_BIT:
        what = f"{pixels.dtype} values up to {largest}: how many bits count is not told."
        raise DataError("E_IMAGE_DEPTH", what, where=where, fix="export the frame as 8-bit PNG.")
    reduced = (pixels.astype(np.uint32) * 255 + FULL_16_BIT // 2) // FULL_16_BIT
    return reduced.astype(np.uint8), Remark("N_IMAGE_16_BIT", "reduced from 16 to 8 bits per channel.")


def _over_black(pixels: Pixels, alpha: Pixels) -> Pixels:
    share = alpha.astype(np.float32) / 255
    return np.rint(pixels * (share if pixels.ndim == 2 else share[..., None])).astype(np.uint8)
