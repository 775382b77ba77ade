"""What a mask file is like before it is taken as binary: size, channels, colour, grey values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame
from polypda.cohorts.images import Image, read_mask
from polypda.cohorts.stored_masks import AMBIGUOUS_GREY, MaskReach, StoredMask
from polypda.errors import DataError

COLOUR_DIFFERENCE = 32
"""Channels that differ by more than this (of 255) somewhere carry colour: lesion classes, not JPEG's rounding."""
LARGEST_CROP_FRACTION = 0.25
"""A mask smaller by up to this share of a side was probably drawn on a cropped picture."""
LEAST_PLAIN_FRACTION = 0.97
"""A picture of which so much is black or white is a mask, also one that went through JPEG."""
NO_MASK = ("E_MASK_NOT_BINARY", "E_MASK_CLASS")
SAME_SHAPE = 0.01
"""Two scale factors closer than this are taken as one: the mask was resized with its shape kept."""


@dataclass(frozen=True)
class MaskFile:
    """A mask as it is stored.

    channels: as stored. coloured: channels differ. grey_share: share of pixels that are neither the lowest (0) nor
    the highest value (255, or 1 where nothing is brighter). ambiguous_share: share of those in ``AMBIGUOUS_GREY``.
    reach: how high its values reach.
    """

    width: int
    height: int
    channels: int
    coloured: bool
    grey_fraction: float
    ambiguous_fraction: float
    reach: MaskReach


def inspect_mask(stored: StoredMask) -> MaskFile:
    """What a stored mask is like."""
    pixels = stored.values
    # Channel by channel: reducing over a last axis of three is many times slower.
    planes = [pixels] if pixels.ndim == 2 else [pixels[..., index] for index in range(3)]
    grey = reduce(np.maximum, planes)
    coloured = bool((grey - reduce(np.minimum, planes)).max(initial=0) > COLOUR_DIFFERENCE)
    highest = 1 if grey.max(initial=0) <= 1 else 255
    low, high = AMBIGUOUS_GREY
    return MaskFile(
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=stored.channels,
        coloured=coloured,
        grey_fraction=float(np.mean((grey > 0) & (grey < highest))),
        ambiguous_fraction=float(np.mean((grey >= low) & (grey <= high))),
        reach=stored.reach,
    )


def mask_size_error(where: str, image_size: tuple[int, int], mask_size: tuple[int, int]) -> DataError:
    """The error for a mask that is not its image's size; sizes are (width, height) in pixels."""
    looks, fix = _size_hint(image_size, mask_size)
    sizes = f"mask {mask_size[0]}×{mask_size[1]} but image {image_size[0]}×{image_size[1]}"
    return DataError("E_MASK_SIZE", f"{sizes}. {looks}".strip(), where=where, fix=fix)


def read_ignored(frame: Frame, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """The pixels that count nowhere, bool H×W; None where the frame has no such picture.

    Raises: DataError E_IGNORE_SIZE when it is not of ``shape``; what reading a mask raises.
    """
    if frame.ignore is None:
        return None
    ignored = read_mask(frame.ignore)
    if ignored.shape != tuple(shape[:2]):
        raise DataError(
            "E_IGNORE_SIZE",
            f"the ignored region is {ignored.shape[1]}×{ignored.shape[0]} but the image {shape[1]}×{shape[0]}.",
            where=f"{frame.cohort}/{frame.frame}",
            fix="draw it on the image as it lies here (255: must not count), or take the file out of ignore/.",
        )
    return ignored.astype(bool)


def swapped(problem: DataError, image: Image, where: str) -> DataError:
    """The error for a mask that cannot be one: E_MASK_SWAPPED where its image (uint8 H×W×3) is black and white."""
    if problem.code not in NO_MASK or not looks_like_a_mask(image):
        return problem
    what = f"the image is black and white, and its mask is none ({problem.what.rstrip('.')}): are the two swapped?"
    fix = "look at both files; where the folders of images and masks are swapped, give each the other's name."
    return DataError("E_MASK_SWAPPED", what, where=where, fix=fix)


def looks_like_a_mask(image: Image) -> bool:
    """Whether a picture (uint8 H×W×3) is grey throughout and nearly all of it black or white, with some of both."""
    lowest, highest = image.min(axis=2), image.max(axis=2)
    low, high = AMBIGUOUS_GREY
    white = float(np.mean(lowest > high))
    plain = float(np.mean((highest < low) | (lowest > high)))
    return 0 < white < 1 and plain >= LEAST_PLAIN_FRACTION


def _size_hint(image_size: tuple[int, int], mask_size: tuple[int, int]) -> tuple[str, str]:
    (width, height), (mask_width, mask_height) = image_size, mask_size
    if (mask_width, mask_height) == (height, width):
        return "Looks turned by 90°.", "turn the mask (or the image, when its EXIF orientation was applied)."
    across, down = mask_width / width, mask_height / height
    if abs(across - down) < SAME_SHAPE and abs(across - 1) > LARGEST_CROP_FRACTION / 2:
        return f"Looks scaled by {across:.2f}.", "export the mask at the image's size (nearest neighbour)."
    missing = (width - mask_width, height - mask_height)
    if min(missing) >= 0 and across >= 1 - LARGEST_CROP_FRACTION and down >= 1 - LARGEST_CROP_FRACTION:
        border = _border(missing)
        return f"Looks drawn on the cropped picture ({border}).", f"pad the mask with black ({border}), if that is so."
    if max(missing) <= 0 and max(across, down) <= 1 + LARGEST_CROP_FRACTION:
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
