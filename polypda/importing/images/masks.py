"""Mask files of other tools as 0/1 masks of their image's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polypda.cohorts.images import AMBIGUOUS_GREY, binary_mask, brightest_channel
from polypda.cohorts.mask_files import mask_size_error
from polypda.errors import DataError, UsageError
from polypda.importing.contract import MaskLabel, MaskPixels, SourceTree
from polypda.importing.images.orientation import turned
from polypda.importing.images.picture_kinds import JPEG, Kind
from polypda.importing.images.stored_pixels import StoredPixels, decode_stored

MOST_CLASSES = 16
"""A lossless mask with more distinct values was interpolated or smoothed; with fewer its values may be classes."""
MOST_FLAT_GREYS = 4
"""A lossless mask of at most so many values, some of them neither dark nor bright, has classes, no soft edges."""
LEAST_INNER_PIXELS = 16
"""ClinicDB's masks have edges of grey whose corners hold three such pixels."""
COLOUR_TOLERANCE = 48
"""A pixel is of a named colour when no channel differs by more: JPEG leaves less than this inside a region."""


@dataclass(frozen=True)
class PolypValues:
    """Which stored values are polyp, where the user says so: grey values and RGB colours."""

    values: tuple[int, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> PolypValues:
        """Read ``1,2`` or ``#ff0000,#00ff00``. Raises: UsageError E_OPTION."""
        values, colours = [], []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            digits = part.removeprefix("#")
            if part.startswith("#") and len(digits) == 6 and all(c in "0123456789abcdefABCDEF" for c in digits):
                colours.append((int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)))
            elif part.isdecimal() and int(part) <= 255:
                values.append(int(part))
            else:
                fix = "e.g. -O polyp=1,2 (grey values) or -O polyp=#ff0000 (a colour)."
                raise UsageError("E_OPTION", f"'{part}' is neither a grey value (0–255) nor a colour.", fix=fix)
        return cls(tuple(values), tuple(colours))


def mask_label(tree: SourceTree, paths: Sequence[str], polyp: PolypValues | None = None) -> MaskLabel:
    """The label of one frame that lies in one mask file, or in several (one per lesion or class) that are joined."""

    def read(size: tuple[int, int]) -> MaskPixels:
        masks = [read_mask_file(tree, path, size, polyp) for path in paths]
        return np.maximum.reduce(masks)

    return MaskLabel(read, paths[0])


def read_mask_file(tree: SourceTree, path: str, size: tuple[int, int], polyp: PolypValues | None = None) -> MaskPixels:
    """Read a mask for an image of (height, width).

    Raises: DataError E_MASK_SIZE, E_MASK_NOT_BINARY, E_MASK_CLASS (values that are classes), E_MASK_ALPHA (drawn in
        transparency alone), E_MASK_FLOAT, E_MASK_NAN, and as :func:`decode_stored` with E_MASK_….
    """
    stored = decode_stored(tree.read(path), path, "E_MASK")
    values = turned(_eight_bit(stored, path), stored.orientation)
    if values.shape[:2] != size:
        raise mask_size_error(path, (size[1], size[0]), (values.shape[1], values.shape[0]))
    if polyp is not None:
        return _chosen(values, polyp, path)
    if _two_values(values):  # also VOC's dark red, which as grey would be ambiguous
        return ((values if values.ndim == 2 else brightest_channel(values)) >= 128).astype(np.uint8)
    _refuse_classes(values, stored.kind, path)
    return binary_mask(values, PurePosixPath(path).name)


def _eight_bit(stored: StoredPixels, where: str) -> NDArray[np.uint8]:
    """The stored values as uint8 H×W or H×W×3; 0/1 stay 0/1."""
    pixels = _scaled(stored.pixels, where)
    if stored.mode == "cmyk":
        pixels = np.asarray(Image.fromarray(pixels, "CMYK").convert("RGB"))
    if stored.alpha is None:
        return pixels
    opaque = _scaled(stored.alpha, where) > 127
    shown = np.where(opaque if pixels.ndim == 2 else opaque[..., None], pixels, 0).astype(np.uint8)
    if not shown.any() and opaque.any() and not opaque.all():
        what = "everything is black: the drawing is in the transparency alone."
        raise DataError("E_MASK_ALPHA", what, where=where, fix="export the mask as black and white without alpha.")
    return shown


def _scaled(pixels: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    fix = "export the mask as black (no polyp) and white (polyp), 8-bit PNG."
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise DataError("E_MASK_NAN", "some values are no numbers (NaN or infinite).", where=where, fix=fix)
        if not np.isin(pixels, (0, 1)).all() and not np.isin(pixels, (0, 255)).all():
            what = f"floating-point values from {pixels.min():.3g} to {pixels.max():.3g}: a map, no mask."
            raise DataError("E_MASK_FLOAT", what, where=where, fix=fix)
        return pixels.astype(np.uint8)
    if pixels.dtype.kind not in "iu" or int(pixels.min(initial=0)) < 0:
        raise DataError("E_MASK_FLOAT", f"values of type {pixels.dtype}.", where=where, fix=fix)
    return (pixels if int(pixels.max(initial=0)) <= 255 else pixels // 257).astype(np.uint8)


def _two_values(values: NDArray[np.uint8]) -> bool:
    """Whether a mask holds black and one bright value alone."""
    grey = values if values.ndim == 2 else brightest_channel(values)
    highest = grey.max(initial=0)
    return bool(highest >= 128 and ((grey == 0) | (grey == highest)).all())


def _refuse_classes(values: NDArray[np.uint8], kind: Kind, where: str) -> None:
    """Values that stand for classes would silently become an empty or a partial mask."""
    if kind is JPEG:
        return
    grey = values if values.ndim == 2 else brightest_channel(values)
    counts = np.bincount(grey.ravel(), minlength=256)
    present = np.flatnonzero(counts)
    low, high = AMBIGUOUS_GREY
    dark = 1 < present[-1] < 128 and len(present) <= MOST_CLASSES
    greys = present[(present >= low) & (present <= high)]
    # an edge of grey is a drawing tool's; a region of grey is a class
    flat = len(present) <= MOST_FLAT_GREYS and any(_has_region(grey == value) for value in greys)
    if dark or flat:
        told = ", ".join(map(str, present[:8])) + ("…" if len(present) > 8 else "")
        what = f"its values are {told}: classes, and which of them are polyps is not told."
        fix = "name them: -O polyp=1,2 (values) or -O polyp=#rrggbb (colours)."
        raise DataError("E_MASK_CLASS", what, where=where, fix=fix)


def _has_region(where: NDArray[np.bool_]) -> bool:
    """Whether some pixels lie within a region, all eight neighbours alike, and not just in a thick edge."""
    inner = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8))
    return int(np.count_nonzero(inner)) >= LEAST_INNER_PIXELS


def _chosen(values: NDArray[np.uint8], polyp: PolypValues, where: str) -> MaskPixels:
    if polyp.colours and values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    grey = values if values.ndim == 2 else brightest_channel(values)
    mask = np.isin(grey, polyp.values)
    for colour in polyp.colours:
        difference = np.abs(values.astype(np.int16) - np.asarray(colour, np.int16))
        mask |= (difference <= COLOUR_TOLERANCE).all(axis=2)
    return mask.astype(np.uint8)
