"""The tables of an ordinary cohort folder: ``frames.csv``, what its owner knows of each frame, and ``boxes.csv``, where
the polyps are, which is a label."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from polypda.cohorts.frames import LabelState, PolypBox, Split
from polypda.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

FRAMES_CSV, BOXES_CSV = "frames.csv", "boxes.csv"
MODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+-]{0,23}")
"""A mode names a sub-cohort, ``ID:MODE``, and its files."""
PART_NAMES = (*(part.value for part in Split), "all")
"""What COHORT:PART may name; no mode is called so."""
_CALL = re.compile(r"[|!=]|[A-Za-z]\s*\(")
LONGEST_FIELD = 1000
"""Characters. No name of a patient, a sequence or a file is longer."""
LARGEST_PX = 1_000_000
"""No frame is so wide or high."""
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True)
class FrameRow:
    """A row of frames.csv; None where the column is missing or the field is empty. ``mode`` is in capitals."""

    frame: str
    patient: str | None = None
    sequence: str | None = None
    t_s: float | None = None
    split: Split | None = None
    label_state: LabelState | None = None
    mode: str | None = None


FRAME_COLUMNS = tuple(field.name for field in fields(FrameRow))
ALWAYS = ("frame", "patient", "sequence", "split", "label_state")
"""Columns that are written even where nothing is known: their emptiness is worth seeing."""
CORNERS = ("x0", "y0", "x1", "y1")
BOX_COLUMNS = ("frame", *CORNERS, "label")


def frames_csv(rows: Sequence[FrameRow]) -> str:
    """The text of frames.csv; a column about which nothing is known of any frame is left out."""
    cells = [{column: plain_cell(getattr(row, column)) for column in FRAME_COLUMNS} for row in rows]
    columns = [column for column in FRAME_COLUMNS if column in ALWAYS or any(row[column] for row in cells)]
    return _csv([columns, *([row[name] for name in columns] for row in cells)])


def boxes_csv(boxes: Mapping[str, Sequence[PolypBox]]) -> str:
    """The text of boxes.csv; empty where there is no box. Classes stand in it where any is known."""
    rows = [
        [frame, *(f"{corner:.2f}".rstrip("0").rstrip(".") for corner in box[:4]), box.label or ""]
        for frame, boxes_of_frame in boxes.items()
        for box in boxes_of_frame
    ]
    width = len(BOX_COLUMNS) if any(row[-1] for row in rows) else len(BOX_COLUMNS) - 1
    return _csv([BOX_COLUMNS[:width], *(row[:width] for row in rows)]) if rows else ""


def plain_cell(value: str | float | None) -> str:
    """A field's text: numbers to four digits; no line breaks, characters that nothing can write, or outer space, and
    nothing that a spreadsheet would run: an underscore goes before it."""
    if isinstance(value, (int, float)):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    text = "".join(character if character.isprintable() else " " for character in value or "").strip()
    return f"_{text}" if is_formula(text) else text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a cell's text: ``=…``, ``@…``, and ``+…`` or ``-…`` that call something."""
    return text.startswith(("=", "@", "\t", "\r")) or (text[:1] in ("+", "-") and _CALL.search(text) is not None)


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """The table without formulas: an apostrophe goes before each text that is one, as spreadsheets mark a text."""
    return table.map(lambda value: f"'{value}" if isinstance(value, str) and is_formula(value) else value)


def read_frames_csv(path: Path) -> dict[str, FrameRow]:
    """Frame → row of frames.csv: UTF-8, commas, the column ``frame`` and any others of :class:`FrameRow`.

    Raises: DataError E_FRAMES_CSV (unreadable or a wrong header), E_FRAMES_CSV_ROW (a wrong value, with its line).
    """
    return rows_of(_records(path, "E_FRAMES_CSV", FRAME_COLUMNS, ("frame",)))


def rows_of(records: Iterable[tuple[str, dict[str, str]]]) -> dict[str, FrameRow]:
    """Frame → row, of where each row stands and its fields as text. A name that many rows share is kept once.

    Raises: DataError E_FRAMES_CSV_ROW.
    """
    rows: dict[str, FrameRow] = {}
    names: dict[str, str] = {}
    for where, value in records:
        frame = value["frame"]
        if frame in rows:
            what = f"frame '{frame}' has two rows."
            raise DataError("E_FRAMES_CSV_ROW", what, where=where, fix="keep one of them.")
        patient, sequence = (value.get(name) or None for name in ("patient", "sequence"))
        rows[frame] = FrameRow(
            frame=frame,
            patient=names.setdefault(patient, patient) if patient else None,
            sequence=names.setdefault(sequence, sequence) if sequence else None,
            t_s=_seconds(value.get("t_s", ""), where),
            split=_choice(Split, value.get("split", ""), "split", where),
            label_state=_choice(LabelState, value.get("label_state", ""), "label_state", where),
            mode=_mode(value.get("mode", ""), where),
        )
    return rows


def read_boxes_csv(path: Path) -> dict[str, tuple[PolypBox, ...]]:
    """Frame → boxes of boxes.csv: UTF-8, commas, columns frame, x0, y0, x1, y1 (px, half-open), optionally label.

    Whether a box lies inside its frame is not known here.
    Raises: DataError E_BOXES_CSV (unreadable or a wrong header), E_BOXES_CSV_ROW (a wrong value, with its line).
    """
    boxes: dict[str, list[PolypBox]] = {}
    for where, value in _records(path, "E_BOXES_CSV", BOX_COLUMNS, BOX_COLUMNS[:-1]):
        x0, y0, x1, y1 = (_number(value[name]) for name in CORNERS)
        # comparisons with NaN are false, so no number is refused here as well
        if not (0 <= x0 < x1 <= LARGEST_PX and 0 <= y0 < y1 <= LARGEST_PX):
            what = f"the box is {', '.join(value[name] or 'nothing' for name in CORNERS)}."
            fix = "write pixels of the frame as x0, y0, x1, y1 with 0 ≤ x0 < x1 and 0 ≤ y0 < y1 (not x, y, width, "
            fix += "height); a frame without a polyp has no row here and label_state negative in frames.csv."
            raise DataError("E_BOXES_CSV_ROW", what, where=where, fix=fix)
        boxes.setdefault(value["frame"], []).append(PolypBox(x0, y0, x1, y1, value.get("label") or None))
    return {frame: tuple(found) for frame, found in boxes.items()}


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _records(
    path: Path, code: str, columns: Sequence[str], needed: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row stands, and its fields by column. code: of errors; those of a row end in ``_ROW``."""
    where = f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fix = "save the table as UTF-8 text with commas."
        raise DataError(code, f"cannot be read ({error}).", where=where, fix=fix) from error
    reader = csv.DictReader(io.StringIO(text), strict=True)  # else an unclosed quote swallows the rows behind it
    line = where
    try:
        check_header([name.strip() for name in reader.fieldnames or ()], columns, needed, code, where)
        for record in reader:
            line = f"{where} line {reader.line_num}"
            if None in record or None in record.values():
                what = "not as many fields as columns."
                raise DataError(f"{code}_ROW", what, where=line, fix="add or remove commas.")
            value = {name.strip(): field.strip() for name, field in record.items()}
            yield line, checked_record(value, code, line)
    except csv.Error as error:
        raise DataError(code, f"{error}.", where=line, fix="save the table as text with commas.") from error


def checked_record(value: dict[str, str], code: str, where: str) -> dict[str, str]:
    """A row's fields, none of which is longer than any name or runs in a spreadsheet; its frame is named.

    Raises: DataError ``code`` with ``_ROW``.
    """
    refuse_long(value.values(), f"{code}_ROW", where)
    if running := next(filter(is_formula, value.values()), None):
        what = f"'{running[:80]}' is a formula: a spreadsheet that opens a report would run it."
        raise DataError(f"{code}_ROW", what, where=where, fix="write another name.")
    if not value["frame"]:
        fix = "write the image's name, no suffix."
        raise DataError(f"{code}_ROW", "the frame is empty.", where=where, fix=fix)
    return value


def refuse_long(values: Iterable[str], code: str, where: str) -> None:
    """Raise DataError ``code`` where a field is longer than any name or number."""
    longest = max(map(len, values), default=0)
    if longest > LONGEST_FIELD:
        fix = "look for a quotation mark that is not closed, and save the table as text with commas."
        raise DataError(code, f"a field of {longest} characters.", where=where, fix=fix)


def check_header(header: Sequence[str], columns: Sequence[str], needed: Sequence[str], code: str, where: str) -> None:
    """Raise DataError ``code`` where a table's columns are not those that are known, or one of those needed lacks."""
    unknown = [name for name in header if name not in columns]
    missing = [name for name in needed if name not in header]
    if unknown:
        what = f"unknown column '{unknown[0]}'.{nearest(unknown[0], columns)}"
    elif missing:
        what = f"there is no column '{missing[0]}'."
    elif len(set(header)) < len(header):
        what = "a column is named twice."
    else:
        return
    raise DataError(code, what, where=where, fix=f"columns are {', '.join(columns)}, separated by commas.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _seconds(text: str, where: str) -> float | None:
    if text and not math.isfinite(_number(text)):
        fix = "write seconds as a number, or nothing."
        raise DataError("E_FRAMES_CSV_ROW", f"t_s is '{text}'.", where=where, fix=fix)
    return _number(text) if text else None


def is_mode_name(text: str) -> bool:
    """Whether a mode may be called so."""
    return MODE_NAME.fullmatch(text) is not None and text.lower() not in PART_NAMES


def _mode(text: str, where: str) -> str | None:
    if text and not is_mode_name(text):
        fix = "name the imaging mode by letters and digits, such as WL, NBI or FICE (train, validation, test and all "
        fix += "name parts of a cohort), or write nothing."
        raise DataError("E_FRAMES_CSV_ROW", f"mode is '{text}'.", where=where, fix=fix)
    return text.upper() or None


def _choice(kind: type[_Choice], text: str, column: str, where: str) -> _Choice | None:
    known = [member.value for member in kind]
    if text and text not in known:
        what = f"{column} is '{text}'.{nearest(text, known)}"
        raise DataError("E_FRAMES_CSV_ROW", what, where=where, fix=f"write one of {', '.join(known)}, or nothing.")
    return kind(text) if text else None
