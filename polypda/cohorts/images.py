"""Reading pictures and masks below a data root, by the decoders that an import uses.

Files are opened by Python and decoded from memory, never by a path handed to a C library: non-ASCII paths work
everywhere, and every open is visible to an audit hook (the label firewall's test relies on it).

EXIF orientation is passed over on purpose: masks carry none, and the pair must stay aligned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from polypda.cohorts.stored_masks import FellowMasks, Mask, decode_mask, mask_of
from polypda.cohorts.stored_pixels import StoredPixels, decode_stored
from polypda.errors import DataError

Image = NDArray[np.uint8]

FULL_16_BIT = 65535
TWELVE_BIT = 4096
"""16-bit files whose largest value lies below this hold 12 bits or fewer: scaled as 16 they would be nearly black."""


def read_image(path: Path) -> Image:
    """Read a colour frame as RGB.

    Returns: uint8 H×W×3, RGB, 0–255.
    Raises: DataError E_IMAGE_MISSING, and as :func:`decode_picture`.
    """
    return decode_image(file_bytes(path, "E_IMAGE"), path)


def decode_image(data: bytes, path: Path) -> Image:
    """As :func:`read_image`, of bytes that are at hand; ``path`` is for messages.

    Raises: DataError E_IMAGE_EMPTY_FILE, E_IMAGE_UNREADABLE, E_IMAGE_TRUNCATED, E_IMAGE_TOO_LARGE, E_IMAGE_ANIMATED,
        E_IMAGE_NAN, E_IMAGE_FLOAT, E_IMAGE_DEPTH.
    """
    return np.ascontiguousarray(eight_bit_rgb(decode_stored(data, str(path)), str(path))[0])


def read_mask(path: Path, fellows: FellowMasks | None = None) -> Mask:
    """Read a polyp mask: 1 is polyp, 0 is not. fellows: the masks of its cohort, where it is one of several.

    Returns: uint8 H×W, values 0 and 1.
    Raises: DataError E_MASK_MISSING, and what :func:`decode_mask` and :func:`mask_of` raise.
    """
    return mask_of(decode_mask(file_bytes(path, "E_MASK"), str(path)), str(path), fellows=fellows)


def file_bytes(path: Path, code: str) -> bytes:
    """A file's bytes. code: how the errors' codes begin. Raises: DataError with ``_MISSING``, ``_UNREADABLE``."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        fix = "check the data root, or import the cohort again."
        raise DataError(f"{code}_MISSING", "the file is gone.", where=path, fix=fix) from error
    except OSError as error:
        what = f"{error.strerror}."
        raise DataError(f"{code}_UNREADABLE", what, where=path, fix="check the file's permissions.") from error


def eight_bit_rgb(stored: StoredPixels, where: str) -> tuple[Image, list[tuple[str, str]]]:
    """A decoded picture as uint8 H×W×3, not turned, and (code, what) of all that was changed or guessed.

    Raises: DataError E_IMAGE_NAN, E_IMAGE_FLOAT, E_IMAGE_DEPTH.
    """
    told = []
    pixels, alpha = stored.pixels, stored.alpha
    if pixels.dtype != np.uint8:
        pixels = _to_eight_bit(pixels, where)
        told.append(("N_IMAGE_16_BIT", "reduced from 16 to 8 bits per channel."))
        alpha = None if alpha is None else _reduced(alpha)
    if stored.mode == "cmyk":
        pixels = np.asarray(PilImage.fromarray(pixels, "CMYK").convert("RGB"))
        told.append(("W_IMAGE_CMYK", "converted from CMYK without a colour profile: its colours are approximate."))
    if stored.mode == "palette":
        told.append(("N_IMAGE_PALETTE", "a picture with a palette, written as RGB."))
    if alpha is not None:
        hidden = float(np.mean(alpha < 255))
        if hidden:
            pixels = _over_black(pixels, alpha)
            told.append(("W_IMAGE_ALPHA", f"{hidden:.0%} of the pixels are transparent; they were laid over black."))
        else:
            told.append(("N_IMAGE_ALPHA", "an alpha channel that hides nothing was dropped."))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels, told


def _to_eight_bit(pixels: NDArray[Any], where: str) -> Image:
    fix = "export the frame as 8-bit PNG."
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            share = float(np.mean(~np.isfinite(pixels)))
            what = f"{share:.1%} of its values are no numbers (NaN or infinite)."
            raise DataError("E_IMAGE_NAN", what, where=where, fix=fix)
        what = f"floating-point values from {pixels.min():.3g} to {pixels.max():.3g}, whose range is not told."
        raise DataError("E_IMAGE_FLOAT", what, where=where, fix=fix)
    largest = int(pixels.max(initial=0))
    if pixels.dtype != np.uint16 or largest < TWELVE_BIT:
        what = f"{pixels.dtype} values up to {largest}: how many bits count is not told."
        raise DataError("E_IMAGE_DEPTH", what, where=where, fix=fix)
    return _reduced(pixels)


def _reduced(pixels: NDArray[Any]) -> Image:
    return ((pixels.astype(np.uint32) * 255 + FULL_16_BIT // 2) // FULL_16_BIT).astype(np.uint8)


def _over_black(pixels: Image, alpha: Image) -> Image:
    share = alpha.astype(np.float32) / 255
    return np.rint(pixels * (share if pixels.ndim == 2 else share[..., None])).astype(np.uint8)
