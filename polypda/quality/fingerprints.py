"""What of a frame is kept to find it again: a 256-bit difference hash and a small relief, both of the lit image.

A copy may have been recompressed, resized, mirrored, shifted or set into a border. So the frame is cut to what is lit,
with a fixed threshold (one that follows the border's grey would cut a copy with a black border differently), reduced,
and freed of its slow changes of brightness, which all frames of a scope share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cache import Store
from polypda.cohorts.field_of_view import INSET_GREEN, Box
from polypda.cohorts.frames import Frame
from polypda.cohorts.images import Image, decode_image
from polypda.cohorts.stored_pixels import brightest_channel
from polypda.errors import DataError
from polypda.quality.frame_figures import size_within

SEARCH_LONGER_SIDE_PX = 256
LIT_THRESHOLD = 32
"""A pixel belongs to the image when its brightest channel, blurred, exceeds this (0–255)."""
OPENING_SIDE_PX = 7
"""Details narrower than this in the reduced frame (text, thin lines) are no part of the image."""
LEAST_FRACTION = 0.15
"""A lit region below this fraction of the frame is not believed: the whole frame is taken."""
RELIEF_SIDE = 64
RELIEF_BLUR = 12.0
"""Brightness that varies over more cells than this (of 64) is vignette and lamp, not the scene."""
RELIEF_GAIN = 3.0
"""Standard deviations that fill the range of int8."""
LEAST_CONTRAST = 2.0
"""Reliefs whose standard deviation (grey levels) stays below this are all but uniform: nothing can be said of them."""
HASH_ROWS, HASH_COLUMNS = 16, 16
HASH_WORDS = HASH_ROWS * HASH_COLUMNS // 64

RELIEF_BYTES_IN_MEMORY = 32 << 20

Relief = NDArray[np.int8]
Hash = NDArray[np.uint64]


@dataclass(frozen=True)
class Fingerprint:
    """bits: uint64, 4 words, the difference hash. relief: int8 64×64, brightness less its surroundings, 0 outside."""

    bits: Hash
    relief: Relief


class StoredFingerprints(Sequence[Fingerprint | None]):
    """The fingerprints of any number of frames: their bits in memory, their reliefs, beyond a few thousand, in a file
    without a name that is gone with the process. As a list 200,000 of them would take a gigabyte."""

    def __init__(self) -> None:
        self._bits: list[bytes | None] = []
        self._reliefs = SpooledTemporaryFile(max_size=RELIEF_BYTES_IN_MEMORY)  # noqa: SIM115 - as long as this lives

    def append(self, entry: Fingerprint | None) -> None:
        """Add the next frame's; None for one that has none."""
        if entry is not None:
            self._reliefs.seek(len(self._bits) * RELIEF_SIDE**2)
            self._reliefs.write(entry.relief.tobytes())
        self._bits.append(None if entry is None else entry.bits.tobytes())

    def __len__(self) -> int:
        return len(self._bits)

    @overload
    def __getitem__(self, index: int) -> Fingerprint | None: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Fingerprint | None]: ...

    def __getitem__(self, index: int | slice) -> Fingerprint | Sequence[Fingerprint | None] | None:
        if isinstance(index, slice):
            return _SomeFingerprints(self, range(len(self))[index])
        bits = self._bits[index]
        if bits is None:
            return None
        self._reliefs.seek((index % len(self._bits)) * RELIEF_SIDE**2)
        relief = np.frombuffer(self._reliefs.read(RELIEF_SIDE**2), np.int8).reshape(RELIEF_SIDE, RELIEF_SIDE)
        return Fingerprint(np.frombuffer(bits, np.uint64), relief)


class _SomeFingerprints(Sequence[Fingerprint | None]):
    """A part of stored fingerprints, read where it is asked for."""

    def __init__(self, stored: StoredFingerprints, indices: range) -> None:
        self._stored, self._indices = stored, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _SomeFingerprints(self._stored, self._indices[index])
        return self._stored[self._indices[index]]


def fingerprint(image: Image) -> Fingerprint | None:
    """The fingerprint of an RGB frame, uint8 H×W×3; None for an all but uniform one."""
    relief = relief_of(image)
    return None if relief is None else Fingerprint(difference_hash(relief), relief)


def relief_of(image: Image) -> Relief | None:
    """int8 64×64: the lit image's brightness less its surroundings, in standard deviations; None where uniform."""
    box, inside = lit_image(image)
    grey = cv2.cvtColor(image[box.top : box.bottom, box.left : box.right], cv2.COLOR_RGB2GRAY)
    side = (RELIEF_SIDE, RELIEF_SIDE)
    small = cv2.resize(grey, side, interpolation=cv2.INTER_AREA).astype(np.float32)
    weight = (cv2.resize(inside, side, interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.float32)
    around = cv2.GaussianBlur(small * weight, (0, 0), RELIEF_BLUR)
    near = cv2.GaussianBlur(weight, (0, 0), RELIEF_BLUR)
    relief = (small - around / np.maximum(near, 1e-3)) * weight
    spread = float(np.sqrt((relief**2).sum() / max(float(weight.sum()), 1.0)))
    if spread < LEAST_CONTRAST:
        return None
    return np.clip(np.rint(relief * (127 / (RELIEF_GAIN * spread))), -127, 127).astype(np.int8)


def difference_hash(relief: Relief) -> Hash:
    """Whether the relief rises from each cell of a 16×17 reduction to its right neighbour; uint64, 4 words."""
    size = (HASH_COLUMNS + 1, HASH_ROWS)
    cells = cv2.resize(relief.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.packbits((cells[:, 1:] > cells[:, :-1]).ravel()).view(np.uint64)


def lit_image(image: Image) -> tuple[Box, NDArray[np.float32]]:
    """Where the image lies in the frame, and which part of that rectangle is lit (float32, 0–1, reduced).

    The lit part is the largest lit region without its holes; insets, which a scope shows in all frames, are left out.
    """
    height, width = image.shape[:2]
    size = size_within(image.shape, SEARCH_LONGER_SIDE_PX)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    inset = cv2.subtract(cv2.min(small[..., 1], small[..., 2]), small[..., 0]) > INSET_GREEN
    lit = ((cv2.blur(brightest_channel(small), (3, 3)) > LIT_THRESHOLD) & ~inset).astype(np.uint8)
    lit = np.asarray(cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((OPENING_SIDE_PX,) * 2, np.uint8)), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=4)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if count > 1 else 0
    if not largest or stats[largest, cv2.CC_STAT_AREA] < LEAST_FRACTION * lit.size:
        return Box(0, 0, width, height), np.ones((2, 2), np.float32)
    contours, _ = cv2.findContours((labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros_like(lit)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    left, top, across, down = cv2.boundingRect(filled)
    wide, high = width / size[0], height / size[1]
    box = Box(round(left * wide), round(top * high), round((left + across) * wide), round((top + down) * high))
    return box, filled[top : top + down, left : left + across].astype(np.float32)


CACHE_VERSION = 3
"""Raise it whenever a fingerprint of the same bytes comes out differently."""
READERS = 2
BITS_BYTES = HASH_WORDS * 8
UNIFORM = b"uniform"
"""The entry of a frame that has no fingerprint."""
ENTRY_BYTES = BITS_BYTES + RELIEF_SIDE**2


def cached_fingerprints(frames: Sequence[Frame], folder: Path) -> list[Fingerprint | None]:
    """The fingerprints of frames, in their order, kept on disk by the images' content; None for a uniform frame.

    folder: may be deleted at any time, and is made where it is missing.
    Raises: DataError E_IMAGE_UNREADABLE, E_IMAGE_MISSING.
    """
    store = Store(folder)

    def one(frame: Frame) -> Fingerprint | None:
        data = _bytes(frame.image)
        name = hashlib.sha256(f"{CACHE_VERSION} ".encode() + hashlib.sha256(data).digest()).hexdigest()[:40]
        stored = store.read(name)
        if stored == UNIFORM:
            return None
        if stored is not None and len(stored) == ENTRY_BYTES:
            return _unpacked(stored)
        made = fingerprint(decode_image(data, frame.image))
        store.keep(name, UNIFORM if made is None else made.bits.tobytes() + made.relief.tobytes())
        return made

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(one, frames))


def _unpacked(stored: bytes) -> Fingerprint:
    bits = np.frombuffer(stored[:BITS_BYTES], np.uint64)
    return Fingerprint(bits, np.frombuffer(stored[BITS_BYTES:], np.int8).reshape(RELIEF_SIDE, RELIEF_SIDE))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        code = "E_IMAGE_MISSING" if isinstance(error, FileNotFoundError) else "E_IMAGE_UNREADABLE"
        fix = "check that the file exists and is readable."
        raise DataError(code, f"{error.strerror}.", where=path, fix=fix) from error
