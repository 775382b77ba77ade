"""What the files of one frame hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from polypda.cohorts.field_of_view import find_field_of_view
from polypda.cohorts.frames import Frame
from polypda.cohorts.images import read_image, read_mask
from polypda.cohorts.likeness import Fingerprint, fingerprint
from polypda.cohorts.mask_files import MaskFile, inspect_mask_file, mask_size_error
from polypda.errors import DataError

Size = tuple[int, int]


@dataclass(frozen=True)
class FrameInspection:
    """What one frame's files hold. Sizes are (width, height) in pixels; None where there is nothing to say.

    mask_area_px: pixels of polyp. outside_share: share of them outside the field of view.
    problem: why the frame cannot be used.
    """

    frame: Frame
    image_size: Size | None = None
    image_sha256: str | None = None
    fingerprint: Fingerprint | None = None
    mask_file: MaskFile | None = None
    mask_area_px: int | None = None
    outside_share: float | None = None
    problem: DataError | None = None


def inspect_frame(frame: Frame) -> FrameInspection:
    """Read one frame's image and mask. A file that cannot be used becomes ``problem``; nothing is raised for it."""
    size: Size | None = None
    sha256: str | None = None
    likeness: Fingerprint | None = None
    file: MaskFile | None = None
    try:
        image = read_image(frame.image)
        size = (image.shape[1], image.shape[0])
        sha256 = hashlib.sha256(frame.image.read_bytes()).hexdigest()
        likeness = fingerprint(image)
        if frame.mask is None:
            return FrameInspection(frame, size, sha256, likeness)
        file = inspect_mask_file(frame.mask)
        mask = read_mask(frame.mask)
        if mask.shape != image.shape[:2]:
            raise mask_size_error(frame.frame, size, (mask.shape[1], mask.shape[0]))
    except DataError as problem:
        return FrameInspection(frame, size, sha256, likeness, file, problem=problem)
    area = int(np.count_nonzero(mask))
    outside = float(np.mean(~find_field_of_view(image).mask[mask > 0])) if area else None
    return FrameInspection(frame, size, sha256, likeness, file, area, outside)
