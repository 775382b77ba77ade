"""What is imported, read only: a folder as a tree of files, and which of its files were looked at.

The latter is for progress, and tells what a reader passed over.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from polypda.cohorts.image_files import is_hidden, natural_key
from polypda.errors import DataError
from polypda.importing.contract import LedgerLine, SourceTree


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
        for index, folders, names in os.walk(self.folder, onerror=self._closed):
            relative = Path(index).relative_to(self.folder)
            for name in [*folders, *names]:
                path = (relative / name).as_posix()
                if not is_hidden(path) and self._accepted(path) and name in names:
                    found.append(path)
            folders[:] = [name for name in folders if not is_hidden(name)]
        return tuple(sorted(found, key=natural_key))

    def _accepted(self, path: str) -> bool:
        """Whether a path may be followed and is a file or a folder; a line for what is not."""
        whole = self.folder / path
        code, what, fix = "", "", "import what it leads to."
        if whole.is_symlink():
            try:
                if not whole.resolve(strict=True).is_relative_to(self.folder):
                    code, what = "E_LINK_OUTSIDE", "a link that leads out of the folder."
            except (OSError, RuntimeError):
                code, what, fix = "E_LINK_BROKEN", "a link that leads nowhere, or in a circle.", "remove it."
        if not code and not whole.is_file() and not whole.is_dir():
            code, what, fix = "E_FILE_SPECIAL", "neither a file nor a folder (a pipe, a device).", "remove it."
        if code:
            self._refused.append(LedgerLine(path, code, what, fix=fix))
        return not code

    def _closed(self, error: OSError) -> None:
        path = Path(error.filename or self.folder)
        index = path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.name
        problem = unreadable(index, error.strerror or type(error).__name__)
        self._refused.append(LedgerLine(index, problem.code, problem.what, fix=problem.fix))

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises: DataError E_FILE_UNREADABLE."""
        try:
            return self.local(path).read_bytes()
        except OSError as error:
            raise unreadable(path, error.strerror or type(error).__name__) from error

    def local(self, path: str) -> Path:
        """The file itself; never to be written to."""
        return self.folder / path


_IMAGES = "png jpg jpeg bmp tif tiff gif webp heic dcm mp4 avi mov mkv mpg mpeg wmv"
_TEXTS = "json jsonl xml csv tsv txt yaml yml md pdf doc docx xls xlsx html npy npz mat ini cfg log db xmp zip tar gz"
KNOWN_SUFFIXES = frozenset(f".{suffix}" for suffix in f"{_IMAGES} {_TEXTS}".split())


class CountedTree:
    """The same tree. on_read: called with the number of files looked at so far and of all."""

    def __init__(self, tree: SourceTree, on_read: Callable[[int, int], None] | None = None) -> None:
        self._tree = tree
        self._seen: set[str] = set()
        self._on_read = on_read
        self.name = tree.name

    @property
    def refused(self) -> Sequence[LedgerLine]:
        return self._tree.refused

    def files(self) -> Sequence[str]:
        return self._tree.files()

    def read(self, path: str) -> bytes:
        self._count(path)
        return self._tree.read(path)

    def local(self, path: str) -> Path:
        self._count(path)
        return self._tree.local(path)

    def unseen(self, told: set[str]) -> Counter[str]:
        """Files that were neither looked at nor told of in the ledger, by their suffix."""
        left = set(self.files()) - self._seen - told
        return Counter(_suffix(path) for path in left)

    def _count(self, path: str) -> None:
        self._seen.add(path)
        if self._on_read is not None:
            self._on_read(len(self._seen), len(self._tree.files()))


def _suffix(path: str) -> str:
    """The suffix where it is a usual one: what follows the last dot of "report.meier" is somebody's name."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if suffix in KNOWN_SUFFIXES else "other suffix" if suffix else "no suffix"
