"""Where auxiliary outputs and adversaries look into a segmenter, and what they find there.

The auxiliary output is taken at the decoder stage before the last. The published two-level method puts its aux
classifier one stage before the main one. Here that is, for every architecture, the decoder stage whose output the last
stage refines or fuses into what the main classifier sees. Channels and strides are known before training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from polypda.errors import UsageError
from polypda.networks.segmenter import CLASSES, Prediction, Segmenter

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
"""Architecture → path of a part inside its decoder; a number counts blocks, negative from the end."""

"""Side of the empty image that tells a tap's channels: what fixed-size transformers take."""


def aux_tap(decoder: nn.Module, architecture: str) -> nn.Module:
    """Return the decoder part whose output the aux classifier sees.

    Raises UsageError E_AUX_LEVEL for an architecture without one in the table.
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
    """Return the channels of an architecture's aux tap, from one pass of an empty image.

    The pass is made in evaluation mode: it draws no random number and moves no statistics. Modes are put back.
    """
    side = -(-_PROBE_PX // stride) * stride
    modes = [(part, part.training) for module in (encoder, decoder) for part in module.modules()]
    encoder.eval()
    decoder.eval()
    with torch.no_grad():
        _, tapped = decode_with_tap(decoder, aux_tap(decoder, architecture), encoder(torch.zeros(1, 3, side, side)))
    for part, mode in modes:
        part.training = mode
    assert tapped is not None
    return tapped.shape[1]


_PROBE_PX = 224
"""Side of the empty image that tells a segmenter's maps: what fixed-size transformers take."""


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

    The pass is made in evaluation mode: it draws no random number and moves no statistics; modes are put back.
    Raises: UsageError E_FEATURE_TAP where the network shows no encoder maps.
    """
    side = -(-_PROBE_PX // segmenter.stride) * segmenter.stride
    like = next(segmenter.parameters())
    modes = [(part, part.training) for part in segmenter.modules()]
    segmenter.eval()
    try:
        with torch.no_grad():
            maps = segmenter(torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device)).encoder
    finally:
        for part, mode in modes:
            part.training = mode
    if not maps:
        raise _no_encoder_maps(type(segmenter).__name__)
    return tuple(EncoderTap(found.shape[1], 2 ** round(math.log2(side / found.shape[-1]))) for found in maps)


def deepest_per_stride(taps: tuple[EncoderTap, ...]) -> dict[int, int]:
    """Stride → index of the deepest map of that stride, finest stride first (dilated encoders repeat strides)."""
    return {tap.stride: index for index, tap in enumerate(taps)}


def _no_encoder_maps(network: str) -> UsageError:
    return UsageError(
        "E_FEATURE_TAP",
        f"{network} does not show its encoder's maps, which this method works on.",
        fix="choose an architecture of segmentation_models_pytorch or deeplab-v2; adda can look at tap=logits instead.",
    )
