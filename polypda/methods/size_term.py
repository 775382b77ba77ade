"""The size constraint of FCNs in the Wild as a term: predicted polyps must be as large as the source's are.

Hoffman, Wang, Yu, Darrell, 2016; maths in :mod:`polypda.methods.size_constraint`, priors and options in
:mod:`polypda.methods.size_priors`. Frames on which no polyp is predicted are left alone by default.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from polypda.methods.contract import LossTerm, Preparation
from polypda.methods.size_priors import FrameGroups, SizeOptions, SizePriors, learn_sizes, size_loss
from polypda.methods.target_terms import TargetTerm, TargetView
from polypda.networks.segmenter import Segmenter

PRIORS = "size_priors"


class SizeConstraintTerm(TargetTerm):
    """KL to the nearest target prediction whose polyp has a size that the source knows."""

    name = "size-constraint"
    title = "Size constraint"
    paper = "Hoffman et al., arXiv 1612.02649 (category-specific alignment)"
    Options = SizeOptions
    options: SizeOptions

    def __init__(self, options: SizeOptions, segmenter: Segmenter) -> None:
        super().__init__(options, segmenter)
        self.priors = SizePriors(FrameGroups(options.frame_groups))

    def modules(self) -> dict[str, nn.Module]:
        return {PRIORS: self.priors}

    def prepare(self, data: Preparation) -> None:
        """Learn the sizes of the source's polyps. Raises: DataError E_PRIOR_EMPTY, E_PRIOR_GROUP, E_TARGET_FRAMES."""
        learn_sizes(self.priors, data, self.options)

    def reads_prediction(self, step: int) -> bool:
        return self.options.lambda_size > 0 and step >= (self.options.size_start or 0)

    def on_prediction(self, view: TargetView, logits: Mapping[str, Tensor]) -> list[LossTerm]:
        value = size_loss(logits["main"], view.target, self.priors, self.options)
        return [LossTerm("size", value, self.options.lambda_size)]
