"""What a frame's annotation says of its pixels: its mask, or its boxes on the network's grid."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.images import mask_size_error, read_mask, swapped
from polypda.data.batches import IGNORED
from polypda.data.geometry import Geometry
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
        what = "the frame is annotated with boxes: which of its pixels are polyp is not known."
        fix = "train on it with --box-supervision, score it by its boxes, or add a mask."
        raise DataError("E_NO_MASK", what, where=where, fix=fix)
    if frame.label_state is not LabelState.NEGATIVE:
        what = "the frame has neither a mask nor the statement that it shows no polyp."
        fix = "add its mask, or write label_state negative for it in frames.csv."
        raise DataError("E_NO_LABEL", what, where=where, fix=fix)
    return np.zeros(image.shape[:2], np.uint8)


def box_corners(frame: Frame) -> NDArray[np.float64]:
    """The frame's boxes as float64 [N, 4]: x0, y0, x1, y1 in px, half-open; [0, 4] where there is none."""
    return np.array([box[:4] for box in frame.boxes], np.float64).reshape(-1, 4)


def checked_corners(frame: Frame, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The frame's boxes [N, 4]. Raises: DataError E_BOX_RANGE when one leaves the image of ``shape``."""
    corners, (height, width) = box_corners(frame), shape[:2]
    outside = (corners[:, 2] > width) | (corners[:, 3] > height)
    if outside.any():
        first = ", ".join(f"{number:g}" for number in corners[outside][0])
        what = f"{np.count_nonzero(outside)} of {len(corners)} boxes leave the {width}×{height} frame; first: {first}."
        fix = (
            "boxes.csv holds x0, y0, x1, y1 in pixels of the image as it lies here; were they drawn on another "
            "size, or given as x, y, width, height?"
        )
        raise DataError("E_BOX_RANGE", what, where=f"{frame.cohort}/{frame.frame}", fix=fix)
    return corners


INNER_AXES = 0.8
"""Width and height of the ellipse in a filled box. Of 1,069 lesions in five public cohorts such an ellipse is polyp in
87 to 95 % of its pixels (mean per cohort) and holds two thirds of the polyp; a whole box is polyp in 67 to 72 %."""
MOST_BOXES = 7
"""Boxes of one frame that the projection separates, one bit each; what further boxes hold is ignored."""
FURTHER = 1 << MOST_BOXES


class BoxSupervision(StrEnum):
    """How boxes of the source teach."""

    FILLED = "filled"  # an ellipse in each box is polyp, the rest of the box is ignored, all else is background
    PROJECTION = "projection"  # by the boxes' projections as well, see polypda.methods.segmentation

    @property
    def words(self) -> str:
        """For tables and cards."""
        filled = self is BoxSupervision.FILLED
        return f"trained on boxes ({'filled, ignore band' if filled else 'projection loss, background outside'})"


def teaches(state: LabelState, boxes: BoxSupervision | None) -> bool:
    """Whether a frame of this state can be learnt from."""
    return state in (LabelState.MASK, LabelState.NEGATIVE) or (state is LabelState.BOX and boxes is not None)


def filled_boxes(corners: NDArray[np.float64], geometry: Geometry) -> NDArray[np.uint8]:
    """Boxes [N, 4] (native px) on the network's grid: uint8 h×w, 1 polyp, IGNORED around it, 0 elsewhere.

    Where the ellipse of one box meets the band of another it is polyp. A box too small for a pixel marks one.
    """
    x, y = _centres(geometry)
    labels = np.zeros(geometry.size, np.uint8)
    polyp = np.zeros(geometry.size, bool)
    for left, top, right, bottom in _on_network(corners, geometry):
        labels[(x >= left) & (x < right) & (y >= top) & (y < bottom)] = IGNORED
        semi_x, semi_y = INNER_AXES * (right - left) / 2, INNER_AXES * (bottom - top) / 2
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        polyp |= ((x - middle_x) / semi_x) ** 2 + ((y - middle_y) / semi_y) ** 2 <= 1
        polyp |= (np.floor(middle_x) == x - 0.5) & (np.floor(middle_y) == y - 0.5)
    labels[polyp] = 1
    return labels


def box_bits(corners: NDArray[np.float64], geometry: Geometry) -> NDArray[np.uint8]:
    """Boxes [N, 4] (native px) on the network's grid: uint8 h×w, bit k set inside box k; FURTHER for more of them."""
    x, y = _centres(geometry)
    bits = np.zeros(geometry.size, np.uint8)
    for index, (left, top, right, bottom) in enumerate(_on_network(corners, geometry)):
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        inside |= (np.floor((left + right) / 2) == x - 0.5) & (np.floor((top + bottom) / 2) == y - 0.5)
        bits[inside] |= np.uint8(1 << index if index < MOST_BOXES else FURTHER)
    return bits


def _centres(geometry: Geometry) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Coordinates of the network's pixel centres, [1, w] and [h, 1]; pixel edges lie at integers."""
    height, width = geometry.size
    return np.arange(width)[None, :] + 0.5, np.arange(height)[:, None] + 0.5


def _on_network(corners: NDArray[np.float64], geometry: Geometry) -> list[tuple[float, float, float, float]]:
    """The boxes as far as the crop shows them; those outside are left out."""
    shown = []
    for x0, y0, x1, y1 in corners:
        left, top = geometry.point_to_network(max(x0, geometry.crop.left), max(y0, geometry.crop.top))
        right, bottom = geometry.point_to_network(min(x1, geometry.crop.right), min(y1, geometry.crop.bottom))
        if left < right and top < bottom:
            shown.append((left, top, right, bottom))
    return shown
