"""ADDA's discriminator: a small fully connected network, laid over a grid by 1×1 convolutions.

Tzeng, Hoffman, Saenko, Darrell, "Adversarial Discriminative Domain Adaptation", CVPR 2017: two hidden layers of 500
units, ReLU, and two logits (not one) for the two domains.
"""

from __future__ import annotations

from torch import Tensor, nn

from polypda.errors import UsageError

WIDTH = 500
HIDDEN_LAYERS = 2


class TwoLogitDiscriminator(nn.Module):
    """Judges every cell alone: B×in_channels×h×w becomes B×2×h×w logits, source first, target second.

    257,002 parameters on 10 channels, 502,002 on 500.

    Raises: UsageError E_DISCRIMINATOR for channels or a width below 1.
    """

    def __init__(self, in_channels: int, width: int = WIDTH) -> None:
        super().__init__()
        if min(in_channels, width) < 1:
            what = f"in_channels {in_channels}, width {width}: each must be at least 1"
            raise UsageError("E_DISCRIMINATOR", what, fix=f"the published discriminator has width {WIDTH}.")
        self.in_channels = in_channels
        stack: list[nn.Module] = []
        for layer in range(HIDDEN_LAYERS):
            stack += [nn.Conv2d(width if layer else in_channels, width, kernel_size=1), nn.ReLU(inplace=True)]
        self.stack = nn.Sequential(*stack, nn.Conv2d(width, 2, kernel_size=1))

    def forward(self, features: Tensor) -> Tensor:
        """Judge features. Raises: UsageError E_DISCRIMINATOR_INPUT for other channels than it was built for."""
        if features.shape[1] != self.in_channels:
            what = f"features of {features.shape[1]} channels for a discriminator of {self.in_channels}"
            raise UsageError("E_DISCRIMINATOR_INPUT", what, fix="build it with the tap's number of channels.")
        return self.stack(features)
