"""Reading a tar, plain or packed; nothing is believed of its headers that would cost memory or time."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from typing import IO, cast

from polypda.errors import DataError
from polypda.importing.sources.unpacking import Entry, Refused, Unpacking, clean_name

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
                    _unpack(archive, member, unpacking)
                    archive.members.clear()  # type: ignore[attr-defined]  # else the list of all grows in memory
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        what = f"no whole tar ({error})."
        raise DataError("E_ARCHIVE_BROKEN", what, where=path.name, fix="fetch or pack it again.") from error


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, unpacking: Unpacking) -> None:
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

    def seek(self, place: int, whence: int = 0) -> int:
        # forward only by what was allowed: skipping in a packed stream unpacks it all the same
        if whence == 0:
            self._unpacking.require_passed(place)
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()
