"""Writing files and folders whole or not at all.

Whatever is written here lies beside its place under a hidden name first, is flushed to the disk, and is then renamed:
a reader sees the old one or the new one, also when the process is killed meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypda import integrity
from polypda.errors import DataError, UsageError
from polypda.processes import is_alive, own_mark

if TYPE_CHECKING:
    import pandas as pd

UNFINISHED, FORMER = ".part", ".former"
"""How the hidden names end of what is being written, and of what gives way to it."""
LONGEST_STEM = 40
ROWS_AT_ONCE = 20_000
"""Rows of a table that are text in memory at a time while it is written."""
DAY_S = 86_400
_QUOTED = re.compile(r'[",\r\n]')
_HIDDEN_NAME = re.compile(r"\.(?P<stem>.*?)\.(?:(?P<mark>[0-9a-f]{6}-\d+-\d+)\.)?[^.]+\.(?:part|former)", re.DOTALL)
"""mark: of the process that writes; names of earlier versions have none."""


@contextmanager
def whole_file(
    path: Path, *, private: bool = False, durable: bool = True, over_former: bool = True, recorded: bool = False
) -> Iterator[Path]:
    """A place to write to, which becomes ``path`` at the end of the block; after an error nothing is left of it.

    private: readable by the user alone (0600), else as the user's umask has it. durable: flushed to the disk before it
    is renamed; not needed where a damaged file is noticed and costs nothing, as in a cache. over_former: False: a file
    that lies there already stays, also one that another process wrote meanwhile. recorded: its checksum joins the
    folder's list.
    Raises: OSError. The parent folder must exist.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=UNFINISHED)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if not private:  # mkstemp's files are private; a report is meant to be read by colleagues
            temporary.chmod(0o666 & ~current_umask())
        if durable:
            flush(temporary)
        if recorded:
            integrity.announce(path.parent, path.name, integrity.sha256_of(temporary))
        if over_former:
            temporary.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write text (UTF-8, line feeds) or bytes. private: readable by the user alone.

    Raises: DataError E_WRITE_FAILED (full disk, no permission, folder missing).
    """
    try:
        with whole_file(path, private=private) as temporary:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise write_failed(path, error) from error


def write_json(path: Path, value: Any, *, recorded: bool = False) -> None:
    """Write a value as JSON, indented by one, letters as they are. recorded: see :func:`whole_file`.

    Raises: OSError, which the command tells as a full disk after which a run can be resumed.
    """
    with whole_file(path, recorded=recorded) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index. Raises: DataError E_WRITE_FAILED."""
    starts = range(0, max(1, len(table)), ROWS_AT_ONCE)
    write_parts(path, (table.iloc[start : start + ROWS_AT_ONCE] for start in starts))


def write_parts(path: Path, parts: Iterable[pd.DataFrame]) -> None:
    """Write a table that comes in parts of the same columns, as CSV; no more than one part is text in memory.

    Raises: DataError E_WRITE_FAILED; what making the parts raises, and then nothing is written.
    """
    try:
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            for number, part in enumerate(parts):
                if number == 0:
                    part.iloc[:0].to_csv(file, index=False, lineterminator="\n")
                file.writelines(_lines_of(part))
    except OSError as error:
        raise write_failed(path, error) from error


def _lines_of(table: pd.DataFrame) -> Iterator[str]:
    """The rows as lines of CSV, as pandas writes them, in a third of its time: a million rows of cases are no rarity.

    A column of another kind, or a text that would have to be quoted, is left to pandas.
    """
    columns = [_cells_of(table[name]) for name in table.columns]
    if all(column is not None for column in columns) and len(columns) > 1:
        yield from (f"{','.join(row)}\n" for row in zip(*columns, strict=True))
    elif len(table):
        yield table.to_csv(index=False, header=False, lineterminator="\n")


def _cells_of(column: pd.Series) -> list[str] | None:
    """The text of each cell; None where pandas must write it."""
    from pandas import NA

    kind = str(column.dtype)
    if kind in ("int64", "int32", "bool"):
        return list(map(str, column.tolist()))
    if kind == "float64":
        return ["" if value != value else repr(value) for value in column.tolist()]
    if kind == "Int64":
        return ["" if value is NA else str(value) for value in column.tolist()]
    texts = column.tolist()
    plain = kind == "object" and all(type(text) is str for text in texts)
    return texts if plain and not any(_QUOTED.search(text) for text in set(texts)) else None


def write_png(path: Path, pixels: Any, compress_level: int = 6) -> None:
    """Write an image, uint8 H×W or H×W×3 (RGB). Raises: DataError E_WRITE_FAILED."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=compress_level)
    write_whole(path, buffer.getvalue())


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False, sealed: bool = False) -> Iterator[Path]:
    """A working folder, which becomes ``folder`` at the end of the block; after an error nothing is left of it.

    replace: a folder that lies there stays until the new one is complete, and is removed then; without it, one that
    holds something is an error. sealed: with a list of its files' checksums. Parent folders are made, and what a killed
    process left of the same folder is removed.
    Raises: OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, folder.name)
    prefix = _prefix(folder)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix, suffix=UNFINISHED))
    try:
        yield work
        if sealed:
            integrity.seal(work)
        work.chmod(0o777 & ~current_umask())
        if replace and folder.exists():
            _exchange(work, folder, prefix)
        else:
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _exchange(work: Path, folder: Path, prefix: str) -> None:
    former = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix, suffix=FORMER))
    try:
        folder.rename(former / folder.name)
        work.rename(folder)
    except BaseException:  # an interruption between the two, too
        if not folder.exists() and (former / folder.name).exists():
            (former / folder.name).rename(folder)
        raise
    finally:
        if folder.exists():
            shutil.rmtree(former, ignore_errors=True)


def _prefix(path: Path) -> str:
    return f".{path.name[:LONGEST_STEM]}.{own_mark()}."


def leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """What processes that are gone left unfinished in a folder; of one name alone where it is given.

    What another machine writes, or a version that did not mark it, counts as left after a day.
    """
    found = []
    for path in folder.glob(f".*{UNFINISHED}") if folder.is_dir() else ():
        if _is_left(path, name):
            found.append(path)
    return found + [path for path in folder.glob(f".*{FORMER}") if folder.is_dir() and _is_left(path, name)]


def remove_leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """Remove :func:`leftovers`; a folder whose replacement was not finished is put back. Returns what is gone."""
    removed = []
    for path in leftovers(folder, name):
        with contextlib.suppress(OSError):
            if path.name.endswith(FORMER):
                for given_way in path.iterdir():
                    if not (folder / given_way.name).exists():
                        given_way.rename(folder / given_way.name)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            removed.append(path)
    return removed


def _is_left(path: Path, name: str | None) -> bool:
    matched = _HIDDEN_NAME.fullmatch(path.name)
    if matched is None or (name is not None and matched["stem"] != name[:LONGEST_STEM]):
        return False
    alive = is_alive(matched["mark"]) if matched["mark"] else None
    if alive is not None:
        return not alive
    try:
        return clock_of(path.parent) - path.lstat().st_mtime > DAY_S
    except OSError:
        return False


def clock_of(folder: Path) -> float:
    """What the disk of a folder takes for now, in seconds: when its files were written is told by that clock, which on
    a network disk is not this machine's. This machine's where nothing can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=_prefix(Path("clock")), suffix=UNFINISHED) as file:
            file.write(b"now")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def flush(path: Path) -> None:
    """Have the disk hold what a file or folder holds. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_writable(folder: Path) -> None:
    """A folder, there or yet to be made, must take files: asked before anything costly is done for it.

    Raises: DataError E_WRITE_FAILED.
    """
    index = folder.absolute()
    try:
        while not os.path.lexists(index):
            index = index.parent
        # on Linux the file has no name, so that a killed process leaves none
        with tempfile.TemporaryFile(dir=index, prefix=_prefix(Path("polypda")), suffix=UNFINISHED):
            pass
    except OSError as error:
        raise write_failed(folder, error) from error


def require_run(folder: Path) -> None:
    """Raises: DataError E_RUN_MISSING where no run lies in a folder."""
    if not (folder / "config.json").is_file():
        what = "there is no run in this folder (config.json is missing)."
        fix = "give the folder that `polypda adapt` printed when it started."
        raise DataError("E_RUN_MISSING", what, where=folder, fix=fix)


def require_free(folder: Path) -> None:
    """A run can be created there. Raises: UsageError E_RUN_EXISTS; DataError E_WRITE_FAILED."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "something lies there already, and runs are never overwritten."
        fix = f"choose another --out; a run is continued with `polypda adapt --resume {folder}`."
        raise UsageError("E_RUN_EXISTS", what, where=folder, fix=fix)
    require_writable(folder)


def write_failed(path: Path, error: OSError) -> DataError:
    """The coded error for a file that could not be written."""
    return DataError(
        "E_WRITE_FAILED",
        f"{error.strerror or error}.",
        where=path,
        fix="free some space, or choose another folder that exists and that you may write to.",
    )


def current_umask() -> int:
    """The permissions that the user withholds from new files."""
    current = os.umask(0)
    os.umask(current)
    return current
