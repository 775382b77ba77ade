"""Late fusion: several models' probability maps averaged into one prediction.

FCAN's headline figure fuses models trained on four directions of stylisation. Report such a fusion as what it is, an
ensemble, beside its members: part of its gain would come to any ensemble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polypda.errors import UsageError
from polypda.networks.segmenter import Prediction, Segmenter


def fuse_probabilities(maps: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """The weighted mean of probability maps of one shape (default: plain mean), accumulated in float64.

    Args: weights: not negative, not all zero; they are divided by their sum.
    Raises: UsageError E_FUSION for no map, other shapes, or unfitting weights.
    """
    shares = [1.0] * len(maps) if weights is None else list(weights)
    if not maps or len(shares) != len(maps) or min(shares) < 0 or sum(shares) <= 0:
        what = f"{len(maps)} maps with weights {shares}"
        raise UsageError("E_FUSION", what, fix="give at least one map, and per map a weight that is not negative.")
    if len({tuple(found.shape) for found in maps}) > 1:
        shapes = ", ".join("×".join(map(str, found.shape)) for found in maps)
        raise UsageError("E_FUSION", f"maps of different shapes: {shapes}", fix="bring them to one grid first.")
    total = sum(
        (share * found.double() for share, found in zip(shares, maps, strict=True)), torch.zeros(()).to(maps[0])
    )
    return (torch.as_tensor(total) / sum(shares)).to(maps[0].dtype)


class FusedSegmenter(Segmenter):
    """Several segmenters as one: its main logits are the logarithm of the members' mean softmax, at image size.

    For prediction only. Softmax of the logits gives the mean probabilities back.
    """

    def __init__(self, members: Sequence[Segmenter], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not members:
            raise UsageError("E_FUSION", "no model to fuse", fix="give the models of at least one direction.")
        self.members = nn.ModuleList(members)
        self.weights = None if weights is None else tuple(weights)
        self.feature_channels = {}
        self.stride = max(member.stride for member in members)

    def forward(self, images: Tensor) -> Prediction:
        """Segment B×3×H×W. Raises: UsageError E_FUSION, E_INPUT_SIZE."""
        size = images.shape[-2:]
        maps = [
            F.interpolate(member(images).logits["main"], size=size, mode="bilinear", align_corners=True).softmax(dim=1)
            for member in self.members
        ]
        fused = fuse_probabilities(maps, self.weights)
        return Prediction({"main": fused.clamp_min(torch.finfo(fused.dtype).tiny).log()}, {})

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """None: a fusion does not train."""
        yield from ()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """None: a fusion does not train."""
        yield from ()
