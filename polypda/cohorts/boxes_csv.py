"""``boxes.csv`` of an ordinary cohort folder: where the polyps are, one row per box. It is a label."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from polypda.cohorts.frames import PolypBox
from polypda.errors import DataError, nearest

FILE_NAME = "boxes.csv"
NEEDED = ("frame", "x0", "y0", "x1", "y1")
COLUMNS = (*NEEDED, "label")


def read_boxes_csv(path: Path) -> dict[str, tuple[PolypBox, ...]]:
    """Read the table: UTF-8, comma-separated, columns frame, x0, y0, x1, y1 (px, half-open) and optionally label.

    Whether a box lies inside its frame is not known here. Returns: frame → its boxes, in the file's order.
    Raises: DataError E_BOXES_CSV (unreadable or a wrong header), E_BOXES_CSV_ROW (a wrong value, with its line).
    """
    where = f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fix = "save the table as UTF-8 text with commas."
        raise DataError("E_BOXES_CSV", f"cannot be read ({error}).", where=where, fix=fix) from error
    reader = csv.DictReader(io.StringIO(text))
    _check_header(reader.fieldnames, where)
    boxes: dict[str, list[PolypBox]] = {}
    try:
        for record in reader:
            frame, box = _row(record, f"{where} line {reader.line_num}")
            boxes.setdefault(frame, []).append(box)
    except csv.Error as error:
        fix = "save the table as text with commas."
        raise DataError("E_BOXES_CSV", f"{error}.", where=f"{where} line {reader.line_num}", fix=fix) from error
    return {frame: tuple(own) for frame, own in boxes.items()}


def boxes_csv(boxes: Mapping[str, Sequence[PolypBox]]) -> str:
    """The table's text, of the boxes by frame; empty where there is none. Classes where any is told."""
    rows = [
        [frame, *(f"{corner:.2f}".rstrip("0").rstrip(".") for corner in box[:4]), box.label or ""]
        for frame, own in boxes.items()
        for box in own
    ]
    if not rows:
        return ""
    width = len(COLUMNS) if any(row[-1] for row in rows) else len(NEEDED)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(COLUMNS)[:width], *(row[:width] for row in rows)])
    return text.getvalue()


def _check_header(names: object, where: str) -> None:
    header = [str(name).strip() for name in names] if isinstance(names, (list, tuple)) else []
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in NEEDED if name not in header]
    if unknown:
        what = f"unknown column '{unknown[0]}'.{nearest(unknown[0], COLUMNS)}"
    elif missing:
        what = f"there is no column '{missing[0]}'."
    elif len(set(header)) < len(header):
        what = "a column is named twice."
    else:
        return
    raise DataError("E_BOXES_CSV", what, where=where, fix=f"columns are {', '.join(COLUMNS)}, separated by commas.")


def _row(record: dict[str, str | None], where: str) -> tuple[str, PolypBox]:
    if None in record or None in record.values():
        raise DataError("E_BOXES_CSV_ROW", "not as many fields as columns.", where=where, fix="add or remove commas.")
    value = {str(name).strip(): (text or "").strip() for name, text in record.items()}
    if not value["frame"]:
        raise DataError("E_BOXES_CSV_ROW", "the frame is empty.", where=where, fix="write the image's name, no suffix.")
    corners = [_number(value[name]) for name in NEEDED[1:]]
    x0, y0, x1, y1 = corners
    # comparisons with NaN are false, so no number is refused here as well
    if not (0 <= x0 < x1 < math.inf and 0 <= y0 < y1 < math.inf):
        told = ", ".join(value[name] or "nothing" for name in NEEDED[1:])
        raise DataError(
            "E_BOXES_CSV_ROW",
            f"the box is {told}.",
            where=where,
            fix="write pixels of the frame as x0, y0, x1, y1 with 0 ≤ x0 < x1 and 0 ≤ y0 < y1 (not x, y, width, "
            "height); a frame without a polyp has no row here and label_state negative in frames.csv.",
        )
    return value["frame"], PolypBox(x0, y0, x1, y1, value.get("label") or None)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
