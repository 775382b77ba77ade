"""Learning from boxes by their projections (Tian et al., BoxInst, CVPR 2021, Eq. 1 to 3), for a semantic map.

A tight box says that every column and every row of it meets the polyp, and that nothing outside is polyp. So the maxima
of P(polyp) along each axis should be the box's own projections, by a Dice loss on each; pixels outside all boxes are
background by cross-entropy. The paper's masks are per instance: here each box is compared with the map where the other
boxes are cut out. Its pairwise term on colour is not used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from polypda.data.batches import IGNORED, LabelledBatch
from polypda.data.box_targets import MOST_BOXES
from polypda.networks.segmenter import POLYP

SMOOTH = 1e-5


def background_outside(batch: LabelledBatch) -> Tensor:
    """The batch's masks with the inside of every box ignored: int64 B×H×W."""
    assert batch.boxes is not None  # asked for only where there are boxes
    return torch.where(batch.boxes > 0, IGNORED, batch.masks)


def projection_loss(logits: Tensor, boxes: Tensor, valid: Tensor) -> Tensor:
    """Mean over the batch's boxes of the x and y projections' Dice losses; 0 without a box.

    Args:
        logits: B×2×H×W. boxes: integers B×H×W, bit k inside box k of the frame. valid: bool B×1×H×W.
    """
    polyp = logits.softmax(dim=1)[:, POLYP] * valid[:, 0]
    bits = boxes * valid[:, 0]
    losses = []
    for place in range(MOST_BOXES):
        inside = (bits & (1 << place)) > 0
        frames = inside.flatten(1).any(dim=1)
        if not frames.any():
            continue
        own = inside[frames]
        # Other boxes, and what lies in more boxes than can be told apart, may hold polyps of their own.
        counted = own | (bits[frames] == 0)
        shown = polyp[frames] * counted
        for axis in (1, 2):
            losses.append(_dice_loss(shown.amax(dim=axis), own.any(dim=axis).to(shown.dtype)))
    return 2 * torch.cat(losses).mean() if losses else logits.sum() * 0.0


def _dice_loss(shown: Tensor, wanted: Tensor) -> Tensor:
    """1 − 2·Σab / (Σa² + Σb²) per row (V-Net's Dice, as the paper uses it)."""
    overlap = 2 * (shown * wanted).sum(dim=1) + SMOOTH
    return 1 - overlap / (shown.square().sum(dim=1) + wanted.square().sum(dim=1) + SMOOTH)
