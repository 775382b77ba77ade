"""What methods with a discriminator share: its player, the ramp of its weight, and what either side wants of a logit.

ADDA's discriminator has two domain logits per cell: with σ the softmax of the target's, a target cell's gradient with
respect to their difference is 1 − σ (minimax: vanishes when the discriminator wins), σ − ½ (confusion), σ (GAN: strong
when the discriminator wins).
"""

from __future__ import annotations

from enum import StrEnum

import torch
import torch.distributed as dist
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from polypda.methods.contract import Domain, LossTerm, Player
from polypda.methods.segmentation import SupervisedOptions, unique_parameters


class Objective(StrEnum):
    """How a domain logit is scored."""

    VANILLA = "vanilla"  # binary cross-entropy, Goodfellow et al. 2014
    LEAST_SQUARES = "ls"  # squared error on the raw output, Mao et al. 2017


def domain_loss(logits: Tensor, domain: Domain, objective: Objective = Objective.VANILLA) -> Tensor:
    """Loss of saying that ``logits`` (any shape) come from ``domain``; a scalar.

    A discriminator minimises it with the true domain, the segmenter (for target predictions) with the other one:
    AdaptSegNet eq. (5) and (4).
    """
    wanted = torch.full_like(logits, float(domain))
    if objective is Objective.VANILLA:
        return F.binary_cross_entropy_with_logits(logits, wanted)
    return F.mse_loss(logits, wanted)


def confusion_loss(logits: Tensor) -> Tensor:
    """Domain confusion, the mean of the loss with the true and with the swapped label: ½[L(source) + L(target)].

    FCNs in the Wild's ½(L_D + L_Dinv), and ADDA's confusion objective. Both domains' logits enter alike; the gradient
    with respect to a logit is (σ − ½)/n. Least at σ = ½, where the discriminator cannot tell.
    """
    return 0.5 * (domain_loss(logits, Domain.SOURCE) + domain_loss(logits, Domain.TARGET))


def fraction_put_right(logits: Tensor, truth: Domain, objective: Objective = Objective.VANILLA) -> Tensor:
    """Fraction of the logits that lie on the true domain's side: of 0 (vanilla), of ½ (least squares)."""
    middle = 0.0 if objective is Objective.VANILLA else 0.5
    return ((logits.detach() > middle) == bool(truth)).float().mean()


DISCRIMINATOR = "discriminator"
BETAS = (0.9, 0.99)
"""Adam's decay rates of the published discriminators (AdaptSegNet's released code)."""


class AdversaryOptions(SupervisedOptions):
    """Options of a segmenter that plays against a discriminator."""

    ramp: int = Field(0, ge=0, description="steps over which λ_adv grows linearly from 0")
    discriminator_learning_rate: float = Field(1e-4, gt=0, description="Adam's learning rate")

    def ramped(self, weight: float, step: int) -> float:
        """An adversarial weight at a step, after the ramp."""
        return weight * min(1.0, step / self.ramp) if self.ramp else weight


def discriminator_player(name: str, discriminator: nn.Module, options: AdversaryOptions, steps: int) -> Player:
    """A discriminator that learns by Adam on the segmenter's schedule. steps: number of training steps planned."""
    adam = torch.optim.Adam(
        unique_parameters(discriminator.parameters()), lr=options.discriminator_learning_rate, betas=BETAS
    )
    return Player(name, adam, options.schedule(steps))


def discriminator_term(
    logits: Tensor, truth: Domain, objective: Objective = Objective.VANILLA, *, name: str = "d", weight: float = 1.0
) -> LossTerm:
    """What a discriminator minimises on one domain's logits (any shape), with the fraction that it puts right."""
    loss = domain_loss(logits, truth, objective)
    return LossTerm(f"{name}_{truth.name.lower()}", loss, weight, fraction_put_right(logits, truth, objective))


class MappingObjective(StrEnum):
    """L_M: what the mapping is trained for."""

    MINIMAX = "minimax"  # −L_D, gradient reversal
    CONFUSION = "confusion"  # both domains equally likely
    GAN = "gan"  # the labels inverted


def cells_in_view(valid: Tensor, grid: Tensor) -> Tensor:
    """Cells of ``grid`` (B×C×h×w) that lie at least half inside the field of view: bool B×h×w.

    Black corners name the processor, so no loss counts them. Args: valid: bool B×1×H×W.
    """
    height, width = grid.shape[-2:]
    return F.adaptive_avg_pool2d(valid.float(), (height, width))[:, 0] >= 0.5


def domain_cross_entropy(logits: Tensor, domain: Domain, cells: Tensor) -> Tensor:
    """Mean −log softmax(logits)[domain] of B×2×h×w logits over the cells (bool B×h×w); 0 without cells."""
    per_cell = -_log_softmax(logits)[:, int(domain)]
    return (per_cell * cells).sum() / cells.sum().clamp_min(1)


def mapping_loss(logits: Tensor, domain: Domain, objective: MappingObjective, cells: Tensor) -> Tensor:
    """L_M of one domain's cells, whose true domain is given."""
    if objective is MappingObjective.MINIMAX:
        return -domain_cross_entropy(logits, domain, cells)
    other = domain_cross_entropy(logits, Domain(1 - domain), cells)
    if objective is MappingObjective.GAN:
        return other
    return 0.5 * (other + domain_cross_entropy(logits, domain, cells))


def anchor_divergence(source_logits: Tensor, logits: Tensor, valid: Tensor) -> Tensor:
    """Mean KL(softmax(source_logits) ‖ softmax(logits)) of B×2×h×w logits over the cells in view, in nat."""
    log_p, log_q = _log_softmax(source_logits), _log_softmax(logits)
    cells = cells_in_view(valid, logits)
    divergence = (log_p.exp() * (log_p - log_q)).sum(dim=1)
    return (divergence * cells).sum() / cells.sum().clamp_min(1)


@torch.no_grad()
def balanced_accuracy(source: Tensor, target: Tensor, source_cells: Tensor, target_cells: Tensor) -> Tensor:
    """The discriminator's accuracy in this step, each domain counting half, over all processes; a scalar in 0–1.

    All processes get the same number: were some to move on it and others not, they would wait for each other for ever.
    """
    right_on_source = (source[:, 1] <= source[:, 0]) & source_cells
    right_on_target = (target[:, 1] > target[:, 0]) & target_cells
    pairs = ((right_on_source, source_cells), (right_on_target, target_cells))
    accuracy = torch.stack([right.sum() / cells.sum().clamp_min(1) for right, cells in pairs]).mean()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(accuracy)
        accuracy = accuracy / dist.get_world_size()
    return accuracy


def _log_softmax(logits: Tensor) -> Tensor:
    # Mixed precision would compute it in bfloat16 on a CPU, which has two to three digits.
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=1)
