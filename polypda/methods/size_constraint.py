"""Category-specific size constraints: what a class's part of an image may be, and the nearest prediction that obeys.

Hoffman, Wang, Yu, Darrell, "FCNs in the Wild", 2016 (L_mi), with the constrained optimisation of Pathak,
Krähenbühl, Darrell, "Constrained Convolutional Neural Networks", ICCV 2015. For an image's class probabilities q,

    p = argmin_p KL(p‖q)   subject to   lower_c ≤ mean p(c) ≤ upper_c    for every present, constrained class c

is p ∝ q·exp(l) with one multiplier l_c per class; a class that is declared absent has p(c) = 0. A slack is the largest
multiplier that a violated bound may ask for. The loss is mean KL(p‖q) with p fixed: its gradient with respect to the
logits is (q − p)/N, N pixels. For two classes of which one is constrained l is a scalar shift of the logit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import Tensor

NEAREST_BOUND = 1e-6
"""Bounds are kept this far from 0 and 1, which no finite logit reaches."""
SHIFT_TOLERANCE = 1e-13
MOST_HALVINGS = 200


@dataclass(frozen=True)
class SizeBounds:
    """Bounds on the mean probability of each of C classes in one image, and how hard they are.

    lower, upper: C fractions in [0, 1]; 0 and 1 do not constrain. lower_slack, upper_slack: largest logit shift that
    the bound may ask for; infinity makes it hard. present: C, False removes the class from the image.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    lower_slack: tuple[float, ...]
    upper_slack: tuple[float, ...]
    present: tuple[bool, ...]


def size_shift(
    logits: Tensor, lower: float, upper: float, *, lower_slack: float = math.inf, upper_slack: float = math.inf
) -> float:
    """The scalar s for which σ(logits + s) has a mean within [lower, upper], nearest to 0, clipped to the slack.

    Args:
        logits: N foreground-minus-background logits of one image's counted pixels, N ≥ 1.
        lower, upper: fractions in [0, 1], lower ≤ upper.
    Returns: 0 where the mean lies within the bounds already; in [−upper_slack, lower_slack].
    """
    z = logits.detach().double()
    mean = float(z.sigmoid().mean())
    if lower <= mean <= upper:
        return 0.0
    bound = min(max(lower if mean < lower else upper, NEAREST_BOUND), 1 - NEAREST_BOUND)
    if lower <= mean <= upper or mean == bound:
        return 0.0
    wanted = math.log(bound / (1 - bound))
    # Shifting so that the lowest (highest) logit alone reaches the bound brackets the answer.
    low, high = wanted - float(z.max()), wanted - float(z.min())
    for _ in range(MOST_HALVINGS):
        middle = (low + high) / 2
        if high - low <= SHIFT_TOLERANCE * max(1.0, abs(middle)):
            break
        low, high = (middle, high) if float((z + middle).sigmoid().mean()) < bound else (low, middle)
    return min(max((low + high) / 2, -upper_slack), lower_slack)


def project(logits: Tensor, bounds: SizeBounds) -> Tensor:
    """The general case: the constrained distribution p of one image, by its concave dual.

    The dual, one multiplier in [0, slack] per bound, is smooth and box-constrained: L-BFGS-B solves it in float64 on
    the CPU. Where unslacked bounds contradict each other the dual has no maximum; the multipliers then stop at what
    the tolerance reaches.

    Args: logits: N×C of one image's counted pixels.
    Returns: N×C probabilities on the logits' device, in their type; p(c) = 0 for a class that is not present.
    """
    present = np.asarray(bounds.present)
    f = np.where(present, logits.detach().double().cpu().numpy(), -np.inf)
    lower, upper = (np.asarray(bound, float) for bound in (bounds.lower, bounds.upper))
    classes = len(lower)
    constrained = np.tile(present & (present.sum() > 1), 2) & np.concatenate([lower > 0, upper < 1])
    slacks = np.asarray([*bounds.lower_slack, *bounds.upper_slack], float)
    limits = [(0.0, slack) for slack in np.where(constrained, slacks, 0.0)]

    def negative_dual(multipliers: np.ndarray) -> tuple[float, np.ndarray]:
        raised = f + multipliers[:classes] - multipliers[classes:]
        total = logsumexp(raised, axis=1)
        mean = np.exp(raised - total[:, None]).mean(axis=0)
        value = total.mean() - multipliers[:classes] @ lower + multipliers[classes:] @ upper
        return float(value), np.concatenate([mean - lower, upper - mean])

    found = minimize(
        negative_dual,
        np.zeros(2 * classes),
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 3000},
    )
    raised = torch.from_numpy(f + found.x[:classes] - found.x[classes:])
    return raised.softmax(dim=1).to(logits)


def projection_loss(logits: Tensor, projected: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean KL(p‖q) over N pixels, q the softmax of the logits; gradient with respect to the logits (q − p)/N.

    Args:
        logits, projected: N×C; no gradient flows into ``projected``.
        class_weights: C factors on the gradient of each class's logits (the value is not touched), as the paper
            weights large classes down.
    """
    if class_weights is not None:
        logits = logits * class_weights + (logits * (1 - class_weights)).detach()
    p = projected.detach()
    return (torch.special.xlogy(p, p) - torch.where(p > 0, p * F.log_softmax(logits, dim=1), 0.0)).sum() / len(logits)
