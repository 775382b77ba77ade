"""What all tables of a tree say, looked up by a frame's file."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from pathlib import PurePosixPath

from polypda.cohorts.frames import PolypBox
from polypda.errors import DataError
from polypda.importing.contract import Ledger, SourceTree
from polypda.importing.folders.frame_tables import (
    FrameTable,
    RangeRow,
    TableRow,
    is_table_name,
    read_frame_table,
    read_ranges,
)

TOLD = tuple(field.name for field in fields(TableRow) if field.name not in ("frame", "line", "box"))


class Tables:
    """Rows by the name they use: a path, a file's name, or a stem; whatever its case and composition."""

    def __init__(self) -> None:
        self._rows: dict[str, TableRow] = {}
        self._boxes: dict[str, list[PolypBox]] = defaultdict(list)
        self._used: set[str] = set()
        self._origins: dict[str, str] = {}
        self._contradicted: dict[str, str] = {}
        self._ranges: list[tuple[RangeRow, str]] = []
        self.read: set[str] = set()
        """The files that are tables of frames or of sequences."""

    @property
    def anything(self) -> bool:
        """Whether any table tells of groups."""
        return bool(self._rows or self._ranges)

    @classmethod
    def of(cls, tree: SourceTree, ledger: Ledger) -> Tables:
        """Read every table of a tree that tells of frames; what cannot be read goes into the ledger."""
        tables = cls()
        for path in tree.files():
            if not is_table_name(path):
                continue
            try:
                data = tree.read(path)
                table = read_frame_table(data, path)
                if table is None:
                    ranges = [(row, path) for row in read_ranges(data, path)]
                    tables._ranges += ranges
                    tables.read |= {path} if ranges else set()
            except DataError as error:
                ledger.leave_out(path, error)
                continue
            if table is not None:
                for wrong in table.errors:
                    ledger.leave_out(wrong.where, wrong)
                tables.read.add(path)
                tables._add(table, path)
        return tables

    def row(self, image: str) -> TableRow | None:
        """What is told of an image. Raises: DataError E_TABLE_TWICE when two rows contradict each other."""
        for key in _keys(image):
            if key in self._contradicted:
                self._used.add(key)
                fix = "keep one of the rows."
                raise DataError("E_TABLE_TWICE", self._contradicted[key], where=self._origins[key], fix=fix)
            if key in self._rows:
                self._used.add(key)
                return self._rows[key]
        return self._in_range(image)

    def _in_range(self, image: str) -> TableRow | None:
        """What a table of sequences says of a numbered frame in its folder or below."""
        stem = PurePosixPath(image).stem
        if not (stem.isascii() and stem.isdecimal()):
            return None
        for row, path in self._ranges:
            below = PurePosixPath(path).parent in PurePosixPath(image).parents
            if below and row.first <= int(stem) <= row.last:
                return TableRow(stem, row.patient, row.sequence)
        return None

    def boxes(self, image: str) -> tuple[PolypBox, ...]:
        """The boxes of an image."""
        for key in _keys(image):
            if key in self._boxes:
                self._used.add(key)
                return tuple(self._boxes[key])
        return ()

    def unused(self) -> list[tuple[str, DataError]]:
        """Rows of no image, as places and errors."""
        fix = "correct the name, or take the row out."
        return [
            (self._origins[key], DataError("E_TABLE_NO_FRAME", "no image is called so.", where=key, fix=fix))
            for key in {**self._rows, **self._boxes}
            if key not in self._used
        ]

    def _add(self, table: FrameTable, path: str) -> None:
        for row in table.rows:
            key = _folded(row.frame)
            self._origins.setdefault(key, f"{path} line {row.line}: {row.frame}")
            if row.box is not None:
                self._boxes[key].append(row.box)
            if table.boxes:
                continue
            former = self._rows.get(key)
            self._rows[key] = row if former is None else self._joined(former, row, key)

    def _joined(self, one: TableRow, other: TableRow, key: str) -> TableRow:
        values = {}
        for name in TOLD:
            here, there = getattr(one, name), getattr(other, name)
            if here is not None and there is not None and here != there:
                self._contradicted[key] = f"two rows give {name} as '{here}' and '{there}' (line {other.line})."
            values[name] = here if here is not None else there
        return TableRow(one.frame, line=one.line, **values)


def _keys(image: str) -> Sequence[str]:
    path = PurePosixPath(image)
    without = path.with_suffix("")
    # a table may name the path from any folder above the image
    ends = [PurePosixPath(*path.parts[start:]).as_posix() for start in range(len(path.parts))]
    stems = [PurePosixPath(*without.parts[start:]).as_posix() for start in range(len(path.parts))]
    return [_folded(key) for key in (*ends, *stems)]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold().removeprefix("./")
