"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from polypda.errors import DataError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    Text is written as UTF-8 with line feeds. The parent folder must exist.
    Raises: DataError E_WRITE_FAILED (full disk, no permission, folder missing).
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp is private to the user; a report is meant to be read by colleagues
        Path(temporary).chmod(0o666 & ~current_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise write_failed(path, error) from error


def require_writable(folder: Path) -> None:
    """A folder, there or yet to be made, must take files: asked before anything costly is done for it.

    Raises: DataError E_WRITE_FAILED.
    """
    place = folder.absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        Path(tempfile.mkdtemp(dir=place, prefix=".polypda-", suffix=".part")).rmdir()
    except OSError as error:
        raise write_failed(folder, error) from error


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
