"""The supervised part that every method shares, and the controls that consist of it: source-only and oracle training.

    L_seg = loss(main) + λ_seg · loss(aux)

Boxes teach by their projections (Tian et al., BoxInst, CVPR 2021, Eq. 1 to 3): every column and every row of a tight
box meets the polyp, so the maxima of P(polyp) along each axis should be the box's own projections, by a Dice loss on
each; pixels outside all boxes are background by cross-entropy. The paper's masks are per instance: here each box is
compared with the map where the other boxes are cut out. Its pairwise term on colour is not used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.data.labels import MOST_BOXES
from polypda.methods.contract import (
    SEGMENTER,
    Decay,
    LabelsFrom,
    Losses,
    LossTerm,
    Method,
    MethodOptions,
    Player,
    Schedule,
)
from polypda.networks.segmenter import POLYP, Prediction, Segmenter, to_image_size

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
    for index in range(MOST_BOXES):
        inside = (bits & (1 << index)) > 0
        frames = inside.flatten(1).any(dim=1)
        if not frames.any():
            continue
        box = inside[frames]
        # Other boxes, and what lies in more boxes than there are bits, may hold polyps as well.
        counted = box | (bits[frames] == 0)
        shown = polyp[frames] * counted
        for axis in (1, 2):
            losses.append(_dice_loss(shown.amax(dim=axis), box.any(dim=axis).to(shown.dtype)))
    return 2 * torch.cat(losses).mean() if losses else logits.sum() * 0.0


def _dice_loss(shown: Tensor, wanted: Tensor) -> Tensor:
    """1 − 2·Σab / (Σa² + Σb²) per row (V-Net's Dice, as the paper uses it)."""
    overlap = 2 * (shown * wanted).sum(dim=1) + SMOOTH
    return 1 - overlap / (shown.square().sum(dim=1) + wanted.square().sum(dim=1) + SMOOTH)


class SegmentationLoss(StrEnum):
    """Supervised loss on the softmax of two classes."""

    CE = "ce"
    CE_DICE = "ce+dice"  # one Dice of the whole batch: large polyps outweigh small ones
    CE_FRAME_DICE = "ce+frame-dice"  # the mean of each frame's own Dice: every frame counts alike


class OptimizerKind(StrEnum):
    """The segmenter's optimiser."""

    SGD = "sgd"
    ADAMW = "adamw"


class SupervisedOptions(MethodOptions):
    """Options of every method that trains the segmenter on labels; defaults are AdaptSegNet's published values."""

    seg_loss: SegmentationLoss = SegmentationLoss.CE
    lambda_seg_aux: float = Field(0.1, ge=0, description="weight of the auxiliary level's segmentation loss")
    optimizer: OptimizerKind = OptimizerKind.SGD
    learning_rate: float = Field(2.5e-4, gt=0, description="the backbone's learning rate")
    head_factor: float = Field(10.0, gt=0, description="the heads learn this much faster")
    decoder_factor: float = Field(1.0, gt=0, description="the decoder learns this much faster than the encoder")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    poly_power: float = Field(0.9, ge=0, description="power of the learning rate's decay to zero")
    horizon: int | None = Field(None, gt=0, description="steps after which the rate would be zero; None: the run's end")
    decay: Decay = Field(Decay.POLY, description="how the learning rate falls: poly, or cosine (one-cycle)")
    warmup: int = Field(0, ge=0, description="steps of linear warm-up of the learning rate")
    warmup_fraction: float = Field(0.0, ge=0, lt=1, description="the same as a share of the training's steps, on top")

    def schedule(self, steps: int) -> Schedule:
        """The learning rates' schedule in a training of ``steps`` steps."""
        warmup = self.warmup + round(self.warmup_fraction * steps)
        return Schedule(self.horizon or max(1, steps), self.poly_power, warmup, self.decay)


def segmentation_loss(logits: Tensor, masks: Tensor, kind: SegmentationLoss) -> Tensor:
    """Mean cross-entropy over counted pixels, plus one minus the soft Dice of the polyp class: the batch's
    (``ce+dice``) or the mean of the frames' (``ce+frame-dice``; a frame without a counted pixel has no part in it).

    Args:
        logits: B×2×H×W.
        masks: int64 B×H×W with 0, 1 and 255 (ignored).
    """
    counted = masks != IGNORED
    # A batch without any counted pixel would divide by zero: it has nothing to teach.
    total = F.cross_entropy(logits, masks, ignore_index=IGNORED, reduction="sum") / counted.sum().clamp_min(1)
    if kind is SegmentationLoss.CE:
        return total
    probability = logits.softmax(dim=1)[:, POLYP] * counted
    polyp = (masks == POLYP).to(probability.dtype)
    over = (1, 2) if kind is SegmentationLoss.CE_FRAME_DICE else (0, 1, 2)
    dice = (2 * (probability * polyp).sum(over) + 1.0) / (probability.sum(over) + polyp.sum(over) + 1.0)
    trained_on = counted.flatten(1).any(dim=1).to(dice.dtype) if dice.ndim else dice.new_ones(())
    return total + ((1 - dice) * trained_on).sum() / trained_on.sum().clamp_min(1)


def image_size_logits(prediction: Prediction, batch: UnlabelledBatch) -> dict[str, Tensor]:
    """The logits of every level at the batch's image size: B×2×H×W each."""
    height, width = batch.images.shape[-2:]
    return {level: to_image_size(logits, height, width) for level, logits in prediction.logits.items()}


def supervised_terms(logits: Mapping[str, Tensor], batch: LabelledBatch, options: SupervisedOptions) -> list[LossTerm]:
    """L_seg, for logits at image size."""
    weights = {"main": 1.0, "aux": options.lambda_seg_aux}
    return [
        LossTerm(f"seg_{level}", supervised_loss(level_logits, batch, options.seg_loss), weights[level])
        for level, level_logits in logits.items()
    ]


def supervised_loss(logits: Tensor, batch: LabelledBatch, kind: SegmentationLoss) -> Tensor:
    """The segmentation loss by the batch's masks; where boxes teach, by their projections and the pixels outside."""
    if batch.boxes is None:
        return segmentation_loss(logits, batch.masks, kind)
    outside = segmentation_loss(logits, background_outside(batch), kind)
    return outside + projection_loss(logits, batch.boxes, batch.valid)


def unique_parameters(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Trainable parameters, each once, in order."""
    unique = {id(parameter): parameter for parameter in parameters if parameter.requires_grad}
    return list(unique.values())


def segmenter_optimizer(
    segmenter: Segmenter, options: SupervisedOptions, backbone: Iterable[nn.Parameter] | None = None
) -> Optimizer:
    """The segmenter's optimiser: heads learn ``head_factor`` times faster; each parameter steps once per step.

    Args:
        backbone: instead of the segmenter's own list, which names each parameter once (a parity quirk needs this).
    """
    slow = unique_parameters(segmenter.backbone_parameters()) if backbone is None else list(backbone)
    fast: list[nn.Parameter] = []
    if options.decoder_factor != 1:
        encoder = {id(parameter) for part in segmenter.encoder_modules() for parameter in part.parameters()}
        fast = [parameter for parameter in slow if id(parameter) not in encoder]
        slow = [parameter for parameter in slow if id(parameter) in encoder]
    groups = [
        {"params": slow, "lr": options.learning_rate},
        {"params": fast, "lr": options.learning_rate * options.decoder_factor},
        {"params": unique_parameters(segmenter.head_parameters()), "lr": options.learning_rate * options.head_factor},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer is OptimizerKind.ADAMW:
        return torch.optim.AdamW(groups, lr=options.learning_rate, weight_decay=options.weight_decay)
    # Duplicates, where they are asked for, must be stepped in a plain loop, one entry after the other.
    settings: dict[str, Any] = {} if backbone is None else {"foreach": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="optimizer contains a parameter group with duplicate parameters")
        return torch.optim.SGD(
            groups, options.learning_rate, options.momentum, weight_decay=options.weight_decay, **settings
        )


class SourceOnly(Method):
    """Training on the source's labels alone; the target is never seen."""

    name = "source-only"
    title = "Source only"
    paper = "control: no adaptation, equal budget"
    Options = SupervisedOptions
    plays_on_target = False
    options: SupervisedOptions

    def __init__(self, segmenter: Segmenter, options: SupervisedOptions, *, steps: int) -> None:
        super().__init__(segmenter, options, steps=steps)
        self._players = [Player(SEGMENTER, segmenter_optimizer(segmenter, options), options.schedule(steps))]

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        yield {SEGMENTER: self._on_source(source)}

    def _on_source(self, source: LabelledBatch) -> list[LossTerm]:
        logits = image_size_logits(self.segmenter(source.images), source)
        return supervised_terms(logits, source, self.options)


class Oracle(SourceOnly):
    """Training on the target's own labels: what adaptation could reach at most. Needs explicit permission."""

    name = "oracle"
    title = "Oracle (target labels)"
    paper = "control: upper bound, uses the target's training labels"
    labels_from = LabelsFrom.TARGET
    takes_terms = False
