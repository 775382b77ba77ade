"""From predictions to cases: one row per model and frame, whoever made the predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.errors import UsageError
from polypda.evaluation.cases import CaseKey, case_row, cases_table
from polypda.evaluation.metrics import frame_metrics
from polypda.evaluation.pranet2020 import PranetTable
from polypda.evaluation.prediction import NativePrediction
from polypda.training.progress import Progress

PARTS = {part.value: (part,) for part in Split} | {"all": tuple(Split)}


class Profile(StrEnum):
    """Which evaluation protocol is followed; the legacy one comes beside the product's own, never instead."""

    POLYPDA = "polypda"
    PRANET2020 = "pranet2020"


@dataclass(frozen=True)
class ScoredPart:
    """A part of a cohort to score, as ``COHORT[:PART]`` names it; the held-out part by default."""

    cohort: str
    part: str = Split.TEST.value

    @classmethod
    def parse(cls, text: str) -> ScoredPart:
        """Raises: UsageError E_PART."""
        cohort, colon, part = text.partition(":")
        wanted = part if colon else Split.TEST.value
        if wanted not in PARTS:
            raise UsageError(
                "E_PART", f"'{text}': there is no part '{wanted}'.", fix=f"COHORT:PART, of {', '.join(PARTS)}."
            )
        return cls(cohort, wanted)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that belong to it."""
        return PARTS[self.part]

    @property
    def name(self) -> str:
        """For folders."""
        return f"{self.cohort}-{self.part}"


KeyOf = Callable[[str, Frame], CaseKey]
"""(model, frame) → which row it is."""


@dataclass
class Scoring:
    """Collects cases. legacy: the table of the legacy profile, where it was asked for."""

    legacy: PranetTable | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, cohort: OpenedCohort, count: int, seen: Iterable[NativePrediction], key: KeyOf, progress: Progress
    ) -> None:
        """Score ``count`` predictions of one cohort. Raises: what scoring a frame raises."""
        progress.begin(f"scoring {cohort.id}", 0, count)
        try:
            for number, prediction in enumerate(seen, 1):
                self._add_frame(cohort, prediction, key)
                progress.advance(number)
        finally:
            progress.end()

    def cases(self) -> pd.DataFrame:
        """The checked table. Raises: as :func:`polypda.evaluation.cases.checked_cases`."""
        return cases_table(self.rows)

    def _add_frame(self, cohort: OpenedCohort, seen: NativePrediction, key: KeyOf) -> None:
        where = f"{cohort.id}/{seen.frame.frame}"
        for model, probability in seen.probabilities.items():
            metrics = frame_metrics(probability, seen.reference, seen.view.mask, frame=where)
            self.rows.append(case_row(key(model, seen.frame), metrics))
            if self.legacy is not None:
                self.legacy.add(cohort.id, model, probability, seen.reference, frame=where)
