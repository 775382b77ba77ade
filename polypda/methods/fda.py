"""FDA: source images with the target's low-frequency amplitudes.

Yang, Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020. Equation numbers are the paper's.

    x_{s→t} = F⁻¹[ M_β ∘ |F x_t| + (1 − M_β) ∘ |F x_s| , arg F x_s ]    (3)
    ρ(H) = (H² + ε²)^η                                                 robust entropy penalty

M_β is a centred square of low frequencies. Its half width b = ⌊min(height, width) · β⌋ cells on either side of the
constant one: 2b + 1 cells wide, hence symmetric and the result real (a band of 2b cells, as one of the released
variants has it, is neither). b = 0 exchanges each channel's mean alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.contract import LossTerm, MethodOptions
from polypda.methods.minent import self_information
from polypda.methods.target_terms import TargetTerm, TargetView, mean_inside

CHARBONNIER = 1e-8
"""ε² of the released code."""


def half_width(height: int, width: int, fraction: float) -> int:
    """b, in frequency cells: ⌊min(height, width) · fraction⌋."""
    return int(min(height, width) * fraction)


def exchange_low_frequencies(content: Tensor, style: Tensor, fraction: float) -> Tensor:
    """Images with ``content``'s phases everywhere and ``style``'s amplitudes in the low band, eq. (3).

    Args:
        content, style: B×C×H×W real, of one shape.
        fraction: β in [0, 0.5); the band's half width as a fraction of the shorter side.
    Returns: B×C×H×W real, not clipped; equal to ``content`` where both have the same amplitudes in the band.
    """
    height, width = content.shape[-2:]
    b = half_width(height, width, fraction)
    source, target = torch.fft.rfft2(content), torch.fft.rfft2(style)
    rows = torch.fft.fftfreq(height, 1 / height, device=content.device).abs().round() <= b
    columns = torch.fft.rfftfreq(width, 1 / width, device=content.device).round() <= b
    band = rows[:, None] & columns[None, :]
    # Both halves of the spectrum are exchanged alike, the unseen one by irfft2's symmetry: the result is real.
    exchanged = torch.polar(target.abs(), source.angle())
    return torch.fft.irfft2(torch.where(band, exchanged, source), s=(height, width))


def robust_entropy_loss(logits: Tensor, valid: Tensor, power: float) -> Tensor:
    """Mean over the field of view of (H² + 1e-8)^η with H the normalised entropy in [0, 1].

    Args:
        logits: B×C×H×W. valid: bool B×1×H×W. power: η; above ½ it weighs uncertain pixels more.
    """
    entropy = self_information(logits.softmax(dim=1)).sum(dim=1)
    return mean_inside((entropy**2 + CHARBONNIER) ** power, valid)


class FDAOptions(MethodOptions):
    """Published values, found for 512×1024 frames. The robust entropy begins after a third of the published run."""

    fda_fraction: float = Field(0.01, ge=0, lt=0.5, description="β: half width of the exchanged band per shorter side")
    robust_entropy_weight: float = Field(0.005, ge=0, description="weight of the robust entropy on the target")
    robust_entropy_power: float = Field(2.0, gt=0, description="η of the robust entropy")
    robust_entropy_from: int = Field(50_000, ge=0, description="step from which the robust entropy counts")


class FDATerm(TargetTerm):
    """Trains on source images in the target's style; later makes target predictions confident as well."""

    name = "fda"
    title = "FDA (Fourier style, robust entropy)"
    paper = "Yang and Soatto, CVPR 2020"
    Options = FDAOptions
    options: FDAOptions

    def stylize(self, source: LabelledBatch, target: UnlabelledBatch) -> LabelledBatch:
        """Source frame i takes the style of target frame i (of i modulo the target's batch, where that is smaller).

        Outside the field of view the source's pixels stay: there is no style in a black border.
        """
        indices = torch.arange(len(source.images), device=source.images.device) % len(target.images)
        styled = exchange_low_frequencies(source.images, target.images[indices], self.options.fda_fraction)
        return replace(source, images=torch.where(source.valid, styled, source.images))

    def reads_prediction(self, step: int) -> bool:
        return self.options.robust_entropy_weight > 0 and step >= self.options.robust_entropy_from

    def on_prediction(self, view: TargetView, logits: Mapping[str, Tensor]) -> list[LossTerm]:
        value = robust_entropy_loss(logits["main"], view.target.valid, self.options.robust_entropy_power)
        return [LossTerm("robust_entropy", value, self.options.robust_entropy_weight)]
