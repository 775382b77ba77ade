"""Discriminators: networks that tell from which cohort a map came.

ADDA's discriminator: a small fully connected network, laid over a grid by 1×1 convolutions.

Tzeng, Hoffman, Saenko, Darrell, "Adversarial Discriminative Domain Adaptation", CVPR 2017: two hidden layers of 500
units, ReLU, and two logits (not one) for the two domains.

Discriminators of feature grids that keep the grid: every cell is judged, none is merged away.

FCAN's looks at a cell with four dilated neighbourhoods (atrous spatial pyramid pooling); the one for FCNs in the Wild
looks at the cell alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
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


ASPP_RATES = (1, 2, 3, 4)
ASPP_WIDTH = 128
"""FCAN: four parallel dilated convolutions of 128 channels. Their kernel (3×3) is assumed."""
GRID_WIDTHS = (1024, 512)
GRID_DROPOUT = 0.5
"""As in the same laboratory's later FCN + ADDA code; the paper itself gives no discriminator."""


class AsppDiscriminator(nn.Module):
    """FCAN's discriminator: B×in_channels×h×w becomes B×1×h×w domain logits (before the sigmoid).

    One 3×3 convolution per rate, dilated and padded by that rate, ``width`` channels each; concatenated; one 1×1
    convolution to the logit. The paper names no activation between the two, without which the whole were linear:
    LeakyReLU (0.2), as in the other published discriminators.

    Raises UsageError E_DISCRIMINATOR for channels, a width or rates below 1, or no rate at all.
    """

    def __init__(self, in_channels: int, width: int = ASPP_WIDTH, rates: Sequence[int] = ASPP_RATES) -> None:
        super().__init__()
        if not rates or min(in_channels, width, *rates) < 1:
            what = f"in_channels {in_channels}, width {width}, rates {tuple(rates)}: each must be at least 1"
            raise UsageError("E_DISCRIMINATOR", what, fix="the published one has width 128 and rates 1, 2, 3, 4.")
        self.in_channels = in_channels
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, width, kernel_size=3, padding=rate, dilation=rate) for rate in rates
        )
        self.activation = nn.LeakyReLU(LEAK)
        self.classifier = nn.Conv2d(width * len(rates), 1, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """Judge features. Raises UsageError E_DISCRIMINATOR_INPUT for other channels than it was built for."""
        _check_channels(features, self.in_channels)
        seen = torch.cat([branch(features) for branch in self.branches], dim=1)
        return self.classifier(self.activation(seen))


class GridDiscriminator(nn.Module):
    """Judges every cell alone: B×in_channels×h×w becomes B×1×h×w logits of the target against the source.

    1×1 convolutions to ``widths``, each followed by ReLU and channel dropout, then one to two channels. The two-way
    softmax cross-entropy over those channels is the binary cross-entropy of their difference, which is what is
    returned (logit of domain 1, the target, minus that of domain 0).

    Raises UsageError E_DISCRIMINATOR for channels or widths below 1.
    """

    def __init__(self, in_channels: int, widths: Sequence[int] = GRID_WIDTHS, dropout: float = GRID_DROPOUT) -> None:
        super().__init__()
        if min(in_channels, *widths, 1) < 1:
            what = f"in_channels {in_channels}, widths {tuple(widths)}: each must be at least 1"
            raise UsageError("E_DISCRIMINATOR", what, fix="use e.g. widths 1024 and 512.")
        self.in_channels = in_channels
        stack: list[nn.Module] = []
        for before, after in zip([in_channels, *widths], widths, strict=False):
            stack += [nn.Conv2d(before, after, kernel_size=1), nn.ReLU(), nn.Dropout2d(dropout)]
        self.stack = nn.Sequential(*stack, nn.Conv2d([in_channels, *widths][-1], 2, kernel_size=1))

    def forward(self, features: Tensor) -> Tensor:
        """Judge features. Raises UsageError E_DISCRIMINATOR_INPUT for other channels than it was built for."""
        _check_channels(features, self.in_channels)
        source, target = self.stack(features).split(1, dim=1)
        return target - source


def _check_channels(features: Tensor, expected: int) -> None:
    if features.shape[1] != expected:
        what = f"features of {features.shape[1]} channels for a discriminator of {expected}"
        raise UsageError("E_DISCRIMINATOR_INPUT", what, fix="build it with the tap's number of channels.")
