"""Fingerprints on disk, by the content of the image: a run pays a few milliseconds per frame once."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np

from polypda.cohorts.frames import Frame
from polypda.cohorts.images import decode_picture
from polypda.errors import DataError
from polypda.quality.near_duplicates.fingerprint import HASH_WORDS, RELIEF_SIDE, Fingerprint, fingerprint

CACHE_VERSION = 2
"""Raise it whenever a fingerprint of the same bytes comes out differently."""
READERS = 2

log = logging.getLogger(__name__)


def cached_fingerprints(frames: Sequence[Frame], folder: Path) -> list[Fingerprint | None]:
    """The fingerprints of frames, in their order; None for an all but uniform frame. No mask is opened.

    folder: where they are kept, one file per cohort; it may be deleted at any time, and is made where it is missing.
    Raises: DataError E_IMAGE_UNREADABLE, E_IMAGE_MISSING.
    """
    by_cohort: dict[str, list[int]] = {}
    for place, frame in enumerate(frames):
        by_cohort.setdefault(frame.cohort, []).append(place)
    found: list[Fingerprint | None] = [None] * len(frames)
    for cohort, places in by_cohort.items():
        path = folder / f"{cohort.replace(':', '-')}-v{CACHE_VERSION}.npz"
        for place, entry in zip(places, _of_cohort([frames[place] for place in places], path), strict=True):
            found[place] = entry
    return found


def _of_cohort(frames: Sequence[Frame], path: Path) -> list[Fingerprint | None]:
    known = _read(path)

    def one(frame: Frame) -> tuple[bytes, Fingerprint | None]:
        data = _bytes(frame.image)
        key = hashlib.sha256(data).digest()
        return key, known[key] if key in known else fingerprint(decode_picture(data, frame.image))

    with ThreadPoolExecutor(READERS) as pool:
        made = list(pool.map(one, frames))
    if any(key not in known for key, _ in made):
        _write(path, {**known, **dict(made)})
    return [entry for _, entry in made]


def _read(path: Path) -> dict[bytes, Fingerprint | None]:
    """What is cached; nothing where the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as held:
            keys, bits, reliefs, told = (held[name] for name in ("keys", "bits", "reliefs", "told"))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}
    entries = zip(keys, bits, reliefs, told, strict=True)
    return {key.tobytes(): Fingerprint(hashed, relief) if has else None for key, hashed, relief, has in entries}


def _write(path: Path, entries: dict[bytes, Fingerprint | None]) -> None:
    """Whole or not at all; a full disk costs the cache, not the run."""
    nothing = Fingerprint(np.zeros(HASH_WORDS, np.uint64), np.zeros((RELIEF_SIDE, RELIEF_SIDE), np.int8))
    held = [entry or nothing for entry in entries.values()]
    partial = path.with_name(f".{path.stem}-{os.getpid()}-{uuid4().hex[:8]}.partial.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            partial,
            keys=np.frombuffer(b"".join(entries), np.uint8).reshape(len(entries), -1),
            bits=np.stack([entry.bits for entry in held]),
            reliefs=np.stack([entry.relief for entry in held]),
            told=np.array([entry is not None for entry in entries.values()]),
        )
        partial.replace(path)
    except OSError as error:
        log.warning("fingerprints are not kept: %s", error.strerror)
    finally:
        partial.unlink(missing_ok=True)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        code = "E_IMAGE_MISSING" if isinstance(error, FileNotFoundError) else "E_IMAGE_UNREADABLE"
        fix = "check that the file exists and is readable."
        raise DataError(code, f"{error.strerror}.", where=path, fix=fix) from error
