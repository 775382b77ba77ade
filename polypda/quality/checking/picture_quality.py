"""Glare and blur of a frame inside its field of view."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LONGER_SIDE_PX = 512
"""Sharpness is measured at this size, so that scopes of different resolution are compared on the same footing."""
WHITE = 250
"""A pixel is over-exposed when its darkest channel reaches this (0–255)."""
GLARE_SHARE = 0.10
"""A frame with more of its field of view over-exposed than this is an over-exposed frame; highlights stay below 5 %."""
BLUR_RATIO = 0.4
"""A frame less sharp than this share of its cohort's median is a blurred frame."""


@dataclass(frozen=True, slots=True)
class PictureQuality:
    """overexposed: share of the field of view. sharpness: SD of the Laplacian in grey levels at 512 px."""

    overexposed: float
    sharpness: float


def judge_picture(image: NDArray[np.uint8], inside: NDArray[np.bool_]) -> PictureQuality:
    """Judge an RGB frame, uint8 H×W×3; inside: bool H×W, its field of view."""
    scale = min(1.0, LONGER_SIDE_PX / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1 else image
    field = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    core = cv2.erode(field, np.ones((9, 9), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if not core.any():
        core = np.ones(core.shape, bool)
    darkest = cv2.min(cv2.min(small[..., 0], small[..., 1]), small[..., 2])
    laplacian = cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return PictureQuality(float(np.mean(darkest[core] >= WHITE)), float(laplacian[core].std()))


def is_overexposed(quality: PictureQuality) -> bool:
    """Whether glare hides a good part of the frame."""
    return quality.overexposed > GLARE_SHARE
