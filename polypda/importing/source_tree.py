"""What is imported, read only: a folder, a file or an unpacked archive as a tree of files, and which of its files were
looked at: for progress, and for what a reader passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from polypda.cohorts.image_files import is_hidden, natural_key, suffix_of
from polypda.errors import DataError
from polypda.importing.archives import Limits, Unpacking, archive_name, unpack
from polypda.importing.contract import LedgerLine, SourceTree, unreadable
from polypda.integrity import fingerprint_of, sha256_of

_IMAGES = "png jpg jpeg bmp tif tiff gif webp heic dcm mp4 avi mov mkv mpg mpeg wmv"
_TEXTS = "json jsonl xml csv tsv txt yaml yml md pdf doc docx xls xlsx html npy npz mat ini cfg log db xmp zip tar gz"
KNOWN_SUFFIXES = frozenset(f".{suffix}" for suffix in f"{_IMAGES} {_TEXTS}".split())


def digest_of(tree: SourceTree, path: str, *, whole: bool = False) -> str:
    """What tells a file of the source from others; empty where it is gone or cannot be read.

    whole: by every byte, as of a table; else as of a film, see :func:`~polypda.integrity.fingerprint_of`.
    """
    try:
        file = tree.local(path)
        return sha256_of(file) if whole else fingerprint_of(file)
    except (OSError, DataError):
        return ""


def open_source(path: Path, unpacked: Path) -> SourceTree:
    """The source as a tree; archives are unpacked below ``unpacked``, which the caller removes.

    Raises: DataError E_SOURCE_ABSENT, E_ARCHIVE_….
    """
    if path.is_dir():
        return FolderTree(path)
    if path.is_file():
        return open_archive(path, unpacked) or SingleFile(path)
    fix = "name a folder, an archive (zip, tar) or a file that exists."
    raise DataError("E_SOURCE_ABSENT", "there is nothing of this name.", where=path, fix=fix)


def open_archive(path: Path, into: Path, limits: Limits | None = None) -> ArchiveTree | None:
    """Unpack an archive below ``into``; None where the file is no archive. Raises: as :func:`unpack`."""
    unpacking = unpack(path, into, limits or Limits())
    return None if unpacking is None else ArchiveTree(unpacking)


class FolderTree(SourceTree):
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
        return self._files

    def local(self, path: str) -> Path:
        return self.folder / path

    @cached_property
    def _files(self) -> tuple[str, ...]:
        found = []
        for folder, inner_folders, names in os.walk(self.folder, onerror=self._closed):
            relative = Path(folder).relative_to(self.folder)
            for number, name in enumerate([*inner_folders, *names]):
                path = (relative / name).as_posix()
                if not is_hidden(path) and self._accepted(path) and number >= len(inner_folders):
                    found.append(path)
            inner_folders[:] = [name for name in inner_folders if not is_hidden(name)]
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
        inner = path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.name
        problem = unreadable(inner, error.strerror or type(error).__name__)
        self._refused.append(LedgerLine(inner, problem.code, problem.what, fix=problem.fix))


class SingleFile(SourceTree):
    """One file as a tree of its own, e.g. a video."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path.absolute()

    def files(self) -> Sequence[str]:
        return (self._path.name,)

    def local(self, path: str) -> Path:
        return self._path.parent / path


class ArchiveTree(SourceTree):
    """An unpacked archive. Its files lie under numbers; ``files`` names them as the archive does."""

    def __init__(self, unpacking: Unpacking) -> None:
        self.name = archive_name(unpacking.archive)
        self._refused = unpacking.refused
        self._paths = unpacking.files
        self._files = tuple(sorted(unpacking.files, key=natural_key))

    @property
    def refused(self) -> Sequence[LedgerLine]:
        return self._refused

    def files(self) -> Sequence[str]:
        return self._files

    def local(self, path: str) -> Path:
        if path not in self._paths:
            raise unreadable(path, "the archive has no such entry")
        return self._paths[path]


class CountedTree(SourceTree):
    """The same tree. on_read: called with the number of files looked at so far and of all."""

    def __init__(self, tree: SourceTree, on_read: Callable[[int, int], None] | None = None) -> None:
        self._tree = tree
        self._seen: set[str] = set()
        self._on_read = on_read
        self.name = tree.name

    @property
    def refused(self) -> Sequence[LedgerLine]:
        return self._tree.refused

    @property
    def uncounted(self) -> SourceTree:
        """The tree itself, for looks that use nothing."""
        return self._tree

    def files(self) -> Sequence[str]:
        return self._tree.files()

    def local(self, path: str) -> Path:
        self._seen.add(path)
        if self._on_read is not None:
            self._on_read(len(self._seen), len(self._tree.files()))
        return self._tree.local(path)

    def unseen(self, mentioned: set[str]) -> Counter[str]:
        """Files that were neither looked at nor mentioned in the ledger, by their suffix."""
        return Counter(map(_usual_suffix, set(self.files()) - self._seen - mentioned))


def _usual_suffix(path: str) -> str:
    """The suffix where it is a usual one: what follows the last dot of "report.meier" is somebody's name."""
    suffix = suffix_of(path)
    return suffix if suffix in KNOWN_SUFFIXES else "other suffix" if suffix else "no suffix"
