"""From RGB in [0, 1], what every segmenter is given, to what its weights were trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class InputNormalisation(nn.Module):
    """(scale · x − mean) / std per channel, after an optional swap from RGB to BGR.

    mean, std: three values in the scaled units and the output's channel order.
    persistent: keep them in the state dict. True where they belong to the weights (an encoder's pretraining), so that a
    checkpoint cannot be read with another normalisation than it was trained with.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        scale: float = 1.0,
        bgr: bool = False,
        persistent: bool = True,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.bgr = bgr
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=persistent)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=persistent)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise B×3×H×W images, RGB in [0, 1]."""
        if self.bgr:
            images = images.flip(1)
        return (images * self.scale - self.mean) / self.std
