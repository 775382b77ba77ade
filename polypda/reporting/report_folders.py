"""A report folder that appears whole or not at all, and replaces nothing but a former report, if asked to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polypda.errors import DataError
from polypda.files import current_umask, require_writable, write_failed

REPORT_FILES = ("index.html", "cases.csv", "model_card.md")
"""What a folder must hold to be known as a former report of several runs."""


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False, former: tuple[str, ...] = REPORT_FILES) -> Iterator[Path]:
    """A working folder beside ``folder``, moved there at the end of the block; after an error nothing is left of it.

    replace: a former folder of this kind may lie there; it stays until the new one is complete. former: the files by
        which it is known.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    refuse_existing(folder, replace=replace, former=former)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as error:
        raise write_failed(folder, error) from error
    try:
        yield work
        work.chmod(0o777 & ~current_umask())
        _move(work, folder, replace)
    except OSError as error:
        raise _exists(folder) if folder.exists() and not replace else write_failed(folder, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def refuse_existing(folder: Path, *, replace: bool = False, former: tuple[str, ...] = REPORT_FILES) -> None:
    """Raise where something lies already, or nothing can be written.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    require_writable(folder.parent)
    if not folder.exists():
        return
    if not replace:
        raise _exists(folder)
    if not all((folder / name).is_file() for name in former):
        raise DataError(
            "E_REPORT_EXISTS",
            "something lies there that is no former one of the kind that is written: it is not replaced.",
            where=folder,
            fix="choose another folder, or move away what lies there.",
        )


def _move(work: Path, folder: Path, replace: bool) -> None:
    if not (replace and folder.exists()):
        work.rename(folder)
        return
    former = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".former"))
    folder.rename(former / folder.name)
    try:
        work.rename(folder)
    except OSError:
        (former / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(former, ignore_errors=True)


def _exists(folder: Path) -> DataError:
    return DataError(
        "E_REPORT_EXISTS", "a report is there already.", where=folder, fix="choose another folder, or remove this one."
    )
