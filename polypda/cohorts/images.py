"""Reading pictures and masks as the public releases hold them.

Files are opened by Python and decoded from memory, never by a path handed to a C library: non-ASCII paths work
everywhere, and every open is visible to an audit hook (the label firewall's test relies on it).
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from polypda.errors import DataError

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
TIFF_SUFFIXES = (".tif", ".tiff")
# A binary mask that went through JPEG keeps its values near 0 and 255; grey between these is no binary mask.
AMBIGUOUS_GREY = (15, 240)
MOST_AMBIGUOUS_SHARE = 0.05


def read_image(path: Path) -> Image:
    """Read a colour frame as RGB.

    Returns: uint8 H×W×3, RGB, 0–255.
    Raises: DataError E_IMAGE_MISSING, E_IMAGE_UNREADABLE.
    """
    return _three_channels(_decode(path, "E_IMAGE"))


def decode_picture(data: bytes, path: Path) -> Image:
    """As :func:`read_image`, of bytes that are at hand; ``path`` is for its suffix and for messages."""
    return _three_channels(_decoded(data, path, "E_IMAGE"))


def _three_channels(pixels: NDArray[np.uint8]) -> Image:
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3])


def read_mask(path: Path) -> Mask:
    """Read a polyp mask: 1 is polyp, 0 is not.

    A pixel is polyp when the brightest of its channels is at least 128 (so red and green lesion classes both count);
    masks whose largest value is at most 1 are taken as 0/1.

    Returns: uint8 H×W, values 0 and 1.
    Raises: DataError E_MASK_MISSING, E_MASK_UNREADABLE, E_MASK_NOT_BINARY.
    """
    return binary_mask(_decode(path, "E_MASK"), path.name)


def binary_mask(pixels: NDArray[np.uint8], where: str) -> Mask:
    """Decoded values, uint8 H×W or H×W×channels, as :func:`read_mask` takes them.

    Raises: DataError E_MASK_NOT_BINARY.
    """
    grey = pixels if pixels.ndim == 2 else brightest_channel(pixels)
    if grey.max(initial=0) <= 1:
        return np.ascontiguousarray(grey.astype(np.uint8))
    low, high = AMBIGUOUS_GREY
    ambiguous = float(np.mean((grey >= low) & (grey <= high)))
    if ambiguous > MOST_AMBIGUOUS_SHARE:
        raise DataError(
            "E_MASK_NOT_BINARY",
            f"{ambiguous:.0%} of the pixels are grey ({low}–{high}), so this is no binary mask.",
            where=where,
            fix="export the mask as black (no polyp) and white (polyp), PNG preferred.",
        )
    return np.ascontiguousarray((grey >= 128).astype(np.uint8))


def brightest_channel(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 H×W×(3 or more) → H×W, the largest of the first three channels.

    Plane by plane: a reduction over the short last axis takes twenty times as long.
    """
    return np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def _decode(path: Path, code: str) -> NDArray[np.uint8]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{code}_MISSING", "the file is gone.", where=path, fix="check the data root, or import the cohort again."
        ) from error
    except OSError as error:
        raise DataError(
            f"{code}_UNREADABLE", f"{error.strerror}.", where=path, fix="check the file's permissions."
        ) from error
    return _decoded(data, path, code)


def _decoded(data: bytes, path: Path, code: str) -> NDArray[np.uint8]:
    pixels = _decode_tiff(data) if path.suffix.lower() in TIFF_SUFFIXES else _decode_other(data)
    if pixels is None or pixels.size == 0:
        raise DataError(
            f"{code}_UNREADABLE",
            f"{len(data)} bytes that no decoder understands.",
            where=path,
            fix="the file may be truncated or mislabelled: fetch it again, or leave it out.",
        )
    return pixels


def _decode_other(data: bytes) -> NDArray[np.uint8] | None:
    if not data:
        return None
    # EXIF orientation is ignored on purpose: masks carry none, and the pair must stay aligned.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _decode_tiff(data: bytes) -> NDArray[np.uint8] | None:
    # OpenCV silently reads ClinicDB's TIF as grey and PIL refuses it: the tag says MINISBLACK with three samples.
    try:
        pixels = tifffile.imread(io.BytesIO(data))
    except (tifffile.TiffFileError, ValueError, OSError):
        return None
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[2] not in (3, 4):
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    return pixels if pixels.dtype == np.uint8 and pixels.ndim in (2, 3) else None
