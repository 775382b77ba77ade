"""Self-training in rounds, on the target's own frames and in its colours.

A round: a model labels every unlabelled training frame of the target once, asked at several scales and mirrored (so it
knows what one scale does not); pixels of which it is not sure are left out. A student begins again from the start and
learns the source's labels and these, both under strong changes. The next round's labels come from that student.

    L = L_seg(source) + w · L_seg(target, ŷ),   ŷ = 0 where p ≤ background_to, 1 in the regions of p > polyp_from whose
    peak exceeds peak_from, else ignored

The peak parts polyps from what resembles them: on phantoms (two pairs of tuning) regions with a peak above 0.9 were 85
to 89 % of those on a polyp and 26 to 30 % of those beside one. Where two models label, p is the lower of their
probabilities for a polyp and the higher for background.

Lee, "Pseudo-Label", ICML workshop 2013; rounds and an ignore band after Zou et al., "CBST", ECCV 2018; labels of the
unchanged frame for a strongly changed student as in Sohn et al., "FixMatch", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator
from torch import Tensor

from polypda.data.batches import PseudoLabelledBatch
from polypda.data.frame_changes import TargetColours
from polypda.methods.contract import FirstLabeller, LossTerm, MethodOptions, PseudoLabelRule
from polypda.methods.segmentation import SegmentationLoss, segmentation_loss
from polypda.methods.target_terms import TargetTerm, TargetView


class SelfTrainingOptions(MethodOptions):
    rounds: int = Field(1, ge=1, description="how often the target is labelled; the rounds share the method's steps")
    first_labels: FirstLabeller = Field(
        FirstLabeller.CONTROL,
        description="who labels for the first round: start, control, or control and adabn where they agree (agreement)",
    )
    polyp_from: float = Field(0.6, gt=0, lt=1, description="a region of pixels above this may be a polyp")
    peak_from: float = Field(0.9, ge=0, lt=1, description="and is taken as one where a pixel of it exceeds this")
    background_to: float = Field(0.35, gt=0, lt=1, description="and as background up to this one; between: ignored")
    negative_to: float = Field(
        0.2, ge=0, lt=1, description="a frame without a polyp pixel teaches only where no pixel exceeds this"
    )
    self_training_weight: float = Field(1.0, ge=0, description="weight of the loss on the target's pseudo-labels")
    self_training_loss: SegmentationLoss = SegmentationLoss.CE_FRAME_DICE

    @model_validator(mode="after")
    def _a_band_lies_between(self) -> SelfTrainingOptions:
        if self.background_to > self.polyp_from:
            raise ValueError("background_to must not lie above polyp_from")
        return self

    @property
    def pseudo_labels(self) -> PseudoLabelRule:
        return PseudoLabelRule(
            self.rounds, self.polyp_from, self.background_to, self.negative_to, self.peak_from, self.first_labels
        )


class SelfTrainingTerm(TargetTerm):
    """The student learns what a model before it said of the target, asked at several scales."""

    name = "self-training"
    title = "Self-training in rounds"
    paper = "after Lee 2013; Zou et al., ECCV 2018; Sohn et al., NeurIPS 2020"
    Options = SelfTrainingOptions
    options: SelfTrainingOptions

    def reads_prediction(self, step: int) -> bool:
        return True

    def on_prediction(self, view: TargetView, logits: Mapping[str, Tensor]) -> list[LossTerm]:
        if not isinstance(view.target, PseudoLabelledBatch):
            raise LookupError("self-training was given target frames without pseudo-labels")
        value = segmentation_loss(logits["main"], view.target.pseudo, self.options.self_training_loss)
        return [LossTerm("self_training", value, self.options.self_training_weight)]


class TargetColoursOptions(MethodOptions):
    colour_probability: float = Field(0.7, ge=0, le=1, description="share of source frames in the target's colours")
    colour_band: float = Field(0.06, gt=0, lt=0.5, description="widest exchanged band of low frequencies, of the side")
    colour_mix: float = Field(0.5, ge=0, le=1, description="least share of the exchanged colour statistics")

    @property
    def target_colours(self) -> TargetColours:
        return TargetColours(self.colour_probability, (0.01, max(0.01, self.colour_band)), self.colour_mix)


class TargetColoursTerm(TargetTerm):
    """Source frames take the colours of random target frames before they are changed further."""

    name = "target-colours"
    title = "Target-coloured source"
    paper = "after Yang and Soatto, CVPR 2020; Reinhard et al. 2001"
    Options = TargetColoursOptions
    options: TargetColoursOptions
