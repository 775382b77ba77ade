"""Discriminators: networks that tell from which cohort a map came."""

from __future__ import annotations

from torch import Tensor, nn

from polypda.errors import UsageError

LEAK = 0.2
WIDEST = 8
"""A layer is at most this many times as wide as the first: 64, 128, 256, 512, then 512 for deeper ones."""


class PatchDiscriminator(nn.Module):
    """The published fully convolutional discriminator: one logit per patch, no normalisation, no sigmoid.

    ``layers`` 4×4 convolutions with stride 2 and padding 1; widths double from ``width`` up to eight times it, the last
    layer has one channel; LeakyReLU (0.2) between them; PyTorch's default initialisation. B×in_channels×H×W becomes
    B×1×⌊H/2**layers⌋×⌊W/2**layers⌋ (up to the floors of each halving).

    receptive_field_px: side of the input patch that one logit sees, 1 + 3·(2**layers − 1); 94 for the published 5.
    least_input_px: the smallest height and width it takes, 2**layers.

    Raises UsageError E_DISCRIMINATOR for a width, depth or channel count below 1.
    """

    def __init__(self, in_channels: int = 2, width: int = 64, layers: int = 5) -> None:
        super().__init__()
        if min(in_channels, width, layers) < 1:
            what = f"in_channels {in_channels}, width {width}, layers {layers}: each must be at least 1"
            raise UsageError("E_DISCRIMINATOR", what, fix="the published discriminator has width 64 and 5 layers.")
        self.in_channels = in_channels
        self.receptive_field_px = 1 + 3 * (2**layers - 1)
        self.least_input_px = 2**layers
        widths = [width * min(2**depth, WIDEST) for depth in range(layers - 1)] + [1]
        stack: list[nn.Module] = []
        for before, after in zip([in_channels, *widths], widths, strict=False):
            stack += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(LEAK, inplace=True)]
        self.stack = nn.Sequential(*stack[:-1])

    def forward(self, maps: Tensor) -> Tensor:
        """Judge B×in_channels×H×W maps: B×1×h×w logits.

        Raises UsageError E_DISCRIMINATOR_INPUT when the maps are too small or have other channels.
        """
        channels, height, width = maps.shape[-3:]
        if channels != self.in_channels:
            what = f"maps of {channels} channels for a discriminator of {self.in_channels}"
            raise UsageError("E_DISCRIMINATOR_INPUT", what, fix="build it with the level's number of channels.")
        if min(height, width) < self.least_input_px:
            what = f"maps of {width}×{height} px; this discriminator needs at least {self.least_input_px} px a side"
            raise UsageError("E_DISCRIMINATOR_INPUT", what, fix="use larger images or a discriminator of fewer layers.")
        return self.stack(maps)
