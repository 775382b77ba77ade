"""The table of a cohort folder's frames as a file: ``frames.csv``, or ``frames.parquet`` where frames are many.

Both hold the same columns and are checked alike; a cohort folder holds one of them. Parquet is read and written piece
by piece, and a patient's name that stands in a thousand rows is kept once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polypda.cohorts.tables import (
    ALWAYS,
    FRAME_COLUMNS,
    FRAMES_CSV,
    FrameRow,
    check_header,
    checked_record,
    frames_csv,
    plain_cell,
    read_frames_csv,
    rows_of,
)
from polypda.errors import DataError
from polypda.plugins import extra_module

FRAMES_PARQUET = "frames.parquet"
LARGE_COHORT_FRAMES = 50_000
"""From so many frames on a table is written as Parquet, where pyarrow is installed."""
ROWS_AT_ONCE = 10_000
TABLE_NAMES = (FRAMES_CSV, FRAMES_PARQUET)


def frames_table_of(folder: Path) -> Path | None:
    """The table that lies in a cohort folder; None where there is none. Raises: DataError E_FRAMES_CSV for two."""
    found = [folder / name for name in TABLE_NAMES if (folder / name).is_file()]
    if len(found) > 1:
        what = f"{' and '.join(TABLE_NAMES)} both lie there: which of them counts is not told."
        raise DataError("E_FRAMES_CSV", what, where=folder.name, fix="take one of them out.")
    return found[0] if found else None


def read_frames_table(path: Path) -> dict[str, FrameRow]:
    """Frame → row of either file.

    Raises: DataError E_FRAMES_CSV (unreadable or a wrong column), E_FRAMES_CSV_ROW (a wrong value, with its line or
        row); UsageError E_EXTRA_MISSING (Parquet without pyarrow).
    """
    return read_frames_parquet(path) if path.name == FRAMES_PARQUET else read_frames_csv(path)


def read_frames_parquet(path: Path) -> dict[str, FrameRow]:
    """Likewise, of a Parquet file whatever it is called."""
    return rows_of(_parquet_records(path))


def frames_table(rows: Sequence[FrameRow]) -> tuple[str, bytes]:
    """The name and content of the table for so many rows: CSV, which anything opens, unless they are many."""
    if len(rows) >= LARGE_COHORT_FRAMES and find_spec("pyarrow") is not None:
        return FRAMES_PARQUET, frames_parquet(rows)
    return FRAMES_CSV, frames_csv(rows).encode()


def frames_parquet(rows: Sequence[FrameRow]) -> bytes:
    """The content of frames.parquet: text columns and ``t_s`` in seconds, with the values that frames.csv would hold.

    Raises: UsageError E_EXTRA_MISSING.
    """
    arrow, parquet = _arrow(), _parquet()
    known = [name for name in FRAME_COLUMNS if name in ALWAYS or any(getattr(row, name) for row in rows)]
    kinds = {name: arrow.float64() if name == "t_s" else arrow.string() for name in known}
    schema = arrow.schema(list(kinds.items()))
    file = io.BytesIO()
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = [_plain(row, known) for row in rows[start : start + ROWS_AT_ONCE]]
            writer.write_table(arrow.Table.from_pylist(part, schema=schema))
    return file.getvalue()


def _plain(row: FrameRow, columns: Sequence[str]) -> dict[str, str | float | None]:
    """A row's values as frames.csv tells them: times to four digits, None for what is not known."""
    cells = {name: plain_cell(getattr(row, name)) for name in columns}
    return {name: (float(cell) if name == "t_s" else cell) if cell else None for name, cell in cells.items()}


def _parquet_records(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row stands, and its fields as text, as those of a CSV."""
    where = f"{path.parent.name}/{path.name}"
    arrow, parquet = _arrow(), _parquet()
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            check_header(file.schema_arrow.names, FRAME_COLUMNS, ("frame",), "E_FRAMES_CSV", where)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                for record in batch.to_pylist():
                    number += 1
                    value = {name: _text(cell) for name, cell in record.items()}
                    place = f"{where} row {number}"
                    yield place, checked_record(value, "E_FRAMES_CSV", place)
    except (OSError, arrow.ArrowException) as error:
        what = f"cannot be read as Parquet ({str(error).splitlines()[0][:200]})."
        fix = "write it again, or write frames.csv instead."
        raise DataError("E_FRAMES_CSV", what, where=where, fix=fix) from error


def _text(cell: Any) -> str:
    """A cell as a CSV would hold it; numbers that stand for names keep their digits."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return ""
    return str(cell).strip()


def _arrow() -> Any:
    return extra_module("pyarrow", f"{FRAMES_PARQUET} is read and written by pyarrow", extra="large")


def _parquet() -> Any:
    return extra_module("pyarrow.parquet", f"{FRAMES_PARQUET} is read and written by pyarrow", extra="large")
