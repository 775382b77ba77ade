"""Polyp mixing: a source polyp, with a margin of the mucosa around it, pasted into a target frame.

After ClassMix (Olsson, Tranheden, Pinto, Svensson, WACV 2021) and DACS (Tranheden et al., WACV 2021), which paste the
pixels of half of the classes that a source frame shows. With two classes that is the polyp or the background with
equal chance, and all of a frame that shows one class only. Here it is always polyp, one connected component at a time,
with a margin, so that the polyp's rim is learnt and not the paste's.

    L_mix = mean w · CE(student(view(x_mix)), y_mix),   y_mix, w = source label, 1 inside the paste;
                                                        teacher's label, q of its class outside
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from scipy import ndimage
from torch import Tensor

from polypda.data.batches import IGNORED, LabelledBatch
from polypda.methods.contract import LossTerm
from polypda.methods.mean_teacher import TeacherOptions, pseudo_labels, student_view, weighted_cross_entropy
from polypda.methods.segmentation import to_image_size
from polypda.methods.target_terms import TargetTerm, TargetView
from polypda.networks.segmenter import POLYP


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
