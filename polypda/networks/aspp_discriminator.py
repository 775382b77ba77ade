"""Discriminators of feature grids that keep the grid: every cell is judged, none is merged away.

FCAN's looks at a cell with four dilated neighbourhoods (atrous spatial pyramid pooling); the one for FCNs in the Wild
looks at the cell alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polypda.errors import UsageError

ASPP_RATES = (1, 2, 3, 4)
ASPP_WIDTH = 128
"""FCAN: four parallel dilated convolutions of 128 channels. Their kernel (3×3) is assumed."""
GRID_WIDTHS = (1024, 512)
GRID_DROPOUT = 0.5
"""As in the same laboratory's later FCN + ADDA code; the paper itself gives no discriminator."""
LEAK = 0.2


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
