"""What was computed before and may be deleted at any time: one store for all kinds of it, with a limit on its size.

An entry's name is a digest of all that decides its content, so that a changed file or setting makes another entry and
an old one is never taken for it. Beyond the limit, what was not used for longest goes first. What a process uses is
locked by it and stays. An entry that is damaged or cannot be written costs its computation, never the run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from polypda.errors import UsageError
from polypda.files import UNFINISHED, remove_leftovers, whole_file

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Kind:
    """What is kept below the cache folder under one name. entries: what its entries are called, older versions' too;
    whatever else lies there is not ours and is never removed."""

    name: str
    what: str
    entries: re.Pattern[str]


FRAMES = Kind("frames", "decoded frames at network size", re.compile(r"[0-9a-f]{24}-[a-z]+\.npy"))
PHANTOMS = Kind("phantoms", "rendered cohorts", re.compile(r"\d+-frames-seed-\d+-[0-9a-f]{12}"))
STYLIZED = Kind("stylized", "restyled source frames", re.compile(r"[0-9a-f]{24}"))
FINGERPRINTS = Kind("fingerprints", "fingerprints for near-duplicates", re.compile(r"[0-9a-f]{40}|.+-v\d+\.npz"))
SCORES = Kind("scores", "scores of models on frames", re.compile(r"[0-9a-f]{32}-.{1,32}\.json"))
FIGURES = Kind("cohort-figures", "figures of cohorts' frames", re.compile(r"[0-9a-f]{40}\.json|[0-9a-f]{2}"))
KINDS = {kind.name: kind for kind in (FRAMES, PHANTOMS, STYLIZED, FINGERPRINTS, SCORES, FIGURES)}

LIMIT_VARIABLE = "POLYPDA_CACHE_GB"
DEFAULT_LIMIT_GB = 50.0
GB = 10**9
DIGEST_BYTES = 32
"""Of the SHA-256 that a small entry begins with."""
DAY_S = 86_400

_tidied: set[Path] = set()
"""Folders of small entries in which this process has looked for what killed ones left; large ones are seen to by
:func:`trim`."""
_in_use: dict[Path, int] = {}
"""Entries that this process holds, with the lock's file descriptor; let go when the process ends."""


@dataclass(frozen=True)
class Entry:
    """One entry. used: when it was made or last used, in seconds since the epoch."""

    kind: str
    path: Path
    size: int
    used: float

    def remove(self) -> bool:
        """Remove it unless some process uses it; whether it is gone."""
        handle = _lock(self.path, exclusive=True)
        if handle is None:
            return not self.path.exists()
        try:
            with suppress(OSError):
                # out of its name first: no reader meets half a folder
                gone = self.path.rename(self.path.with_name(f".{self.path.name}.{os.getpid()}{UNFINISHED}"))
                shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
            return not self.path.exists()
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Store:
    """Entries in one folder. folder: below the cache folder, called as its :class:`Kind`; None: nothing is kept."""

    folder: Path | None

    def read(self, name: str) -> bytes | None:
        """A small entry; None where there is none, or a damaged one."""
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            stored = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, data = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
        return data if digest == hashlib.sha256(data).digest() else None

    def keep(self, name: str, data: bytes) -> bool:
        """Keep a small entry; whether it could be written."""
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.folder not in _tidied:
                _tidied.add(self.folder)
                remove_leftovers(self.folder)
            with whole_file(self.folder / name, durable=False) as temporary:
                temporary.write_bytes(hashlib.sha256(data).digest() + data)
        except OSError:
            return False
        return True

    def find(self, name: str) -> Path | None:
        """A large entry, held for this process from now on; None where there is none."""
        path = None if self.folder is None else self.folder / name
        if path is None or not _hold(path):
            return None
        with suppress(OSError):
            os.utime(path)
        return path

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """A place to write a large entry to, which is kept and held at the end of the block; then older ones make room.

        Raises: OSError.
        """
        if self.folder is None:
            raise FileNotFoundError("no cache folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / name) as temporary:
            yield temporary
            handle = _lock(temporary, exclusive=False)  # outlives the renaming: nobody can remove it in between
        if handle is not None:
            _keep_lock(self.folder / name, handle)
        trim(self.folder.parent)

    def folder_of(self, name: str) -> Path:
        """An entry that is a folder, made where it is missing, held for this process. Raises: OSError."""
        if self.folder is None:
            raise FileNotFoundError("no cache folder")
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        self.find(name)
        return path


def entries(cache: Path, kind: str | None = None) -> list[Entry]:
    """What is kept, of one kind or of all."""
    found = []
    for each in KINDS.values() if kind is None else [kind_named(kind)]:
        folder = cache / each.name
        for path in folder.iterdir() if folder.is_dir() else ():
            if each.entries.fullmatch(path.name):
                with suppress(OSError):
                    found.append(Entry(each.name, path, _size(path), path.stat().st_mtime))
    return found


def trim(cache: Path, limit: int | None = None) -> None:
    """Remove what was not used for longest until the cache has at most ``limit`` bytes (default: as the user has it),
    and what processes that are gone left unfinished. Raises: UsageError E_CACHE_LIMIT."""
    most = limit_bytes() if limit is None else limit
    kept = entries(cache)
    total = sum(entry.size for entry in kept)
    for entry in sorted(kept, key=lambda entry: entry.used):
        if total <= most:
            break
        if entry.remove():
            total -= entry.size
    remove_unfinished(cache)


def remove_unfinished(cache: Path) -> None:
    """Remove what processes that are gone began and never finished."""
    for kind in KINDS.values():
        folder = cache / kind.name
        remove_leftovers(folder)
        if kind is PHANTOMS:  # rendered within their entries
            for entry in folder.iterdir() if folder.is_dir() else ():
                remove_leftovers(entry)


def limit_bytes() -> int:
    """How large the cache may grow: POLYPDA_CACHE_GB, else 50. Raises: UsageError E_CACHE_LIMIT."""
    told = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(told) if told else DEFAULT_LIMIT_GB
    except ValueError:
        limit = -1
    if not 0 <= limit < float("inf"):
        what = f"{LIMIT_VARIABLE} is '{told}'."
        raise UsageError("E_CACHE_LIMIT", what, fix="give the cache's largest size in GB, for example 50.")
    return int(limit * GB)


def kind_named(name: str) -> Kind:
    """Raises: UsageError E_CACHE_KIND."""
    if name not in KINDS:
        raise UsageError("E_CACHE_KIND", f"nothing called '{name}' is kept.", fix=f"one of {', '.join(KINDS)}.")
    return KINDS[name]


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _hold(path: Path) -> bool:
    """Lock an entry against removal as long as this process lives; False where it is gone."""
    if path in _in_use and _is(path, _in_use[path]):
        return True
    handle = _lock(path, exclusive=False)
    if handle is None:  # a disk without locks
        return path.exists()
    if not _is(path, handle):  # removed a moment ago
        os.close(handle)
        return False
    _keep_lock(path, handle)
    return True


def _keep_lock(path: Path, handle: int) -> None:
    former = _in_use.pop(path, None)
    if former is not None:
        os.close(former)
    _in_use[path] = handle


def _is(path: Path, handle: int) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _lock(path: Path, *, exclusive: bool) -> int | None:
    """A descriptor that holds the lock, None where it cannot be had."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:  # another holds it, or a network disk without locks
        os.close(handle)
        return None
    return handle
