"""Fingerprints on disk, by the content of the image: a run pays a few milliseconds per frame once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from polypda.cache import Store
from polypda.cohorts.frames import Frame
from polypda.cohorts.images import decode_image
from polypda.errors import DataError
from polypda.quality.near_duplicates.fingerprint import HASH_WORDS, RELIEF_SIDE, Fingerprint, fingerprint

CACHE_VERSION = 3
"""Raise it whenever a fingerprint of the same bytes comes out differently."""
READERS = 2
BITS_BYTES = HASH_WORDS * 8
UNIFORM = b"uniform"
"""The entry of a frame that has no fingerprint."""
ENTRY_BYTES = BITS_BYTES + RELIEF_SIDE**2


def cached_fingerprints(frames: Sequence[Frame], folder: Path) -> list[Fingerprint | None]:
    """The fingerprints of frames, in their order; None for an all but uniform frame. No mask is opened.

    folder: where they are kept; it may be deleted at any time, and is made where it is missing.
    Raises: DataError E_IMAGE_UNREADABLE, E_IMAGE_MISSING.
    """
    store = Store(folder)

    def one(frame: Frame) -> Fingerprint | None:
        data = _bytes(frame.image)
        name = hashlib.sha256(f"{CACHE_VERSION} ".encode() + hashlib.sha256(data).digest()).hexdigest()[:40]
        kept = store.read(name)
        if kept == UNIFORM:
            return None
        if kept is not None and len(kept) == ENTRY_BYTES:
            return _unpacked(kept)
        made = fingerprint(decode_image(data, frame.image))
        store.keep(name, UNIFORM if made is None else made.bits.tobytes() + made.relief.tobytes())
        return made

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(one, frames))


def _unpacked(kept: bytes) -> Fingerprint:
    bits = np.frombuffer(kept[:BITS_BYTES], np.uint64)
    return Fingerprint(bits, np.frombuffer(kept[BITS_BYTES:], np.int8).reshape(RELIEF_SIDE, RELIEF_SIDE))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        code = "E_IMAGE_MISSING" if isinstance(error, FileNotFoundError) else "E_IMAGE_UNREADABLE"
        fix = "check that the file exists and is readable."
        raise DataError(code, f"{error.strerror}.", where=path, fix=fix) from error
