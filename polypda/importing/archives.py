"""Archives as sources: zip, and tar plain or packed by gzip, bzip2 or xz. What a file is, its first bytes tell.

Names in a zip are read in whatever encoding the packing system had; nothing is believed of a tar's headers that would
cost memory or time.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from lzma import LZMAError
from pathlib import Path
from typing import IO, cast

from polypda.cohorts.image_files import natural_key
from polypda.errors import DataError
from polypda.importing.contract import LedgerLine, SourceTree
from polypda.importing.source_tree import FolderTree, unreadable
from polypda.importing.unpacking import ARCHIVE_SUFFIXES, Entry, Limits, Refused, Unpacking, clean_name, unsafe_name

ENCRYPTED, UTF_8 = 0x1, 0x800
"""Bits of an entry's flags."""
WESTERN = frozenset(range(0x80, 0xA6)) | {0xE1}
"""Bytes of Western European letters in code page 437."""


def unpack_zip(unpacking: Unpacking) -> None:
    """Unpack a zip. Raises: DataError E_ARCHIVE_BROKEN, E_ARCHIVE_ENCRYPTED, and as :meth:`Unpacking.wanted`."""
    path = unpacking.archive
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        fix = "fetch or pack it again."
        raise DataError("E_ARCHIVE_BROKEN", f"no whole zip ({error}).", where=path.name, fix=fix) from error
    with archive:
        infos = archive.infolist()
        locked = sum(bool(info.flag_bits & ENCRYPTED) for info in infos)
        if locked:
            what = f"{locked} of {len(infos)} entries are encrypted."
            fix = "unpack it with its password and import the folder."
            raise DataError("E_ARCHIVE_ENCRYPTED", what, where=path.name, fix=fix)
        unpacking.require_passed(sum(info.file_size for info in infos))
        encoding = _encoding([info.orig_filename for info in infos if not info.flag_bits & UTF_8])
        for info in infos:
            entry = _entry(info, encoding)
            if info.orig_filename.endswith(("/", "\\")) and entry.problem is None and not unsafe_name(entry.name):
                continue
            if unpacking.wanted(entry):
                _unpack_zip(archive, info, entry, unpacking)


def _unpack_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, entry: Entry, unpacking: Unpacking) -> None:
    try:
        with archive.open(info) as data:
            unpacking.write(entry, data)
    except Refused as refused:
        unpacking.refuse(entry.name, *refused.args)
    except NotImplementedError as error:
        unpacking.refuse(entry.name, "E_ARCHIVE_METHOD", f"packed by a method that is not read here ({error}).")
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, ValueError, struct.error) as error:
        unpacking.refuse(entry.name, "E_ARCHIVE_ENTRY", f"the entry is damaged ({error}).")


def _entry(info: zipfile.ZipInfo, encoding: str) -> Entry:
    name = info.orig_filename
    if not info.flag_bits & UTF_8:
        name = _raw(name).decode(encoding, "replace")
    problem = None
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        problem = "E_ARCHIVE_LINK", "a link."
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "E_ARCHIVE_DEVICE", "a device or another special file."
    elif "\0" in name:
        problem = "E_ARCHIVE_ESCAPES", "a name with a zero byte."
    return Entry(clean_name(name), info.file_size, info.compress_size, problem)


def _raw(name: str) -> bytes:
    """The bytes of a name that the zip module took for code page 437."""
    return name.encode("cp437", "replace")


def _encoding(names: list[str]) -> str:
    """The encoding of all names together: UTF-8, else Chinese (GB 2312, GBK), else code page 437.

    A zip does not tell it, and short names of one encoding may make sense in another; all of them rarely do.
    """
    raw = [data for data in map(_raw, names) if not data.isascii()]
    for encoding in ("utf-8", "gb2312"):
        if all(_decodes(data, encoding) for data in raw):
            return encoding
    if all(byte < 0x80 or byte in WESTERN for data in raw for byte in data):
        return "cp437"
    return "gb18030" if all(_decodes(data, "gb18030") for data in raw) else "cp437"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


LONGEST_READ_BYTES = 16 << 20
"""Nothing asks for more at once but a header that claims an extension of such a size."""


def unpack_tar(unpacking: Unpacking) -> None:
    """Unpack a tar. Raises: DataError E_ARCHIVE_BROKEN, and as :meth:`Unpacking.wanted`."""
    path = unpacking.archive
    try:
        with _opened(unpacking) as stream:
            guarded = cast("IO[bytes]", _Guarded(stream, unpacking))
            with tarfile.open(fileobj=guarded, mode="r:", errors="surrogateescape") as archive:
                for member in archive:
                    _unpack_tar(archive, member, unpacking)
                    archive.members.clear()  # type: ignore[attr-defined]  # else the list of all grows in memory
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        what = f"no whole tar ({error})."
        raise DataError("E_ARCHIVE_BROKEN", what, where=path.name, fix="fetch or pack it again.") from error


def _unpack_tar(archive: tarfile.TarFile, member: tarfile.TarInfo, unpacking: Unpacking) -> None:
    problem = None
    if member.issym() or member.islnk():
        problem = "E_ARCHIVE_LINK", f"a link to '{member.linkname}'."
    elif not member.isfile() and not member.isdir():
        problem = "E_ARCHIVE_DEVICE", "a device or another special file."
    entry = Entry(clean_name(member.name), member.size, None, problem)
    if member.isdir() or not unpacking.wanted(entry):
        return
    data = archive.extractfile(member)
    if data is None:
        return
    try:
        with data:
            unpacking.write(entry, data)
    except Refused as refused:
        unpacking.refuse(entry.name, *refused.args)


def _opened(unpacking: Unpacking) -> IO[bytes]:
    path = unpacking.archive
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if head.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.open(path, "rb"))
    if head.startswith(b"\xfd7zXZ"):
        return cast("IO[bytes]", lzma.open(path, "rb"))
    return path.open("rb")


class _Guarded:
    """A stream that refuses what only a bomb asks for: one huge read, or unpacking without end."""

    def __init__(self, stream: IO[bytes], unpacking: Unpacking) -> None:
        self._stream, self._unpacking = stream, unpacking

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > LONGEST_READ_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        data = self._stream.read(size)
        self._unpacking.require_passed(self._stream.tell())
        return data

    def seek(self, index: int, whence: int = 0) -> int:
        # forward only by what was allowed: skipping in a packed stream unpacks it all the same
        if whence == 0:
            self._unpacking.require_passed(index)
        return self._stream.seek(index, whence)

    def tell(self) -> int:
        return self._stream.tell()


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


class SingleFile(FolderTree):
    """One file as a tree of its own, e.g. a video."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self.name = path.stem
        self._only = path.name

    @property
    def refused(self) -> Sequence:
        return ()

    def files(self) -> Sequence[str]:
        """The one."""
        return (self._only,)


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
