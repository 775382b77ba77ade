"""Reading a zip, with names in whatever encoding the packing system had."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from lzma import LZMAError

from polypda.errors import DataError
from polypda.importing.sources.unpacking import Entry, Refused, Unpacking, clean_name, unsafe_name

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
                _unpack(archive, info, entry, unpacking)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, entry: Entry, unpacking: Unpacking) -> None:
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
