"""The controls: source-only and oracle training, which differ only in whose labels they see, and AdaBN.

Source-only and oracle minimise L_seg = loss(main) + λ_seg · loss(aux). AdaBN: Li, Wang, Shi, Liu, Hou, "Revisiting
Batch Normalization For Practical Domain Adaptation", 2016; every method with moving batch-norm statistics must be
compared with it: those adapt silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.contract import SEGMENTER, LabelsFrom, Losses, LossTerm, Method, Player, Preparation
from polypda.methods.segmentation import SupervisedOptions, image_size_logits, segmenter_optimizer, supervised_terms
from polypda.networks.batch_norm import recompute_statistics
from polypda.networks.segmenter import Segmenter


class SourceOnly(Method):
    """Training on the source's labels alone; the target is never seen."""

    name = "source-only"
    title = "Source only"
    paper = "control: no adaptation, equal budget"
    Options = SupervisedOptions
    plays_on_target: ClassVar[bool] = False
    options: SupervisedOptions

    def __init__(self, segmenter: Segmenter, options: SupervisedOptions, *, steps: int) -> None:
        super().__init__(segmenter, options, steps=steps)
        schedule = options.schedule(steps)
        self._players = [Player(SEGMENTER, segmenter_optimizer(segmenter, options), schedule)]

    def players(self) -> list[Player]:
        return self._players

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        yield {SEGMENTER: self._on_source(source)}

    def _on_source(self, source: LabelledBatch) -> list[LossTerm]:
        logits = image_size_logits(self.segmenter(source.images), source)
        return supervised_terms(logits, source, self.options.seg_loss, self.options.lambda_seg_aux)


class Oracle(SourceOnly):
    """Training on the target's own labels: what adaptation could reach at most. Needs explicit permission."""

    name = "oracle"
    title = "Oracle (target labels)"
    paper = "control: upper bound, uses the target's training labels"
    labels_from = LabelsFrom.TARGET
    takes_terms = False


class AdaBN(Method):
    """The source model with its batch-norm statistics recomputed on unlabelled target frames."""

    name = "adabn"
    title = "AdaBN"
    paper = "Li et al., arXiv 1603.04779 (control)"
    plays_on_target = False
    reads_source = False
    takes_terms = False

    def players(self) -> list[Player]:
        return []

    def prepare(self, data: Preparation) -> None:
        recompute_statistics(self.segmenter, (batch.images for batch in data.statistics()))

    def play(self, source: LabelledBatch, target: UnlabelledBatch | None, step: int) -> Iterator[Losses]:
        """Nothing is trained."""
        yield from ()
