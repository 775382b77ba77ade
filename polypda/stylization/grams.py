"""Gram matrices of feature maps, and their mean over a cohort, one batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from polypda.errors import DataError


def gram(features: Tensor, inside: Tensor | None = None, *, mean: bool = False) -> Tensor:
    """G^{ij} = Σ over positions of M^i·M^j: B×C×h×w → B×C×C.

    Args:
        inside: B×1×h×w, 1 where a position counts, 0 where not; None: everywhere.
        mean: divide by the number of positions that count.
    """
    counted = features if inside is None else features * inside
    flat = counted.flatten(2)
    product = flat @ flat.transpose(1, 2)
    if not mean:
        return product
    positions = flat.shape[2] if inside is None else inside.flatten(1).sum(dim=1).view(-1, 1, 1)
    return product / positions


def inside_at(valid: Tensor, size: tuple[int, int], numbers: torch.dtype) -> Tensor:
    """The field of view (bool B×1×H×W) on a coarser grid: B×1×h×w, 1 where at least half of a cell lies inside.

    A frame of which no cell would be left counts everywhere.
    """
    share = F.interpolate(valid.to(numbers), size=size, mode="area")
    inside = (share >= 0.5).to(numbers)
    none = inside.flatten(1).sum(dim=1).view(-1, 1, 1, 1) == 0
    return torch.where(none, torch.ones_like(inside), inside)


class MeanGram:
    """The mean over frames of each layer's Gram matrix, summed in float64 on the maps' device."""

    def __init__(self, *, mean: bool) -> None:
        """Args: mean: see :func:`gram`."""
        self.mean = mean
        self.frames = 0
        self._sums: list[Tensor] = []

    def add(self, maps: Sequence[Tensor], valid: Tensor) -> None:
        """Count a batch in. Args: maps: per layer B×C×h×w. valid: bool B×1×H×W."""
        if not self._sums:
            self._sums = [layer.new_zeros(layer.shape[1], layer.shape[1], dtype=torch.float64) for layer in maps]
        for total, layer in zip(self._sums, maps, strict=True):
            inside = inside_at(valid, (layer.shape[-2], layer.shape[-1]), layer.dtype)
            total += gram(layer, inside, mean=self.mean).double().sum(dim=0)
        self.frames += len(valid)

    def value(self, numbers: torch.dtype) -> tuple[Tensor, ...]:
        """Per layer C×C. Raises: DataError E_STYLE_EMPTY without a frame."""
        if not self.frames:
            raise DataError(
                "E_STYLE_EMPTY", "there is no target frame to take a style from.", fix="give the target's frames."
            )
        return tuple((total / self.frames).to(numbers) for total in self._sums)
