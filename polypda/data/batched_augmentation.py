"""The changes of :mod:`.augmentation` for a whole batch at once, on the device that trains.

At 352 px a frame's strong change takes a processor core longer than a GPU's share of the step. Here numbers are drawn
per frame on the CPU (so that a seed gives the same change whatever shares the batch) and pixels are changed where the
batch lies. Frames are turned, scaled and shifted exactly as there; colours follow the same ranges, not the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from polypda.data.augmentation import strong_move
from polypda.data.batches import IGNORED, UnlabelledBatch
from polypda.data.sampling import Stream, seed_of

Batch = TypeVar("Batch", bound=UnlabelledBatch)
LABELS = ("masks", "pseudo", "boxes")
"""Fields of batches that move with the pixels."""
GREY = (0.299, 0.587, 0.114)
BLUR_REACH = 5
"""Pixels on either side that a blur looks at: three times its widest sigma."""


@dataclass(frozen=True)
class Colours:
    """Ranges of the changes of light, colour and sharpness, each with its probability."""

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
    """Strong changes of a batch; only ``strong`` has this form, since the others cost little."""

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
        labels = [_nearest(each, grid) for each in maps]
        return self._recoloured(moved, chances), labels

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
        kept: dict[str, Any] = {
            name: each if name == "boxes" else each.masked_fill(~valid, IGNORED)
            for name, each in zip(labels, moved, strict=True)
        }
        return replace(batch, images=images, valid=valid[:, None], **kept)


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
    offsets = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=images.device, dtype=images.dtype)
    line = torch.exp(-0.5 * (offsets / sigma.flatten()[chosen, None]) ** 2)
    line = (line / line.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)[:, None]
    part = images[chosen].flatten(0, 1)[None]
    part = F.pad(part, [BLUR_REACH] * 4, mode="reflect")
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
