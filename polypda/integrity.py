"""Checksums: whether what a later step reads is what was written.

``checksums.sha256`` lies beside the files it speaks of, a line each as `sha256sum` writes it. Of a file that is written
again the line is added before the file gets its name. So whenever a process is killed, the file is one of the last two
that are recorded under its name, and these two are what is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from polypda.errors import DataError

try:
    import fcntl
except ImportError:  # Windows: processes that write into one run at once are not kept apart there
    fcntl = None  # type: ignore[assignment]

CHECKSUMS = "checksums.sha256"
SIDECAR = ".sha256"
LARGE = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_TAKEN = 2
"""So many of the last lines of a name are taken: the file, or the one before where its writer was killed."""
_HIDDEN = "."
_PIECES, _PIECE_BYTES = 16, 1 << 18
"""Of a recording, so many pieces are looked at."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file, in words."""

    path: Path
    what: str


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits; a large one is read once per process unless it is written to.

    Raises: OSError.
    """
    now = path.stat()
    if not stat.S_ISREG(now.st_mode):
        raise OSError(f"{path.name} is no file")
    if now.st_size < LARGE:  # written twice within one tick of the disk's clock, it would look the same
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return _sha256_of(path.absolute(), now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@lru_cache(maxsize=1 << 14)
def _sha256_of(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(path: Path) -> str:
    """What tells a recording of any length from others, 64 hexadecimal digits, without reading all of it: the SHA-256
    of its size and of pieces from its first to its last byte; of a short one that is all there is.

    Raises: OSError.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(f"{size}:".encode())
        for number in range(_PIECES):
            file.seek(max(0, size - _PIECE_BYTES) * number // (_PIECES - 1))
            digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()


def seal(folder: Path, *, deep: bool = True) -> None:
    """Record every file of a finished folder, but hidden ones, in one new list. deep: those of its folders, too.

    Raises: OSError.
    """
    found = folder.rglob("*") if deep else folder.iterdir()
    files = sorted(path for path in found if path.is_file() and not _passed_over(path, folder))
    lines = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    unfinished = folder / f".{CHECKSUMS}"
    with unfinished.open("wb") as file:
        _write_durably(file, "".join(lines).encode())
    unfinished.replace(folder / CHECKSUMS)


def announce(folder: Path, name: str, digest: str) -> None:
    """Record what the file of that name is about to be. Raises: OSError; DataError E_CHECKSUMS."""
    path = folder / CHECKSUMS
    with _alone(path) as file:
        content = file.read()
        start = content.rfind(b"\n") + 1
        kept = _last_line(content[start:], folder)
        known = _parsed(content[:start] + kept, path).get(name, [])
        lines = [digest]
        with suppress(OSError):
            now = sha256_of(folder / name)  # stays among the last ones, however often a writer is killed here
            if now in known[:-1] and now != known[-1]:
                lines.insert(0, now)
        file.seek(start)
        try:
            file.truncate()
            _write_durably(file, kept + "".join(f"{line}  {name}\n" for line in lines).encode())
        except OSError:
            with suppress(OSError):
                file.truncate(start)
            raise


def record(path: Path) -> None:
    """Record a file as it is now, such as a log that is complete. Raises: OSError; DataError E_CHECKSUMS."""
    announce(path.parent, path.name, sha256_of(path))


def check(path: Path, *, fix: str = "") -> None:
    """A file must be what its folder's list says; a folder without a list (of an earlier version) passes.

    fix: what the user can do about this kind of file.
    Raises: DataError E_FILE_CHANGED, E_CHECKSUMS; OSError where it cannot be read.
    """
    taken = _taken(path.parent)
    if taken is not None and (fault := _fault_of(path, taken.get(path.name, []))):
        raise changed(fault, fix)


def check_folder(folder: Path, *, fix: str = "", may_lack: Iterable[str] = ()) -> None:
    """Likewise every file that a folder's list names. may_lack: names that may be gone."""
    for fault in faults(folder, may_lack=may_lack):
        raise changed(fault, fix)


def faults(folder: Path, *, may_lack: Iterable[str] = ()) -> Iterator[Fault]:
    """What differs from a folder's list: files that are changed or gone. A name changed in the list is such a one.

    may_lack: names that may be gone. Raises: DataError E_CHECKSUMS; OSError.
    """
    gone = set(may_lack)
    for name, digests in (_taken(folder) or {}).items():
        path = folder / name
        if path.is_file():
            if fault := _fault_of(path, digests):
                yield fault
        elif name not in gone:
            yield Fault(path, "is gone")


def recorded(folder: Path) -> dict[str, list[str]]:
    """Name → the SHA-256 that are taken for it, as a folder's list says; {} without one. Raises: DataError E_CHECKSUMS.

    For whoever reads many files of a folder: :func:`check` reads its list each time.
    """
    return _taken(folder) or {}


def recorded_names(folder: Path) -> list[str]:
    """The names in a folder's list; none without a list. Raises: DataError E_CHECKSUMS."""
    return list(recorded(folder))


def is_listed(folder: Path) -> bool:
    """Whether the folder has a list; those of earlier versions have none."""
    return (folder / CHECKSUMS).is_file()


def beside(path: Path) -> Path:
    """Where the checksum of a single file lies that may be handed on."""
    return path.with_name(path.name + SIDECAR)


def record_beside(path: Path) -> None:
    """Write a single file's checksum beside it, as `sha256sum` does. Raises: OSError."""
    with beside(path).open("wb") as file:
        _write_durably(file, f"{sha256_of(path)}  {path.name}\n".encode())


def fault_beside(path: Path) -> Fault | None:
    """What is wrong with a file that has its checksum beside it; None where it has none. Raises: OSError."""
    if not beside(path).is_file():
        return None
    told = beside(path).read_bytes().partition(b" ")[0].decode(errors="replace")
    return _fault_of(path, [told])


def with_digest(told: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are written as JSON on their own, with the SHA-256 of them as ``sha256``."""
    return {**told, "sha256": _digest_of(told)}


def without_digest(told: Mapping[str, Any]) -> dict[str, Any]:
    """The values that :func:`with_digest` took. Raises: KeyError without a digest, ValueError where it is another."""
    values = dict(told)
    if values.pop("sha256") != _digest_of(values):
        raise ValueError("it is not what was written (SHA-256 differs)")
    return values


def _digest_of(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def changed(fault: Fault, fix: str = "") -> DataError:
    """The coded error for a file that is not what was written."""
    return DataError(
        "E_FILE_CHANGED",
        f"it {fault.what}: a fault of the disk, or it was edited.",
        where=f"{fault.path.parent.name}/{fault.path.name}",
        fix=fix or "put back a copy of it, or have it made anew; `polypda runs verify RUN` tells all that is wrong.",
    )


def _fault_of(path: Path, digests: list[str]) -> Fault | None:
    if not digests:
        return Fault(path, "is not in the list of checksums")
    return None if sha256_of(path) in digests else Fault(path, "is not what was written (SHA-256 differs)")


def _taken(folder: Path) -> dict[str, list[str]] | None:
    """Name → the digests that are taken for it; None where there is no list."""
    path = folder / CHECKSUMS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    start = content.rfind(b"\n") + 1
    parsed = _parsed(content[:start] + _last_line(content[start:], folder), path)
    return {name: found[-_TAKEN:] for name, found in parsed.items()}


def _last_line(rest: bytes, folder: Path) -> bytes:
    """What follows the last line's end: nothing, as a rule. What a full disk or a power cut cut off is dropped; a line
    that only lacks its end is one."""
    matched = _LINE.fullmatch(rest.decode(errors="replace"))
    if matched is None or any(path.name.startswith(matched[2]) for path in folder.iterdir() if path.name != matched[2]):
        return b""
    return rest + b"\n"


def _parsed(content: bytes, path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for number, line in enumerate(content.decode(errors="replace").split("\n")[:-1], 1):
        matched = _LINE.fullmatch(line)
        if matched is None:
            raise DataError(
                "E_CHECKSUMS",
                f"line {number} is no checksum: the list itself is damaged.",
                where=f"{path.parent.name}/{path.name}",
                fix="put back a copy of it. Without the list nothing here can be checked any more.",
            )
        found.setdefault(matched[2], []).append(matched[1])
    return found


def _passed_over(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return parts[-1] == CHECKSUMS or any(part.startswith(_HIDDEN) for part in parts)


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """The list, open for reading and writing, made where it is missing; trainings at once append to it in turn."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
        if fcntl is not None:
            with suppress(OSError):  # a network disk without locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _write_durably(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
