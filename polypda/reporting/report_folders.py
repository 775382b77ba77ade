"""A report folder that appears whole or not at all, and replaces nothing but a former report, if asked to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polypda import files
from polypda.errors import DataError
from polypda.integrity import faults

PAGE = "index.html"
MADE_FROM = "made-from.sha256"
"""In a report: a digest of all that decided it."""
REPORT_FILES = (PAGE, "cases.csv", "model_card.md")
"""What a folder must hold to be known as a former report of several runs."""


@contextmanager
def new_folder(folder: Path, *, replace: bool = False, former: tuple[str, ...] = REPORT_FILES) -> Iterator[Path]:
    """A working folder beside ``folder``, moved there at the end of the block with the checksums of its files; after an
    error nothing is left of it.

    replace: a former folder of this kind may lie there; it stays until the new one is complete. former: the files by
        which it is known.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    refuse_existing(folder, replace=replace, former=former)
    try:
        with files.whole_folder(folder, replace=replace, sealed=True) as work:
            yield work
    except OSError as error:
        raise _exists(folder) if folder.exists() and not replace else files.write_failed(folder, error) from error


def is_made_from(folder: Path, digest: str) -> bool:
    """Whether an intact report of the same lies there. Raises: DataError E_CHECKSUMS."""
    try:
        same = (folder / MADE_FROM).read_text(encoding="utf-8").strip() == digest
    except (OSError, ValueError):
        return False
    return same and not any(faults(folder))


def refuse_existing(
    folder: Path, *, replace: bool = False, former: tuple[str, ...] = REPORT_FILES, forcible: bool = False
) -> None:
    """Raise where something lies already, or nothing can be written. forcible: the command has ``--force``.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    files.require_writable(folder.parent)
    if not folder.exists():
        return
    known = all((folder / name).is_file() for name in former)
    if not replace:
        raise _exists(folder, forcible=forcible and known)
    if not known:
        raise DataError(
            "E_REPORT_EXISTS",
            "something lies there that is no former one of the kind that is written: it is not replaced.",
            where=folder,
            fix="choose another folder, or move away what lies there.",
        )


def _exists(folder: Path, *, forcible: bool = False) -> DataError:
    if forcible:
        fix = "--force replaces it, or choose another folder."
        return DataError("E_REPORT_EXISTS", "a former one is there already.", where=folder, fix=fix)
    return DataError(
        "E_REPORT_EXISTS", "something is there already.", where=folder, fix="choose another folder, or remove this one."
    )
