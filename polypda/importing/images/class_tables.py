"""What tools write beside class masks: which colour or grey value stands for which class.

* ``labelmap.txt`` (CVAT, Datumaro): ``name:r,g,b:parts:actions``.
* ``class_names.txt``, ``labels.txt`` (labelme2voc): one name a line from ``_background_`` on; its number is the class,
  and the class has VOC's colour.
* ``dataset.json`` (nnU-Net): ``labels``, name → value, or in its first version value → name.
* CSV with a class and its pixel value, or its r, g and b (Roboflow's ``_classes.csv``, ``class_dict.csv``).

A table counts for the masks of its folder and below.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import mapping, read_json, read_text, text, whole
from polypda.importing.annotations.meanings import Meaning, PolypClasses, require_classes
from polypda.importing.contract import SourceTree
from polypda.importing.folders.frame_tables import table_rows

Colour = tuple[int, int, int]
"""Red, green, blue, 0–255."""
VOID: Colour = (224, 224, 192)
"""VOC's rim between objects."""
_BACKGROUND = re.compile(r"_*(background|bg|ignore|void|unlabell?ed|其他|背景)_*")
_NAMED_COLOUR = re.compile(r"(?P<name>[^:#]+):(?P<r>\d{1,3}),(?P<g>\d{1,3}),(?P<b>\d{1,3})(?::.*)?")
_VALUE_HEADINGS = ("pixel value", "value", "class id", "id", "index")
_NAME_HEADINGS = ("class", "name", "label", "class name")


@dataclass(frozen=True)
class ClassTable:
    """One file's colours and values with the classes that they stand for; origin: its path."""

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

        def is_polyp(name: str) -> bool:
            return not is_background(name) and classes.meaning(name) is Meaning.POLYP

        colours = {colour for colour, name in self.colours.items() if is_polyp(name)}
        values = {value for value, name in self.values.items() if is_polyp(name)}
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
        name = path.rsplit("/", 1)[-1].casefold()
        try:
            if name in ("labelmap.txt", "label_colors.txt"):
                table = _labelmap(read_text(tree, path), path)
            elif name in ("class_names.txt", "labels.txt"):
                table = _numbered(read_text(tree, path), path)
            elif name == "dataset.json":
                table = _nnunet(mapping(read_json(tree, path)).get("labels"), path)
            elif name.endswith(".csv") and "class" in name:
                table = _csv(read_text(tree, path), path)
            else:
                continue
        except DataError:
            continue
        if table.colours or table.values:
            found.append(table)
    return found


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


def _labelmap(content: str, path: str) -> ClassTable:
    colours = {}
    for line in content.splitlines():
        match = _NAMED_COLOUR.fullmatch(line.strip())
        if match and all(int(match[channel]) <= 255 for channel in "rgb"):
            colours[int(match["r"]), int(match["g"]), int(match["b"])] = match["name"].strip()
    return ClassTable(path, colours)


def _numbered(content: str, path: str) -> ClassTable:
    names = [line.strip() for line in content.splitlines() if line.strip()]
    names = names[1:] if names[:1] == ["__ignore__"] else names
    if not names or not is_background(names[0]) or len(names) > 256:
        return ClassTable(path)
    numbered = dict(enumerate(names))
    return ClassTable(path, {voc_colour(number): name for number, name in numbered.items()}, numbered)


def _nnunet(labels: object, path: str) -> ClassTable:
    values = {}
    for key, value in mapping(labels).items():
        name, number = (text(value), whole(key)) if whole(key) is not None else (key, whole(value))
        if name and number is not None and 0 <= number <= 255:
            values[number] = name
    return ClassTable(path, values=values)


def _csv(content: str, path: str) -> ClassTable:
    header, *rows = [row for row in table_rows(content) if any(row)] or [[]]
    plain = [heading.casefold().replace("_", " ") for heading in header]
    name = next((plain.index(heading) for heading in _NAME_HEADINGS if heading in plain), None)
    value = next((plain.index(heading) for heading in _VALUE_HEADINGS if heading in plain), None)
    full = [row for row in rows if name is not None and len(row) == len(plain)]
    if name is None or not full:
        return ClassTable(path)
    if {"r", "g", "b"} <= set(plain):
        indices = [plain.index(channel) for channel in "rgb"]
        colours: dict[Colour, str] = {}
        for row in full:
            red, green, blue = (whole(row[index]) for index in indices)
            if red is not None and green is not None and blue is not None:
                colours[red, green, blue] = row[name]
        return ClassTable(path, colours)
    numbers = {} if value is None else {whole(row[value]): row[name] for row in full}
    return ClassTable(path, values={number: each for number, each in numbers.items() if number is not None})
