"""Unpacking an archive into numbered files, so that no entry's name ever becomes a path.

An entry that must not be unpacked (it leads outside, is a link or a device, is a bomb) is refused with a code; an
archive that cannot be trusted as a whole is refused as a whole.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from polypda.cohorts.image_files import is_hidden
from polypda.errors import DataError
from polypda.importing.contract import LedgerLine

CHUNK_BYTES = 1 << 20
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".7z", ".rar", ".zst", ".lz4")


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
    problem: tuple[str, str] | None = None


class Refused(Exception):  # noqa: N818 - a verdict on one entry, not an error of the program
    """An entry turned out damaged or a bomb while it was read: its code and what is wrong."""


def unsafe_name(name: str) -> tuple[str, str] | None:
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
    kept = "/".join(part for part in parts if part not in ("", "."))
    return f"/{kept}" if parts[0] == "" and len(parts) > 1 else kept


class Unpacking:
    """Writes an archive's entries below a folder and keeps count."""

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
            return False
        if is_hidden(entry.name):
            return False
        self._require_room(entry.size)
        return True

    def write(self, entry: Entry, data: IO[bytes]) -> None:
        """Unpack one entry, never more of it than it declares. Raises: Refused, DataError as :meth:`wanted`."""
        path = self.into / f"{len(self.files):07d}{_plain_suffix(entry.name)}"
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

    def _bomb(self, entry: Entry) -> tuple[str, str] | None:
        packed = self._packed if entry.packed is None else max(1, entry.packed)
        if entry.size <= self.limits.large_entry_bytes or entry.size <= self.limits.entry_ratio * packed:
            return None
        return "E_ARCHIVE_BOMB", f"{entry.size} bytes packed into {packed}: no frame or film is like that."

    def _require_room(self, more: int) -> None:
        self.require_passed(self._bytes + more)
        if more > CHUNK_BYTES and more > shutil.disk_usage(self.into).free:
            what = "the disk has no room to unpack it."
            raise DataError(
                "E_ARCHIVE_NO_SPACE", what, where=self.archive.name, fix="free space, or choose another --out."
            )


_UNPACK = "unpack it with a tool of your own, look at it, and import the folder."


def _plain_suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""
