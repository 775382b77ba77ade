"""Archives as sources: zip, and tar plain or packed by gzip, bzip2 or xz. What a file is, its first bytes tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from polypda.cohorts.ordering import natural_key
from polypda.errors import DataError
from polypda.importing.contract import LedgerLine
from polypda.importing.sources.source_tree import unreadable
from polypda.importing.sources.tar_archive import unpack_tar
from polypda.importing.sources.unpacking import ARCHIVE_SUFFIXES, Limits, Unpacking
from polypda.importing.sources.zip_archive import unpack_zip

_BEGINNINGS: tuple[tuple[bytes, Callable[[Unpacking], None]], ...] = (
    (b"PK\x03\x04", unpack_zip),
    (b"PK\x05\x06", unpack_zip),  # an empty one
    (b"\x1f\x8b", unpack_tar),
    (b"BZh", unpack_tar),
    (b"\xfd7zXZ\0", unpack_tar),
)
_NOT_READ = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\x07\x08", "a part of a zip in several files"),
)
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257


def open_archive(path: Path, into: Path, limits: Limits | None = None) -> ArchiveTree | None:
    """Unpack an archive below ``into``; None where the file is no archive.

    Raises: DataError E_ARCHIVE_KIND (7z, rar…), E_ARCHIVE_BROKEN, E_ARCHIVE_ENCRYPTED, E_ARCHIVE_ENTRIES,
        E_ARCHIVE_BOMB, E_ARCHIVE_NO_SPACE.
    """
    with path.open("rb") as file:
        head = file.read(_TAR_MARK_AT + len(_TAR_MARK))
    for beginning, kind in _NOT_READ:
        if head.startswith(beginning):
            fix = "unpack it with a tool of your own and import the folder, or pack it as zip or tar."
            raise DataError("E_ARCHIVE_KIND", f"{kind} is not read here.", where=path.name, fix=fix)
    unpack = next((unpack for beginning, unpack in _BEGINNINGS if head.startswith(beginning)), None)
    if unpack is None and head[_TAR_MARK_AT:] == _TAR_MARK:
        unpack = unpack_tar
    if unpack is None:
        return None
    unpacking = Unpacking(path, into, limits or Limits())
    unpack(unpacking)
    return ArchiveTree(archive_name(path), unpacking.files, unpacking.refused)


def archive_name(path: Path) -> str:
    """An archive's name without its suffixes: ``ward.tar.gz`` → ``ward``."""
    name = path.name
    while Path(name).suffix.lower() in ARCHIVE_SUFFIXES:
        name = Path(name).stem
    return name


class ArchiveTree:
    """An unpacked archive. Its files lie under numbers; ``files`` names them as the archive does."""

    def __init__(self, name: str, files: dict[str, Path], refused: Sequence[LedgerLine]) -> None:
        self.name = name
        self.refused: Sequence[LedgerLine] = refused
        self._files = files
        self._order = tuple(sorted(files, key=natural_key))

    def files(self) -> Sequence[str]:
        """Every entry that was unpacked, in natural order."""
        return self._order

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises: DataError E_FILE_UNREADABLE."""
        try:
            return self.local(path).read_bytes()
        except OSError as error:
            raise unreadable(path, error.strerror or type(error).__name__) from error

    def local(self, path: str) -> Path:
        """The unpacked file, under a number but with its suffix. Raises: DataError E_FILE_UNREADABLE."""
        if path not in self._files:
            raise unreadable(path, "the archive has no such entry")
        return self._files[path]
