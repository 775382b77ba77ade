"""Mask files of any tool as 0/1 masks: one decoder for what is imported and for what lies below a data root.

What a file says of itself is enough for nearly all: 16 bits, alpha, a palette, an inverted scale. What its darkest
values mean, the other masks of its cohort tell (:class:`FellowMasks`); classes are never guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from polypda.cohorts.image_files import JPEG, Kind
from polypda.cohorts.polyp_values import MOST_CLASSES, PolypValues
from polypda.cohorts.stored_pixels import StoredPixels, brightest_channel, decode_array, decode_stored, is_array
from polypda.errors import DataError

Mask = NDArray[np.uint8]
"""uint8 H×W, 1 is polyp, 0 is not."""
AMBIGUOUS_GREY = (15, 240)
"""A binary mask that went through JPEG keeps its values near 0 and 255; grey between these is no binary mask."""
MOST_AMBIGUOUS_FRACTION = 0.05
MOST_FLAT_GREYS = 4
"""A lossless mask of at most so many values, some of them neither dark nor bright, has classes, no soft edges."""
LEAST_INNER_PIXELS = 16
"""ClinicDB's masks have edges of grey whose corners hold three such pixels."""
THICKEST_EDGE_PX = 5
"""Edges of ClinicDB's that are nearly black are four pixels thick at most."""
MOST_LOOKED_AT_PX = 256
"""Longer sides are thinned out where colours are looked for."""
LEAST_CHROMA = 40
"""A colour whose channels differ by less is a grey: JPEG leaves less in black and white."""
WHITE = 7
COLOURS = ("dark", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
"""By which channels are bright: 1 red, 2 green, 4 blue."""
_NO_COLOUR: frozenset[str] = frozenset()
"""One for all masks: of 200,000 empty sets each takes memory."""
BLACK_AND_WHITE = "export the mask as black (no polyp) and white (polyp), PNG preferred."
_EIGHT_BIT = "black (no polyp) and white (polyp), 8-bit PNG."
NAME_CLASSES = "import the masks and name them: -O polyp=1,2 (values) or -O polyp=#rrggbb (colours)."


class MaskScale(StrEnum):
    """How high a mask file's values reach; the words stand in messages."""

    BLANK = "0"
    FAINT = "a few, as JPEG's noise"
    UNIT = "1"
    CLASSES = "2 to 127"
    EIGHT_BIT = "255"
    SIXTEEN_BIT = "65535"


@dataclass(frozen=True, slots=True)
class MaskReach:
    """How high a mask file's values reach. highest: the largest that it stores. sixteen: in a file of 16 bits.
    colours: those of bright regions, ``white`` among them; empty where nothing but grey is drawn."""

    scale: MaskScale
    highest: int
    sixteen: bool
    colours: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """Its scale and its colours, for a list of what occurs in a cohort."""
        grey = self.scale in (MaskScale.EIGHT_BIT, MaskScale.SIXTEEN_BIT)
        return (self.scale, *(sorted(self.colours) or [COLOURS[WHITE]] * grey))

    @property
    def in_doubt(self) -> bool:
        """Whether only the cohort's other masks tell what the values mean: 0/1, a JPEG's faint ones, 8-bit values in a
        file of 16 bits, or a colour."""
        low = self.scale in (MaskScale.UNIT, MaskScale.FAINT)
        return low or bool(self.colours) or (self.sixteen and self.scale is MaskScale.EIGHT_BIT)


@dataclass(frozen=True)
class StoredMask:
    """A mask as its file holds it.

    values: uint8 H×W or H×W×3 (RGB); 0/1 stay 0/1. channels: as stored, alpha counted. orientation: EXIF's, 1–8.
    """

    values: NDArray[np.uint8]
    kind: Kind
    channels: int
    orientation: int
    reach: MaskReach


def decode_mask(data: bytes, where: str) -> StoredMask:
    """Decode a mask file: an image, or an array of NumPy or MATLAB.

    Raises: DataError E_MASK_ALPHA (drawn in black, in transparency alone), E_MASK_FLOAT, E_MASK_NAN, and as
        :func:`decode_stored` and :func:`decode_array` with E_MASK_….
    """
    stored = decode_array(data, where) if is_array(data) else decode_stored(data, where, "E_MASK")
    channels = (1 if stored.pixels.ndim == 2 else stored.pixels.shape[2]) + (stored.alpha is not None)
    values = _eight_bit(stored, where)
    return StoredMask(values, stored.kind, channels, stored.orientation, _reach(stored, values))


def _reach(stored: StoredPixels, values: NDArray[np.uint8]) -> MaskReach:
    """values: in 8 bits."""
    top = int(values.max(initial=0))
    sixteen = stored.pixels.dtype == np.uint16
    highest = int(stored.pixels.max(initial=0)) if sixteen else top
    if top <= 1:
        scale = MaskScale.UNIT if top else MaskScale.BLANK
    else:
        scale = MaskScale.CLASSES if top < 128 else MaskScale.EIGHT_BIT
    if stored.kind is JPEG and 0 < top < AMBIGUOUS_GREY[0]:
        scale = MaskScale.FAINT
    if sixteen and highest > 255 and top:
        scale = MaskScale.SIXTEEN_BIT
    return MaskReach(scale, highest, sixteen, _bright_colours(values))


def _bright_colours(values: NDArray[np.uint8]) -> frozenset[str]:
    """The colours of bright regions of a mask, thinned out; none where all of them are grey."""
    if values.ndim == 2:
        return _NO_COLOUR
    step = -(-max(values.shape[:2]) // MOST_LOOKED_AT_PX)
    thin = np.ascontiguousarray(values[::step, ::step, :3])
    highest = brightest_channel(thin)
    lowest = np.minimum(np.minimum(thin[..., 0], thin[..., 1]), thin[..., 2])
    bright = highest >= 128
    coloured = bright & (highest - lowest > LEAST_CHROMA)
    if not coloured.any():
        return _NO_COLOUR
    code = (thin >> 7) @ np.array([1, 2, 4], np.uint8)
    found = {COLOURS[each] for each in range(1, WHITE) if _has_area(coloured & (code == each), step)}
    return frozenset(found | ({COLOURS[WHITE]} if found and _has_area(bright & ~coloured, step) else set()))


def _has_area(where: NDArray[np.bool_], step: int) -> bool:
    """Whether some pixels are a region, and not the rim that JPEG or smoothing leaves between two others."""
    side, least = (5, LEAST_INNER_PIXELS) if step == 1 else (3, 4)
    return inner_pixels(where, side) >= least


def mask_of(
    stored: StoredMask, where: str, polyp: PolypValues | None = None, fellows: FellowMasks | None = None
) -> Mask:
    """The 0/1 mask of what a file holds, as stored (not turned).

    A pixel is polyp when the brightest of its channels is at least 128; masks that reach 1 alone are 0/1.

    Args: polyp: the values that are polyp, where the user says so. fellows: the cohort's masks, asked where the file
        alone does not tell what its values mean.
    Raises: DataError E_MASK_NOT_BINARY, E_MASK_CLASS (values that are classes), E_MASK_SCALE (its values and those of
        the other masks are of two scales).
    """
    if polyp is not None:
        return polyp.mask_of(stored.values, stored.kind, where)
    if fellows is not None and stored.reach.in_doubt and not (stored.reach.colours and fellows.any_colour):
        require_one_scale(stored.reach, fellows.scales, where)
    if stored.reach.scale is MaskScale.FAINT:
        return np.zeros(stored.values.shape[:2], np.uint8)
    if _two_values(stored.values):  # also VOC's dark red, which as grey would be ambiguous
        return (_grey(stored.values) >= 128).astype(np.uint8)
    _refuse_classes(stored.values, stored.kind, where)
    grey = _grey(stored.values)
    top = int(grey.max(initial=0))
    if top <= 1:
        return np.ascontiguousarray(grey.astype(np.uint8))
    low, high = AMBIGUOUS_GREY
    ambiguous = float(np.mean((grey >= low) & (grey <= high)))
    if ambiguous > MOST_AMBIGUOUS_FRACTION:
        what = f"{ambiguous:.0%} of the pixels are grey ({low}–{high}), so this is no binary mask."
        raise DataError("E_MASK_NOT_BINARY", what, where=where, fix=BLACK_AND_WHITE)
    if low <= top < 128:
        what = f"its brightest value is {top}: something is drawn in it, but nothing is white."
        raise DataError("E_MASK_NOT_BINARY", what, where=where, fix=BLACK_AND_WHITE)
    return np.ascontiguousarray((grey >= 128).astype(np.uint8))


def require_one_scale(reach: MaskReach, scales: Mapping[str, str], where: str, *, any_colour: bool = False) -> None:
    """Refuse a mask in doubt whose cohort holds masks of another scale or colour.

    scales: those of the cohort, and its colours, each with a file that has it. any_colour: every colour is a polyp.
    Raises: DataError E_MASK_SCALE, E_MASK_CLASS, E_MASK_NOT_BINARY.
    """
    others = sorted(set(COLOURS) & set(scales))
    if reach.colours and len(others) > 1 and not any_colour:
        found = ", ".join(f"{colour} ({scales[colour]})" for colour in others)
        what = f"the masks of the cohort are {found}: classes, and which of them are polyps is not told."
        fix = "import with -O polyp=#rrggbb; where every colour is a polyp, write `mask_colours: any` in the manifest."
        raise DataError("E_MASK_CLASS", what, where=where, fix=fix)
    if reach.colours:
        return
    white = [scale for scale in (MaskScale.SIXTEEN_BIT, MaskScale.EIGHT_BIT) if scale in scales]
    if reach.scale is MaskScale.FAINT:
        if white:
            return
        what = f"its values end at {reach.highest}, and no mask of the cohort holds anything white."
        raise DataError("E_MASK_NOT_BINARY", what, where=where, fix=BLACK_AND_WHITE)
    if reach.scale is MaskScale.UNIT and MaskScale.CLASSES in scales:
        what = f"its values are 0 and 1, but {scales[MaskScale.CLASSES]} holds higher ones: classes, and which of them "
        raise DataError("E_MASK_CLASS", f"{what}are polyps is not told.", where=where, fix=NAME_CLASSES)
    if reach.scale is not MaskScale.UNIT and MaskScale.EIGHT_BIT in white:
        white.remove(MaskScale.EIGHT_BIT)
    if white:
        what = f"its values end at {reach.highest}, but those of {scales[white[0]]} reach {white[0].value}: "
        what += "whether its drawing is a polyp or next to black is not told."
        raise DataError("E_MASK_SCALE", what, where=where, fix=f"export all masks of the cohort alike: {_EIGHT_BIT}")


@dataclass(frozen=True, eq=False)
class FellowMasks:
    """All masks of a cohort. They are read when one of them is in doubt, once.

    names: files, as ``read`` takes them; read: a file's bytes. any_colour: every colour is a polyp.
    """

    names: tuple[str, ...]
    read: Callable[[str], bytes]
    any_colour: bool = False

    @cached_property
    def scales(self) -> dict[str, str]:
        """The scales and colours that occur, each with the name of the first file that has it; unreadable files are
        passed over."""
        found: dict[str, str] = {}
        for name in self.names:
            try:
                reach = decode_mask(self.read(name), name).reach
            except (DataError, OSError):
                continue  # told where the mask itself is read
            for key in reach.keys:
                found.setdefault(key, PurePath(name).name)
        return found

    @cached_property
    def identity(self) -> bytes:
        """A digest of all their contents: what is decided from them changes with it alone."""
        digest = hashlib.sha256(b"any colour" if self.any_colour else b"")
        for name in self.names:
            try:
                digest.update(hashlib.sha256(self.read(name)).digest())
            except OSError:
                digest.update(b"unreadable")
        return digest.digest()


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
    fix = f"export the mask as {_EIGHT_BIT}"
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
    grey = _grey(values)
    highest = grey.max(initial=0)
    return bool(highest >= 128 and ((grey == 0) | (grey == highest)).all())


def _refuse_classes(values: NDArray[np.uint8], kind: Kind, where: str) -> None:
    """Values that stand for classes would silently become an empty or a partial mask."""
    if kind is JPEG:
        return
    grey = _grey(values)
    counts = np.bincount(grey.ravel(), minlength=256)
    present = np.flatnonzero(counts)
    low, high = AMBIGUOUS_GREY
    dark = 1 < present[-1] < 128 and len(present) <= MOST_CLASSES
    greys = present[(present >= low) & (present <= high)]
    # an edge of grey is a drawing tool's; a region of grey is a class
    few = len(present) <= MOST_FLAT_GREYS
    flat = few and any(has_region(grey == value) for value in greys)
    # beside white, a region that is nearly black is a class, too: VOC's 1, and the white is the rim around it
    nearly_black = present[1:][present[1:] < low]
    rimmed = few and any(inner_pixels(grey == each, THICKEST_EDGE_PX) >= LEAST_INNER_PIXELS for each in nearly_black)
    if dark or flat or (rimmed and present[-1] >= 128):
        listed = ", ".join(map(str, present[:8])) + ("…" if len(present) > 8 else "")
        what = f"its values are {listed}: classes, and which of them are polyps is not told."
        raise DataError("E_MASK_CLASS", what, where=where, fix=NAME_CLASSES)


MOST_COVERED, MOST_OF_BORDER = 0.5, 0.75
"""A mask that covers more of its frame, and more of the frame's border, shows what is around a polyp."""
FULL_FRACTION = 0.995


def doubtful(covered: float, on_border: float) -> tuple[str, str] | None:
    """(code, what) for a mask that can hardly be a polyp's; None for any other.

    Args: covered, on_border: fractions of the frame and of its border that are polyp.
    """
    if covered >= FULL_FRACTION:
        return "W_MASK_FULL", "covers the whole frame: nothing is left that is no polyp. Look whether it is a mask."
    if covered > MOST_COVERED and on_border > MOST_OF_BORDER:
        what = f"covers {covered:.0%} of the frame and {on_border:.0%} of its border: are black and white exchanged?"
        return "W_MASK_INVERTED", what
    return None


def border_fraction(mask: Mask) -> float:
    """Fraction of the frame's border that is polyp."""
    return float(np.mean(np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]]) > 0))


def has_region(where: NDArray[np.bool_]) -> bool:
    """Whether some pixels lie within a region, all eight neighbours alike, and not just in a thick edge."""
    return inner_pixels(where, 3) >= LEAST_INNER_PIXELS


def inner_pixels(where: NDArray[np.bool_], side: int) -> int:
    """How many pixels are alike in all of a window of ``side`` pixels around them."""
    return int(np.count_nonzero(cv2.erode(where.astype(np.uint8), np.ones((side, side), np.uint8))))


def _grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return values if values.ndim == 2 else brightest_channel(values)
