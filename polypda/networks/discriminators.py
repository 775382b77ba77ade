"""Discriminators: networks that say from which cohort a map came, one logit (or two) for every cell or patch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polypda.errors import UsageError

LEAK = 0.2
WIDEST = 8
"""A layer is at most this many times as wide as the first: 64, 128, 256, 512, then 512 for deeper ones."""
WIDTH, HIDDEN_LAYERS = 500, 2
"""ADDA's discriminator, as published."""
ASPP_RATES, ASPP_WIDTH = (1, 2, 3, 4), 128
"""FCAN: four parallel dilated convolutions of 128 channels. Their kernel (3×3) is assumed."""
GRID_WIDTHS, GRID_DROPOUT = (1024, 512), 0.5
"""As in the same laboratory's later FCN + ADDA code; FCNs in the Wild gives no discriminator."""


class Discriminator(nn.Module):
    """What all have in common: the channels they take.

    Raises: UsageError E_DISCRIMINATOR for a size below 1; in :meth:`check`, E_DISCRIMINATOR_INPUT for other channels
    than it was built for.
    """

    def __init__(self, in_channels: int, sizes: Sequence[int], what: str, fix: str) -> None:
        super().__init__()
        if min(in_channels, *sizes, 1) < 1:
            what = f"in_channels {in_channels}, {what}: each must be at least 1"
            raise UsageError("E_DISCRIMINATOR", what, fix=fix)
        self.in_channels = in_channels

    def check(self, maps: Tensor, kind: str = "features", of: str = "tap") -> None:
        """Refuse maps B×C×h×w of other channels."""
        if maps.shape[1] != self.in_channels:
            what = f"{kind} of {maps.shape[1]} channels for a discriminator of {self.in_channels}"
            raise UsageError("E_DISCRIMINATOR_INPUT", what, fix=f"build it with the {of}'s number of channels.")


class PatchDiscriminator(Discriminator):
    """AdaptSegNet's discriminator: B×in_channels×H×W becomes one logit per patch, B×1×⌊H/2**layers⌋×⌊W/2**layers⌋.

    ``layers`` 4×4 convolutions with stride 2 and padding 1; widths double from ``width`` up to eight times it, the last
    layer has one channel; LeakyReLU (0.2) between them; no normalisation, no sigmoid.

    receptive_field_px: side of the input patch that one logit sees, 1 + 3·(2**layers − 1); 94 for the published 5.
    least_input_px: the smallest height and width it takes, 2**layers.
    """

    def __init__(self, in_channels: int = 2, width: int = 64, layers: int = 5) -> None:
        fix = "the published discriminator has width 64 and 5 layers."
        super().__init__(in_channels, (width, layers), f"width {width}, layers {layers}", fix)
        self.receptive_field_px = 1 + 3 * (2**layers - 1)
        self.least_input_px = 2**layers
        widths = [width * min(2**depth, WIDEST) for depth in range(layers - 1)] + [1]
        stack: list[nn.Module] = []
        for before, after in zip([in_channels, *widths], widths, strict=False):
            stack += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(LEAK, inplace=True)]
        self.stack = nn.Sequential(*stack[:-1])

    def forward(self, maps: Tensor) -> Tensor:
        """B×in_channels×H×W maps → B×1×h×w logits. Raises: UsageError E_DISCRIMINATOR_INPUT, also for small maps."""
        self.check(maps, "maps", "level")
        height, width = maps.shape[-2:]
        if min(height, width) < self.least_input_px:
            what = f"maps of {width}×{height} px; this discriminator needs at least {self.least_input_px} px a side"
            raise UsageError("E_DISCRIMINATOR_INPUT", what, fix="use larger images or a discriminator of fewer layers.")
        return self.stack(maps)


class TwoLogitDiscriminator(Discriminator):
    """ADDA's, laid over a grid by 1×1 convolutions: B×in_channels×h×w becomes B×2×h×w logits, source first.

    Tzeng et al., CVPR 2017: two hidden layers of 500 units, ReLU; 257,002 parameters on 10 channels.
    """

    def __init__(self, in_channels: int, width: int = WIDTH) -> None:
        fix = f"the published discriminator has width {WIDTH}."
        super().__init__(in_channels, (width,), f"width {width}", fix)
        stack: list[nn.Module] = []
        for layer in range(HIDDEN_LAYERS):
            stack += [nn.Conv2d(width if layer else in_channels, width, kernel_size=1), nn.ReLU(inplace=True)]
        self.stack = nn.Sequential(*stack, nn.Conv2d(width, 2, kernel_size=1))

    def forward(self, features: Tensor) -> Tensor:
        self.check(features)
        return self.stack(features)


class AsppDiscriminator(Discriminator):
    """FCAN's, which sees a cell's dilated neighbourhoods: B×in_channels×h×w becomes B×1×h×w domain logits.

    One 3×3 convolution per rate, dilated and padded by that rate, ``width`` channels each; concatenated; one 1×1
    convolution to the logit. The paper names no activation between the two, without which the whole were linear:
    LeakyReLU (0.2), as in the other published discriminators.
    """

    def __init__(self, in_channels: int, width: int = ASPP_WIDTH, rates: Sequence[int] = ASPP_RATES) -> None:
        fix = "the published one has width 128 and rates 1, 2, 3, 4."
        super().__init__(in_channels, (width, *(rates or (0,))), f"width {width}, rates {tuple(rates)}", fix)
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, width, kernel_size=3, padding=rate, dilation=rate) for rate in rates
        )
        self.activation = nn.LeakyReLU(LEAK)
        self.classifier = nn.Conv2d(width * len(rates), 1, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        self.check(features)
        seen = torch.cat([branch(features) for branch in self.branches], dim=1)
        return self.classifier(self.activation(seen))


class GridDiscriminator(Discriminator):
    """FCNs in the Wild's, which sees a cell alone: B×in_channels×h×w becomes B×1×h×w logits of target against source.

    1×1 convolutions to ``widths``, each followed by ReLU and channel dropout, then one to two channels. The two-way
    softmax cross-entropy over those channels is the binary cross-entropy of their difference, which is returned.
    """

    def __init__(self, in_channels: int, widths: Sequence[int] = GRID_WIDTHS, dropout: float = GRID_DROPOUT) -> None:
        super().__init__(in_channels, widths, f"widths {tuple(widths)}", "use e.g. widths 1024 and 512.")
        stack: list[nn.Module] = []
        for before, after in zip([in_channels, *widths], widths, strict=False):
            stack += [nn.Conv2d(before, after, kernel_size=1), nn.ReLU(), nn.Dropout2d(dropout)]
        self.stack = nn.Sequential(*stack, nn.Conv2d([in_channels, *widths][-1], 2, kernel_size=1))

    def forward(self, features: Tensor) -> Tensor:
        self.check(features)
        source, target = self.stack(features).split(1, dim=1)
        return target - source
