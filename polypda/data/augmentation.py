"""Random changes of training frames. The only module that knows albumentations (unmaintained, so replaceable here)."""

from __future__ import annotations

import os
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # before the import, which would otherwise ask the network

import albumentations as A
import cv2

MOST_DEGREES = 20


class AugmentationKind(StrEnum):
    NONE = "none"
    LIGHT = "light"  # flips and a gentle change of scale and place
    STANDARD = "standard"  # light, and gentle changes of brightness, contrast, colour and sharpness


class Augmentation:
    """A seeded random change of one frame with its field of view and, for the source, its mask."""

    def __init__(self, kind: AugmentationKind, *, upright: bool = False) -> None:
        """upright: no frame is turned by an angle."""
        self._compose = A.Compose(_transforms(kind, 0 if upright else MOST_DEGREES))

    def __call__(
        self, image: NDArray[np.uint8], maps: list[NDArray[np.uint8]], seed: int
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
        """Change an image (uint8 h×w×3) and its maps (uint8 h×w each) alike; the same seed gives the same change."""
        self._compose.set_random_seed(seed)
        changed = self._compose(image=image, masks=maps)
        return changed["image"], list(changed["masks"])


def _transforms(kind: AugmentationKind, degrees: int) -> list[A.BasicTransform]:
    if kind is AugmentationKind.NONE:
        return []
    place = [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.Affine(
            scale=(0.85, 1.2),
            translate_percent=(-0.08, 0.08),
            rotate=(-degrees, degrees),
            interpolation=cv2.INTER_LINEAR,
            p=0.7,
        ),
    ]
    if kind is AugmentationKind.LIGHT:
        return place
    return [
        *place,
        A.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.6),
        A.GaussianBlur(sigma_limit=(0.2, 1.2), blur_limit=0, p=0.2),
    ]
