"""MinEnt and AdvEnt: confident predictions on the target, asked for directly or by an adversary.

Vu, Jain, Bucher, Cord, Pérez, "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
Segmentation", CVPR 2019. Sections are the paper's.

    I(c) = −P(c) log P(c) / log C             weighted self-information of a pixel (3.2)
    L_ent = mean over pixels of Σ_c I(c)      MinEnt (3.1)
    D sees I instead of P                     AdvEnt (3.2): AdaptSegNet's game on another representation

The weights are the released code's: λ 1e-3 for the main and 2e-4 for the auxiliary level, for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from polypda.methods.adaptsegnet import AdaptSegNet
from polypda.methods.contract import LossTerm, MethodOptions
from polypda.methods.target_terms import TargetTerm, TargetView, mean_inside
from polypda.networks.segmenter import Prediction

TINY = 1e-30
"""Keeps the logarithm of a zero finite, as in the released code."""


def self_information(probabilities: Tensor) -> Tensor:
    """I: B×C×H×W probabilities become B×C×H×W values in [0, 1); their sum over C is an entropy in [0, 1]."""
    return -probabilities * torch.log2(probabilities + TINY) / math.log2(probabilities.shape[1])


def entropy_loss(logits: Tensor, valid: Tensor) -> Tensor:
    """L_ent: mean normalised entropy in [0, 1] over the field of view.

    Args:
        logits: B×C×H×W.
        valid: bool B×1×H×W.
    """
    return mean_inside(self_information(logits.softmax(dim=1)).sum(dim=1), valid)


class MinEntOptions(MethodOptions):
    entropy_weight: float = Field(1e-3, ge=0, description="weight of the main level's entropy on the target")
    entropy_weight_aux: float = Field(2e-4, ge=0, description="weight of the auxiliary level's entropy")


class MinEntTerm(TargetTerm):
    """The segmenter minimises the entropy of its own target predictions."""

    name = "minent"
    title = "MinEnt (entropy minimisation)"
    paper = "Vu et al., CVPR 2019"
    Options = MinEntOptions
    options: MinEntOptions

    def reads_prediction(self, step: int) -> bool:
        return True

    def on_prediction(self, view: TargetView, logits: Mapping[str, Tensor]) -> list[LossTerm]:
        weights = {"main": self.options.entropy_weight, "aux": self.options.entropy_weight_aux}
        return [
            LossTerm(f"entropy_{level}", entropy_loss(z, view.target.valid), weights[level])
            for level, z in logits.items()
        ]


class AdvEnt(AdaptSegNet):
    """AdaptSegNet's game with weighted self-information maps in place of softmax maps."""

    name = "advent"
    title = "AdvEnt (adversarial entropy)"
    paper = "Vu et al., CVPR 2019"

    def representation(self, prediction: Prediction, logits: dict[str, Tensor], level: str) -> Tensor:
        return self_information(logits[level].softmax(dim=1))
