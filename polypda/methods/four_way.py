"""What LSD-seg's discriminator is asked: four kinds of image, a coarse segmentation, and only where mucosa is seen.

Pure functions of tensors. A cell of the discriminator's grid takes its label from the nearest pixel.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from polypda.data.batches import IGNORED


class Seen(IntEnum):
    """The four labels."""

    SOURCE = 0
    SOURCE_PAINTED = 1
    TARGET = 2
    TARGET_PAINTED = 3


class View(NamedTuple):
    """One domain's part of a step.

    inside: bool B×1×H×W. masks, boxes: the source's. swapped: what F wants x̂ taken for.
    """

    images: Tensor
    inside: Tensor
    masks: Tensor | None
    real: Seen
    painted: Seen
    swapped: Seen
    boxes: Tensor | None = None


def seen_in_both(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Where both domains' frames show mucosa: each source frame with the target frame of its place in the batch.

    A judge of whole images would tell the processors apart by the shape of their black corners alone. Under one common
    outline per pair neither the corners' content nor their shape says anything.

    Args: bool B×1×H×W fields of view; batches of different sizes share one outline. Returns: one per domain.
    """
    if source.shape == target.shape:
        both = source & target
        return both, both
    both = source.all(dim=0, keepdim=True) & target.all(dim=0, keepdim=True)
    return both.expand_as(source), both.expand_as(target)


def domain_labels(seen: Seen, inside: Tensor, grid: Tensor) -> Tensor:
    """One label for all cells: int64 B×h×w as ``grid`` (B×C×h×w), ignored outside ``inside`` (bool B×1×H×W)."""
    within = _nearest(inside[:, 0], grid)
    return torch.where(within > 0, int(seen), IGNORED)


def class_labels(masks: Tensor, inside: Tensor, grid: Tensor) -> Tensor:
    """The masks (int64 B×H×W) on the grid: int64 B×h×w, ignored outside ``inside``."""
    return _nearest(torch.where(inside[:, 0], masks, IGNORED), grid)


def cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Mean cross-entropy of B×C×h×w logits over labelled cells, and their number; 0 where none is labelled."""
    counted = int((labels != IGNORED).sum())
    return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / max(1, counted), counted


@torch.no_grad()
def fraction_put_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Share (0–1) of the labelled cells of B×C×h×w logits whose largest logit is the label's; 0 without cells."""
    counted = labels != IGNORED
    return ((logits.argmax(dim=1) == labels) & counted).sum() / counted.sum().clamp_min(1)


def l1_inside(painted: Tensor, real: Tensor, inside: Tensor) -> Tensor:
    """Mean |painted − real| of B×3×H×W images over the pixels inside."""
    difference = (painted - real).abs() * inside
    return difference.sum() / (inside.sum() * real.shape[1]).clamp_min(1)


def _nearest(labels: Tensor, grid: Tensor) -> Tensor:
    # Nearest to the cell's centre, as image libraries resize label maps.
    resized = F.interpolate(labels.unsqueeze(1).float(), size=grid.shape[-2:], mode="nearest-exact")
    return resized[:, 0].long()
