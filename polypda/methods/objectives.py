"""What discriminators and segmenters want of a domain logit: pure functions.

All are means over the logit map, with the domain labels of :class:`~polypda.methods.contract.Domain`.
"""

from __future__ import annotations

from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor

from polypda.methods.contract import Domain


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


def share_put_right(logits: Tensor, truth: Domain, objective: Objective = Objective.VANILLA) -> Tensor:
    """Share of the logits, 0–1, that lie on the true domain's side: of 0 (vanilla), of ½ (least squares)."""
    middle = 0.0 if objective is Objective.VANILLA else 0.5
    return ((logits.detach() > middle) == bool(truth)).float().mean()
