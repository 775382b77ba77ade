"""The proof: every model of a run on the held-out part of both cohorts, at native resolution, and the report of it."""

from __future__ import annotations

from dataclasses import dataclass

from polypda.networks.segmenter import Segmenter
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import Choice
from polypda.workflows.cohort_pair import CohortPair
from polypda.workflows.stages import SOURCE_ONLY


@dataclass(frozen=True)
class EvaluatedRun:
    """A trained run: its models by name (method and controls), and how its checkpoint was chosen."""

    run: RunFolder
    config: AdaptConfig
    pair: CohortPair
    models: dict[str, Segmenter]
    choice: Choice | None
    oracle: bool
    duration_s: float

    @property
    def shown(self) -> str:
        """The model that the report is about."""
        return self.config.method if self.config.method in self.models else SOURCE_ONLY
