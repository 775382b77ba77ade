"""The moving average of a segmenter's weights: a teacher while it trains, or the model that is used afterwards.

Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017; as the final model: Polyak and Juditsky,
"Acceleration of stochastic approximation by averaging", SIAM J. Control Optim. 1992.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import nn

from polypda.methods.contract import Method, MethodOptions, Preparation
from polypda.networks.segmenter import Segmenter

AVERAGE = "average"


def make_teacher(segmenter: Segmenter) -> Segmenter:
    """A copy that no gradient reaches."""
    return copy.deepcopy(segmenter).requires_grad_(False)


def ema_decay(steps_done: int, alpha: float) -> float:
    """α_t = min(1 − 1/(t+1), α): the plain mean of all weights so far, until that would remember too long."""
    return min(1 - 1 / (steps_done + 1), alpha)


@torch.no_grad()
def ema_update(teacher: Segmenter, student: Segmenter, decay: float) -> None:
    """teacher ← decay · teacher + (1 − decay) · student: parameters and batch-norm statistics; counters are taken."""
    for mine, its in zip(teacher.parameters(), student.parameters(), strict=True):
        mine.lerp_(its, 1 - decay)
    for averaged, current in zip(teacher.buffers(), student.buffers(), strict=True):
        if averaged.is_floating_point():
            averaged.lerp_(current, 1 - decay)
        else:
            averaged.copy_(current)


class _Averaged(Method):
    """Stands before a method's class: the method as it is, and the average of its segmenter as what is used."""

    decay: ClassVar[float]

    def __init__(self, segmenter: Segmenter, options: MethodOptions, *, steps: int) -> None:
        super().__init__(segmenter, options, steps=steps)
        own = super().adapted()
        self.average = make_teacher(own) if own is segmenter else None  # a teacher is an average already

    def prepare(self, data: Preparation) -> None:
        super().prepare(data)
        if self.average is not None:
            ema_update(self.average, self.segmenter, 0.0)

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | ({AVERAGE: self.average} if self.average is not None else {})

    def adapted(self) -> Segmenter:
        return self.average if self.average is not None else super().adapted()

    def after_step(self, step: int) -> None:
        super().after_step(step)
        if self.average is not None:
            ema_update(self.average, self.segmenter, ema_decay(step + 1, self.decay))


def with_moving_average(method: type[Method], decay: float) -> type[Method]:
    """The same method, whose model is the moving average of its segmenter's weights and batch-norm statistics.

    A method whose model is an average already (``mean-teacher``) keeps that one. Training itself is the same to the
    last bit: nothing learns from the average.

    Args: decay: α of :func:`ema_decay`, 0–1; 0 is the method itself.
    """
    return type(f"Averaged{method.__name__}", (_Averaged, method), {"decay": decay}) if decay else method
