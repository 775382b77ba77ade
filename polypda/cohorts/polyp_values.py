"""Which values of a mask file are polyp, where the user, the tool or a table of classes says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.image_files import JPEG, Kind
from polypda.cohorts.stored_pixels import brightest_channel
from polypda.errors import DataError, UsageError

MOST_CLASSES = 16
"""A lossless mask with more distinct values was interpolated or smoothed; with fewer its values may be classes."""
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
            elif part.isdecimal() and len(part) <= 3 and int(part) <= 255:
                values.append(int(part))
            else:
                fix = "e.g. -O polyp=1,2 (grey values), -O polyp=#ff0000 (a colour) or -O polyp=any."
                raise UsageError("E_OPTION", f"'{part}' is neither a grey value (0–255) nor a colour.", fix=fix)
        return cls(tuple(values), tuple(colours), strict=False)

    def mask_of(self, values: NDArray[np.uint8], kind: Kind, where: str) -> NDArray[np.uint8]:
        """The 0/1 mask of a file's values, uint8 H×W or H×W×3 RGB.

        Raises: DataError E_MASK_CLASS where a lossless mask holds what nobody named and ``strict`` is asked for.
        """
        grey = values if values.ndim == 2 else brightest_channel(values)
        if self.anything:
            smooth = kind is JPEG or len(np.unique(grey)) > MOST_CLASSES
            return (grey >= 128 if smooth else grey > 0).astype(np.uint8)
        named_values = bool(self.values or self.other_values)
        named_colours = bool(self.colours or self.other_colours)
        by_value = np.isin(grey, self.values)
        if named_values and (values.ndim == 2 or not named_colours):
            strange = np.setdiff1d(grey, (0, *self.values, *self.other_values))
            if self.strict and kind is not JPEG and len(strange):
                raise _unnamed(f"the value {int(strange[0])}", where)
            if not self.colours or self.strict:
                return by_value.astype(np.uint8)
        three = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
        return (_of_colours(three, self, kind, where) | (by_value if not self.strict else False)).astype(np.uint8)


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
