"""What a mask file is like before it is taken as binary: size, channels, colour, grey values."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from polypda.cohorts.images import AMBIGUOUS_GREY, TIFF_SUFFIXES
from polypda.errors import DataError

COLOUR_DIFFERENCE = 32
"""Channels that differ by more than this (of 255) somewhere carry colour: lesion classes, not JPEG's rounding."""
LARGEST_CROP_SHARE = 0.25
"""A mask smaller by up to this share of a side was probably drawn on a cropped picture."""
SAME_SHAPE = 0.01
"""Two scale factors closer than this are taken as one: the mask was resized with its shape kept."""


@dataclass(frozen=True)
class MaskFile:
    """A mask as it is stored.

    channels: as stored. coloured: channels differ. grey_share: share of pixels that are neither the lowest (0) nor
    the highest value (255, or 1 where nothing is brighter). ambiguous_share: share of those in ``AMBIGUOUS_GREY``.
    """

    width: int
    height: int
    channels: int
    coloured: bool
    grey_share: float
    ambiguous_share: float


def inspect_mask_file(path: Path) -> MaskFile:
    """Look at a mask file as it is stored. Raises: DataError E_MASK_UNREADABLE, E_MASK_MISSING."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("E_MASK_MISSING", "the file is gone.", where=path, fix="import the cohort again.") from error
    except OSError as error:
        what = f"{error.strerror}."
        raise DataError("E_MASK_UNREADABLE", what, where=path, fix="check the file's permissions.") from error
    return inspect_mask_pixels(stored_mask(path, data))


def inspect_mask_pixels(pixels: NDArray[np.uint8]) -> MaskFile:
    """What a stored mask is like; pixels: uint8 H×W or H×W×channels, as :func:`stored_mask` gives them."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    # Channel by channel: reducing over a last axis of three is many times slower.
    planes = [pixels] if pixels.ndim == 2 else [pixels[..., index] for index in range(min(channels, 3))]
    grey = reduce(np.maximum, planes)
    coloured = bool((grey - reduce(np.minimum, planes)).max(initial=0) > COLOUR_DIFFERENCE)
    highest = 1 if grey.max(initial=0) <= 1 else 255
    low, high = AMBIGUOUS_GREY
    return MaskFile(
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=channels,
        coloured=coloured,
        grey_share=float(np.mean((grey > 0) & (grey < highest))),
        ambiguous_share=float(np.mean((grey >= low) & (grey <= high))),
    )


def mask_size_error(where: str, image_size: tuple[int, int], mask_size: tuple[int, int]) -> DataError:
    """The error for a mask that is not its image's size; sizes are (width, height) in pixels."""
    looks, fix = _size_hint(image_size, mask_size)
    sizes = f"mask {mask_size[0]}×{mask_size[1]} but image {image_size[0]}×{image_size[1]}"
    return DataError("E_MASK_SIZE", f"{sizes}. {looks}".strip(), where=where, fix=fix)


def _size_hint(image_size: tuple[int, int], mask_size: tuple[int, int]) -> tuple[str, str]:
    (width, height), (mask_width, mask_height) = image_size, mask_size
    if (mask_width, mask_height) == (height, width):
        return "Looks turned by 90°.", "turn the mask (or the image, when its EXIF orientation was applied)."
    across, down = mask_width / width, mask_height / height
    if abs(across - down) < SAME_SHAPE and abs(across - 1) > LARGEST_CROP_SHARE / 2:
        return f"Looks scaled by {across:.2f}.", "export the mask at the image's size (nearest neighbour)."
    missing = (width - mask_width, height - mask_height)
    if min(missing) >= 0 and across >= 1 - LARGEST_CROP_SHARE and down >= 1 - LARGEST_CROP_SHARE:
        border = _border(missing)
        return f"Looks drawn on the cropped picture ({border}).", f"pad the mask with black ({border}), if that is so."
    if max(missing) <= 0 and max(across, down) <= 1 + LARGEST_CROP_SHARE:
        border = _border((-missing[0], -missing[1]))
        return f"Looks drawn before the image was cropped ({border}).", f"crop the mask ({border}), if that is so."
    return "", "find the mask that belongs to this image."


def _border(missing: tuple[int, int]) -> str:
    sides = []
    if missing[0]:
        sides.append(f"{missing[0] / 2:g} px left and right")
    if missing[1]:
        sides.append(f"{missing[1] / 2:g} px above and below")
    return ", ".join(sides)


def stored_mask(path: Path, data: bytes) -> NDArray[np.uint8]:
    """A mask's values as they are stored, uint8 H×W or H×W×channels; 16 bits are reduced to 8.

    Args: path: for its suffix and for messages; data: the file's bytes. Raises: DataError E_MASK_UNREADABLE.
    """
    pixels: NDArray | None
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            stored = tifffile.imread(io.BytesIO(data))
            planes_first = stored.ndim == 3 and stored.shape[0] in (3, 4) and stored.shape[2] not in (3, 4)
            pixels = np.moveaxis(stored, 0, 2) if planes_first else stored
        else:
            flags = cv2.IMREAD_UNCHANGED  # no EXIF orientation either
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except (tifffile.TiffFileError, ValueError, OSError):
        pixels = None
    if pixels is None or pixels.size == 0 or pixels.ndim not in (2, 3):
        fix = "the file may be truncated or mislabelled: fetch it again, or leave the frame out."
        raise DataError("E_MASK_UNREADABLE", "no decoder understands this file.", where=path, fix=fix)
    return (pixels // 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels.astype(np.uint8)
