"""What a method is given: a labelled batch of the source, an unlabelled one of the target.

The label firewall is a type: :class:`UnlabelledBatch` has no field that could hold a mask.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

IGNORED = 255
"""Mask value of pixels that no loss may count (outside the field of view, padding)."""


@dataclass(frozen=True)
class UnlabelledBatch:
    """Frames without labels.

    images: float32 B×3×H×W, RGB in [0, 1] (the segmenter normalises).
    valid: bool B×1×H×W, True inside the field of view.
    frames: the frames' names, ``cohort/frame``, before the first step as in every step.
    """

    images: Tensor
    valid: Tensor
    frames: tuple[str, ...]

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Self:
        """The same batch with its tensors on a device and its images in a floating-point type."""
        moved: dict[str, Any] = {
            name: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype, non_blocking=True)
            for name, tensor in self._tensors().items()
        }
        return replace(self, **moved)

    def pin_memory(self) -> Self:
        """The same batch in memory that a GPU copies from while the processor goes on."""
        pinned: dict[str, Any] = {name: tensor.pin_memory() for name, tensor in self._tensors().items()}
        return replace(self, **pinned)

    def _tensors(self) -> dict[str, Tensor]:
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}


@dataclass(frozen=True)
class PseudoLabelledBatch(UnlabelledBatch):
    """Target frames with what a model of the run itself said of them; no label of the target is in it.

    pseudo: int64 B×H×W, 0 background, 1 polyp, 255 where that model was not sure, and outside the field of view.
    """

    pseudo: Tensor


@dataclass(frozen=True)
class LabelledBatch(UnlabelledBatch):
    """Frames with masks: int64 B×H×W, 0 background, 1 polyp, 255 ignored.

    boxes: int64 B×H×W where boxes teach by their projections: bit k is set inside box k of the frame (0 in frames with
    a mask or without a polyp). ``masks`` then hold what the boxes are filled with, for all but the supervised loss.
    """

    masks: Tensor
    boxes: Tensor | None = None
