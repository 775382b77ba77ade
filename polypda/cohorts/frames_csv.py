"""``frames.csv`` of an ordinary cohort folder: what its owner knows of each frame."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from polypda.cohorts.frames import LabelState, Split
from polypda.errors import DataError, nearest

FILE_NAME = "frames.csv"
MODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+-]{0,23}")
"""A mode names a sub-cohort, ``ID:MODE``, and its files."""
PART_NAMES = (*(part.value for part in Split), "all")
"""What COHORT:PART may name; no mode is called so."""
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True)
class FrameRow:
    """One row; None where the column is missing or the field is empty. ``mode`` is in capitals."""

    frame: str
    patient: str | None = None
    sequence: str | None = None
    t_s: float | None = None
    split: Split | None = None
    label_state: LabelState | None = None
    mode: str | None = None


COLUMNS = tuple(field.name for field in fields(FrameRow))
"""The table's schema, for who reads and who writes it."""
ALWAYS = ("frame", "patient", "sequence", "split", "label_state")
"""Columns that are written even where nothing is known: their emptiness is worth seeing."""


def frames_csv(rows: Sequence[FrameRow]) -> str:
    """The table's text; a column about which nothing is known of any frame is left out."""
    cells = [{column: plain_cell(getattr(row, column)) for column in COLUMNS} for row in rows]
    columns = [column for column in COLUMNS if column in ALWAYS or any(row[column] for row in cells)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *([row[name] for name in columns] for row in cells)])
    return text.getvalue()


def plain_cell(value: str | float | None) -> str:
    """A field's text: numbers to four digits; no line breaks, characters that nothing can write, or outer space."""
    if isinstance(value, (int, float)):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return "".join(character if character.isprintable() else " " for character in value or "").strip()


def read_frames_csv(path: Path) -> dict[str, FrameRow]:
    """Read the table: UTF-8, comma-separated, column ``frame`` and any of patient, sequence, t_s, split, label_state,
    mode.

    Returns: frame → row.
    Raises: DataError E_FRAMES_CSV (unreadable or a wrong header), E_FRAMES_CSV_ROW (a wrong value, with its line).
    """
    where = f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fix = "save the table as UTF-8 text with commas."
        raise DataError("E_FRAMES_CSV", f"cannot be read ({error}).", where=where, fix=fix) from error
    reader = csv.DictReader(io.StringIO(text))
    _check_header(reader.fieldnames, where)
    rows: dict[str, FrameRow] = {}
    for record in reader:
        row = _row(record, f"{where} line {reader.line_num}")
        if row.frame in rows:
            raise DataError(
                "E_FRAMES_CSV_ROW",
                f"frame '{row.frame}' has two rows.",
                where=f"{where} line {reader.line_num}",
                fix="keep one of them.",
            )
        rows[row.frame] = row
    return rows


def _check_header(names: object, where: str) -> None:
    header = [str(name).strip() for name in names] if isinstance(names, (list, tuple)) else []
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        what = f"unknown column '{unknown[0]}'.{nearest(unknown[0], COLUMNS)}"
    elif "frame" not in header:
        what = "there is no column 'frame'."
    elif len(set(header)) < len(header):
        what = "a column is named twice."
    else:
        return
    raise DataError("E_FRAMES_CSV", what, where=where, fix=f"columns are {', '.join(COLUMNS)}, separated by commas.")


def _row(record: dict[str, str | None], where: str) -> FrameRow:
    if None in record or None in record.values():
        raise DataError("E_FRAMES_CSV_ROW", "not as many fields as columns.", where=where, fix="add or remove commas.")
    value = {str(name).strip(): (text or "").strip() for name, text in record.items()}
    if not value["frame"]:
        raise DataError(
            "E_FRAMES_CSV_ROW", "the frame is empty.", where=where, fix="write the image's name, no suffix."
        )
    return FrameRow(
        frame=value["frame"],
        patient=value.get("patient") or None,
        sequence=value.get("sequence") or None,
        t_s=_seconds(value.get("t_s", ""), where),
        split=_choice(Split, value.get("split", ""), "split", where),
        label_state=_choice(LabelState, value.get("label_state", ""), "label_state", where),
        mode=_mode(value.get("mode", ""), where),
    )


def _seconds(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise DataError(
            "E_FRAMES_CSV_ROW", f"t_s is '{text}'.", where=where, fix="write seconds as a number, or nothing."
        )
    return seconds


def _mode(text: str, where: str) -> str | None:
    if not text:
        return None
    if MODE_NAME.fullmatch(text) and text.lower() not in PART_NAMES:
        return text.upper()
    raise DataError(
        "E_FRAMES_CSV_ROW",
        f"mode is '{text}'.",
        where=where,
        fix="name the imaging mode by letters and digits, such as WL, NBI or FICE (train, validation, test and all "
        "name parts of a cohort), or write nothing.",
    )


def _choice(kind: type[_Choice], text: str, column: str, where: str) -> _Choice | None:
    if not text:
        return None
    known = [member.value for member in kind]
    if text not in known:
        what = f"{column} is '{text}'.{nearest(text, known)}"
        raise DataError("E_FRAMES_CSV_ROW", what, where=where, fix=f"write one of {', '.join(known)}, or nothing.")
    return kind(text)
