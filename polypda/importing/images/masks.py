"""Mask files of other tools as 0/1 labels: which drawn colour is the polyp is decided over all masks of a source.

A mask by itself does not tell: one that shows an instrument alone is black and one colour, as a polyp's is. So every
mask is looked at for its colours first. One colour is the polyp. Where there are several, a table of the tool
(:mod:`.class_tables`) or ``-O polyp=…`` must say which; else the user is asked: two classes are never joined in
silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.image_files import JPEG, Kind
from polypda.cohorts.images import mask_size_error
from polypda.cohorts.polyp_values import COLOUR_TOLERANCE, MOST_CLASSES, PolypValues
from polypda.cohorts.stored_masks import LEAST_CHROMA, MOST_FLAT_GREYS, FellowMasks, decode_mask, has_region, mask_of
from polypda.errors import DataError
from polypda.importing.contract import Ledger, MaskLabel, MaskPixels, SourceTree
from polypda.importing.images.class_tables import VOID, ClassTable, Colour, class_tables, table_for
from polypda.importing.images.decoded_image import turned

NEAR_GREY = 16
"""Greys that differ by less are one: 248–255 is what JPEG makes of white."""
MOST_SURVEYED_PX = 512
"""Longer sides are thinned out for the survey: a class is a region, not a pixel."""
FLAT_RANGE = 24
"""Within a region of one colour, neighbours in a JPEG differ by less."""
LEAST_LOSSY_PIXELS = 64
MOST_SHADES = 64
"""Colours in steps of 16 that regions of a class picture show, compressed or smoothed; a photograph shows more."""
MOST_NAMED = 6


@dataclass(frozen=True)
class MaskColours:
    """tables: the tool's. chosen: what ``-O polyp`` says, made exact. only: class names that the user gave."""

    tables: Sequence[ClassTable]
    chosen: PolypValues | None
    only: tuple[str, ...] | None

    def of(self, mask: str) -> PolypValues | None:
        """Which values of a mask file are polyp; None: the one drawn value is. Raises: DataError E_MASK_CLASS."""
        table = table_for(self.tables, mask)
        if self.chosen is not None or table is None:
            return self.chosen
        colours, values = table.polyps(self.only)
        others = (set(table.colours) | {VOID}) - colours if table.colours else set()
        return PolypValues(tuple(values), tuple(colours), tuple(others), tuple(set(table.values) - values))

    def polyps_alone(self, mask: str) -> bool:
        """Whether the tool says that nothing but polyps is drawn. Raises: DataError E_MASK_CLASS."""
        table = table_for(self.tables, mask)
        if table is None:
            return False
        colours, values = table.polyps(self.only)
        return {*(table.colours[each] for each in colours), *(table.values[each] for each in values)} == table.names


def mask_colours(
    tree: SourceTree, masks: Sequence[str], polyp: PolypValues | None, only: tuple[str, ...] | None, ledger: Ledger
) -> MaskColours:
    """Look at every mask and decide. Raises: UsageError E_CLASS; DataError E_MASK_CLASS when the user must say."""
    tables = [] if polyp is not None else class_tables(tree)
    told = [table for table in tables if any(table_for(tables, mask) is table for mask in masks)]
    for table in told:
        table.polyps(only)  # raises before anything is read
        ledger.remark(table.origin, "N_MASK_CLASSES", f"tells what the masks' values stand for: {_listed(table)}.")
    if polyp is not None and not polyp.colours:
        return MaskColours((), polyp, only)
    untold = [mask for mask in masks if polyp is not None or table_for(told, mask) is None]
    surveyed = [found for mask in untold if (found := _survey(tree, mask)) is not None]
    if polyp is not None:
        return MaskColours((), _exact(polyp, surveyed, tree.name), only)
    _require_one(surveyed, tree.name)
    return MaskColours(told, None, only)


def _listed(table: ClassTable) -> str:
    return ", ".join(sorted(table.names)[:10]) or "nothing"


@dataclass(frozen=True)
class _Surveyed:
    """One mask's regions: its colours, and its greys above black; several: few values, of which some are dark and some
    bright."""

    colours: frozenset[Colour]
    greys: frozenset[int]
    several: bool
    lossless: bool


def _survey(tree: SourceTree, path: str) -> _Surveyed | None:
    """None where the mask cannot be read, which is told when its frame is."""
    try:
        values, kind = mask_values(tree, path)
    except DataError:
        return None
    step = -(-max(values.shape[:2]) // MOST_SURVEYED_PX)
    values = np.ascontiguousarray(values[::step, ::step])
    few = kind is not JPEG and len(np.unique(_packed(values))) <= MOST_FLAT_GREYS
    present = _lossy_colours(values) if kind is JPEG else _lossless_colours(values)
    colours = frozenset(colour for colour in present if max(colour) - min(colour) > LEAST_CHROMA)
    greys = frozenset(max(colour) for colour in present if colour not in colours and max(colour) > 0)
    dark, bright = [grey for grey in greys if grey < 128], [grey for grey in greys if grey >= 128]
    several = few and bool(dark) and bool(bright)  # with more values, the dark ones are what JPEG once left of black
    return _Surveyed(colours, frozenset(bright) if bright else greys, several, kind is not JPEG)


def _lossless_colours(values: NDArray[np.uint8]) -> list[Colour]:
    packed = _packed(values)
    present = np.unique(packed)
    if len(present) > MOST_CLASSES:
        return _lossy_colours(values)
    return [_unpacked(int(value)) for value in present if has_region(packed == value)]


def _lossy_colours(values: NDArray[np.uint8]) -> list[Colour]:
    """The colours of regions in a picture that was compressed or smoothed, each the commonest of its kind."""
    square = np.ones((3, 3), np.uint8)
    spread = cv2.subtract(cv2.dilate(values, square), cv2.erode(values, square))
    flat = (spread if spread.ndim == 2 else spread.max(axis=2)) <= FLAT_RANGE
    counts: Counter[Colour] = Counter()
    packed, numbers = np.unique(_packed(((values & 0xF0) | 0x08).astype(np.uint8))[flat], return_counts=True)
    if len(packed) > MOST_SHADES:  # a photograph among the masks is told when it is read
        return []
    for value, number in sorted(zip(packed.tolist(), numbers.tolist(), strict=True), key=lambda each: -each[1]):
        colour = _unpacked(value)
        like = next((kept for kept in counts if _near(kept, colour)), colour)
        counts[like] += number
    black = [colour for colour in counts if max(colour) <= COLOUR_TOLERANCE]
    return [colour for colour, number in counts.items() if number >= LEAST_LOSSY_PIXELS and colour not in black]


def _require_one(surveyed: Iterable[_Surveyed], where: str) -> None:
    """Raises: DataError E_MASK_CLASS where more than one thing was drawn."""
    colours: Counter[Colour] = Counter()
    greys: Counter[int] = Counter()
    several, drawn = 0, 0
    for found in surveyed:
        for colour in found.colours:
            near = None if found.lossless else next((kept for kept in colours if _near(kept, colour)), None)
            colours[near or colour] += 1
        greys.update(found.greys)
        several += found.several
        drawn += bool(found.colours or found.greys)
    # in a few masks (ClinicDB has such) dark greys beside white are what a drawing tool left, in most they are classes
    dark = [grey for grey in greys if grey < 128]
    bright = sorted(grey for grey in greys if grey >= 128)
    apart = bool(bright) and bright[-1] - bright[0] > NEAR_GREY
    if len(colours) < 2 and not (colours and greys) and len(dark) < 2 and not apart and 2 * several < max(drawn, 1):
        return
    told = [f"#{r:02x}{g:02x}{b:02x} ({number} masks)" for (r, g, b), number in colours.most_common(MOST_NAMED)]
    told += [f"grey {grey} ({number} masks)" for grey, number in greys.most_common(MOST_NAMED)]
    what = f"the masks hold {', '.join(told)}: classes, and which of them are polyps is not told."
    fix = "name them: -O polyp=#rrggbb (colours) or -O polyp=1,2 (values), or -O polyp=any where every drawing is one."
    raise DataError("E_MASK_CLASS", what, where=where, fix=fix)


def _exact(polyp: PolypValues, surveyed: Iterable[_Surveyed], where: str) -> PolypValues:
    """The named colours as the lossless masks hold them, and what else they hold.

    A colour that no mask holds exactly stands for the one colour near it. Raises: DataError E_MASK_CLASS.
    """
    held = {colour for found in surveyed if found.lossless for colour in _all(found)}
    meant: set[Colour] = set()
    for colour in polyp.colours:
        near = {other for other in held if _near(colour, other)}
        if colour not in held and len(near) > 1:
            told = ", ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in sorted(near))
            what = f"no mask holds #{colour[0]:02x}{colour[1]:02x}{colour[2]:02x}, and {told} are near it."
            raise DataError("E_MASK_CLASS", what, where=where, fix="name the colour exactly.")
        meant |= {colour} if colour in held or not near else near
    return PolypValues(polyp.values, tuple(sorted(meant)), tuple(sorted(held - meant)), strict=False)


def _all(found: _Surveyed) -> Collection[Colour]:
    return {*found.colours, *((grey, grey, grey) for grey in found.greys)}


def _near(one: Colour, other: Colour) -> bool:
    return all(abs(here - there) <= COLOUR_TOLERANCE for here, there in zip(one, other, strict=True))


def _packed(values: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Colours as single numbers; a grey is a colour of three equal channels."""
    wide = values.astype(np.int32)
    return wide * 0x010101 if values.ndim == 2 else wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _unpacked(value: int) -> Colour:
    return value >> 16, value >> 8 & 0xFF, value & 0xFF


def source_masks(tree: SourceTree, paths: Iterable[str]) -> FellowMasks:
    """All masks of a source, asked where a mask alone does not tell what its values mean. Nothing is opened."""
    return FellowMasks(tuple(paths), tree.read)


def mask_label(
    tree: SourceTree, paths: Sequence[str], fellows: FellowMasks, polyp: PolypValues | None = None
) -> MaskLabel:
    """The label of one frame that lies in one mask file, or in several (one per lesion or class) that are joined."""

    def read(size: tuple[int, int]) -> MaskPixels:
        masks = [read_mask_file(tree, path, size, polyp, fellows) for path in paths]
        return np.maximum.reduce(masks)

    return MaskLabel(read, paths[0])


def read_mask_file(
    tree: SourceTree,
    path: str,
    size: tuple[int, int],
    polyp: PolypValues | None = None,
    fellows: FellowMasks | None = None,
) -> MaskPixels:
    """Read a mask for an image of (height, width). fellows: all masks of its source.

    Raises: DataError E_MASK_SIZE, and what :func:`decode_mask` and :func:`mask_of` raise.
    """
    stored = decode_mask(tree.read(path), path)
    height, width = turned(stored.values, stored.orientation).shape[:2]
    if (height, width) != size:
        raise mask_size_error(path, (size[1], size[0]), (width, height))
    return np.ascontiguousarray(turned(mask_of(stored, path, polyp, fellows), stored.orientation))


def mask_values(tree: SourceTree, path: str) -> tuple[NDArray[np.uint8], Kind]:
    """A mask file's values as uint8 H×W or H×W×3, upright, and what kind of file holds them.

    Raises: as :func:`decode_mask`.
    """
    stored = decode_mask(tree.read(path), path)
    return turned(stored.values, stored.orientation), stored.kind
