"""Unpacking archives: zip, and tar plain or packed by gzip, bzip2 or xz. What a file is, its first bytes tell.

Entries become numbered files, so that no entry's name ever becomes a path. An entry that must not be unpacked (it leads
outside, is a link or a device, is a bomb) is refused with a code; an archive that cannot be trusted as a whole is
refused as a whole. Names in a zip are read in whatever encoding the packing system had; nothing is believed of a tar's
headers that would cost memory or time.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from polypda.cohorts.image_files import is_hidden
from polypda.errors import DataError
from polypda.importing.contract import LedgerLine

CHUNK_BYTES = 1 << 20
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".7z", ".rar", ".zst", ".lz4")
ENCRYPTED, UTF_8 = 0x1, 0x800
"""Bits of a zip entry's flags."""
WESTERN = frozenset(range(0x80, 0xA6)) | {0xE1}
"""Bytes of Western European letters in code page 437."""
LONGEST_READ_BYTES = 16 << 20
"""Nothing asks for more at once but a header that claims an extension of such a size."""
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PACKED_TAR = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_NOT_READ = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x07\x08": "a part of a zip in several files",
}
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257
_UNPACK = "unpack it with a tool of your own, look at it, and import the folder."
Problem = tuple[str, str]
"""Code and what is wrong."""


@dataclass(frozen=True)
class Limits:
    """What an archive may come to.

    entry_ratio applies to entries beyond ``large_entry_bytes`` and total_ratio to archives beyond
    ``large_total_bytes``: small files of one colour are rightly packed a thousandfold.
    """

    entries: int = 2_000_000
    large_entry_bytes: int = 256 << 20
    entry_ratio: int = 100
    large_total_bytes: int = 4 << 30
    total_ratio: int = 50


@dataclass(frozen=True)
class Entry:
    """One entry as an archive lists it. packed: bytes within the archive, None where the whole is packed as one.

    problem: why it must not be unpacked.
    """

    name: str
    size: int
    packed: int | None
    problem: Problem | None = None


class Refused(Exception):  # noqa: N818 - a verdict on one entry, not an error of the program
    """An entry turned out damaged or a bomb while it was read: its code and what is wrong."""


def unpack(path: Path, into: Path, limits: Limits) -> Unpacking | None:
    """Unpack an archive below ``into``; None where the file is no archive.

    Raises: DataError E_ARCHIVE_KIND (7z, rar…), E_ARCHIVE_BROKEN, E_ARCHIVE_ENCRYPTED, E_ARCHIVE_ENTRIES,
        E_ARCHIVE_BOMB, E_ARCHIVE_NO_SPACE.
    """
    with path.open("rb") as file:
        head = file.read(_TAR_MARK_AT + len(_TAR_MARK))
    for beginning, kind in _NOT_READ.items():
        if head.startswith(beginning):
            fix = "unpack it with a tool of your own and import the folder, or pack it as zip or tar."
            raise DataError("E_ARCHIVE_KIND", f"{kind} is not read here.", where=path.name, fix=fix)
    if head.startswith(_ZIP):
        unpacking = Unpacking(path, into, limits)
        _unpack_zip(unpacking)
    elif head.startswith(_PACKED_TAR) or head[_TAR_MARK_AT:] == _TAR_MARK:
        unpacking = Unpacking(path, into, limits)
        _unpack_tar(unpacking, head)
    else:
        return None
    return unpacking


def archive_name(path: Path) -> str:
    """An archive's name without its suffixes: ``ward.tar.gz`` → ``ward``."""
    name = path.name
    while Path(name).suffix.lower() in ARCHIVE_SUFFIXES:
        name = Path(name).stem
    return name


class Unpacking:
    """Writes an archive's entries below a folder and keeps count. files: entry's name → unpacked file."""

    def __init__(self, archive: Path, into: Path, limits: Limits) -> None:
        self.archive, self.into, self.limits = archive, into, limits
        self.files: dict[str, Path] = {}
        self.refused: list[LedgerLine] = []
        self._packed = max(1, archive.stat().st_size)
        self._entries = 0
        self._bytes = 0
        into.mkdir(parents=True, exist_ok=True)

    def wanted(self, entry: Entry) -> bool:
        """Whether an entry shall be unpacked; a ledger line where it must not be.

        Raises: DataError E_ARCHIVE_ENTRIES, E_ARCHIVE_BOMB, E_ARCHIVE_NO_SPACE.
        """
        self._entries += 1
        if self._entries > self.limits.entries:
            what = f"more than {self.limits.entries} entries."
            raise DataError("E_ARCHIVE_ENTRIES", what, where=self.archive.name, fix=_UNPACK)
        problem = entry.problem or unsafe_name(entry.name) or self._bomb(entry)
        if problem is None and not is_hidden(entry.name):
            if entry.name in self.files:
                problem = "E_ARCHIVE_TWICE", "a second entry of this name."
            elif Path(entry.name).suffix.lower() in ARCHIVE_SUFFIXES:
                problem = "E_ARCHIVE_NESTED", "an archive in the archive."
        if problem is not None:
            self.refuse(entry.name, *problem)
        if problem is not None or is_hidden(entry.name):
            return False
        self._require_room(entry.size)
        return True

    def write(self, entry: Entry, data: IO[bytes]) -> None:
        """Unpack one entry, never more of it than it declares; one that is a bomb is refused.

        Raises: DataError as :meth:`wanted`.
        """
        suffix = Path(entry.name).suffix.lower()
        plain = suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""
        path = self.into / f"{len(self.files):07d}{plain}"
        written = 0
        try:
            with path.open("wb") as file:
                while chunk := data.read(CHUNK_BYTES):
                    written += len(chunk)
                    self._bytes += len(chunk)
                    if written > entry.size:
                        raise Refused("E_ARCHIVE_BOMB", "it holds more than it declares.")
                    self._require_room(0)
                    file.write(chunk)
        except Refused as refused:
            path.unlink(missing_ok=True)
            self.refuse(entry.name, *refused.args)
            return
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.files[entry.name] = path

    def refuse(self, name: str, code: str, what: str) -> None:
        """Note an entry that is not unpacked."""
        self.refused.append(LedgerLine(name or "(no name)", code, what, fix=_UNPACK))

    def require_passed(self, total: int) -> None:
        """Check the bytes of a stream that were unpacked so far. Raises: DataError E_ARCHIVE_BOMB."""
        if total > self.limits.large_total_bytes and total > self.limits.total_ratio * self._packed:
            what = f"it unpacks to more than {self.limits.total_ratio} times its size."
            raise DataError("E_ARCHIVE_BOMB", what, where=self.archive.name, fix=_UNPACK)

    def _bomb(self, entry: Entry) -> Problem | None:
        packed = self._packed if entry.packed is None else max(1, entry.packed)
        if entry.size <= self.limits.large_entry_bytes or entry.size <= self.limits.entry_ratio * packed:
            return None
        return "E_ARCHIVE_BOMB", f"{entry.size} bytes packed into {packed}: no frame or film is like that."

    def _require_room(self, more: int) -> None:
        self.require_passed(self._bytes + more)
        if more > CHUNK_BYTES and more > shutil.disk_usage(self.into).free:
            what, fix = "the disk has no room to unpack it.", "free space, or choose another --out."
            raise DataError("E_ARCHIVE_NO_SPACE", what, where=self.archive.name, fix=fix)


def unsafe_name(name: str) -> Problem | None:
    """Why an entry's name must not be followed; None for a name that stays inside."""
    if not name.strip("/. "):
        return "E_ARCHIVE_ESCAPES", "an entry without a name."
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "E_ARCHIVE_ESCAPES", "an absolute path."
    if ".." in name.split("/"):
        return "E_ARCHIVE_ESCAPES", "a path that leads outside ('..')."
    return None


def clean_name(name: str) -> str:
    """An entry's name with forward slashes and without ``.`` parts."""
    parts = name.replace("\\", "/").split("/")
    inner = "/".join(part for part in parts if part not in ("", "."))
    return f"/{inner}" if parts[0] == "" and len(parts) > 1 else inner


def _unpack_zip(unpacking: Unpacking) -> None:
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
            entry = _zip_entry(info, encoding)
            if info.orig_filename.endswith(("/", "\\")) and entry.problem is None and not unsafe_name(entry.name):
                continue
            if not unpacking.wanted(entry):
                continue
            try:
                with archive.open(info) as data:
                    unpacking.write(entry, data)
            except NotImplementedError as error:
                what = f"packed by a method that is not read here ({error})."
                unpacking.refuse(entry.name, "E_ARCHIVE_METHOD", what)
            except (
                zipfile.BadZipFile,
                zlib.error,
                lzma.LZMAError,
                OSError,
                EOFError,
                ValueError,
                struct.error,
            ) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk, not the entry: bzip2 tells of its damage in this way
                unpacking.refuse(entry.name, "E_ARCHIVE_ENTRY", f"the entry is damaged ({error}).")


def _zip_entry(info: zipfile.ZipInfo, encoding: str) -> Entry:
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
    western = all(byte < 0x80 or byte in WESTERN for data in raw for byte in data)
    return "gb18030" if not western and all(_decodes(data, "gb18030") for data in raw) else "cp437"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _unpack_tar(unpacking: Unpacking, head: bytes) -> None:
    path = unpacking.archive
    openers: dict[bytes, Callable[..., Any]] = dict(zip(_PACKED_TAR, (gzip.open, bz2.open, lzma.open), strict=True))
    opener = next((opener for beginning, opener in openers.items() if head.startswith(beginning)), open)
    try:
        with cast("IO[bytes]", opener(path, "rb")) as stream:
            guarded = cast("IO[bytes]", _Guarded(stream, unpacking))
            with tarfile.open(fileobj=guarded, mode="r:", errors="surrogateescape") as archive:
                for member in archive:
                    _unpack_member(archive, member, unpacking)
                    archive.members.clear()  # type: ignore[attr-defined]  # else the list of all grows in memory
                _require_end(guarded, archive.offset)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        what = f"no whole tar ({error})."
        raise DataError("E_ARCHIVE_BROKEN", what, where=path.name, fix="fetch or pack it again.") from error


def _require_end(stream: IO[bytes], offset: int) -> None:
    """A tar ends in blocks of zeros. The module stops quietly where it is cut or a header is damaged.

    Raises: tarfile.ReadError.
    """
    stream.seek(offset)
    ended = False
    while block := stream.read(CHUNK_BYTES):
        if block.strip(b"\0"):
            raise tarfile.ReadError(f"a damaged header at byte {offset}, or something behind the archive's end")
        ended = True
    if not ended:
        raise tarfile.ReadError("its end is missing: it was cut off")


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, unpacking: Unpacking) -> None:
    problem = None
    if member.issym() or member.islnk():
        problem = "E_ARCHIVE_LINK", f"a link to '{member.linkname}'."
    elif not member.isfile() and not member.isdir():
        problem = "E_ARCHIVE_DEVICE", "a device or another special file."
    entry = Entry(clean_name(member.name), member.size, None, problem)
    if member.isdir() or not unpacking.wanted(entry):
        return
    if (data := archive.extractfile(member)) is not None:
        with data:
            unpacking.write(entry, data)


class _Guarded:
    """A stream that refuses what only a bomb asks for: one huge read, or unpacking without end."""

    def __init__(self, stream: IO[bytes], unpacking: Unpacking) -> None:
        self._stream, self._unpacking = stream, unpacking
        self.tell = stream.tell

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
