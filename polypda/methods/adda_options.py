"""ADDA's axes, the published systems as places among them, and the options.

Tzeng, Hoffman, Saenko, Darrell, "Adversarial Discriminative Domain Adaptation", CVPR 2017, table 1.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from polypda.errors import UsageError
from polypda.methods.segmentation import SupervisedOptions
from polypda.methods.two_logit import MappingObjective
from polypda.networks.adda_discriminators import WIDTH
from polypda.networks.encoder_taps import FeatureTap

LAMBDA_BESIDE_TASK = 0.1  # the same laboratory's λ_g in CyCADA's segmentation


class Base(StrEnum):
    DISCRIMINATIVE = "discriminative"
    GENERATIVE = "generative"


class Weights(StrEnum):
    """ψ: what source and target share."""

    TIED = "tied"
    PARTLY = "partly"
    UNTIED = "untied"


class Axes(NamedTuple):
    base: Base
    weights: Weights
    objective: MappingObjective


class Placement(StrEnum):
    ADDA = "adda"
    GRL = "grl"
    DOMAIN_CONFUSION = "domain-confusion"
    COGAN = "cogan"


PLACEMENTS = {
    Placement.ADDA: Axes(Base.DISCRIMINATIVE, Weights.UNTIED, MappingObjective.GAN),
    Placement.GRL: Axes(Base.DISCRIMINATIVE, Weights.TIED, MappingObjective.MINIMAX),
    Placement.DOMAIN_CONFUSION: Axes(Base.DISCRIMINATIVE, Weights.TIED, MappingObjective.CONFUSION),
    Placement.COGAN: Axes(Base.GENERATIVE, Weights.PARTLY, MappingObjective.GAN),
}


class Trained(StrEnum):
    """What of an untied M_t learns."""

    ENCODER = "encoder"  # the paper: C stays the source's, bit for bit
    WHOLE = "whole"  # as released


class AddaOptions(SupervisedOptions):
    """A placement, or axes of one's own; the shared supervised options matter where there is a task loss."""

    placement: Placement = Placement.ADDA
    base: Base | None = Field(None, description="instead of the placement's")
    weights: Weights | None = Field(None, description="instead of the placement's: tied, partly or untied")
    objective: MappingObjective | None = Field(None, description="instead of the placement's")
    tap: FeatureTap = Field(FeatureTap.BOTTLENECK, description="where D looks (released: logits)")
    trained: Trained = Field(Trained.ENCODER, description="what of an untied target network learns")
    lambda_adv: float | None = Field(None, ge=0, description="weight of L_M; None: 1 alone, 0.1 beside a task loss")
    target_rate: float = Field(1e-5, gt=0, description="M_t's rate unless tied (released 2e-4; large nets collapse)")
    discriminator_rate: float = Field(2e-4, gt=0)
    discriminator_width: int = Field(WIDTH, ge=1)
    discriminator_warmup: int = Field(0, ge=0, description="first steps in which only D learns")
    gate: float = Field(0.6, ge=0, lt=1, description="the mapping rests while D's accuracy is not above this; 0: never")
    half_gradient: bool = Field(False, description="released: L_M's mean counts the fixed source, so M_t feels half")
    lambda_consistency: float = Field(0.0, ge=0, description="anchor: KL from the source model's answer on the target")
    source_features: Path | None = Field(None, description="features instead of source frames (untied only)")

    @property
    def axes(self) -> Axes:
        base, weights, objective = PLACEMENTS[self.placement]
        return Axes(self.base or base, self.weights or weights, self.objective or objective)

    @property
    def mapping_share(self) -> tuple[bool, float]:
        """Whether the mapping loss counts both domains, and the weight of each one counted."""
        _, weights, objective = self.axes
        alone = weights is Weights.UNTIED
        both = self.half_gradient or not (alone or objective is MappingObjective.GAN)
        usual = 1.0 if alone else LAMBDA_BESIDE_TASK
        weight = usual if self.lambda_adv is None else self.lambda_adv
        return both, weight * (0.5 if both else 1.0)

    @model_validator(mode="after")
    def _make_sense_together(self) -> Self:
        base, weights, objective = self.axes
        if base is Base.GENERATIVE:
            raise UsageError(
                "E_ADDA_GENERATIVE",
                "a generative base (CoGAN) couples two image generators with the task; for segmentation no such game "
                "is published, and a discriminative one under this name would mislead.",
                fix="use lsd, whose features are aligned through a generator, or a discriminative placement.",
            )
        needs_untied = {
            "half_gradient": self.half_gradient,
            "lambda_consistency": self.lambda_consistency > 0,
            "source_features": self.source_features is not None,
        }
        for option, given in needs_untied.items():
            if given and weights is not Weights.UNTIED:
                what = f"{option} needs the fixed source network of weights=untied; here they are {weights}."
                raise UsageError("E_ADDA_OPTION", what, fix=f"use placement=adda, or leave {option} out.")
        if self.half_gradient and objective is not MappingObjective.GAN:
            what = f"half_gradient is a quirk of the released GAN objective, not of {objective}."
            raise UsageError("E_ADDA_OPTION", what, fix="leave half_gradient out, or use objective=gan.")
        return self


PUBLISHED: dict[str, object] = {
    "tap": "logits",
    "trained": "whole",
    "target_rate": 2e-4,
    "gate": 0.0,
    "half_gradient": True,
}
"""Options of the released second stage (digits, 10,000 steps of 128 + 128 images)."""
