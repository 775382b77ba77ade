"""Random changes of training frames. The only module that knows albumentations (unmaintained, so replaceable here).

``strong`` turns, scales and shifts a frame in one resampling and then recolours, blurs, sharpens and adds noise: what a
model that is to leave its centre must not care about. Scales are drawn log-uniformly, so that shrinking to 0.4 is as
likely as enlarging: other centres' polyps may be a third of the size.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from math import cos, exp, log, radians, sin

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # before the import, which would otherwise ask the network

import albumentations as A
import cv2

MOST_DEGREES = 20
STRONG_SCALE = (0.4, 1.5)
STRONG_ASPECT = 0.15
STRONG_SHIFT = 0.15
"""Of the side."""


class AugmentationKind(StrEnum):
    NONE = "none"
    LIGHT = "light"  # flips and a gentle change of scale and place
    STANDARD = "standard"  # light, and gentle changes of brightness, contrast, colour and sharpness
    STRONG = "strong"  # any rotation, scale 0.4–1.5, aspect, strong changes of light, colour, sharpness, and noise


class Augmentation:
    """A seeded random change of one frame with its field of view and, for the source, its mask."""

    def __init__(self, kind: AugmentationKind, *, upright: bool = False) -> None:
        """upright: no frame is turned by an angle."""
        self.moves = kind is AugmentationKind.STRONG
        self.upright = upright
        self._compose = A.Compose(_transforms(kind, 0 if upright else MOST_DEGREES))

    def __call__(
        self, image: NDArray[np.uint8], maps: list[NDArray[np.uint8]], seed: int
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
        """Change an image (uint8 h×w×3) and its maps (uint8 h×w each) alike; the same seed gives the same change.

        Maps keep their values (nearest neighbour); what comes in from outside the frame is 0 in image and maps.
        """
        self._compose.set_random_seed(seed)
        if self.moves:
            image, maps = _moved(image, maps, np.random.default_rng(seed), upright=self.upright)
            return self._compose(image=image)["image"], maps
        changed = self._compose(image=image, masks=maps)
        return changed["image"], list(changed["masks"])


def _moved(
    image: NDArray[np.uint8], maps: Sequence[NDArray[np.uint8]], chance: np.random.Generator, *, upright: bool
) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """Turned, mirrored, scaled and shifted, in one resampling."""
    height, width = image.shape[:2]
    matrix = strong_move(height, width, chance, upright=upright)
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    nearest = [cv2.warpAffine(each, matrix, (width, height), flags=cv2.INTER_NEAREST) for each in maps]
    return moved, nearest  # type: ignore[return-value]


def strong_move(height: int, width: int, chance: np.random.Generator, *, upright: bool) -> NDArray[np.float64]:
    """A random affine map of pixel coordinates about the frame's middle, 2×3."""
    scale = exp(chance.uniform(log(STRONG_SCALE[0]), log(STRONG_SCALE[1])))
    aspect = exp(chance.uniform(-STRONG_ASPECT, STRONG_ASPECT) / 2)
    angle = 0.0 if upright else radians(chance.uniform(0, 360))
    mirror = -1.0 if chance.random() < 0.5 else 1.0
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    linear = turn @ np.diag([mirror * scale * aspect, scale / aspect])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = chance.uniform(-STRONG_SHIFT, STRONG_SHIFT, 2) * (width, height)
    return np.column_stack([linear, middle + shift - linear @ middle])


def _transforms(kind: AugmentationKind, degrees: int) -> list[A.BasicTransform]:
    if kind is AugmentationKind.NONE:
        return []
    if kind is AugmentationKind.STRONG:
        return _strong_colours()
    index = [
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
        return index
    return [
        *index,
        A.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.6),
        A.GaussianBlur(sigma_limit=(0.2, 1.2), blur_limit=0, p=0.2),
    ]


def _strong_colours() -> list[A.BasicTransform]:
    return [
        A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.4, 1.5), hue=(0, 0), p=0.9),
        A.MultiplicativeNoise(multiplier=(0.8, 1.2), per_channel=True, elementwise=False, p=0.8),  # white balance
        A.RandomGamma(gamma_limit=(67, 149), p=0.5),
        A.GaussianBlur(sigma_limit=(0.3, 1.6), blur_limit=0, p=0.25),
        A.Sharpen(alpha=(0.2, 0.6), lightness=(1.0, 1.0), p=0.15),
        A.GaussNoise(std_range=(0.02, 0.06), p=0.15),
    ]
