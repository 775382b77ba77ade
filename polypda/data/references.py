"""What is known of one frame's pixels beside the picture: its mask, its boxes, its ignored region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.images import read_mask
from polypda.cohorts.mask_files import mask_size_error, swapped
from polypda.errors import DataError


def read_reference(frame: Frame, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A labelled frame's mask, 0/1 H×W, for its image (H×W×3); all zero for a declared negative without a mask file.

    Raises: DataError E_MASK_SIZE when it is not of the image's size; E_MASK_SWAPPED when the image looks like a mask
        and the mask does not; E_NO_LABEL when nothing is known of the frame, which must not pass for a negative;
        E_NO_MASK when boxes are all that is known; what reading a mask raises.
    """
    where = f"{frame.cohort}/{frame.frame}"
    if frame.mask is not None:
        try:
            mask = read_mask(frame.mask, frame.fellows)
        except DataError as problem:
            raise swapped(problem, image, where) from problem
        if mask.shape != image.shape[:2]:
            raise mask_size_error(where, (image.shape[1], image.shape[0]), (mask.shape[1], mask.shape[0]))
        return mask
    if frame.label_state is LabelState.BOX:
        raise DataError(
            "E_NO_MASK",
            "the frame is annotated with boxes: which of its pixels are polyp is not known.",
            where=where,
            fix="train on it with --box-supervision, score it by its boxes, or add a mask.",
        )
    if frame.label_state is not LabelState.NEGATIVE:
        raise DataError(
            "E_NO_LABEL",
            "the frame has neither a mask nor the statement that it shows no polyp.",
            where=where,
            fix="add its mask, or write label_state negative for it in frames.csv.",
        )
    return np.zeros(image.shape[:2], np.uint8)


def box_corners(frame: Frame) -> NDArray[np.float64]:
    """The frame's boxes as float64 [N, 4]: x0, y0, x1, y1 in px, half-open; [0, 4] where there is none."""
    return np.array([box[:4] for box in frame.boxes], np.float64).reshape(-1, 4)


def checked_corners(frame: Frame, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The frame's boxes [N, 4]. Raises: DataError E_BOX_RANGE when one leaves the picture of ``shape``."""
    corners, (height, width) = box_corners(frame), shape[:2]
    outside = (corners[:, 2] > width) | (corners[:, 3] > height)
    if outside.any():
        first = ", ".join(f"{number:g}" for number in corners[outside][0])
        raise DataError(
            "E_BOX_RANGE",
            f"{np.count_nonzero(outside)} of {len(corners)} boxes leave the {width}×{height} frame; first: {first}.",
            where=f"{frame.cohort}/{frame.frame}",
            fix="boxes.csv holds x0, y0, x1, y1 in pixels of the image as it lies here; were they drawn on another "
            "size, or given as x, y, width, height?",
        )
    return corners
