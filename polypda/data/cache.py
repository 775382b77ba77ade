"""Decoded, cropped and resized frames on disk as uint8, memory-mapped: later epochs and runs do not decode again.

An entry's key is the content of its files and the geometry, so a changed file or setting makes a new entry and an old
one is never taken for it. Images and masks are separate entries: reading a target's images opens no mask. An entry is
an .npy file that ends with a CRC-32 of each image, checked when a process first reads that image.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from polypda.cache import Store
from polypda.cohorts.field_of_view import Box, FieldOfView, find_field_of_view
from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.images import read_ignored, read_image
from polypda.cohorts.stored_masks import FULL_FRACTION
from polypda.data.batches import IGNORED
from polypda.data.geometry import Fit, Geometry
from polypda.data.labels import (
    INNER_AXES,
    BoxSupervision,
    box_bits,
    checked_corners,
    filled_boxes,
    read_reference,
    teaches,
)
from polypda.errors import DataError

CACHE_VERSION = 3
ONE_COLOUR = 3
"""A frame whose channels vary by no more (of 255) is blank, as after JPEG."""
DECODERS = 2
DECODED_AHEAD = 64
CACHED_NAME = re.compile(r"[0-9a-f]{24}(-[a-z]+)?\.npy")
"""Of what lies in the cache, and not in a run."""


@dataclass(frozen=True)
class NetworkGrid:
    """The square that every frame is brought to."""

    size: int
    fit: Fit = Fit.RESIZE
    crop_to_field_of_view: bool = True

    def key(self) -> str:
        return f"v{CACHE_VERSION}-{self.size}-{self.fit}-{'fov' if self.crop_to_field_of_view else 'full'}"


class Pixels(Protocol):
    """N uint8 images by their index."""

    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class ChosenPixels:
    """Some of other images, in an order of their own."""

    pixels: Pixels
    indices: tuple[int, ...]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.pixels[self.indices[index]]


@dataclass(frozen=True)
class ConstantPixels:
    """The same value everywhere, as many images as are asked for."""

    value: int
    shape: tuple[int, int]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return np.full(self.shape, self.value, np.uint8)


_END = struct.Struct("<IQ8s")
"""How an entry ends: CRC-32 of its header and its list of CRC-32, the number of images, and what it is."""
_KIND = b"polypda3"


def write_images(path: Path, shape: tuple[int, ...], images: Iterable[NDArray[np.uint8]]) -> None:
    """Write N×h×w or N×h×w×c images, uint8, to an .npy file with a CRC-32 of each. Raises: OSError."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        start, sums = file.tell(), []
        for image in images:
            data = image.tobytes()
            sums.append(zlib.crc32(data))
            file.write(data)
        table = np.array(sums, "<u4").tobytes()
        file.flush()
        with path.open("rb") as written:
            head = written.read(start)
        file.write(table + _END.pack(zlib.crc32(head + table), len(sums), _KIND))


class ImageFile:
    """The images of one file, memory-mapped; each is compared with its CRC-32 when it is first read.

    Raises: DataError E_CACHE_DAMAGED, when it is opened and when an image is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                if version != (1, 0):
                    raise ValueError(f"format {version}")
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
                start = file.tell()
                count, size = shape[0], int(np.prod(shape[1:]))
                end = start + count * size
                file.seek(end)
                table, ending = file.read(4 * count), file.read()
                file.seek(0)
                if _END.unpack(ending) != (zlib.crc32(file.read(start) + table), count, _KIND):
                    raise ValueError("its end is not the one that was written")
                if fortran or dtype != np.uint8:
                    raise ValueError(f"{dtype}")
            self._pixels = np.memmap(path, np.uint8, "r", start, shape) if count else np.empty(shape, np.uint8)
        except (OSError, ValueError, LookupError, TypeError, struct.error, MemoryError, OverflowError) as error:
            raise _damaged(path, str(error)) from error
        self._sums = np.frombuffer(table, "<u4")
        self._seen = np.zeros(count, bool)

    def __len__(self) -> int:
        return len(self._sums)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        pixels = np.array(self._pixels[index])
        if not self._seen[index]:
            if zlib.crc32(pixels.tobytes()) != self._sums[index]:
                raise _damaged(self.path, f"image {index} is not what was written")
            self._seen[index] = True
        return pixels


def _damaged(path: Path, why: str) -> DataError:
    """The coded error for an entry that cannot be used; it is removed, for whatever lies in the cache can be made."""
    found = path.exists()
    if found and CACHED_NAME.fullmatch(path.name):
        with suppress(OSError):
            path.unlink()
    return DataError(
        "E_CACHE_DAMAGED",
        f"is damaged ({why})." if found else "was removed while it was needed.",
        where=f"{path.parent.name}/{path.name}",
        fix="give the same command again, or resume the run: what is missing is made again.",
    )


class CachedArray:
    """A memory-mapped uint8 array that is opened where it is used (each data-loader worker maps it anew).

    channels: which of an N×h×w×c array. Raises: DataError E_CACHE_DAMAGED.
    """

    def __init__(self, path: Path, channels: slice | int | None = None) -> None:
        self.path = path
        self.channels = channels
        self._images: ImageFile | None = None

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        if self._images is None:
            self._images = ImageFile(self.path)
        pixels = self._images[index]
        return pixels if self.channels is None else np.ascontiguousarray(pixels[..., self.channels])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_images": None}


@dataclass(frozen=True)
class CachedFrames:
    """Frames at network size.

    images: N×h×w×3, RGB. valid: N×h×w, 1 inside the field of view where nothing is ignored. masks: N×h×w, or None; of
    frames annotated with boxes, what they are filled with (255: ignored). boxes: N×h×w bits of boxes (see
    :mod:`polypda.data.labels`) where they teach by their projections. pseudo: N×h×w, what a model of the run said of
    unlabelled frames: 0, 1, 255 where it was not sure.
    """

    frames: tuple[Frame, ...]
    images: Pixels
    valid: Pixels
    masks: Pixels | None
    boxes: Pixels | None = None
    pseudo: Pixels | None = None
    facts: FrameFacts | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.frames)

    def name(self, index: int) -> str:
        """``cohort/frame`` of the frame at an index: what batches call it."""
        frame = self.frames[index]
        return f"{frame.cohort}/{frame.frame}"

    def with_pseudo_labels(self, indices: Sequence[int], pseudo: Pixels) -> CachedFrames:
        """The unlabelled frames at ``indices`` with a model's answers, one for each of them in this order."""
        chosen = tuple(indices)
        frames = tuple(self.frames[index] for index in chosen)
        images, valid = (ChosenPixels(pixels, chosen) for pixels in (self.images, self.valid))
        return CachedFrames(frames, images, valid, None, pseudo=pseudo)


@dataclass(frozen=True, eq=False)
class FrameFacts:
    """What was seen of N frames when they were cached. blank: bool N, all that is valid is of one colour.

    polyp: float32 N, fraction of the frame that is polyp. full: bool N, nothing valid is no polyp. None where no label
    was read.
    """

    blank: NDArray[np.bool_]
    polyp: NDArray[np.float32] | None = None
    full: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, images: NDArray[np.float32], labels: NDArray[np.float32] | None = None) -> FrameFacts:
        """Args: images, labels: N×2, as :func:`_seen` gives them."""
        blank = images[:, 0] <= ONE_COLOUR
        if labels is None:
            return cls(blank)
        return cls(blank, labels[:, 1], (labels[:, 1] > 0) & (labels[:, 1] >= FULL_FRACTION * images[:, 1]))


def _seen(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Of an image with its valid area, h×w×4: the range of its values there, and the area's fraction; of labels, h×w:
    nothing, and the fraction that is 1."""
    if pixels.ndim == 2:
        return 0.0, float(np.count_nonzero(pixels == 1)) / pixels.size
    valid = pixels[..., 3] > 0
    if not valid.any():
        return 0.0, 0.0
    ranges = [int(shown.max()) - int(shown.min()) for shown in (pixels[..., channel][valid] for channel in range(3))]
    return float(max(ranges)), float(np.count_nonzero(valid)) / valid.size


class FrameCache:
    """A folder of cached frames."""

    def __init__(self, folder: Path, grid: NetworkGrid) -> None:
        self.folder = folder
        self.grid = grid

    def unlabelled(self, frames: Sequence[Frame]) -> CachedFrames:
        """Cache the images only. No mask file is opened, whatever the frames know of one."""
        images, valid, seen = self._images(frames)
        bare = tuple(frame.without_label() for frame in frames)
        return CachedFrames(bare, images, valid, None, facts=FrameFacts.of(seen))

    def labelled(self, frames: Sequence[Frame], boxes: BoxSupervision | None = None) -> CachedFrames:
        """Cache images and what is to be learnt of them.

        boxes: how frames teach that are annotated with boxes; None: there must be none.
        Raises: DataError E_MASK_SIZE when a mask does not have its image's size, E_NO_MASK, E_NO_LABEL, E_BOX_RANGE.
        """
        images, valid, seen = self._images(frames)
        masks, drawn = self._labels("masks", frames, lambda frame: self._mask_pixels(frame, boxes))
        bits = self._labels("boxes", frames, self._box_pixels)[0] if boxes is BoxSupervision.PROJECTION else None
        return CachedFrames(tuple(frames), images, valid, masks, bits, facts=FrameFacts.of(seen, drawn))

    def partly_labelled(self, frames: Sequence[Frame]) -> CachedFrames:
        """Likewise, of frames of which not all have a mask or the statement that they show no polyp: the others are
        255 throughout, so that they teach nothing. Raises: DataError E_MASK_SIZE.
        """
        images, valid, _ = self._images(frames)
        return CachedFrames(tuple(frames), images, valid, self._labels("partly", frames, self._mask_pixels_if_any)[0])

    def _labels(
        self, kind: str, frames: Sequence[Frame], pixels: Callable[[Frame], NDArray[np.uint8]]
    ) -> tuple[CachedArray, NDArray[np.float32]]:
        labels = [label_identity(frame) for frame in frames]
        path, seen = self._entry(kind, labels, [], frames, pixels)
        return CachedArray(path), seen

    def _images(self, frames: Sequence[Frame]) -> tuple[CachedArray, CachedArray, NDArray[np.float32]]:
        path, seen = self._entry("images", [], [4], frames, self._image_and_valid_pixels)
        # Channel 3 of the entry is the valid area: one file, so neither half can be missing.
        return CachedArray(path, slice(0, 3)), CachedArray(path, 3), seen

    def _image_and_valid_pixels(self, frame: Frame) -> NDArray[np.uint8]:
        native = load_native(frame, self.grid)
        valid = native.geometry.mask_to_network(native.valid)
        return np.dstack([native.geometry.image_to_network(native.image), valid])

    def _mask_pixels(self, frame: Frame, boxes: BoxSupervision | None) -> NDArray[np.uint8]:
        native = load_native(frame, self.grid)
        if boxes is not None and frame.label_state is LabelState.BOX:
            return filled_boxes(checked_corners(frame, native.image.shape), native.geometry)
        return native.geometry.mask_to_network(read_reference(frame, native.image))

    def _mask_pixels_if_any(self, frame: Frame) -> NDArray[np.uint8]:
        if teaches(frame.label_state, None):
            return self._mask_pixels(frame, None)
        return np.full((self.grid.size, self.grid.size), IGNORED, np.uint8)

    def _box_pixels(self, frame: Frame) -> NDArray[np.uint8]:
        native = load_native(frame, self.grid)
        known = frame.label_state is LabelState.BOX
        corners = checked_corners(frame, native.image.shape) if known else np.zeros((0, 4))
        return box_bits(corners, native.geometry)

    def _key(self, kind: str, frames: Sequence[Frame], labels: Sequence[bytes]) -> str:
        digest = hashlib.sha256(f"{kind} {self.grid.key()}".encode())
        for frame in frames:
            digest.update(content_hash(frame.image))
            if frame.ignore is not None:
                digest.update(b"ignore" + content_hash(frame.ignore))
        for label in labels:
            digest.update(label)
        return digest.hexdigest()[:24]

    def _entry(
        self,
        kind: str,
        labels: Sequence[bytes],
        channels: list[int],
        frames: Sequence[Frame],
        pixels: Callable[[Frame], NDArray[np.uint8]],
    ) -> tuple[Path, NDArray[np.float32]]:
        """The entry, and what was seen of each frame (see :func:`_seen`) when it was made."""
        key, store = self._key(kind, frames, labels), Store(self.folder)
        name, facts = f"{key}-{kind}.npy", f"{key}-{kind}facts.npy"
        shape = (len(frames), self.grid.size, self.grid.size, *channels)
        found = store.find(name)
        if found is not None:
            with suppress(DataError):  # a damaged one is gone now, and made again
                return found, _known_facts(store, facts, ImageFile(found))
        told: list[tuple[float, float]] = []

        def noted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            told.append(_seen(image))
            return image

        with store.making(name) as temporary, ThreadPoolExecutor(DECODERS) as pool:
            groups = (frames[start : start + DECODED_AHEAD] for start in range(0, len(frames), DECODED_AHEAD))
            # a group at a time bounds the memory of decoded frames
            decoded = (noted(image) for group in groups for image in pool.map(pixels, group))
            write_images(temporary, shape, decoded)
        return self.folder / name, _keep_facts(store, facts, told)


def _known_facts(store: Store, name: str, images: ImageFile) -> NDArray[np.float32]:
    """What was seen of each image of an entry; of a damaged file of facts, or none, it is seen anew."""
    with suppress(ValueError, EOFError, OSError):
        seen = np.load(io.BytesIO(store.read(name) or b""), allow_pickle=False)
        if seen.shape == (len(images), 2) and seen.dtype == np.float32:
            return np.asarray(seen)
    return _keep_facts(store, name, [_seen(images[index]) for index in range(len(images))])


def _keep_facts(store: Store, name: str, told: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    seen, data = np.array(told, np.float32).reshape(-1, 2), io.BytesIO()
    np.save(data, seen, allow_pickle=False)
    store.keep(name, data.getvalue())
    return seen


@dataclass(frozen=True)
class NativeFrame:
    """A frame as it is: uint8 H×W×3 RGB, its field of view, and its way to the network's grid.

    ignored: bool H×W, pixels that count nowhere; None where the frame has none.
    """

    image: NDArray[np.uint8]
    view: FieldOfView
    geometry: Geometry
    ignored: NDArray[np.bool_] | None = None

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where pixels count: inside the field of view, and not ignored."""
        return self.view.mask if self.ignored is None else self.view.mask & ~self.ignored


def load_native(frame: Frame, grid: NetworkGrid) -> NativeFrame:
    """Read a frame and plan its way to the network's grid."""
    image = read_image(frame.image)
    return native_frame(image, grid, read_ignored(frame, image.shape))


def native_frame(image: NDArray[np.uint8], grid: NetworkGrid, ignored: NDArray[np.bool_] | None = None) -> NativeFrame:
    """Plan the way of an image at hand, uint8 H×W×3 RGB, to the network's grid."""
    view = find_field_of_view(image)
    height, width = image.shape[:2]
    crop = view.box if grid.crop_to_field_of_view else Box(0, 0, width, height)
    return NativeFrame(image, view, Geometry.of((height, width), crop, grid.size, grid.fit), ignored)


def label_identity(frame: Frame) -> bytes:
    """What decides a frame's label pixels and whether they are taken: its own label, and all masks of its cohort, which
    tell whether its values can be understood."""
    if frame.mask is None:
        return frame.label_state.value.encode() + label_content(frame)  # no polyp, or not known
    return label_content(frame) + (frame.fellows.identity if frame.fellows is not None else b"")


def label_content(frame: Frame) -> bytes:
    """A frame's own label: the content of its mask, or its boxes and how they are drawn."""
    if frame.label_state is LabelState.BOX:
        return f"boxes {INNER_AXES} {[box[:4] for box in frame.boxes]}".encode()
    if frame.mask is None:
        return b"none"
    return content_hash(frame.mask)


def content_hash(path: Path) -> bytes:
    """SHA-256 of a file's bytes, read once per process as long as the file is not written to.

    Raises: DataError E_FILE_UNREADABLE.
    """
    try:
        status = path.stat()
        return _hash_of(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError as error:
        fix = "check that the file exists and is readable."
        raise DataError("E_FILE_UNREADABLE", f"{error.strerror}.", where=path.name, fix=fix) from error


@lru_cache(maxsize=1 << 17)
def _hash_of(path: Path, *_state: int) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
