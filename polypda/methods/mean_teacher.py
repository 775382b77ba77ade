"""Terms that learn from the teacher: pseudo-labels, masked image consistency (MIC), and polyp mixing.

Self-training as in Hoyer, Dai, Van Gool, "DAFormer", CVPR 2022: the student learns, on a recoloured and blurred target
frame, the labels that the teacher gives the unchanged frame. DAFormer's weight, one per image, is the share of all
pixels that the teacher is sure of: near 1 for any frame that is mostly background, a missed polyp included, so that
silence is rewarded. Here each class of a frame counts by the share q of its own pixels with a confidence above τ, and
the classes count alike.

Hoyer, Dai, Wang, Van Gool, "MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation", CVPR 2023 hides
random blocks of the student's frame as well (ratio r, block b), so that it must use the context. Such frames do not
move batch norm's running statistics here: no model is asked about them later.

Polyp mixing pastes source polyps into target frames, after ClassMix (Olsson et al., WACV 2021) and DACS (Tranheden et
al., WACV 2021), which paste half of the classes that a source frame shows. Here it is always polyp, one connected
component at a time, with a margin of mucosa, so that the polyp's rim is learnt and not the paste's.

    L_T   = mean q · CE(student(view(x_t)), argmax teacher(x_t))
    L_M   = mean q · CE(student(mask ∘ view(x_t)), argmax teacher(x_t))
    L_mix = mean w · CE(student(view(x_mix)), y_mix),   y_mix, w = source label, 1 inside the paste;
                                                        teacher's label, q of its class outside
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from scipy import ndimage
from torch import Tensor

from polypda.data.batches import IGNORED, LabelledBatch
from polypda.errors import UsageError
from polypda.methods.contract import LossTerm
from polypda.methods.target_terms import TargetTerm, TargetView, TeacherOptions
from polypda.networks.batch_norm import statistics_kept
from polypda.networks.segmenter import IMAGENET_MEAN, POLYP, to_image_size

JITTER = 0.2
"""Largest relative change of brightness, contrast and saturation, as in DAFormer."""
LUMA = (0.299, 0.587, 0.114)
BLUR_PX, BLUR_RADIUS_PX = (0.15, 1.15), 4
"""Range of the blur's standard deviation, as in DAFormer, and how far it reaches."""


@dataclass(frozen=True)
class PseudoLabels:
    """labels: int64 B×H×W, 255 outside the field of view. weights: B×H×W ≥ 0, for :func:`weighted_cross_entropy`."""

    labels: Tensor
    weights: Tensor


def pseudo_labels(probabilities: Tensor, valid: Tensor, threshold: float) -> PseudoLabels:
    """The teacher's decisions; a pixel of class c weighs q_c of its frame, and all classes weigh alike.

    Args:
        probabilities: B×C×H×W. valid: bool B×1×H×W. threshold: τ, on the larger class's probability.
    """
    confidence, labels = probabilities.max(dim=1)
    inside = valid[:, 0]
    weights = torch.zeros_like(confidence)
    classes = probabilities.shape[1]
    for label in range(classes):
        mine = (labels == label) & inside
        sure = (mine & (confidence > threshold)).sum(dim=(1, 2)) / mine.sum(dim=(1, 2)).clamp_min(1)
        balance = inside.sum() / (classes * mine.sum().clamp_min(1))
        weights += mine * (sure * balance).to(weights.dtype)[:, None, None]
    return PseudoLabels(labels.masked_fill(~inside, IGNORED), weights)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean over the batch's counted pixels of weight · cross-entropy.

    Args:
        logits: B×C×H×W. labels: int64 B×H×W with 255 ignored. weights: B×H×W, or B×1×1 for one per frame.
    """
    values = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    return (values * weights).sum() / (labels != IGNORED).sum().clamp_min(1)


def student_view(images: Tensor) -> Tensor:
    """Recolour (brightness, contrast, saturation) and, every other frame, blur B×3×H×W images, RGB in [0, 1].

    Random numbers come from torch's global CPU generator, which is seeded before each step: the view is a function of
    the run's seed and the step, whatever the device.
    """
    count = len(images)
    factors = (1 + JITTER * (2 * torch.rand(3, count, 1, 1, 1) - 1)).to(images)
    sigmas = torch.empty(count).uniform_(*BLUR_PX).tolist()
    blurred = (torch.rand(count) < 0.5).tolist()
    luma = torch.tensor(LUMA).view(1, 3, 1, 1).to(images)
    images = images * factors[0]
    grey = (images * luma).sum(dim=1, keepdim=True)
    images = grey.mean(dim=(2, 3), keepdim=True) * (1 - factors[1]) + images * factors[1]
    grey = (images * luma).sum(dim=1, keepdim=True)
    images = (grey * (1 - factors[2]) + images * factors[2]).clamp(0, 1)
    return torch.stack(
        [blur(image, sigma) if soft else image for image, sigma, soft in zip(images, sigmas, blurred, strict=True)]
    )


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of a C×H×W image (larger than 4 px a side), borders reflected."""
    offsets = torch.arange(-BLUR_RADIUS_PX, BLUR_RADIUS_PX + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], [BLUR_RADIUS_PX] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


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
        masked = torch.where(shown, student_view(images), hidden)
        with statistics_kept(view.segmenter):  # no model is asked about frames with hidden blocks
            value = consistency(view, masked, options.pseudo_threshold)
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
        what = f"mask_block={block} px hides frames of {width}×{height} px as a whole or not at all."
        fix = f"choose mask_block below {min(height, width)}; an eighth of the frame's side is the default."
        raise UsageError("E_METHOD_OPTION", what, fix=fix)
    rows, columns = -(-height // block), -(-width // block)
    shown = torch.rand(count, 1, rows, columns) > ratio
    return shown.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :height, :width]


class PolypMixOptions(TeacherOptions):
    mix_weight: float = Field(1.0, ge=0, description="weight of the loss on mixed frames")
    mix_margin: float = Field(
        0.1, ge=0, le=1, description="mucosa pasted around the polyp, as a share of the square root of its area"
    )


class PolypMixTerm(TargetTerm):
    """The student learns on target frames into which source polyps were pasted."""

    name = "polyp-mix"
    title = "Polyp mixing (ClassMix for polyps)"
    paper = "after Tranheden et al., WACV 2021; polyp-specific, unpublished"
    Options = PolypMixOptions
    options: PolypMixOptions
    needs_teacher = True

    def on_own_forward(self, view: TargetView) -> list[LossTerm]:
        target = view.target
        pseudo = pseudo_labels(view.teacher_probabilities, target.valid, self.options.pseudo_threshold)
        indices = torch.arange(len(target.images), device=target.images.device) % len(view.source.images)
        pasted = pasted_regions(view.source, self.options.mix_margin)[indices] & target.valid
        images = torch.where(pasted, view.source.images[indices], target.images)
        labels = torch.where(pasted[:, 0], view.source.masks[indices], pseudo.labels)
        weights = torch.where(pasted[:, 0], 1.0, pseudo.weights)
        logits = to_image_size(view.segmenter(student_view(images)).logits["main"], *images.shape[-2:])
        value = weighted_cross_entropy(logits, labels, weights.to(logits.dtype))
        return [LossTerm("polyp_mix", value, self.options.mix_weight)]


def pasted_regions(source: LabelledBatch, margin: float) -> Tensor:
    """Bool B×1×H×W: per source frame one polyp, chosen at random, and its margin; nothing of a frame without a polyp.

    Ignored pixels and those outside the field of view are never pasted. Random numbers come from torch's global CPU
    generator, which is seeded before each step.
    """
    masks = (source.masks == POLYP).cpu().numpy()
    regions = np.stack([_one_polyp(mask, margin, float(torch.rand(()))) for mask in masks])
    pasted = torch.from_numpy(regions).to(source.masks.device)
    return (pasted & (source.masks != IGNORED))[:, None] & source.valid


def _one_polyp(mask: np.ndarray, margin: float, chance: float) -> np.ndarray:
    """One 8-connected component of a bool H×W mask, by ``chance`` in [0, 1), widened by its margin."""
    components, count = ndimage.label(mask, structure=np.ones((3, 3), bool))
    if not count:
        return np.zeros_like(mask)
    polyp = components == 1 + int(chance * count)
    margin_px = margin * np.sqrt(np.count_nonzero(polyp))
    return ndimage.distance_transform_edt(~polyp) <= margin_px
