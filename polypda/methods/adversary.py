"""What methods with a discriminator share: its player, and the ramp of its weight."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from polypda.methods.contract import Domain, LossTerm, Player
from polypda.methods.objectives import Objective, domain_loss, share_put_right
from polypda.methods.segmentation import SupervisedOptions, unique_parameters

BETAS = (0.9, 0.99)
"""Adam's decay rates of the published discriminators (AdaptSegNet's released code)."""


class AdversaryOptions(SupervisedOptions):
    """Options of a segmenter that plays against a discriminator."""

    ramp: int = Field(0, ge=0, description="steps over which λ_adv grows linearly from 0")
    discriminator_rate: float = Field(1e-4, gt=0, description="Adam's learning rate")

    def ramped(self, weight: float, step: int) -> float:
        """An adversarial weight at a step, after the ramp."""
        return weight * min(1.0, step / self.ramp) if self.ramp else weight


def discriminator_player(name: str, discriminator: nn.Module, options: AdversaryOptions, steps: int) -> Player:
    """A discriminator that learns by Adam on the segmenter's schedule. steps: number of training steps planned."""
    adam = torch.optim.Adam(unique_parameters(discriminator.parameters()), lr=options.discriminator_rate, betas=BETAS)
    return Player(name, adam, options.schedule(steps))


def discriminator_term(
    logits: Tensor, truth: Domain, objective: Objective = Objective.VANILLA, *, name: str = "d", weight: float = 1.0
) -> LossTerm:
    """What a discriminator minimises on one domain's logits (any shape), with the share that it puts right."""
    loss = domain_loss(logits, truth, objective)
    return LossTerm(f"{name}_{truth.name.lower()}", loss, weight, share_put_right(logits, truth, objective))
