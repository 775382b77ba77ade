"""A folder as the source of an import, read only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from polypda.cohorts.ordering import natural_key
from polypda.errors import DataError
from polypda.importing.contract import LedgerLine

SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
SYSTEM_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", "@eadir"}


def is_hidden(path: str) -> bool:
    """Whether a path is an operating system's own: hidden, a folder's thumbnails, a recycle bin."""
    parts = path.split("/")
    if any(part.startswith(".") or part.lower() in SYSTEM_FOLDERS for part in parts):
        return True
    return parts[-1].lower() in SYSTEM_FILES


def unreadable(path: str, reason: str) -> DataError:
    """The error for a file that the disk or the archive does not give."""
    fix = "check the file's permissions and the disk, or leave the file out."
    return DataError("E_FILE_UNREADABLE", f"cannot be read ({reason}).", where=path, fix=fix)


class FolderTree:
    """A folder on disk. Folders that are links are not entered; a file's link is followed while it stays inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.name = folder.name or self.folder.name
        self._refused: list[LedgerLine] = []

    @property
    def refused(self) -> Sequence[LedgerLine]:
        self.files()
        return self._refused

    def files(self) -> Sequence[str]:
        """Every file, in natural order."""
        return self._files

    @cached_property
    def _files(self) -> tuple[str, ...]:
        found = []
        for place, folders, names in os.walk(self.folder):
            relative = Path(place).relative_to(self.folder)
            for name in [*folders, *names]:
                path = (relative / name).as_posix()
                if is_hidden(path):
                    continue
                link = (self.folder / path).is_symlink()
                if link and not self._inside(path):
                    what = "a link that leads out of the folder."
                    self._refused.append(LedgerLine(path, "E_LINK_OUTSIDE", what, fix="import what it leads to."))
                elif name in names and (self.folder / path).is_file():
                    found.append(path)
            folders[:] = [name for name in folders if not is_hidden(name)]
        return tuple(sorted(found, key=natural_key))

    def _inside(self, path: str) -> bool:
        return (self.folder / path).resolve().is_relative_to(self.folder)

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises: DataError E_FILE_UNREADABLE."""
        try:
            return self.local(path).read_bytes()
        except OSError as error:
            raise unreadable(path, error.strerror or type(error).__name__) from error

    def local(self, path: str) -> Path:
        """The file itself; never to be written to."""
        return self.folder / path
