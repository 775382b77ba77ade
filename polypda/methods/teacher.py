"""The teacher: a moving average of the segmenter, its pseudo-labels, and the student's harder view of a frame.

Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017; threshold and ramp as in Hoyer, Dai, Van
Gool, "DAFormer", CVPR 2022. Their weight, one per image, is the share of all pixels that the teacher is sure of: near
1 for any frame that is mostly background, a missed polyp included, so that silence is rewarded. Here each class of a
frame has its own share, and the classes count alike.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from polypda.data.batches import IGNORED
from polypda.methods.contract import MethodOptions
from polypda.networks.segmenter import Segmenter

JITTER = 0.2
"""Largest relative change of brightness, contrast and saturation, as in DAFormer."""
LUMA = (0.299, 0.587, 0.114)
BLUR_PX = (0.15, 1.15)
"""Range of the blur's standard deviation, as in DAFormer."""
BLUR_RADIUS_PX = 4


class TeacherOptions(MethodOptions):
    """Shared by all terms that learn from the teacher."""

    ema_alpha: float | None = Field(
        None, ge=0, lt=1, description="the teacher keeps min(1 − 1/(t+1), this) of itself; default: 1 − 5/steps"
    )
    pseudo_threshold: float = Field(
        0.968,
        ge=0,
        lt=1,
        description="a class of a frame counts by its share of pixels that the teacher is this sure of",
    )

    def alpha(self, steps: int) -> float:
        """α of a training of ``steps`` steps: it remembers a fifth of them, within 0.9 and the published 0.999."""
        return self.ema_alpha if self.ema_alpha is not None else min(0.999, max(0.9, 1 - 5 / max(1, steps)))


def make_teacher(segmenter: Segmenter) -> Segmenter:
    """A copy that no gradient reaches."""
    return copy.deepcopy(segmenter).requires_grad_(False)


def kept_share(steps_done: int, alpha: float) -> float:
    """α_t = min(1 − 1/(t+1), α): the plain mean of all weights so far, until that would remember too long."""
    return min(1 - 1 / (steps_done + 1), alpha)


@torch.no_grad()
def follow(teacher: Segmenter, student: Segmenter, keep: float) -> None:
    """teacher ← keep · teacher + (1 − keep) · student: parameters and batch-norm statistics; counters are taken."""
    for mine, its in zip(teacher.parameters(), student.parameters(), strict=True):
        mine.lerp_(its, 1 - keep)
    for kept, current in zip(teacher.buffers(), student.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(current, 1 - keep)
        else:
            kept.copy_(current)


@dataclass(frozen=True)
class PseudoLabels:
    """labels: int64 B×H×W, 255 outside the field of view. weights: B×H×W ≥ 0, for :func:`weighted_cross_entropy`."""

    labels: Tensor
    weights: Tensor


def pseudo_labels(probabilities: Tensor, valid: Tensor, threshold: float) -> PseudoLabels:
    """The teacher's decisions; each class of a frame is weighted by how many of its pixels the teacher is sure of.

    A pixel of class c weighs q_c of its frame (the share of the frame's pixels of that class with confidence above τ; 0
    where it has none), and all pixels of a class together as much as the other's.

    Args:
        probabilities: B×C×H×W. valid: bool B×1×H×W. threshold: τ, on the larger class's probability.
    """
    confidence, labels = probabilities.max(dim=1)
    inside = valid[:, 0]
    weights = torch.zeros_like(confidence)
    classes = probabilities.shape[1]
    for kind in range(classes):
        mine = (labels == kind) & inside
        share = (mine & (confidence > threshold)).sum(dim=(1, 2)) / mine.sum(dim=(1, 2)).clamp_min(1)
        balance = inside.sum() / (classes * mine.sum().clamp_min(1))
        weights += mine * (share * balance).to(weights.dtype)[:, None, None]
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

    Geometry stays, so labels do. Random numbers come from torch's global CPU generator, which is seeded before each
    step: the view is a function of the run's seed and the step, whatever the device.
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
