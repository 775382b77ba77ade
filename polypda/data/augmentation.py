"""Random changes of training frames, frame by frame or in whole batches on the device that trains.

The only module that knows albumentations (unmaintained, so replaceable here). Scales of ``strong`` are drawn
log-uniformly, so that shrinking to 0.4 is as likely as enlarging: other centres' polyps may be a third of the size.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import cos, exp, log, radians, sin
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polypda.data.batches import IGNORED, UnlabelledBatch
from polypda.data.sampling import Stream, seed_of

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # before the import, which would otherwise ask the network

import albumentations as A
import cv2

MOST_DEGREES = 20
STRONG_SCALE = (0.4, 1.5)
STRONG_ASPECT = 0.15
STRONG_SHIFT = 0.15  # of the side
GREY = (0.299, 0.587, 0.114)
BLUR_REACH_PX = 5  # on either side: three times the widest sigma
Batch = TypeVar("Batch", bound=UnlabelledBatch)
LABELS = ("masks", "pseudo", "boxes")
"""Fields of batches that move with the pixels."""


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
        if not self.moves:
            changed = self._compose(image=image, masks=maps)
            return changed["image"], list(changed["masks"])
        height, width = image.shape[:2]
        matrix = strong_move(height, width, np.random.default_rng(seed), upright=self.upright)
        moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        nearest: list[Any] = [cv2.warpAffine(each, matrix, (width, height), flags=cv2.INTER_NEAREST) for each in maps]
        return self._compose(image=moved)["image"], nearest


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
        return [
            A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.4, 1.5), hue=(0, 0), p=0.9),
            A.MultiplicativeNoise(multiplier=(0.8, 1.2), per_channel=True, elementwise=False, p=0.8),  # white balance
            A.RandomGamma(gamma_limit=(67, 149), p=0.5),
            A.GaussianBlur(sigma_limit=(0.3, 1.6), blur_limit=0, p=0.25),
            A.Sharpen(alpha=(0.2, 0.6), lightness=(1.0, 1.0), p=0.15),
            A.GaussNoise(std_range=(0.02, 0.06), p=0.15),
        ]
    moves = {"scale": (0.85, 1.2), "translate_percent": (-0.08, 0.08), "rotate": (-degrees, degrees)}
    light = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.Affine(**moves, interpolation=cv2.INTER_LINEAR, p=0.7)]
    if kind is AugmentationKind.LIGHT:
        return light
    return [
        *light,
        A.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.6),
        A.GaussianBlur(sigma_limit=(0.2, 1.2), blur_limit=0, p=0.2),
    ]


@dataclass(frozen=True)
class Colours:
    """Ranges of the batched changes of light, colour and sharpness, each with its probability."""

    brightness: tuple[float, float] = (0.6, 1.4)
    contrast: tuple[float, float] = (0.6, 1.4)
    saturation: tuple[float, float] = (0.4, 1.5)
    jitter: float = 0.9
    white_balance: tuple[float, float] = (0.8, 1.2)
    balance: float = 0.8
    gamma: tuple[float, float] = (0.67, 1.49)
    gammas: float = 0.5
    sigma: tuple[float, float] = (0.3, 1.6)
    blur: float = 0.25
    sharpness: tuple[float, float] = (0.2, 0.6)
    sharpen: float = 0.15
    noise_sd: tuple[float, float] = (0.02, 0.06)
    noise: float = 0.15


class BatchedAugmentation:
    """Strong changes of a whole batch where it lies; only ``strong`` has this form, since the others cost little.

    Random numbers are drawn per frame on the CPU, so that a seed gives the same change whatever shares the batch.
    Frames move exactly as in :class:`Augmentation`; colours follow the same ranges, not the same draws.
    """

    def __init__(self, *, upright: bool = False, colours: Colours | None = None) -> None:
        """upright: no frame is turned by an angle."""
        self.upright = upright
        self.colours = colours or Colours()

    def __call__(self, images: Tensor, maps: Sequence[Tensor], seeds: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Change images (float B×3×H×W in [0, 1]) and their maps (B×H×W each, any type) alike, a seed for each frame.

        Maps keep their values and types (nearest neighbour); what comes in from outside the frame is 0 everywhere.
        """
        chances = [np.random.default_rng(seed) for seed in seeds]
        grid = self._grid(images, chances)
        moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        return self._recoloured(moved, chances), [_nearest(each, grid) for each in maps]

    def _grid(self, images: Tensor, chances: Sequence[np.random.Generator]) -> Tensor:
        """Where each pixel of the result comes from, B×H×W×2 in [-1, 1] from the first pixel's centre to the last's."""
        height, width = images.shape[-2:]
        to_unit = np.array([[2 / (width - 1), 0, -1], [0, 2 / (height - 1), -1], [0, 0, 1]])
        thetas = []
        for chance in chances:
            move = np.vstack([strong_move(height, width, chance, upright=self.upright), [0, 0, 1]])
            thetas.append((to_unit @ np.linalg.inv(move) @ np.linalg.inv(to_unit))[:2])
        theta = torch.from_numpy(np.stack(thetas)).to(images.device, images.dtype)
        return F.affine_grid(theta, list(images.shape), align_corners=True)

    def _recoloured(self, images: Tensor, chances: Sequence[np.random.Generator]) -> Tensor:
        c = self.colours

        def drawn(limits: tuple[float, float], probability: float, neutral: float, channels: int = 1) -> Tensor:
            """A factor per frame (and channel), B×channels×1×1; the neutral one where the change is not made."""
            rows = [
                chance.uniform(*limits, channels) if chance.random() < probability else np.full(channels, neutral)
                for chance in chances
            ]
            return torch.from_numpy(np.stack(rows)).to(images.device, images.dtype)[..., None, None]

        images = (images * drawn(c.brightness, c.jitter, 1)).clamp(0, 1)
        mean = _grey(images).mean(dim=(2, 3), keepdim=True)
        images = (mean + drawn(c.contrast, c.jitter, 1) * (images - mean)).clamp(0, 1)
        grey = _grey(images)
        images = (grey + drawn(c.saturation, c.jitter, 1) * (images - grey)).clamp(0, 1)
        images = (images * drawn(c.white_balance, c.balance, 1, channels=3)).clamp(0, 1)
        images = images ** drawn((log(c.gamma[0]), log(c.gamma[1])), c.gammas, 0).exp()
        images = _blurred(images, drawn(c.sigma, c.blur, 0))
        images = _sharpened(images, drawn(c.sharpness, c.sharpen, 0))
        spread = drawn(c.noise_sd, c.noise, 0)
        return (images + spread * _noise(images, chances, spread)).clamp(0, 1)


@dataclass(frozen=True)
class BatchChanges:
    """The strong change of a training's batches, as one process sees them.

    seed: of the training. slots: of the joint batch that are here.
    """

    augmentation: BatchedAugmentation
    seed: int
    slots: tuple[int, ...]

    def of(self, batch: Batch, step: int, stream: Stream) -> Batch:
        """A step's batch changed; nothing is labelled where no frame reaches."""
        if not len(batch.images):
            return batch
        seeds = [seed_of(self.seed, stream, step, slot) for slot in self.slots]
        labels = {name: value for name in LABELS if (value := getattr(batch, name, None)) is not None}
        images, (valid, *moved) = self.augmentation(batch.images, [batch.valid[:, 0], *labels.values()], seeds)
        changed: dict[str, Any] = {
            name: each if name == "boxes" else each.masked_fill(~valid, IGNORED)
            for name, each in zip(labels, moved, strict=True)
        }
        return replace(batch, images=images, valid=valid[:, None], **changed)


def _nearest(labels: Tensor, grid: Tensor) -> Tensor:
    moved = F.grid_sample(labels[:, None].to(grid.dtype), grid, "nearest", "zeros", align_corners=True)[:, 0]
    return moved.round().to(labels.dtype)


def _grey(images: Tensor) -> Tensor:
    return (images * images.new_tensor(GREY)[:, None, None]).sum(dim=1, keepdim=True)


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with a sigma in px of its own for each frame, B×1×1×1; 0 leaves a frame as it is."""
    chosen = torch.nonzero(sigma.flatten() > 0).flatten()
    if not len(chosen):
        return images
    offsets = torch.arange(-BLUR_REACH_PX, BLUR_REACH_PX + 1, device=images.device, dtype=images.dtype)
    line = torch.exp(-0.5 * (offsets / sigma.flatten()[chosen, None]) ** 2)
    line = (line / line.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)[:, None]
    part = F.pad(images[chosen].flatten(0, 1)[None], [BLUR_REACH_PX] * 4, mode="reflect")
    part = F.conv2d(part, line[:, :, None, :], groups=part.shape[1])
    part = F.conv2d(part, line[:, :, :, None], groups=part.shape[1])
    return images.index_copy(0, chosen, part[0].unflatten(0, (len(chosen), 3)))


def _sharpened(images: Tensor, weight: Tensor) -> Tensor:
    """Mixed with what a 3×3 Laplacian adds to it, by a weight per frame, B×1×1×1."""
    around = F.avg_pool2d(F.pad(images, [1] * 4, mode="reflect"), 3, stride=1) * 9
    return (images + weight * (9 * images - around)).clamp(0, 1)


def _noise(images: Tensor, chances: Sequence[np.random.Generator], spread: Tensor) -> Tensor:
    """Normal noise, drawn on the images' device from each frame's own seed; none where the spread is 0."""
    noise = torch.zeros_like(images)
    seeds = [int(chance.integers(2**31)) for chance in chances]
    for index in torch.nonzero(spread.flatten().cpu() > 0).flatten().tolist():
        generator = torch.Generator(images.device).manual_seed(seeds[index])
        noise[index] = torch.randn(images.shape[1:], generator=generator, device=images.device, dtype=images.dtype)
    return noise
