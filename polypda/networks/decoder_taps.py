"""Where the auxiliary output of a segmentation_models_pytorch architecture is taken: the decoder stage before the last.

The published two-level method puts its aux classifier one stage before the main one. Here that is, for every
architecture, the decoder stage whose output the last stage refines or fuses into what the main classifier sees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polypda.errors import UsageError

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

_PROBE_PX = 224
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
