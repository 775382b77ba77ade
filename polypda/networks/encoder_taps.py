"""Where adversaries look into a segmenter, and what they find there: channels and strides, known before training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from polypda.errors import UsageError
from polypda.networks.segmenter import CLASSES, Prediction, Segmenter

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
