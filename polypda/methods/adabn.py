"""AdaBN: batch-norm statistics of the target, no training.

Li, Wang, Shi, Liu, Hou, "Revisiting Batch Normalization For Practical Domain Adaptation", 2016. The control that
every method with moving batch-norm statistics must be compared with: those adapt silently.
"""

from __future__ import annotations

from collections.abc import Iterator

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.contract import Losses, Method, Player, Preparation
from polypda.networks.batch_norm import recompute_statistics


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
