"""The one look at a frame's files: everything that the checks need to know of it, in a few kilobytes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from polypda.cohorts.field_of_view import find_field_of_view
from polypda.cohorts.frames import Frame, PolypBox
from polypda.cohorts.images import (
    Image,
    MaskFile,
    file_bytes,
    inspect_image,
    inspect_mask,
    mask_size_error,
    read_ignored,
    swapped,
)
from polypda.cohorts.stored_masks import decode_mask, mask_of, require_one_scale
from polypda.errors import DataError
from polypda.quality.checking.frame_quality import (
    FieldShape,
    ImageQuality,
    MaskQuality,
    judge_image,
    judge_mask,
    shape_of,
)
from polypda.quality.fingerprints import Fingerprint, fingerprint
from polypda.quality.interlacing import Comb, measure_comb

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"IEND"
TAIL_BYTES = 4096
"""Some devices write a few bytes after an image's end."""
ORIENTATION_TAG = 0x0112
UPRIGHT = 1
Size = tuple[int, int]


def cut_short(data: bytes) -> bool:
    """True for a JPEG or PNG whose end is missing."""
    tail = data[-TAIL_BYTES:]
    if data.startswith(JPEG_START):
        return JPEG_END not in tail
    return data.startswith(PNG_START) and PNG_END not in tail


def orientation(data: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or it cannot be read."""
    if b"Exif" not in data[:TAIL_BYTES] and not data.startswith((b"II", b"MM", PNG_START)):
        return UPRIGHT
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            found = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
    except (PIL.UnidentifiedImageError, OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return UPRIGHT
    return found if isinstance(found, int) and 1 <= found <= 8 else UPRIGHT


@dataclass(frozen=True, slots=True)
class Observation:
    """What one frame's files hold. Sizes are (width, height) in pixels; None where there is nothing to say.

    mask_digest: of the mask's pixels. outside_fraction: of the mask, outside the field of view. boxes_outside: boxes
    that leave the frame. box_misfit: 1 − IoU of the mask's bounding boxes with the declared boxes. orientation: EXIF,
    1 is upright. remarks: (code, what) of its image file, as an import says it. print: None also once it was put
    elsewhere. problem: why the frame cannot be used.
    """

    frame: Frame
    image_size: Size | None = None
    image_sha256: str | None = None
    print: Fingerprint | None = None
    image: ImageQuality | None = None
    field: FieldShape | None = None
    mask_file: MaskFile | None = None
    mask: MaskQuality | None = None
    mask_digest: bytes | None = None
    outside_fraction: float | None = None
    boxes_outside: int = 0
    box_misfit: float | None = None
    orientation: int = 1
    comb: Comb | None = None
    remarks: tuple[tuple[str, str], ...] = ()
    problem: DataError | None = None


def observe(frame: Frame) -> Observation:
    """Read a frame's files, each once. A file that cannot be used is noted, never raised."""
    seen = Observation(frame)
    try:
        data = file_bytes(frame.image, "E_IMAGE")
        seen = replace(seen, image_sha256=hashlib.sha256(data).hexdigest(), orientation=orientation(data))
        if cut_short(data):
            raise _truncated("E_IMAGE_TRUNCATED", frame.image)
        file = inspect_image(data, str(frame.image))
        image = np.ascontiguousarray(file.pixels)
        seen = replace(seen, image_size=(image.shape[1], image.shape[0]), remarks=file.remarks)
        view = find_field_of_view(image)
        seen = replace(
            seen,
            print=fingerprint(image),
            image=judge_image(image, view.mask),
            field=shape_of(view),
            comb=measure_comb(image),
            boxes_outside=sum(_leaves(box, image.shape[1], image.shape[0]) for box in frame.boxes),
        )
        read_ignored(frame, image.shape)
        seen = seen if frame.mask is None else _with_mask(seen, frame.mask, image, view.mask)
        return seen if seen.problem else replace(seen, problem=file.drawing)
    except DataError as problem:
        return replace(seen, problem=problem)
    except (cv2.error, MemoryError, ValueError) as error:  # a file that breaks a decoder must not end the check
        what = f"{type(error).__name__} while it was read."
        fix = "open the file in a viewer; export it again, or leave it out."
        return replace(seen, problem=DataError("E_IMAGE_UNREADABLE", what, where=frame.image, fix=fix))


def _with_mask(seen: Observation, path: Path, image: Image, inside: np.ndarray) -> Observation:
    data = file_bytes(path, "E_MASK")
    if cut_short(data):
        raise _truncated("E_MASK_TRUNCATED", path)
    stored = decode_mask(data, str(path))
    seen = replace(seen, mask_file=inspect_mask(stored))
    try:
        mask = mask_of(stored, str(path), fellows=seen.frame.fellows)
    except DataError as problem:
        return replace(seen, problem=swapped(problem, image, seen.frame.frame))
    if mask.shape != image.shape[:2]:
        raise mask_size_error(seen.frame.frame, (image.shape[1], image.shape[0]), (mask.shape[1], mask.shape[0]))
    quality = judge_mask(mask)
    outside = float(np.mean(~inside[mask > 0])) if quality.area_px else None
    misfit = _misfit(mask, seen.frame.boxes) if quality.area_px and seen.frame.boxes else None
    digest = hashlib.sha256(np.packbits(mask).tobytes()).digest()
    return replace(seen, mask=quality, mask_digest=digest, outside_fraction=outside, box_misfit=misfit)


def of_one_scale(seen: Sequence[Observation], *, any_colour: bool) -> tuple[Observation, ...]:
    """The frames of a cohort; a mask whose values mean nothing certain beside those of the others is a problem."""
    scales: dict[str, str] = {}
    for one in seen:
        if one.mask_file is not None and one.frame.mask is not None:
            for key in one.mask_file.reach.keys:
                scales.setdefault(key, one.frame.mask.name)
    return tuple(_on_its_scale(one, scales, any_colour=any_colour) for one in seen)


def _on_its_scale(one: Observation, scales: Mapping[str, str], *, any_colour: bool) -> Observation:
    if one.problem is not None or one.mask_file is None or not one.mask_file.reach.in_doubt:
        return one
    try:
        require_one_scale(one.mask_file.reach, scales, str(one.frame.mask), any_colour=any_colour)
    except DataError as problem:
        return replace(one, problem=problem, mask=None)
    return one


def _truncated(code: str, path: Path) -> DataError:
    what = "the file ends before its image does; decoders fill the rest with grey."
    return DataError(code, what, where=path, fix="fetch the file again, or leave the frame out.")


def _leaves(box: PolypBox, width: int, height: int) -> bool:
    return box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1


def _misfit(mask: np.ndarray, boxes: tuple[PolypBox, ...]) -> float:
    drawn = np.zeros(mask.shape, np.uint8)
    for box in boxes:
        drawn[max(0, round(box.y0)) : max(0, round(box.y1)), max(0, round(box.x0)) : max(0, round(box.x1))] = 1
    masked = np.zeros_like(drawn)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    for left, top, width, height, _ in stats[1:count]:
        masked[top : top + height, left : left + width] = 1
    union = int(np.count_nonzero(drawn | masked))
    return 1.0 - int(np.count_nonzero(drawn & masked)) / max(union, 1)
