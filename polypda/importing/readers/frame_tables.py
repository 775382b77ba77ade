"""Tables that tell of frames (patient, sequence, time, split, mode, label state, boxes), as spreadsheets write them,
and what all tables of a source say, looked up by a frame's file."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePosixPath

from polypda.cohorts.frames import LabelState, PolypBox
from polypda.cohorts.frames_table import FRAMES_PARQUET, read_frames_parquet
from polypda.cohorts.image_files import number_of, suffix_of
from polypda.cohorts.tables import CORNERS, FRAME_COLUMNS, FrameRow, refuse_long
from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import decoded_text
from polypda.importing.contract import Ledger, SourceTree
from polypda.importing.readers.folder_words import mode_within, split_of, words_of
from polypda.importing.readers.table_places import NamedByTables, are_several, folded

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "frame": (
        *("frame", "frame id", "frame name", "image", "image id", "image name", "img", "filename", "file name", "file"),
        *("name", "图像", "图片", "图像名", "图片名", "文件名", "帧"),
    ),
    "patient": (
        *("patient", "patient id", "patient no", "pid", "case", "case id", "subject", "subject id", "study"),
        *("患者", "病人", "病例", "患者编号", "病例号", "病例编号"),
    ),
    "sequence": (
        *("sequence", "sequence id", "seq", "video", "video id", "clip", "group", "scene"),
        *("序列", "视频", "视频编号", "分组"),
    ),
    "t_s": ("t s", "time s", "seconds"),
    "split": ("split", "part", "set", "subset", "划分", "集合"),
    "label_state": ("label state",),
    "mode": ("mode", "modality", "imaging mode", "light", "模式", "光源"),
    "label": ("label", "class", "类别"),
    **{corner: (corner,) for corner in CORNERS},
}
"""Column → the headings that are taken for it, in lower case with single spaces."""
RANGE_NAMES: Mapping[str, tuple[str, ...]] = {
    "patient": COLUMN_NAMES["patient"],
    "sequence": COLUMN_NAMES["sequence"],
    "first": ("first", "first frame", "start", "start frame", "from", "begin"),
    "last": ("last", "last frame", "end", "end frame", "to"),
    "range": ("frames", "frame numbers", "range", "images"),
}
"""Likewise for tables of sequences."""
VIDEO_HEADINGS = ("video", "video id", "video name", "clip", "film", "视频", "视频编号")
"""What heads the column that names the file in a table of videos, where no heading of a frame does."""
LABEL_STATES = tuple(state.value for state in LabelState)
Rows = list[tuple[int, list[str]]]
"""Fields of each row that is not empty, with its line."""


@dataclass(frozen=True)
class TableRow(FrameRow):
    """What one line of a table says of a frame: what frames.csv may say, and where its table has boxes, one."""

    line: int = 0
    box: PolypBox | None = None


@dataclass(frozen=True)
class RangeRow:
    """What one line says of numbered frames, from ``first`` to ``last``."""

    first: int
    last: int
    patient: str | None
    sequence: str | None


JOINED = tuple(field.name for field in fields(TableRow) if field.name not in ("frame", "line", "box"))
"""What several rows of a frame may say together."""


def is_table_name(path: str) -> bool:
    """Whether a file may be a table of frames by its name."""
    return suffix_of(path) in TABLE_SUFFIXES or PurePosixPath(path).name == FRAMES_PARQUET


def table_of(text: str, path: str) -> tuple[list[str], Rows]:
    """A table's headings in plain words and its rows of stripped fields, separated by what separates the first line
    most often. Raises: DataError E_TABLE."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    csv.field_size_limit(1 << 30)  # a mask's run lengths are longer than the module's own limit
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        rows = [(line, [field.strip().strip("\ufeff") for field in row]) for line, row in enumerate(reader, 1)]
    except csv.Error as error:
        raise DataError("E_TABLE", f"no table ({error}).", where=path, fix="save it as CSV in UTF-8.") from error
    rows = [(line, row) for line, row in rows if any(row)]
    return ([words_of(heading) for heading in rows[0][1]], rows[1:]) if rows else ([], [])


def _columns(headings: Sequence[str], names: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Column → its index, the first of several."""
    known = {heading: column for column, headings in names.items() for heading in headings}
    columns: dict[str, int] = {}
    for index, heading in enumerate(headings):
        if heading in known:
            columns.setdefault(known[heading], index)
    return columns


def _values(row: Sequence[str], columns: Mapping[str, int]) -> dict[str, str]:
    return {column: row[index] if index < len(row) else "" for column, index in columns.items()}


def _ranges(headings: Sequence[str], rows: Rows, path: str) -> list[RangeRow]:
    """A table of sequences: each row names one (or a patient) with its first and last frame number, in columns or as
    ``1-25``. Empty where the headings are not such. Raises: DataError E_TABLE_ROW (no numbers, overlapping ranges)."""
    columns = _columns(headings, RANGE_NAMES)
    if not {"patient", "sequence"} & columns.keys() or not ({"first", "last"} <= columns.keys() or "range" in columns):
        return []
    found: list[RangeRow] = []
    for line, row in rows:
        value = _values(row, columns)
        ends = [value["first"], value["last"]] if "first" in value else re.split(r"\s*[-–—]\s*", value["range"])
        numbers = [number for number in map(number_of, ends) if number is not None]
        if not 1 <= len(ends) <= 2 or len(numbers) < len(ends):
            what = f"'{'-'.join(ends)[:80]}' is no range of frame numbers."
            raise DataError("E_TABLE_ROW", what, where=f"{path} line {line}", fix="write the first and last number.")
        one = RangeRow(numbers[0], numbers[-1], value.get("patient") or None, value.get("sequence") or None)
        if one.first > one.last or any(one.first <= other.last and other.first <= one.last for other in found):
            what = f"frames {one.first}–{one.last} end before they begin, or are in another row too."
            raise DataError("E_TABLE_ROW", what, where=f"{path} line {line}", fix="give each frame one row.")
        found.append(one)
    return found


def _row(value: Mapping[str, str], line: int, path: str, *, boxed: bool) -> TableRow:
    where = f"{path} line {line}"
    refuse_long(value.values(), "E_TABLE_ROW", where)
    if not value["frame"]:
        raise DataError("E_TABLE_ROW", "names no frame.", where=where, fix="write the image's name in each row.")
    split = value.get("split", "")
    if split and split_of(split) is None:
        what = f"'{split}' is no part of a split."
        raise DataError("E_TABLE_ROW", what, where=where, fix="write train, validation or test, or nothing.")
    state = value.get("label_state", "").lower()
    if state and state not in LABEL_STATES:
        what = f"the label state is '{state}'."
        raise DataError("E_TABLE_ROW", what, where=where, fix=f"write {', '.join(LABEL_STATES)}, or nothing.")
    mode = value.get("mode", "")
    box = None
    if boxed:
        x0, y0, x1, y1 = (_number(value[corner], where) for corner in CORNERS)
        box = PolypBox(x0, y0, x1, y1, value.get("label") or None)
    return TableRow(
        frame=value["frame"],
        line=line,
        patient=value.get("patient") or None,
        sequence=value.get("sequence") or None,
        t_s=_number(value["t_s"], where) if value.get("t_s") else None,
        split=split_of(split) if split else None,
        label_state=LabelState(state) if state else None,
        mode=(mode_within(mode) or mode) or None,
        box=box,
    )


def _number(text: str, where: str) -> float:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError("E_TABLE_ROW", f"'{text}' is no number.", where=where, fix="write a number, e.g. 12.5")
    return number


class Tables:
    """What the tables of a tree say of its images.

    read: the files that are tables of frames or of sequences. matched: whether a row names an image.
    """

    def __init__(self, tree: SourceTree, ledger: Ledger, images: Sequence[str], *, of_videos: bool = False) -> None:
        """Read every table of a tree that tells of frames (or videos); what cannot be read goes into the ledger.

        images: the files that can be meant.
        """
        self.read: set[str] = set()
        self._written: dict[str, dict[str, list[TableRow]]] = {}  # table → name in it → its rows
        self._rows: dict[str, TableRow] = {}
        self._boxes: dict[str, tuple[PolypBox, ...]] = {}
        self._problems: dict[str, DataError] = {}
        self._unused: list[tuple[str, DataError]] = []
        self._ranges: list[tuple[RangeRow, str]] = []
        for path in filter(is_table_name, tree.files()):
            try:
                if PurePosixPath(path).name == FRAMES_PARQUET:
                    self._add_cohort_table(tree, path)
                    continue
                self._add(*table_of(decoded_text(tree.read(path), path, "E_TABLE"), path), path, ledger, of_videos)
            except DataError as error:
                ledger.leave_out(path, error)
        self._numbered = _by_number(images) if self._ranges else {}
        self._assign(NamedByTables(images, (name for names in self._written.values() for name in names)))

    @property
    def anything(self) -> bool:
        """Whether any table tells of groups."""
        rows = (row for names in self._written.values() for rows in names.values() for row in rows)
        return bool(self._ranges) or any(row.box is None for row in rows)

    @property
    def matched(self) -> bool:
        return bool(self._rows or self._boxes or self._problems)

    def row(self, image: str) -> TableRow | None:
        """What is said of an image.

        Raises: DataError E_TABLE_TWICE when two rows contradict each other, E_TABLE_AMBIGUOUS when a row may mean it
            or another image.
        """
        if image in self._problems:
            raise self._problems[image]
        return self._rows.get(image) or self._in_range(image)

    def _in_range(self, image: str) -> TableRow | None:
        """What a table of sequences says of a numbered frame in its folder or below."""
        number = number_of(PurePosixPath(image).stem)
        if number is None:
            return None
        for row, path in self._ranges:
            folder = PurePosixPath(path).parent
            if folder in PurePosixPath(image).parents and row.first <= number <= row.last:
                alike = [each for each in self._numbered[number] if folder in PurePosixPath(each).parents]
                if are_several(alike):
                    raise _ambiguous(str(number), alike, path)
                return TableRow(PurePosixPath(image).stem, row.patient, row.sequence)
        return None

    def boxes(self, image: str) -> tuple[PolypBox, ...]:
        """The boxes of an image."""
        return self._boxes.get(image, ())

    def unused(self) -> list[tuple[str, DataError]]:
        """Rows of no image: where they stand, and the error."""
        return self._unused

    def _add(self, headings: list[str], rows: Rows, path: str, ledger: Ledger, of_videos: bool) -> None:
        named = next((index for index, heading in enumerate(headings) if heading in VIDEO_HEADINGS), None)
        if of_videos and named is not None and not set(headings) & set(COLUMN_NAMES["frame"]):
            headings[named] = "frame"
        columns = _columns(headings, COLUMN_NAMES)
        if "frame" not in columns or columns.keys() <= {"frame", "label"}:
            ranges = [(row, path) for row in _ranges(headings, rows, path)]
            self._ranges += ranges
            self.read |= {path} if ranges else set()
            return
        self.read.add(path)
        boxed = all(corner in columns for corner in CORNERS)
        for line, row in rows:
            try:
                self._take(_row(_values(row, columns), line, path, boxed=boxed), path)
            except DataError as error:
                ledger.leave_out(error.where, error)

    def _add_cohort_table(self, tree: SourceTree, path: str) -> None:
        """The table of a cohort folder that is imported again."""
        self.read.add(path)
        for line, row in enumerate(read_frames_parquet(tree.local(path)).values(), 1):
            values = {name: getattr(row, name) for name in FRAME_COLUMNS}
            self._take(TableRow(**values, line=line), path)

    def _take(self, row: TableRow, path: str) -> None:
        self._written.setdefault(path, {}).setdefault(row.frame, []).append(row)

    def _assign(self, images: NamedByTables) -> None:
        """Give every row to the image that it means."""
        for path, names in self._written.items():
            for name, meant in images.meant(path, names).items():
                origin = f"{path} line {names[name][0].line}: {name}"
                if are_several(meant):
                    self._problems |= dict.fromkeys(meant, _ambiguous(name, meant, origin))
                elif meant:
                    for image in meant:
                        self._give(image, names[name], origin)
                else:
                    fix = "correct the name, or take the row out."
                    problem = DataError("E_TABLE_NO_FRAME", "no image is called so.", where=folded(name), fix=fix)
                    self._unused.append((origin, problem))

    def _give(self, image: str, rows: Sequence[TableRow], origin: str) -> None:
        for row in rows:
            if row.box is not None:
                self._boxes[image] = (*self._boxes.get(image, ()), row.box)
            else:
                former = self._rows.get(image)
                self._rows[image] = row if former is None else self._joined(former, row, image, origin)

    def _joined(self, one: TableRow, other: TableRow, image: str, origin: str) -> TableRow:
        values = {}
        for name in JOINED:
            here, there = getattr(one, name), getattr(other, name)
            if here is not None and there is not None and here != there:
                what = f"two rows give {name} as '{here}' and '{there}' (line {other.line})."
                self._problems[image] = DataError("E_TABLE_TWICE", what, where=origin, fix="keep one of the rows.")
            values[name] = here if here is not None else there
        return TableRow(one.frame, line=one.line, **values)


def _ambiguous(name: str, images: Sequence[str], where: str) -> DataError:
    what = f"'{name}' could be any of {', '.join(images[:3])}."
    fix = "write the images' paths in the table, or lay a table of its own into each folder."
    return DataError("E_TABLE_AMBIGUOUS", what, where=where, fix=fix)


def _by_number(images: Sequence[str]) -> dict[int, list[str]]:
    numbered: defaultdict[int, list[str]] = defaultdict(list)
    for image in images:
        if (number := number_of(PurePosixPath(image).stem)) is not None:
            numbered[number].append(image)
    return numbered
