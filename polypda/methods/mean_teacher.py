"""Mean teacher with pseudo-labels, and masked image consistency (MIC).

Self-training as in Hoyer, Dai, Van Gool, "DAFormer", CVPR 2022: the student learns, on a recoloured and blurred target
frame, the labels that the teacher gives the unchanged frame; each class of a frame counts by the share q of its pixels
with a confidence above τ (see :mod:`polypda.methods.teacher`). Hoyer, Dai, Wang, Van Gool, "MIC: Masked Image
Consistency for Context-Enhanced Domain Adaptation", CVPR 2023 hides random blocks of the student's frame as well (ratio
r, block b), so that it must use the context.

    L_T = mean q · CE(student(view(x_t)), argmax teacher(x_t))
    L_M = mean q · CE(student(mask ∘ view(x_t)), argmax teacher(x_t))
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from polypda.errors import UsageError
from polypda.methods.contract import LossTerm
from polypda.methods.segmentation import to_image_size
from polypda.methods.target_terms import TargetTerm, TargetView
from polypda.methods.teacher import (
    TeacherOptions,
    pseudo_labels,
    student_view,
    weighted_cross_entropy,
)
from polypda.networks.normalisation import IMAGENET_MEAN


class MeanTeacherOptions(TeacherOptions):
    pseudo_weight: float = Field(1.0, ge=0, description="weight of the pseudo-label loss")


class MeanTeacherTerm(TargetTerm):
    """The student learns the teacher's labels on a recoloured, blurred view of the target."""

    name = "mean-teacher"
    title = "Mean teacher (pseudo-labels)"
    paper = "Tarvainen and Valpola, NeurIPS 2017; Hoyer et al., CVPR 2022"
    Options = MeanTeacherOptions
    options: MeanTeacherOptions
    needs_teacher = True

    def on_own_forward(self, view: TargetView) -> list[LossTerm]:
        value = consistency(view, student_view(view.target.images), self.options.pseudo_threshold)
        return [LossTerm("pseudo_label", value, self.options.pseudo_weight)]


class MaskedConsistencyOptions(TeacherOptions):
    masked_weight: float = Field(1.0, ge=0, description="weight of the masked consistency loss")
    mask_ratio: float = Field(0.7, gt=0, lt=1, description="share of blocks that are hidden")
    mask_block: int | None = Field(
        None, ge=1, description="side of a block in pixels; default: an eighth of the frame's (published: a sixteenth)"
    )


class MaskedConsistencyTerm(TargetTerm):
    """The student learns the teacher's labels on a target frame of which most blocks are hidden."""

    name = "mic"
    title = "MIC (masked image consistency)"
    paper = "Hoyer et al., CVPR 2023"
    Options = MaskedConsistencyOptions
    options: MaskedConsistencyOptions
    needs_teacher = True

    def on_own_forward(self, view: TargetView) -> list[LossTerm]:
        images, options = view.target.images, self.options
        count, _, height, width = images.shape
        block = options.mask_block or max(1, min(height, width) // 8)
        shown = shown_blocks(count, height, width, block, options.mask_ratio).to(images.device)
        # Hidden is what the published code hides it with: the value that normalises to zero
        hidden = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1).to(images)
        value = consistency(view, torch.where(shown, student_view(images), hidden), options.pseudo_threshold)
        return [LossTerm("masked_consistency", value, options.masked_weight)]


def consistency(view: TargetView, images: Tensor, threshold: float) -> Tensor:
    """Cross-entropy between the segmenter's answer to changed target images and the teacher's to the unchanged ones."""
    pseudo = pseudo_labels(view.teacher_probabilities, view.target.valid, threshold)
    logits = to_image_size(view.segmenter(images).logits["main"], *images.shape[-2:])
    return weighted_cross_entropy(logits, pseudo.labels, pseudo.weights)


def shown_blocks(count: int, height: int, width: int, block: int, ratio: float) -> Tensor:
    """A random bool mask count×1×H×W, constant on blocks; a block is hidden with probability ``ratio``.

    Blocks at the right and lower border may be cut. Random numbers as in :func:`student_view`.
    Raises: UsageError E_METHOD_OPTION where a frame would be no more than one block.
    """
    if block >= min(height, width):
        raise UsageError(
            "E_METHOD_OPTION",
            f"mask_block={block} px hides frames of {width}×{height} px as a whole or not at all.",
            fix=f"choose mask_block below {min(height, width)}; an eighth of the frame's side is the default.",
        )
    rows, columns = -(-height // block), -(-width // block)
    shown = torch.rand(count, 1, rows, columns) > ratio
    return shown.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :height, :width]
