"""The contract of a segmenter: what goes in, what comes out, at which levels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

BACKGROUND, POLYP = 0, 1
CLASSES = 2
"""Two softmax channels (not one sigmoid): the published discriminators see them so."""


@dataclass(frozen=True)
class Prediction:
    """A segmenter's answer to one batch.

    logits: level name → B×2×h×w on the network's own grid; "main" always, "aux" where the network has it.
    features: level name → B×C×h×w, what the level's classifier sees (for feature-space alignment).
    encoder: the encoder's maps B×C×h×w, finest first, the deepest last; empty where the network shows none.
    """

    logits: dict[str, Tensor]
    features: dict[str, Tensor]
    encoder: tuple[Tensor, ...] = ()


class Segmenter(nn.Module):
    """A segmentation network with one or two output levels.

    Subclasses normalise their input themselves, so that every caller hands over RGB in [0, 1].
    """

    levels: tuple[str, ...] = ("main",)
    feature_channels: dict[str, int]
    stride: int = 32
    """Height and width of a batch must be divisible by this."""

    def describe_initial_weights(self) -> dict[str, object]:
        """What the network was started from, for the run's record: no folder is named. Empty when unknown."""
        return {}

    @abstractmethod
    def forward(self, images: Tensor) -> Prediction:
        """Segment B×3×H×W float images, RGB in [0, 1]."""

    @abstractmethod
    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that train at the base learning rate."""

    @abstractmethod
    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that train at the heads' (usually ten times larger) learning rate."""

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        """The parts that turn images into the deepest of ``Prediction.encoder``; what is left decodes and classifies.

        Empty where the network cannot be divided so.
        """
        return ()


def to_image_size(logits: Tensor, height: int, width: int) -> Tensor:
    """Resize logits bilinearly with aligned corners, as the published systems do (torch 0.2's behaviour)."""
    if logits.shape[-2:] == (height, width):
        return logits
    return F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=True)
