"""Mask files of other tools as 0/1 labels: which drawn colour is the polyp is decided over all masks of a source.

A mask by itself does not tell: one that shows an instrument alone is black and one colour, as a polyp's is. So every
mask is looked at for its colours first. One colour is the polyp. Where there are several, a table of the tool
(:class:`ClassTable`) or ``-O polyp=…`` must say which; else the user is asked: two classes are never joined in silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.image_files import JPEG
from polypda.cohorts.images import mask_size_error
from polypda.cohorts.polyp_values import COLOUR_TOLERANCE, MOST_CLASSES, PolypValues
from polypda.cohorts.stored_masks import LEAST_CHROMA, MOST_FLAT_GREYS, FellowMasks, decode_mask, has_region, mask_of
from polypda.errors import DataError
from polypda.importing.annotations.annotated import Meaning, PolypClasses, require_classes
from polypda.importing.annotations.annotation_files import mapping, read_json, read_text, text, whole
from polypda.importing.contract import Ledger, MaskLabel, MaskPixels, SourceTree
from polypda.importing.images.decoded_image import turned
from polypda.importing.readers.frame_tables import table_of

Colour = tuple[int, int, int]
"""Red, green, blue, 0–255."""
VOID: Colour = (224, 224, 192)
"""VOC's rim between objects."""
_BACKGROUND = re.compile(r"_*(background|bg|ignore|void|unlabell?ed|其他|背景)_*")
_NAMED_COLOUR = re.compile(r"(?P<name>[^:#]+):(?P<r>\d{1,3}),(?P<g>\d{1,3}),(?P<b>\d{1,3})(?::.*)?")
_VALUE_HEADINGS = ("pixel value", "value", "class id", "id", "index")
_NAME_HEADINGS = ("class", "name", "label", "class name")
NEAR_GREY = 16
"""Greys that differ by less are one: 248–255 is what JPEG makes of white."""
MOST_SURVEYED_PX = 512
"""Longer sides are thinned out for the survey: a class is a region, not a pixel."""
FLAT_RANGE = 24
"""Within a region of one colour, neighbours in a JPEG differ by less."""
LEAST_LOSSY_PIXELS = 64
MOST_SHADES = 64
"""Colours in steps of 16 that regions of a class image show, compressed or smoothed; a photograph shows more."""
MOST_NAMED = 6


@dataclass(frozen=True)
class ClassTable:
    """One file's colours and values with the classes that they stand for; origin: its path. It counts for the masks of
    its folder and below."""

    origin: str
    colours: dict[Colour, str] = field(default_factory=dict)
    values: dict[int, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The classes, without the background."""
        return {name for name in (*self.colours.values(), *self.values.values()) if not is_background(name)}

    def polyps(self, only: Collection[str] | None) -> tuple[set[Colour], set[int]]:
        """The colours and the values that are polyps; only: names that the user gave.

        Raises: UsageError E_CLASS; DataError E_MASK_CLASS where no class is known to be one.
        """
        require_classes(only, self.names)
        classes = PolypClasses(only, self.names)
        polyps = {name for name in self.names if classes.meaning(name) is Meaning.POLYP}
        colours = {colour for colour, name in self.colours.items() if name in polyps}
        values = {value for value, name in self.values.items() if name in polyps}
        if not colours and not values and self.names:
            what = f"its classes are {', '.join(sorted(self.names)[:10])}: which of them are polyps is not known."
            raise DataError("E_MASK_CLASS", what, where=self.origin, fix="name them: -O classes=NAME,NAME.")
        return colours, values


def is_background(name: str) -> bool:
    """Whether a class stands for what nobody drew."""
    return _BACKGROUND.fullmatch(name.strip().casefold()) is not None


def class_tables(tree: SourceTree) -> list[ClassTable]:
    """Every table of classes in the tree; a file that merely has such a name, or cannot be read, is none."""
    found = []
    for path in tree.files():
        try:
            table = _class_table(tree, path)
        except DataError:
            continue
        if table is not None and (table.colours or table.values):
            found.append(table)
    return found


def _class_table(tree: SourceTree, path: str) -> ClassTable | None:
    name = path.rsplit("/", 1)[-1].casefold()
    if name in ("labelmap.txt", "label_colors.txt"):
        return ClassTable(path, _labelmap(read_text(tree, path)))
    if name in ("class_names.txt", "labels.txt"):
        numbered = _numbered(read_text(tree, path))
        return ClassTable(path, {voc_colour(number): each for number, each in numbered.items()}, numbered)
    if name == "dataset.json":
        return ClassTable(path, values=_nnunet(mapping(read_json(tree, path)).get("labels")))
    if name.endswith(".csv") and "class" in name:
        return _csv(read_text(tree, path), path)
    return None


def table_for(tables: Collection[ClassTable], mask: str) -> ClassTable | None:
    """The table whose folder lies nearest above a mask."""
    folders = PurePosixPath(mask).parents
    near = [table for table in tables if PurePosixPath(table.origin).parent in folders]
    return max(near, key=lambda table: len(PurePosixPath(table.origin).parts), default=None)


def voc_colour(number: int) -> Colour:
    """The colour of a class by VOC's rule: three bits of the number at a time, each to the next lower bit."""
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (number & 1) << bit
        green |= (number >> 1 & 1) << bit
        blue |= (number >> 2 & 1) << bit
        number >>= 3
    return red, green, blue


def _labelmap(content: str) -> dict[Colour, str]:
    """CVAT's and Datumaro's: ``name:r,g,b:parts:actions``."""
    found = {}
    for match in filter(None, (_NAMED_COLOUR.fullmatch(line.strip()) for line in content.splitlines())):
        if all(int(match[channel]) <= 255 for channel in "rgb"):
            found[int(match["r"]), int(match["g"]), int(match["b"])] = match["name"].strip()
    return found


def _numbered(content: str) -> dict[int, str]:
    """labelme2voc's: one name a line from ``_background_`` on; its number is the class, which has VOC's colour."""
    names = [line.strip() for line in content.splitlines() if line.strip()]
    names = names[1:] if names[:1] == ["__ignore__"] else names
    return dict(enumerate(names)) if names and is_background(names[0]) and len(names) <= 256 else {}


def _nnunet(labels: object) -> dict[int, str]:
    """nnU-Net's ``labels``: name → value, or in its first version value → name."""
    values = {}
    for key, value in mapping(labels).items():
        name, number = (text(value), whole(key)) if whole(key) is not None else (key, whole(value))
        if name and number is not None and 0 <= number <= 255:
            values[number] = name
    return values


def _csv(content: str, path: str) -> ClassTable:
    """A class and its pixel value, or its r, g and b (Roboflow's ``_classes.csv``, ``class_dict.csv``)."""
    headings, lines = table_of(content, path)
    rows = [dict(zip(headings, row, strict=True)) for _, row in lines if len(row) == len(headings)]
    name, value = (
        next((each for each in wanted if each in headings), None) for wanted in (_NAME_HEADINGS, _VALUE_HEADINGS)
    )
    if name is None:
        return ClassTable(path)
    if {"r", "g", "b"} <= set(headings):
        colours: dict[Colour, str] = {}
        for row in rows:
            red, green, blue = (whole(row[channel]) for channel in "rgb")
            if red is not None and green is not None and blue is not None:
                colours[red, green, blue] = row[name]
        return ClassTable(path, colours)
    numbers = {} if value is None else {whole(row[value]): row[name] for row in rows}
    return ClassTable(path, values={number: each for number, each in numbers.items() if number is not None})


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
    tables = [table for table in tables if any(table_for(tables, mask) is table for mask in masks)]
    for table in tables:
        table.polyps(only)  # raises before anything is read
        listed = ", ".join(sorted(table.names)[:10]) or "nothing"
        ledger.remark(table.origin, "N_MASK_CLASSES", f"tells what the masks' values stand for: {listed}.")
    if polyp is not None and not polyp.colours:
        return MaskColours((), polyp, only)
    without = [mask for mask in masks if polyp is not None or table_for(tables, mask) is None]
    surveyed = [found for mask in without if (found := _survey(tree, mask)) is not None]
    if polyp is not None:
        return MaskColours((), _exact(polyp, surveyed, tree.name), only)
    _require_one(surveyed, tree.name)
    return MaskColours(tables, None, only)


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
        stored = decode_mask(tree.read(path), path)
    except DataError:
        return None
    lossless = stored.kind is not JPEG
    values = turned(stored.values, stored.orientation)
    step = -(-max(values.shape[:2]) // MOST_SURVEYED_PX)
    values = np.ascontiguousarray(values[::step, ::step])
    few = lossless and len(np.unique(_packed(values))) <= MOST_FLAT_GREYS
    present = _lossless_colours(values) if lossless else _lossy_colours(values)
    colours = frozenset(colour for colour in present if max(colour) - min(colour) > LEAST_CHROMA)
    greys = frozenset(max(colour) for colour in present if colour not in colours and max(colour) > 0)
    bright = frozenset(grey for grey in greys if grey >= 128)
    several = few and bool(bright) and bright < greys  # with more values, the dark ones are what JPEG left of black
    return _Surveyed(colours, bright or greys, several, lossless)


def _lossless_colours(values: NDArray[np.uint8]) -> list[Colour]:
    packed = _packed(values)
    present = np.unique(packed)
    if len(present) > MOST_CLASSES:
        return _lossy_colours(values)
    return [_unpacked(int(value)) for value in present if has_region(packed == value)]


def _lossy_colours(values: NDArray[np.uint8]) -> list[Colour]:
    """The colours of regions in an image that was compressed or smoothed, each the commonest of its kind."""
    square = np.ones((3, 3), np.uint8)
    spread = cv2.subtract(cv2.dilate(values, square), cv2.erode(values, square))
    flat = (spread if spread.ndim == 2 else spread.max(axis=2)) <= FLAT_RANGE
    counts: Counter[Colour] = Counter()
    packed, numbers = np.unique(_packed(((values & 0xF0) | 0x08).astype(np.uint8))[flat], return_counts=True)
    if len(packed) > MOST_SHADES:  # a photograph among the masks is told when it is read
        return []
    for value, number in sorted(zip(packed.tolist(), numbers.tolist(), strict=True), key=lambda each: -each[1]):
        colour = _unpacked(value)
        counts[next((known for known in counts if _near(known, colour)), colour)] += number
    return [
        colour
        for colour, number in counts.items()
        if number >= LEAST_LOSSY_PIXELS and max(colour) > COLOUR_TOLERANCE  # not black
    ]


def _require_one(surveyed: Iterable[_Surveyed], where: str) -> None:
    """Raises: DataError E_MASK_CLASS where more than one thing was drawn."""
    colours: Counter[Colour] = Counter()
    greys: Counter[int] = Counter()
    several, drawn = 0, 0
    for found in surveyed:
        for colour in found.colours:
            near = None if found.lossless else next((known for known in colours if _near(known, colour)), None)
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
    listed = [f"{_hex(colour)} ({number} masks)" for colour, number in colours.most_common(MOST_NAMED)]
    listed += [f"grey {grey} ({number} masks)" for grey, number in greys.most_common(MOST_NAMED)]
    what = f"the masks hold {', '.join(listed)}: classes, and which of them are polyps is not told."
    fix = "name them: -O polyp=#rrggbb (colours) or -O polyp=1,2 (values), or -O polyp=any where every drawing is one."
    raise DataError("E_MASK_CLASS", what, where=where, fix=fix)


def _exact(polyp: PolypValues, surveyed: Iterable[_Surveyed], where: str) -> PolypValues:
    """The named colours as the lossless masks hold them, and what else they hold.

    A colour that no mask holds exactly stands for the one colour near it. Raises: DataError E_MASK_CLASS.
    """
    lossless = [found for found in surveyed if found.lossless]
    held = {colour for found in lossless for colour in found.colours}
    held |= {(grey, grey, grey) for found in lossless for grey in found.greys}
    meant: set[Colour] = set()
    for colour in polyp.colours:
        near = {other for other in held if _near(colour, other)}
        if colour not in held and len(near) > 1:
            what = f"no mask holds {_hex(colour)}, and {', '.join(map(_hex, sorted(near)))} are near it."
            raise DataError("E_MASK_CLASS", what, where=where, fix="name the colour exactly.")
        meant |= {colour} if colour in held or not near else near
    return PolypValues(polyp.values, tuple(sorted(meant)), tuple(sorted(held - meant)), strict=False)


def _near(one: Colour, other: Colour) -> bool:
    return all(abs(here - there) <= COLOUR_TOLERANCE for here, there in zip(one, other, strict=True))


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


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
        return np.maximum.reduce([read_mask_file(tree, path, size, polyp, fellows) for path in paths])

    return MaskLabel(read)


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
