"""The copies that a cohort may hold of its own frames, made from a frame: uint8 H×W×3 RGB in and out."""

from collections.abc import Callable

import cv2
import numpy as np

SHIFT_PX = 8


def _jpeg50(image):
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]


def _resized(factor):
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return lambda image: cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)


def _shifted(across, down):
    return lambda image: cv2.warpAffine(
        image, np.array([[1, 0, across], [0, 1, down]], np.float32), (image.shape[1], image.shape[0])
    )


def _bordered(top, bottom, left, right):
    return lambda image: cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT)


KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG quality 50": _jpeg50,
    "resized × 0.5": _resized(0.5),
    "resized × 1.5": _resized(1.5),
    "black border": _bordered(20, 20, 40, 40),
    "lopsided black border": _bordered(0, 30, 60, 5),
    "mirrored left to right": lambda image: image[:, ::-1],
    "mirrored top to bottom": lambda image: image[::-1],
    "turned by 180°": lambda image: image[::-1, ::-1],
    "shifted 8 px right": _shifted(SHIFT_PX, 0),
    "shifted 8 px down and right": _shifted(SHIFT_PX, SHIFT_PX),
    "8 px cut off left and top": lambda image: image[SHIFT_PX:, SHIFT_PX:],
}


def copy_of(image: np.ndarray, kind: str) -> np.ndarray:
    """A copy of one kind, contiguous."""
    return np.ascontiguousarray(KINDS[kind](image))
