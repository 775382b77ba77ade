"""Tables of a PIBAdb export, as far as its public queries name their columns (see the reader)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_text
from polypda.importing.annotations.drawn_labels import Drawn
from polypda.importing.annotations.frame_facts import imaging_mode
from polypda.importing.annotations.json_values import number
from polypda.importing.annotations.named_images import is_image, without_suffix
from polypda.importing.annotations.shapes import Box
from polypda.importing.contract import Ledger, SourceTree
from polypda.importing.readers.annotated import files_ending

_IMAGE = ("image", "image_id", "imageid", "filename", "file_name", "file", "frame")
_CORNER_AND_SIZE = ("x", "y", "width", "height")
_PATIENT = ("patient", "patient_id", "patientid", "exploration", "exploration_id", "exploration_title")
_SEQUENCE = ("video", "video_id", "video_title", "polyp", "polyp_id", "polyp_name")
_MODE = ("modality", "mode", "imaging", "light", "modifier", "modifier_name", "gallery", "gallery_name")
_GALLERY = ("gallery", "gallery_name", "gallery_title", "modifier", "modifier_name")


@dataclass
class Told:
    """What the tables say of one picture; origin: the table, for messages."""

    origin: str
    drawn: list[Drawn] = field(default_factory=list)
    patient: str | None = None
    sequence: str | None = None
    mode: str | None = None
    galleries: list[str] = field(default_factory=list)


def is_place_table(data: bytes) -> bool:
    """Whether a CSV's first line has a column for the picture and all four of a box."""
    header = data[:4096].decode("utf-8-sig", "replace").splitlines()[:1]
    names = _plain(re.split("[,;\t]", header[0])) if header else []
    return set(_CORNER_AND_SIZE) <= set(names) and any(name in names for name in _IMAGE)


def read_tables(tree: SourceTree, ledger: Ledger) -> dict[str, Told]:
    """Picture (file name without suffix) → what all tables say of it. Damaged rows are noted in the ledger."""
    told: dict[str, Told] = {}
    for path in files_ending(tree, ".csv"):
        try:
            rows = _rows(read_text(tree, path), path)
        except DataError as error:
            ledger.leave_out(path, error)
            continue
        for line, row in rows:
            picture = _picture(row)
            if picture:
                _take(told.setdefault(picture, Told(path)), row)
                _take_box(told[picture], row, f"{path} line {line}", ledger)
    return told


def _rows(text: str, path: str) -> list[tuple[int, dict[str, str]]]:
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    try:
        table = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        raise DataError("E_TABLE", f"no table ({error}).", where=path, fix="save it as CSV in UTF-8.") from error
    if not table:
        return []
    header = _plain(table[0])
    if not any(name in header for name in _IMAGE) and len(header) >= 2:
        header = ["polyp", "image", *header[2:]]  # metadata.csv is read by position
    return [(line, dict(zip(header, row, strict=False))) for line, row in enumerate(table[1:], start=2) if row]


def _plain(header: Sequence[str]) -> list[str]:
    return [re.sub(r"[\s-]+", "_", name.strip().strip('"').casefold()) for name in header]


def _picture(row: Mapping[str, str]) -> str:
    """The picture's name without folder and suffix; public code reads the last word of the field."""
    named = _first(row, _IMAGE).replace("\\", "/").rsplit("/", 1)[-1]
    words = named.split()
    name = words[-1] if words else ""
    return without_suffix(name) if is_image(name) else name


def _take(told: Told, row: Mapping[str, str]) -> None:
    told.patient = told.patient or _first(row, _PATIENT) or None
    told.sequence = told.sequence or _first(row, _SEQUENCE) or None
    modes = (imaging_mode(word) for name in _MODE for word in re.split(r"[\s_/-]+", row.get(name) or ""))
    told.mode = told.mode or next(filter(None, modes), None)
    told.galleries += [row[name] for name in _GALLERY if row.get(name)]


def _take_box(told: Told, row: Mapping[str, str], where: str, ledger: Ledger) -> None:
    fields = [row.get(name, "").strip() for name in _CORNER_AND_SIZE]
    if not any(fields):
        return
    x, y, width, height = map(number, fields)
    drawn = Drawn(Box(x, y, x + width, y + height), "polyp")
    if drawn.shape.broken():
        what = f"x, y, width, height are {', '.join(fields)[:80]}; the frame is taken without a label."
        ledger.leave_out(where, DataError("E_ANNOTATION_ROW", what, fix="correct the row."))
    if drawn not in told.drawn:
        told.drawn.append(drawn)


def _first(row: Mapping[str, str], names: Sequence[str]) -> str:
    return next((value.strip() for name in names if (value := row.get(name) or "").strip()), "")
