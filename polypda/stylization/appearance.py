"""Appearance adaptation network (AAN) of FCAN: an image with one frame's content and a whole cohort's style.

Zhang et al., "Fully Convolutional Adaptation Networks for Semantic Segmentation", CVPR 2018. M^l are the encoder's maps
of layer l, G^l their Gram matrices, Ḡ_t^l the mean of those over the target cohort, x the image that is optimised:

    L(x) = Σ_l w_s^l · Dist(M^l(x), M^l(x_s)) + α Σ_l w_t^l · Dist(G^l(x), Ḡ_t^l)
    x ← x − w · g / ‖g‖,   w = β (I − i) / I,   i = 0 … I − 1,   g = ∂L/∂x

Dist is the squared Euclidean distance. Its units and the norm are declared in
:mod:`polypda.stylization.settings`. Only pixels inside the field of view move, and only they count in the Grams: a
black corner belongs to the processor and not to the mucosa's style. Values are kept within [0, 1].

Beside the paper: an encoder's strided convolutions put a chequered pattern into g, which the norm then enlarges. Where
the image does not start from noise, g is smoothed by a binomial of five pixels, which has none of that pattern left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from polypda.errors import UsageError
from polypda.stylization.grams import MeanGram, gram, inside_at
from polypda.stylization.settings import Normalisation, StepNorm, StylizationSettings

PUBLISHED_PIXELS = 1914 * 1052
GREY_LEVELS = 255.0
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)

Features = Callable[[Tensor], Sequence[Tensor]]
"""B×3×H×W images, RGB in [0, 1] → the encoder's maps, finest first; each image's maps depend on that image alone."""


@dataclass(frozen=True)
class Stylized:
    """images: B×3×H×W in [0, 1]. first, last: B×2, content distance and α-weighted style distance at start and end."""

    images: Tensor
    first: Tensor
    last: Tensor


def stylize(
    source: Tensor,
    valid: Tensor,
    style: Sequence[Tensor],
    features: Features,
    settings: StylizationSettings,
    start: Tensor | None = None,
) -> Stylized:
    """Optimise a batch of images, each for itself.

    Args:
        source: B×3×H×W in [0, 1]. valid: bool B×1×H×W. style: per layer the mean Gram C×C (see :func:`mean_gram`).
        start: what to begin with; None: the source. Outside the field of view the source is kept.
    Raises: UsageError E_STYLE_LAYERS where weights or Grams are not one per map.
    """
    with torch.no_grad():
        content = [layer.clone() for layer in features(source)]
    loss = AppearanceLoss(content, valid, style, settings)
    moves = valid.to(source.dtype)
    images = source.clone() if start is None else torch.where(valid, start, source)
    first: Tensor | None = None
    for step in range(settings.aan_steps):
        images.requires_grad_()
        parts = loss(features(images))
        first = parts.detach() if first is None else first
        (gradient,) = torch.autograd.grad(parts.sum(), images)
        rate = settings.aan_rate / GREY_LEVELS * (settings.aan_steps - step) / settings.aan_steps
        if settings.smooths:
            gradient = smoothed(gradient * moves)
        with torch.no_grad():
            images = (images - rate * _normed(gradient * moves, moves, settings.aan_step_norm)).clamp(0, 1)
    with torch.no_grad():
        last = loss(features(images))
    assert first is not None  # at least one step
    return Stylized(images.detach(), first, last)


def mean_gram(settings: StylizationSettings) -> MeanGram:
    """An empty mean Gram in the units of the settings, to which a cohort's maps are added."""
    return MeanGram(mean=settings.aan_normalisation is Normalisation.RELATIVE)


def smoothed(gradient: Tensor) -> Tensor:
    """B×C×H×W convolved with the binomial (1, 4, 6, 4, 1)/16 in both directions; zero beyond the border."""
    channels = gradient.shape[1]
    weights = gradient.new_tensor(BINOMIAL).div(sum(BINOMIAL)).repeat(channels, 1, 1, 1)
    reach = len(BINOMIAL) // 2
    across = F.conv2d(gradient, weights, padding=(0, reach), groups=channels)
    return F.conv2d(across, weights.transpose(2, 3), padding=(reach, 0), groups=channels)


class AppearanceLoss:
    """L(x) of a batch, per image: B×2, content and α-weighted style; its sum differentiates each image for itself."""

    def __init__(
        self, content: Sequence[Tensor], valid: Tensor, style: Sequence[Tensor], settings: StylizationSettings
    ) -> None:
        self.content = content
        self.style = style
        self.relative = settings.aan_normalisation is Normalisation.RELATIVE
        self.inside = [inside_at(valid, (layer.shape[-2], layer.shape[-1]), layer.dtype) for layer in content]
        self.content_weights, self.style_weights = layer_weights(settings, len(content))
        if len(style) != len(content):
            raise UsageError(
                "E_STYLE_LAYERS",
                f"{len(style)} mean Grams for an encoder of {len(content)} maps.",
                fix="take the target's style with the same encoder.",
            )
        pixels = valid.shape[-2] * valid.shape[-1]
        scale = 1.0 if self.relative else (PUBLISHED_PIXELS / pixels) ** 2
        self.alpha = settings.aan_alpha * scale

    def __call__(self, maps: Sequence[Tensor]) -> Tensor:
        content = maps[0].new_zeros(len(maps[0]))
        style = content
        for index, layer in enumerate(maps):
            inside = self.inside[index]
            wanted = self.content[index] * inside
            content = content + self.content_weights[index] * self._distance(layer * inside, wanted)
            drawn = gram(layer, inside, mean=self.relative)
            aim = self.style[index].expand_as(drawn)
            style = style + self.alpha * self.style_weights[index] * self._distance(drawn, aim)
        return torch.stack([content, style], dim=1)

    def _distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        squared = (found - wanted).flatten(1).square().sum(dim=1)
        if not self.relative:
            return squared
        norm = wanted.flatten(1).square().sum(dim=1)
        # A layer that is silent in what is to be reached has no unit: it cannot be compared.
        return torch.where(norm > 0, squared / norm.clamp_min(torch.finfo(norm.dtype).tiny), torch.zeros_like(squared))


def _normed(gradient: Tensor, moves: Tensor, norm: StepNorm) -> Tensor:
    size = gradient.abs().flatten(1).sum(dim=1)
    if norm is StepNorm.MEAN:
        size = size / (moves.flatten(1).sum(dim=1) * gradient.shape[1]).clamp_min(1)
    size = size.view(-1, 1, 1, 1)
    return torch.where(
        size > 0, gradient / torch.where(size > 0, size, torch.ones_like(size)), torch.zeros_like(gradient)
    )


def layer_weights(settings: StylizationSettings, layers: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Weights of content and of style, one per encoder map. Raises: UsageError E_STYLE_LAYERS."""
    return (
        _weights(settings.aan_content_weights, layers, "aan_content_weights"),
        _weights(settings.aan_style_weights, layers, "aan_style_weights"),
    )


def _weights(given: tuple[float, ...], layers: int, name: str) -> tuple[float, ...]:
    if given and len(given) != layers:
        raise UsageError(
            "E_STYLE_LAYERS",
            f"{name} has {len(given)} weights, the encoder {layers} maps.",
            fix="give one weight per map, finest first, or none.",
        )
    return given or (1.0,) * layers
