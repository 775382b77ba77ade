"""Which pseudonym stands for whom, for whoever may know: a table outside the cohort, readable by its owner alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from polypda.errors import DataError, UsageError
from polypda.files import require_writable, whole_file

COLUMNS = ("cohort", "kind", "original", "pseudonym")
Row = tuple[str, str, str, str]


def check_crosswalk(path: Path, forbidden: Sequence[Path]) -> None:
    """Raises: UsageError E_CROSSWALK_PLACE where it would lie among the frames; DataError E_CROSSWALK_UNREADABLE,
    E_WRITE_FAILED."""
    for folder in forbidden:
        if path.expanduser().resolve().is_relative_to(folder.resolve()):
            what = "the crosswalk would lie among the frames that it names."
            raise UsageError("E_CROSSWALK_PLACE", what, where=path, fix="name a file elsewhere with --crosswalk.")
    _former(path.expanduser())
    require_writable(path.expanduser().parent)


def write_crosswalk(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to the table; it appears whole or not at all, with mode 0600.

    Raises: DataError E_CROSSWALK_UNREADABLE, E_WRITE_FAILED.
    """
    place = path.expanduser()
    every = list(dict.fromkeys([*_former(place), *rows]))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *every])
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(place, private=True) as temporary:
            temporary.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        what = f"{error.strerror or error}."
        raise DataError("E_WRITE_FAILED", what, where=path, fix="name another file with --crosswalk.") from error


def _former(path: Path) -> list[Row]:
    if not path.exists():
        return []
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8", errors="surrogateescape"))))
    except (OSError, csv.Error) as error:
        rows = [[str(error)]]
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        what = "a file lies there that is no crosswalk."
        raise DataError("E_CROSSWALK_UNREADABLE", what, where=path, fix="name another file with --crosswalk.")
    return [(row[0], row[1], row[2], row[3]) for row in rows[1:]]
