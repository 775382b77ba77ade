"""The check every segmenter makes of its input, before an encoder fails in its own words."""

from __future__ import annotations

from torch import Tensor

from polypda.errors import UsageError


def check_input_size(images: Tensor, stride: int) -> None:
    """Raise UsageError E_INPUT_SIZE unless images are B×3×H×W with H and W divisible by stride."""
    if images.ndim != 4 or images.shape[1] != 3:
        shape = "×".join(str(size) for size in images.shape)
        fix = "stack RGB frames to one B×3×H×W tensor."
        raise UsageError("E_INPUT_SIZE", f"a segmenter takes B×3×H×W images, not {shape}", fix=fix)
    height, width = images.shape[-2:]
    if height % stride or width % stride or not height or not width:
        up_height, up_width = (max(stride, -(-size // stride) * stride) for size in (height, width))
        raise UsageError(
            "E_INPUT_SIZE",
            f"images of {width}×{height} px (width×height); this network needs both sides divisible by {stride}",
            fix=f"letterbox to {up_width}×{up_height} px, the next size that fits.",
        )
