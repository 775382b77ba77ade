"""Reading images and masks below a data root, by the decoders that an import uses, and what a mask file is like.

Files are opened by Python and decoded from memory, never by a path handed to a C library: non-ASCII paths work
everywhere, and every open is visible to an audit hook (the label firewall's test relies on it). EXIF orientation is
passed over on purpose: masks carry none, and the pair must stay aligned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from polypda.cohorts.frames import Frame
from polypda.cohorts.image_files import suffix_of
from polypda.cohorts.stored_masks import (
    AMBIGUOUS_GREY,
    FellowMasks,
    Mask,
    MaskReach,
    StoredMask,
    decode_mask,
    mask_of,
)
from polypda.cohorts.stored_pixels import StoredPixels, decode_stored
from polypda.errors import DataError

Image = NDArray[np.uint8]

FULL_16_BIT = 65535
TWELVE_BIT = 4096
"""16-bit files whose largest value lies below this hold 12 bits or fewer: scaled as 16 they would be nearly black."""
COLOUR_DIFFERENCE = 32
"""Channels that differ by more than this (of 255) somewhere carry colour: lesion classes, not JPEG's rounding."""
LARGEST_CROP_FRACTION = 0.25
"""A mask smaller by up to this fraction of a side was probably drawn on a cropped image."""
LEAST_PLAIN_FRACTION = 0.97
"""An image of which so much is black or white is a mask, also one that went through JPEG."""
NO_MASK = ("E_MASK_NOT_BINARY", "E_MASK_CLASS")
LEAST_SIDE_PX = 8
"""An image with a shorter side is a tracking pixel or a damaged export, no frame."""
SAME_SHAPE = 0.01
"""Two scale factors closer than this are taken as one: the mask was resized with its shape kept."""


def read_image(path: Path) -> Image:
    """Read a colour frame as RGB, uint8 H×W×3. Raises: DataError E_IMAGE_MISSING, and as :func:`decode_image`."""
    return decode_image(file_bytes(path, "E_IMAGE"), path)


def decode_image(data: bytes, path: Path) -> Image:
    """As :func:`read_image`, of bytes that are at hand; ``path`` is for messages.

    Raises: DataError E_IMAGE_EMPTY_FILE, E_IMAGE_UNREADABLE, E_IMAGE_TRUNCATED, E_IMAGE_TOO_LARGE, E_IMAGE_ANIMATED,
        E_IMAGE_NAN, E_IMAGE_FLOAT, E_IMAGE_DEPTH, E_IMAGE_SMALL.
    """
    return np.ascontiguousarray(eight_bit_rgb(decode_stored(data, str(path)), str(path))[0])


def read_mask(path: Path, fellows: FellowMasks | None = None) -> Mask:
    """Read a polyp mask, uint8 H×W: 1 is polyp, 0 is not. fellows: the masks of its cohort, where it is one of several.

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


@dataclass(frozen=True)
class ImageFile:
    """A frame's image as it is stored, and as uint8 H×W×3 RGB, not turned.

    converted, remarks: (code, what) of all that was changed or guessed, and of all that a person should know of it.
    drawing: why it is no frame but a mask or another drawing; None for a frame.
    """

    stored: StoredPixels
    pixels: Image
    converted: tuple[tuple[str, str], ...]
    remarks: tuple[tuple[str, str], ...]
    drawing: DataError | None


def inspect_image(data: bytes, where: str) -> ImageFile:
    """What a frame's image file is like; an import and a check say the same of it. ``where`` ends in its suffix.

    Raises: DataError as :func:`decode_image`.
    """
    stored = decode_stored(data, where)
    pixels, converted = eight_bit_rgb(stored, where)
    remarks, drawing = [], None
    if suffix_of(where) not in stored.kind.suffixes:
        what = f"the name ends in '{suffix_of(where)}', but the file is a {stored.kind.name}; the content decides."
        remarks.append(("N_IMAGE_SUFFIX", what))
    remarks += converted
    if is_drawing(pixels):
        what = "black and white, or of a few flat colours: a mask or another drawing, no frame."
        fix = "lay masks into a folder of their own (masks); if images and masks are swapped, swap the folders."
        drawing = DataError("E_IMAGE_DRAWING", what, where=where, fix=fix)
    elif is_blank(pixels):
        what = "all of one colour: nothing can be seen on it. If it is an empty mask, take it out."
        remarks.append(("W_IMAGE_BLANK", what))
    return ImageFile(stored, pixels, tuple(converted), tuple(remarks), drawing)


MOST_LOOKED_AT_PX = 256
"""Longer sides are thinned out."""
LEAST_BLACK_OR_WHITE = 0.9
"""Of the pixels that are black or white: a frame's border is black and may be large, but what it shows is neither."""
LEAST_GREY_FRACTION = 0.995
END, CHROMA = 8, 12
"""How far from 0 or 255, and between channels, JPEG leaves black and white."""
MOST_COLOURS = 8
"""A frame has thousands; so few were chosen by somebody."""


def is_drawing(pixels: Image) -> bool:
    """Whether nearly all is black and white, both of them, or of a few colours. pixels: uint8 H×W×3."""
    step = -(-max(pixels.shape[:2]) // MOST_LOOKED_AT_PX)
    thin = pixels[::step, ::step].reshape(-1, 3)
    low, high = thin.min(axis=1), thin.max(axis=1)
    grey = np.mean(high - low <= CHROMA)
    black, white = high <= END, low >= 255 - END
    plain = np.mean(black | white) >= LEAST_BLACK_OR_WHITE
    if grey >= LEAST_GREY_FRACTION and black.any() and white.any() and plain:
        return True
    return 1 < len(np.unique(thin.astype(np.int32) @ np.array([0x10000, 0x100, 1]))) <= MOST_COLOURS


def is_blank(pixels: Image) -> bool:
    """Whether all is of one colour, as in a video's lead-in, or in an empty mask."""
    return bool((pixels == pixels[:1, :1]).all())


def eight_bit_rgb(stored: StoredPixels, where: str) -> tuple[Image, list[tuple[str, str]]]:
    """A decoded image as uint8 H×W×3, not turned, and (code, what) of all that was changed or guessed.

    Raises: DataError E_IMAGE_SMALL, E_IMAGE_NAN, E_IMAGE_FLOAT, E_IMAGE_DEPTH.
    """
    height, width = stored.pixels.shape[:2]
    if min(height, width) < LEAST_SIDE_PX:
        what = f"{width}×{height} pixels: too small for a frame."
        raise DataError("E_IMAGE_SMALL", what, where=where, fix="export the frame again, or leave it out.")
    changes = []
    pixels, alpha = stored.pixels, stored.alpha
    if pixels.dtype != np.uint8:
        pixels = _to_eight_bit(pixels, where)
        changes.append(("N_IMAGE_16_BIT", "reduced from 16 to 8 bits per channel."))
        alpha = None if alpha is None else _reduced(alpha)
    if stored.mode == "cmyk":
        pixels = np.asarray(PilImage.fromarray(pixels, "CMYK").convert("RGB"))
        changes.append(("W_IMAGE_CMYK", "converted from CMYK without a colour profile: its colours are approximate."))
    if stored.mode == "palette":
        changes.append(("N_IMAGE_PALETTE", "a picture with a palette, written as RGB."))
    if alpha is not None:
        hidden = float(np.mean(alpha < 255))
        if hidden:
            pixels = _over_black(pixels, alpha)
            changes.append(("W_IMAGE_ALPHA", f"{hidden:.0%} of the pixels are transparent; they were laid over black."))
        else:
            changes.append(("N_IMAGE_ALPHA", "an alpha channel that hides nothing was dropped."))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels, changes


def _to_eight_bit(pixels: NDArray[Any], where: str) -> Image:
    fix = "export the frame as 8-bit PNG."
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            what = f"{np.mean(~np.isfinite(pixels)):.1%} of its values are no numbers (NaN or infinite)."
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
    opacity = alpha.astype(np.float32) / 255
    return np.rint(pixels * (opacity if pixels.ndim == 2 else opacity[..., None])).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask as it is stored.

    channels: as stored. coloured: channels differ. grey_fraction: of pixels that are neither the lowest (0) nor the
    highest value (255, or 1 where nothing is brighter). ambiguous_fraction: of pixels in ``AMBIGUOUS_GREY``.
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
    highest = 1 if grey.max(initial=0) <= 1 else 255
    low, high = AMBIGUOUS_GREY
    return MaskFile(
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=stored.channels,
        coloured=bool((grey - reduce(np.minimum, planes)).max(initial=0) > COLOUR_DIFFERENCE),
        grey_fraction=float(np.mean((grey > 0) & (grey < highest))),
        ambiguous_fraction=float(np.mean((grey >= low) & (grey <= high))),
        reach=stored.reach,
    )


def read_ignored(frame: Frame, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """The pixels that count nowhere, bool H×W; None where the frame has no such image.

    Raises: DataError E_IGNORE_SIZE when it is not of ``shape``; what reading a mask raises.
    """
    if frame.ignore is None:
        return None
    ignored = read_mask(frame.ignore)
    if ignored.shape != tuple(shape[:2]):
        what = f"the ignored region is {ignored.shape[1]}×{ignored.shape[0]} but the image {shape[1]}×{shape[0]}."
        fix = "draw it on the image as it lies here (255: must not count), or take the file out of ignore/."
        raise DataError("E_IGNORE_SIZE", what, where=f"{frame.cohort}/{frame.frame}", fix=fix)
    return ignored.astype(bool)


def swapped(problem: DataError, image: Image, where: str) -> DataError:
    """The error for a mask that cannot be one: E_MASK_SWAPPED where its image (uint8 H×W×3) is black and white."""
    if problem.code not in NO_MASK or not _looks_like_a_mask(image):
        return problem
    what = f"the image is black and white, and its mask is none ({problem.what.rstrip('.')}): are the two swapped?"
    fix = "look at both files; where the folders of images and masks are swapped, give each the other's name."
    return DataError("E_MASK_SWAPPED", what, where=where, fix=fix)


def _looks_like_a_mask(image: Image) -> bool:
    """Whether an image is grey throughout and nearly all of it black or white, with some of both."""
    lowest, highest = image.min(axis=2), image.max(axis=2)
    low, high = AMBIGUOUS_GREY
    white = float(np.mean(lowest > high))
    plain = float(np.mean((highest < low) | (lowest > high)))
    return 0 < white < 1 and plain >= LEAST_PLAIN_FRACTION


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
    if abs(across - down) < SAME_SHAPE and abs(across - 1) > LARGEST_CROP_FRACTION / 2:
        return f"Looks scaled by {across:.2f}.", "export the mask at the image's size (nearest neighbour)."
    missing = (width - mask_width, height - mask_height)
    sides = zip(missing, ("left and right", "above and below"), strict=True)
    border = ", ".join(f"{abs(pixels) / 2:g} px {side}" for pixels, side in sides if pixels)
    if min(missing) >= 0 and min(across, down) >= 1 - LARGEST_CROP_FRACTION:
        return f"Looks drawn on the cropped picture ({border}).", f"pad the mask with black ({border}), if that is so."
    if max(missing) <= 0 and max(across, down) <= 1 + LARGEST_CROP_FRACTION:
        return f"Looks drawn before the image was cropped ({border}).", f"crop the mask ({border}), if that is so."
    return "", "find the mask that belongs to this image."
