"""ADDA: adversarial adaptation along three axes, with the published systems as placements on them.

Tzeng, Hoffman, Saenko, Darrell, "Adversarial Discriminative Domain Adaptation", CVPR 2017. The paper's game, with M_s
and M_t the mappings of source and target to features, C the classifier behind them, D the discriminator:

    min_D  L_D = ½ {E_s[ce(D(M_s(x_s)), source)] + E_t[ce(D(M_t(x_t)), target)]}      (6, 9; with the released mean)
    min_Mt L_M   under ψ(M_s, M_t)                                                    (7: minimax, 8: confusion, 9: GAN)

    placement          base            weights (ψ)  L_M
    adda               discriminative  untied       GAN        M_s and C fixed, M_t begins as M_s, no task loss
    grl                discriminative  tied         minimax    one network, task loss on the source beside it
    domain-confusion   discriminative  tied         confusion  as grl
    cogan              generative      partly tied  GAN        refused: see E_ADDA_GENERATIVE

``partly`` ties C and unties the encoders: the source's network goes on learning its task, the target's encoder follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.adversary import (
    DISCRIMINATOR,
    MappingObjective,
    anchor_divergence,
    balanced_accuracy,
    cells_in_view,
    domain_cross_entropy,
    mapping_loss,
)
from polypda.methods.contract import SEGMENTER, Domain, Losses, LossTerm, Method, Player, Schedule
from polypda.methods.segmentation import (
    SupervisedOptions,
    image_size_logits,
    segmenter_optimizer,
    supervised_terms,
    unique_parameters,
)
from polypda.methods.source_features import load_source_features
from polypda.networks.discriminators import WIDTH, TwoLogitDiscriminator
from polypda.networks.segmenter import Prediction, Segmenter
from polypda.networks.taps import (
    FeatureTap,
    FrozenCopy,
    behind_encoder,
    copy_batch_norm_modes,
    copy_with_own_encoder,
    read_tap,
    tap_width,
)

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
    target_learning_rate: float = Field(
        1e-5, gt=0, description="M_t's rate unless tied (released 2e-4; large nets collapse)"
    )
    discriminator_learning_rate: float = Field(2e-4, gt=0)
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
    def mapping_weight(self) -> tuple[bool, float]:
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
            what = (
                "a generative base (CoGAN) couples two image generators with the task; for segmentation no such game "
                "is published, and a discriminative one under this name would mislead."
            )
            fix = "use lsd, whose features are aligned through a generator, or a discriminative placement."
            raise UsageError("E_ADDA_GENERATIVE", what, fix=fix)
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
    "target_learning_rate": 2e-4,
    "gate": 0.0,
    "half_gradient": True,
}
"""Options of the released second stage (digits, 10,000 steps of 128 + 128 images)."""


SOURCE = "source"
BETAS = (0.5, 0.999)  # released


class Adda(Method):
    """The given segmenter becomes the target's network; a copy of it stands for the source unless weights are tied."""

    name = "adda"
    title = "ADDA"
    paper = "Tzeng et al., CVPR 2017"
    Options = AddaOptions
    source_free = True
    reads_source_features = True
    options: AddaOptions

    def __init__(self, segmenter: Segmenter, options: AddaOptions, *, steps: int) -> None:
        """Raises: UsageError E_FEATURE_TAP; DataError E_SOURCE_FEATURES and E_WEIGHTS_MISSING of a features file."""
        super().__init__(segmenter, options, steps=steps)
        self.weights, self.objective = options.axes.weights, options.axes.objective
        path = options.source_features
        self.bank = load_source_features(path, segmenter, options.tap) if path else None
        self.discriminator = TwoLogitDiscriminator(tap_width(segmenter, options.tap), options.discriminator_width)
        self.source: nn.Module = segmenter
        self.held_still: list[nn.Module] = []
        adam, constant = partial(torch.optim.Adam, betas=BETAS), Schedule(horizon=1, power=0.0)
        schedule = options.schedule(steps)
        d_adam = adam(self.discriminator.parameters(), lr=options.discriminator_learning_rate)
        self._players = [Player(DISCRIMINATOR, d_adam, constant)]
        if self.weights is Weights.TIED:
            self._players.append(Player(SEGMENTER, segmenter_optimizer(segmenter, options), schedule))
            return
        parts: tuple[nn.Module, ...] = segmenter.encoder_modules()
        if self.weights is Weights.PARTLY:
            self.source = copy_with_own_encoder(segmenter)
            self._players.append(Player(SOURCE, segmenter_optimizer(self.source, options), schedule))
        else:
            self.source = FrozenCopy(segmenter)
            if options.trained is Trained.ENCODER:
                self.held_still = behind_encoder(segmenter)
            else:
                parts = (segmenter,)
        moving = unique_parameters(parameter for part in parts for parameter in part.parameters())
        self._players.append(Player(SEGMENTER, adam(moving, lr=options.target_learning_rate), constant))

    @property
    def plays_on_source(self) -> bool:
        """False where features stand for the source: then :meth:`play` never looks at its source batch."""
        return self.bank is None

    def modules(self) -> dict[str, nn.Module]:
        source = {} if self.weights is Weights.TIED else {SOURCE: self.source}
        return super().modules() | source | {DISCRIMINATOR: self.discriminator}

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        assert target is not None  # plays_on_target
        self._keep_modes()
        source_prediction: Prediction | None = None if self.bank is not None else self.source(source.images)
        target_prediction = self.segmenter(target.images)
        map_t = read_tap(target_prediction, self.options.tap)
        cells_t = cells_in_view(target.valid, map_t)
        if source_prediction is None:
            assert self.bank is not None  # it stands for the source then
            map_s, cells_s = self.bank.draw(len(map_t), map_t)
        else:
            map_s = read_tap(source_prediction, self.options.tap)
            cells_s = cells_in_view(source.valid, map_s)
        z_s, z_t = self.discriminator(map_s), self.discriminator(map_t)
        accuracy = balanced_accuracy(z_s, z_t, cells_s, cells_t)
        losses = {
            DISCRIMINATOR: [
                LossTerm("d_source", domain_cross_entropy(z_s, Domain.SOURCE, cells_s), 0.5, accuracy),
                LossTerm("d_target", domain_cross_entropy(z_t, Domain.TARGET, cells_t), 0.5),
            ]
        }
        learner = SOURCE if self.weights is Weights.PARTLY else SEGMENTER
        if self.weights is not Weights.UNTIED and source_prediction is not None:
            logits = image_size_logits(source_prediction, source)
            losses[learner] = supervised_terms(logits, source, self.options)
        if step >= self.options.discriminator_warmup and (not self.options.gate or accuracy > self.options.gate):
            both, weight = self.options.mapping_weight
            if both:
                value = mapping_loss(z_s, Domain.SOURCE, self.objective, cells_s)
                losses.setdefault(learner, []).append(LossTerm("adv_source", value, weight))
            value = mapping_loss(z_t, Domain.TARGET, self.objective, cells_t)
            losses.setdefault(SEGMENTER, []).append(LossTerm("adv_target", value, weight))
            losses[SEGMENTER] += self.anchor(target_prediction.logits["main"], target)
        yield losses

    def anchor(self, logits: Tensor, target: UnlabelledBatch) -> list[LossTerm]:
        """Keeps the target network's answers near the source model's on the same frames, where that is asked for."""
        if not self.options.lambda_consistency:
            return []
        value = anchor_divergence(self.source(target.images).logits["main"], logits, target.valid)
        return [LossTerm("anchor", value, self.options.lambda_consistency)]

    def _keep_modes(self) -> None:
        """Undo what a ``.train()`` around the method did to parts that must not move."""
        for layer in self.held_still:
            layer.eval()
        if self.weights is Weights.PARTLY:
            copy_batch_norm_modes(self.source, self.segmenter)
