"""Source-only training, and the oracle: the lower and the upper bound of every adaptation.

Both minimise L_seg = loss(main) + λ_seg · loss(aux). They differ only in whose labels they see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.contract import SEGMENTER, LabelsFrom, Losses, LossTerm, Method, Player
from polypda.methods.segmentation import SupervisedOptions, image_size_logits, segmenter_optimizer, supervised_terms
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
