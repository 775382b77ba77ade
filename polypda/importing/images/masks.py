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
    """Which stored values are polyp, where the user or the tool says so: grey values and RGB colours.

    other_colours, other_values: what else is drawn, so that a colour near the polyp's is not taken for it.
    strict: a lossless mask that holds anything else is refused. anything: whatever is drawn is polyp.
    """

    values: tuple[int, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    other_colours: tuple[tuple[int, int, int], ...] = ()
    other_values: tuple[int, ...] = ()
    strict: bool = True
    anything: bool = False

    @classmethod
    def parse(cls, text: str) -> PolypValues:
        """Read ``1,2``, ``#ff0000,#00ff00`` or ``any``. Raises: UsageError E_OPTION."""
        if text.strip() == "any":
            return cls(strict=False, anything=True)
        values, colours = [], []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            digits = part.removeprefix("#")
            if part.startswith("#") and len(digits) == 6 and all(c in "0123456789abcdefABCDEF" for c in digits):
                colours.append((int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)))
            elif part.isdecimal() and int(part) <= 255:
                values.append(int(part))
            else:
                fix = "e.g. -O polyp=1,2 (grey values), -O polyp=#ff0000 (a colour) or -O polyp=any."
                raise UsageError("E_OPTION", f"'{part}' is neither a grey value (0–255) nor a colour.", fix=fix)
        return cls(tuple(values), tuple(colours), strict=False)


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
    values, kind = mask_values(tree, path)
    if values.shape[:2] != size:
        raise mask_size_error(path, (size[1], size[0]), (values.shape[1], values.shape[0]))
    if polyp is not None:
        return _chosen(values, polyp, kind, path)
    if _two_values(values):  # also VOC's dark red, which as grey would be ambiguous
        return ((values if values.ndim == 2 else brightest_channel(values)) >= 128).astype(np.uint8)
    _refuse_classes(values, kind, path)
    return binary_mask(values, PurePosixPath(path).name)


def mask_values(tree: SourceTree, path: str) -> tuple[NDArray[np.uint8], Kind]:
    """A mask file's values as uint8 H×W or H×W×3, upright, and what kind of file holds them. Raises: DataError."""
    stored = decode_stored(tree.read(path), path, "E_MASK")
    return turned(_eight_bit(stored, path), stored.orientation), stored.kind


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
    flat = len(present) <= MOST_FLAT_GREYS and any(has_region(grey == value) for value in greys)
    if dark or flat:
        told = ", ".join(map(str, present[:8])) + ("…" if len(present) > 8 else "")
        what = f"its values are {told}: classes, and which of them are polyps is not told."
        fix = "name them: -O polyp=1,2 (values) or -O polyp=#rrggbb (colours)."
        raise DataError("E_MASK_CLASS", what, where=where, fix=fix)


def has_region(where: NDArray[np.bool_]) -> bool:
    """Whether some pixels lie within a region, all eight neighbours alike, and not just in a thick edge."""
    inner = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8))
    return int(np.count_nonzero(inner)) >= LEAST_INNER_PIXELS


def _chosen(values: NDArray[np.uint8], polyp: PolypValues, kind: Kind, where: str) -> MaskPixels:
    grey = values if values.ndim == 2 else brightest_channel(values)
    if polyp.anything:
        smooth = kind is JPEG or len(np.unique(grey)) > MOST_CLASSES
        return (grey >= 128 if smooth else grey > 0).astype(np.uint8)
    named_values = bool(polyp.values or polyp.other_values)
    told_as_colours = bool(polyp.colours or polyp.other_colours)
    by_value = np.isin(grey, polyp.values)
    if named_values and (values.ndim == 2 or not told_as_colours):
        strange = np.setdiff1d(grey, (0, *polyp.values, *polyp.other_values))
        if polyp.strict and kind is not JPEG and len(strange):
            raise _unnamed(f"the value {int(strange[0])}", where)
        if not polyp.colours or polyp.strict:
            return by_value.astype(np.uint8)
    three = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
    return (_of_colours(three, polyp, kind, where) | (by_value if not polyp.strict else False)).astype(np.uint8)


def _of_colours(values: NDArray[np.uint8], polyp: PolypValues, kind: Kind, where: str) -> NDArray[np.bool_]:
    """Exactly the colours of a lossless class mask; of a compressed or smoothed one what is nearest to them."""
    packed = values.astype(np.int32) @ np.array([0x10000, 0x100, 1], np.int32)
    present = np.unique(packed)
    wanted, others = (
        [red << 16 | green << 8 | blue for red, green, blue in colours]
        for colours in (polyp.colours, polyp.other_colours)
    )
    if kind is not JPEG and len(present) <= MOST_CLASSES:
        strange = np.setdiff1d(present, [0, *wanted, *others])
        if polyp.strict and len(strange):
            raise _unnamed(f"the colour #{int(strange[0]):06x}", where)
        return np.isin(packed, wanted)
    far = 256
    nearest = np.full(values.shape[:2], far, np.int16)
    for colour in polyp.colours:
        nearest = np.minimum(nearest, _distance(values, colour))
    other = np.full(values.shape[:2], far, np.int16)
    for colour in polyp.other_colours:
        other = np.minimum(other, _distance(values, colour))
    return (nearest <= COLOUR_TOLERANCE) & (nearest < other)


def _distance(values: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.int16]:
    """The largest difference of a channel, H×W."""
    return np.abs(values.astype(np.int16) - np.asarray(colour, np.int16)).max(axis=2)


def _unnamed(value: str, where: str) -> DataError:
    what = f"it holds {value}, which the table of classes does not name."
    fix = "add it to the table, or name the polyps: -O polyp=1,2 (values) or -O polyp=#rrggbb (colours)."
    return DataError("E_MASK_CLASS", what, where=where, fix=fix)
