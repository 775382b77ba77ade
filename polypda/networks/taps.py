"""Where auxiliary outputs and adversaries look into a segmenter, and how its encoder is parted from the rest."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import torch
from torch import Tensor, nn

from polypda.errors import UsageError
from polypda.networks.batch_norm import batch_norm_layers
from polypda.networks.segmenter import CLASSES, Prediction, Segmenter, evaluating

AUX_TAPS = {
    "unet": "blocks.-2",
    "unetplusplus": "blocks.x_0_3",
    "manet": "blocks.-2",
    "linknet": "blocks.-2",
    "fpn": "p2",  # the finest pyramid level, before the levels are merged
    "pspnet": "psp",  # the pooled pyramid, before it is mixed down
    "deeplabv3": "aspp",
    "deeplabv3plus": "aspp",
    "pan": "gau2",
    "upernet": "fpn_conv_blocks.-1",  # the finest pyramid level, before the levels are fused
    "segformer": "mlp_stage.0",  # the deepest encoder stage, projected, before the stages are fused
    "dpt": "fusion_blocks.-2",
}
"""Architecture → path of the decoder stage before the last, where the auxiliary output is taken (the published method
puts its aux classifier one stage before the main one); a number counts blocks, negative from the end."""
_PROBE_PX = 224
"""Side of the empty image that shows a segmenter's maps: what fixed-size transformers take."""


def aux_tap(decoder: nn.Module, architecture: str) -> nn.Module:
    """The decoder part whose output the aux classifier sees.

    Raises: UsageError E_AUX_LEVEL for an architecture without one in the table.
    """
    path = AUX_TAPS.get(architecture)
    if path is None:
        what = f"{architecture} has no decoder stage for an auxiliary output"
        raise UsageError("E_AUX_LEVEL", what, fix=f"use one level, or one of {', '.join(AUX_TAPS)}.")
    part = decoder
    for step in path.split("."):
        part = list(part.children())[int(step)] if step.lstrip("-").isdigit() else part.get_submodule(step)
    return part


def decode_with_tap(decoder: nn.Module, tap: nn.Module | None, features: object) -> tuple[Tensor, Tensor | None]:
    """Run a decoder on an encoder's features; return its output and, where asked, the tap's.

    The hook lives for this call only: a network that keeps none can be copied and pickled.
    """
    parts = features if isinstance(features, tuple) else (features,)
    if tap is None:
        return decoder(*parts), None
    caught: list[Tensor] = []
    hook = tap.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        decoded = decoder(*parts)
    finally:
        hook.remove()
    return decoded, caught[-1]


def tap_channels(encoder: nn.Module, decoder: nn.Module, architecture: str, stride: int) -> int:
    """The channels of an architecture's aux tap, from one pass of an empty image."""
    side = -(-_PROBE_PX // stride) * stride
    with evaluating(encoder, decoder):
        _, tapped = decode_with_tap(decoder, aux_tap(decoder, architecture), encoder(torch.zeros(1, 3, side, side)))
    assert tapped is not None
    return tapped.shape[1]


class FeatureTap(StrEnum):
    """One place in a segmenter that a discriminator can look at."""

    BOTTLENECK = "bottleneck"  # the encoder's deepest map
    DECODER = "decoder"  # what the main classifier sees
    LOGITS = "logits"  # the main logits on the network's own grid


@dataclass(frozen=True)
class EncoderTap:
    """An encoder's map: its channels, and its stride in px, to the nearest power of two."""

    channels: int
    stride: int


def read_tap(prediction: Prediction, tap: FeatureTap) -> Tensor:
    """The map B×C×h×w at a tap. Raises: UsageError E_FEATURE_TAP where the network shows no encoder maps."""
    if tap is FeatureTap.LOGITS:
        return prediction.logits["main"]
    if tap is FeatureTap.DECODER:
        return prediction.features["main"]
    if not prediction.encoder:
        raise _no_encoder_maps("this segmenter")
    return prediction.encoder[-1]


def tap_width(segmenter: Segmenter, tap: FeatureTap) -> int:
    """Channels at a tap. Raises: UsageError E_FEATURE_TAP."""
    if tap is FeatureTap.LOGITS:
        return CLASSES
    if tap is FeatureTap.DECODER:
        return segmenter.feature_channels["main"]
    return encoder_taps(segmenter)[-1].channels


def encoder_taps(segmenter: Segmenter) -> tuple[EncoderTap, ...]:
    """The encoder's maps, finest first, from one pass of an empty image.

    Raises: UsageError E_FEATURE_TAP where the network shows no encoder maps.
    """
    side = -(-_PROBE_PX // segmenter.stride) * segmenter.stride
    like = next(segmenter.parameters())
    with evaluating(segmenter):
        maps = segmenter(torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device)).encoder
    if not maps:
        raise _no_encoder_maps(type(segmenter).__name__)
    return tuple(EncoderTap(found.shape[1], 2 ** round(math.log2(side / found.shape[-1]))) for found in maps)


def deepest_per_stride(taps: tuple[EncoderTap, ...]) -> dict[int, int]:
    """Stride → index of the deepest map of that stride, finest stride first (dilated encoders repeat strides)."""
    return {tap.stride: index for index, tap in enumerate(taps)}


def _no_encoder_maps(network: str) -> UsageError:
    what = f"{network} does not show its encoder's maps, which this method works on."
    fix = "choose an architecture of segmentation_models_pytorch or deeplab-v2; adda can look at tap=logits instead."
    return UsageError("E_FEATURE_TAP", what, fix=fix)


class FrozenCopy(nn.Module):
    """The segmenter as it is now, for good: no parameter learns, no statistic moves, no dropout.

    It stays in evaluation mode whatever ``.train()`` is called around it.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.network = copy.deepcopy(segmenter).requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Prediction:
        return self.network(images)


def copy_with_own_encoder(segmenter: Segmenter) -> Segmenter:
    """A copy that has its own encoder and shares everything behind it, parameters and statistics, with the segmenter.

    Raises: UsageError E_FEATURE_TAP where the segmenter cannot be divided.
    """
    encoder = encoder_parts(segmenter)
    holders = {id(module) for module in segmenter.modules() if any(id(part) in encoder for part in module.modules())}
    shared = {id(module): module for module in segmenter.modules() if id(module) not in encoder | holders}
    # deepcopy takes what its memo knows as it is
    return copy.deepcopy(segmenter, dict[int, object](shared))


def encoder_parts(segmenter: Segmenter) -> set[int]:
    """The ids of all modules within the encoder. Raises: UsageError E_FEATURE_TAP where there is no such division."""
    inside = {id(part) for module in segmenter.encoder_modules() for part in module.modules()}
    if not inside:
        what = f"{type(segmenter).__name__} does not tell its encoder from what follows."
        fix = "choose an architecture of segmentation_models_pytorch or deeplab-v2, or train the whole network."
        raise UsageError("E_FEATURE_TAP", what, fix=fix)
    return inside


def behind_encoder(segmenter: Segmenter) -> list[nn.Module]:
    """The layers behind the encoder (modules without parts). Raises: as :func:`encoder_parts`."""
    inside = encoder_parts(segmenter)
    return [module for module in segmenter.modules() if id(module) not in inside and not any(module.children())]


def copy_batch_norm_modes(network: nn.Module, example: nn.Module) -> None:
    """Let a copy's batch-norm layers work as the example's do (a policy is only ever applied to the segmenter)."""
    for layer, shown in zip(batch_norm_layers(network), batch_norm_layers(example), strict=True):
        layer.train(shown.training)
