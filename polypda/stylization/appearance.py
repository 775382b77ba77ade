"""Appearance adaptation network (AAN) of FCAN: an image with one frame's content and a whole cohort's style.

Zhang et al., "Fully Convolutional Adaptation Networks for Semantic Segmentation", CVPR 2018. M^l are the encoder's maps
of layer l, G^l their Gram matrices, Ḡ_t^l the mean of those over the target cohort, x the image that is optimised:

    L(x) = Σ_l w_s^l · Dist(M^l(x), M^l(x_s)) + α Σ_l w_t^l · Dist(G^l(x), Ḡ_t^l)
    x ← x − w · g / ‖g‖,   w = β (I − i) / I,   i = 0 … I − 1,   g = ∂L/∂x

Dist is the squared Euclidean distance. Only pixels inside the field of view move, and only they count in the Grams: a
black corner belongs to the processor and not to the mucosa's style. Values are kept within [0, 1].

Beside the paper: an encoder's strided convolutions put a chequered pattern into g, which the norm then enlarges. Where
the image does not start from noise, g is smoothed by a binomial of five pixels, which has none of that pattern left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from polypda.errors import DataError, UsageError


class Start(StrEnum):
    """What the optimisation of an image begins with."""

    SOURCE = "source"  # the frame itself: keeps the detail that noise loses
    NOISE = "noise"  # white noise, as published


class Normalisation(StrEnum):
    """The units of both distances.

    RELATIVE: per layer the squared distance over the squared norm of what is to be reached, Grams averaged over the
    positions. Free of the network's scale and of the image's size.
    PUBLISHED: plain squared distances, Grams summed over the positions. α then belongs to the published frames of
    1914×1052 px and is multiplied by (1914·1052 / pixels)² here, since squared Gram sums grow so.
    """

    RELATIVE = "relative"
    PUBLISHED = "published"


class StepNorm(StrEnum):
    """What the gradient is divided by."""

    MEAN = "mean"  # mean |g| over the values that may move: the rate is then in grey levels per value
    L1 = "l1"  # Σ|g|, the formula taken literally: at 256² no value ever moves by more than 0.03 grey levels


class StylizationSettings(BaseModel):
    """Published: start noise, normalisation published, α 1e-14, 1000 steps, rate 10; layer weights are not given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aan_start: Start = Field(default=Start.SOURCE, description="what each image starts from: source or noise")
    aan_normalisation: Normalisation = Field(default=Normalisation.RELATIVE, description="units: relative or published")
    aan_step_norm: StepNorm = Field(
        default=StepNorm.MEAN, description="the gradient is divided by its mean or its l1 norm"
    )
    aan_alpha: float = Field(default=1.0, ge=0, description="weight of the style (mean Gram) against the content")
    aan_steps: int = Field(default=100, ge=1, description="steps of the optimisation (published: 1000)")
    aan_rate: float = Field(
        default=4.0, gt=0, description="first step in grey levels of 255, falling to 0 (published: 10)"
    )
    aan_content_weights: tuple[float, ...] = Field(
        default=(), description="per encoder map, finest first; empty: all 1"
    )
    aan_style_weights: tuple[float, ...] = Field(default=(), description="per encoder map, finest first; empty: all 1")
    aan_smooth: bool | None = Field(
        default=None,
        description="smooth the gradient (not in the paper), against chequered texture; None: if not from noise",
    )
    aan_target_frames: int | None = Field(
        default=None, ge=1, description="mean Gram over this many evenly spaced target frames; None: over all"
    )

    @property
    def smooths(self) -> bool:
        """Whether the gradient is smoothed. Noise could not be taken back where its gradient is smoothed away."""
        return self.aan_start is Start.SOURCE if self.aan_smooth is None else self.aan_smooth

    @field_validator("aan_content_weights", "aan_style_weights", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("aan_content_weights", "aan_style_weights")
    @classmethod
    def _not_negative(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if any(weight < 0 for weight in weights):
            raise ValueError("a weight is negative")
        return weights


def stylization_settings(options: StylizationSettings) -> StylizationSettings:
    """Only the stylization's part of a method's options, so that nothing else decides what is cached."""
    return StylizationSettings(**{name: getattr(options, name) for name in StylizationSettings.model_fields})


PUBLISHED = StylizationSettings.model_validate(
    {"aan_start": "noise", "aan_normalisation": "published", "aan_alpha": 1e-14, "aan_steps": 1000, "aan_rate": 10.0}
)
"""FCAN's own settings, with the mean norm without which noise could not become an image."""


def gram(features: Tensor, inside: Tensor | None = None, *, mean: bool = False) -> Tensor:
    """Gram matrices, G^{ij} = Σ over positions of M^i·M^j: B×C×h×w → B×C×C.

    inside: B×1×h×w, 1 where a position counts; None: everywhere. mean: divide by the number of positions that count.
    """
    counted = features if inside is None else features * inside
    flat = counted.flatten(2)
    product = flat @ flat.transpose(1, 2)
    if not mean:
        return product
    positions = flat.shape[2] if inside is None else inside.flatten(1).sum(dim=1).view(-1, 1, 1)
    return product / positions


def inside_at(valid: Tensor, layer: Tensor) -> Tensor:
    """The field of view (bool B×1×H×W) on a map's grid: B×1×h×w, 1 where at least half of a cell lies inside.

    A frame of which no cell would be left counts everywhere.
    """
    inside = (F.interpolate(valid.to(layer.dtype), size=layer.shape[-2:], mode="area") >= 0.5).to(layer.dtype)
    none = inside.flatten(1).sum(dim=1).view(-1, 1, 1, 1) == 0
    return torch.where(none, torch.ones_like(inside), inside)


class MeanGram:
    """The mean over frames of each layer's Gram matrix (:func:`gram`), summed in float64 on the maps' device."""

    def __init__(self, *, mean: bool) -> None:
        self.mean = mean
        self.frames = 0
        self._sums: list[Tensor] = []

    def add(self, maps: Sequence[Tensor], valid: Tensor) -> None:
        """Count a batch in: per layer B×C×h×w; valid: bool B×1×H×W."""
        if not self._sums:
            self._sums = [layer.new_zeros(layer.shape[1], layer.shape[1], dtype=torch.float64) for layer in maps]
        for total, layer in zip(self._sums, maps, strict=True):
            total += gram(layer, inside_at(valid, layer), mean=self.mean).double().sum(dim=0)
        self.frames += len(valid)

    def value(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Per layer C×C. Raises: DataError E_STYLE_EMPTY without a frame."""
        if not self.frames:
            raise DataError(
                "E_STYLE_EMPTY", "there is no target frame to take a style from.", fix="give the target's frames."
            )
        return tuple((total / self.frames).to(dtype) for total in self._sums)


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
    return Stylized(images.detach(), last if first is None else first, last)


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
        self.inside = [inside_at(valid, layer) for layer in content]
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
    safe = torch.where(size > 0, size, torch.ones_like(size))
    return torch.where(size > 0, gradient / safe, torch.zeros_like(gradient))


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
