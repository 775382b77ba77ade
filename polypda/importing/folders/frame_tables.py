"""Tables that tell of frames (patient, sequence, time, split, mode, label state, boxes), as spreadsheets write them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polypda.cohorts.frames import LabelState, PolypBox
from polypda.cohorts.image_files import suffix_of
from polypda.cohorts.tables import FrameRow
from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import decoded_text
from polypda.importing.folders.folder_words import mode_of, split_of, words_of

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
    **{corner: (corner,) for corner in ("x0", "y0", "x1", "y1")},
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
CORNERS = ("x0", "y0", "x1", "y1")
LABEL_STATES = tuple(state.value for state in LabelState)


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


@dataclass(frozen=True)
class FrameTable:
    """A table's rows, and what of them could not be understood (the error's ``where`` names the line)."""

    rows: tuple[TableRow, ...]
    errors: tuple[DataError, ...]
    boxes: bool


def is_table_name(path: str) -> bool:
    """Whether a file may be a table of frames by its name."""
    return suffix_of(path) in TABLE_SUFFIXES


def read_frame_table(data: bytes, path: str) -> FrameTable | None:
    """Read a table; None where its headings are not those of a table of frames.

    Raises: DataError E_TABLE_ENCODING, E_TABLE (no table at all).
    """
    try:
        rows = table_rows(decoded_text(data, path, "E_TABLE"))
    except csv.Error as error:
        raise DataError("E_TABLE", f"no table ({error}).", where=path, fix="save it as CSV in UTF-8.") from error
    start = next((index for index, row in enumerate(rows) if any(row)), None)
    columns = _columns(rows[start]) if start is not None else None
    if columns is None or start is None:
        return None
    boxes = all(corner in columns for corner in CORNERS)
    found, errors = [], []
    for line, row in enumerate(rows[start + 1 :], start + 2):
        if not any(row):
            continue
        try:
            found.append(_row(row, columns, line, path, boxes))
        except DataError as error:
            errors.append(error)
    return FrameTable(tuple(found), tuple(errors), boxes)


def read_ranges(data: bytes, path: str) -> tuple[RangeRow, ...]:
    """Read a table of sequences: each row names one (or a patient) with its first and last frame number, in columns or
    as ``1-25``. Empty where its headings are not such.

    Raises: DataError E_TABLE_ENCODING, E_TABLE, E_TABLE_ROW (no numbers, or ranges that overlap).
    """
    try:
        header, *rows = [row for row in table_rows(decoded_text(data, path, "E_TABLE")) if any(row)] or [[]]
    except csv.Error as error:
        raise DataError("E_TABLE", f"no table ({error}).", where=path, fix="save it as CSV in UTF-8.") from error
    known = {heading: column for column, headings in RANGE_NAMES.items() for heading in headings}
    columns = {known[words_of(heading)]: index for index, heading in enumerate(header) if words_of(heading) in known}
    if not {"patient", "sequence"} & columns.keys() or not ({"first", "last"} <= columns.keys() or "range" in columns):
        return ()
    found: list[RangeRow] = []
    for number, row in enumerate(rows, 2):
        told = {column: row[index] if index < len(row) else "" for column, index in columns.items()}
        ends = [told["first"], told["last"]] if "first" in told else re.split(r"\s*[-–—]\s*", told["range"])
        if not 1 <= len(ends) <= 2 or not all(end.isascii() and end.isdecimal() for end in ends):
            what = f"'{'-'.join(ends)[:80]}' is no range of frame numbers."
            raise DataError("E_TABLE_ROW", what, where=f"{path} line {number}", fix="write the first and last number.")
        one = RangeRow(int(ends[0]), int(ends[-1]), told.get("patient") or None, told.get("sequence") or None)
        if one.first > one.last or any(one.first <= other.last and other.first <= one.last for other in found):
            what = f"frames {one.first}–{one.last} end before they begin, or are in another row too."
            raise DataError("E_TABLE_ROW", what, where=f"{path} line {number}", fix="give each frame one row.")
        found.append(one)
    return tuple(found)


def _columns(header: Sequence[str]) -> dict[str, int] | None:
    """Column → its place; None without a frame column and one more."""
    known = {heading: column for column, headings in COLUMN_NAMES.items() for heading in headings}
    columns: dict[str, int] = {}
    for index, heading in enumerate(header):
        column = known.get(words_of(heading))
        if column is not None:
            columns.setdefault(column, index)
    useful = set(columns) - {"frame", "label"}
    return columns if "frame" in columns and useful else None


def _row(row: list[str], columns: dict[str, int], line: int, path: str, boxes: bool) -> TableRow:
    where = f"{path} line {line}"
    value = {column: row[index] if index < len(row) else "" for column, index in columns.items()}
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
    return TableRow(
        frame=value["frame"],
        line=line,
        patient=value.get("patient") or None,
        sequence=value.get("sequence") or None,
        t_s=_number(value["t_s"], where) if value.get("t_s") else None,
        split=split_of(split) if split else None,
        label_state=LabelState(state) if state else None,
        mode=(mode_of(mode) or mode) or None,
        box=_box(value, where) if boxes else None,
    )


def _box(value: dict[str, str], where: str) -> PolypBox:
    x0, y0, x1, y1 = (_number(value[corner], where) for corner in CORNERS)
    return PolypBox(x0, y0, x1, y1, value.get("label") or None)


def _number(text: str, where: str) -> float:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError("E_TABLE_ROW", f"'{text}' is no number.", where=where, fix="write a number, e.g. 12.5")
    return number


SEPARATORS = ",;\t"


def table_rows(text: str) -> list[list[str]]:
    """Rows of stripped fields, separated by what separates the first line most often; empty lines are left out."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[field.strip().strip("\ufeff") for field in row] for row in rows]
