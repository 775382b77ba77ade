"""Target terms: what can be added to any method that trains the segmenter.

``adaptsegnet+minent`` is AdaptSegNet whose segmenter also minimises the entropy of its target predictions. A term is
pure: it turns what is known in one step (:class:`TargetView`) into losses of the segmenter, and holds no optimiser.
:mod:`polypda.methods.combined` joins terms to a method.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.contract import LossTerm, MethodOptions, Preparation
from polypda.methods.segmentation import to_image_size
from polypda.networks.segmenter import Segmenter


@dataclass
class TargetView:
    """What a term may look at in one step.

    source: the labelled batch as the method sees it (restyled, if a term restyles). teacher: a moving average of the
    segmenter where a term of the method asked for one.
    """

    source: LabelledBatch
    target: UnlabelledBatch
    segmenter: Segmenter
    teacher: Segmenter | None
    step: int

    @cached_property
    def teacher_probabilities(self) -> Tensor:
        """The teacher's softmax on the unchanged target images: B×2×H×W, without a graph; one forward per step.

        Raises: LookupError where no term asked for a teacher (a mistake in the term).
        """
        if self.teacher is None:
            raise LookupError("a term without needs_teacher asked for the teacher")
        with torch.no_grad():
            logits = self.teacher.eval()(self.target.images).logits["main"]
            return to_image_size(logits, *self.target.images.shape[-2:]).softmax(dim=1)


class TargetTerm(ABC):
    """One addition to a method. Its options' names differ from every other part's, so that all are given flat."""

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    needs_teacher: ClassVar[bool] = False
    """True where the term learns from a moving average of the segmenter, which is then the adapted model."""

    def __init__(self, options: MethodOptions, segmenter: Segmenter) -> None:
        self.options = options

    def reads_prediction(self, step: int) -> bool:
        """Whether :meth:`on_prediction` is wanted in this step."""
        return False

    def stylize(self, source: LabelledBatch, target: UnlabelledBatch) -> LabelledBatch:
        """The source batch as the method is to see it; labels stay the source's."""
        return source

    def on_prediction(self, view: TargetView, logits: Mapping[str, Tensor]) -> list[LossTerm]:
        """Losses of the segmenter's answer to the unchanged target images.

        Args:
            logits: per level B×2×H×W at image size, with the graph of the method's own forward pass.
        """
        return []

    def on_own_forward(self, view: TargetView) -> list[LossTerm]:
        """Losses of a forward pass that the term makes itself (of masked, mixed or recoloured images)."""
        return []

    def prepare(self, data: Preparation) -> None:  # noqa: B027 - most terms prepare nothing
        """Do what is done once, before the first step; what is kept belongs into :meth:`modules`."""

    def modules(self) -> dict[str, nn.Module]:
        """Networks and remembered tensors of the term, by name, for checkpoints and devices."""
        return {}


def mean_inside(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of B×H×W values over the field of view (bool B×1×H×W); 0 where nothing is inside."""
    inside = valid[:, 0].to(values.dtype)
    return (values * inside).sum() / inside.sum().clamp_min(1)
