"""What the page of cohort statistics is made from, beside the comparisons themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polypda.evaluation.cohort_differences.results import CohortDifferences
from polypda.quality.statistics.frame_table import PlaceMaps


@dataclass(frozen=True)
class CohortFacts:
    """One cohort as it was measured.

    frames: how many it has; measured: how many of them entered. labels: whose were read, in words. problems: frames or
    masks that could not be used, in words.
    """

    cohort: str
    frames: int
    measured: int
    labels: str
    labels_read: bool
    clusters: str
    sizes: str
    phantom: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class CohortStatistics:
    """All that a report shows. settings: name → text. samples: cohort → JPEG previews of some of its frames."""

    differences: CohortDifferences
    maps: Mapping[str, PlaceMaps]
    facts: Sequence[CohortFacts]
    settings: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    @property
    def phantom(self) -> bool:
        """Whether frames of any cohort were rendered."""
        return any(one.phantom for one in self.facts)

    @property
    def cohorts(self) -> list[str]:
        return [one.cohort for one in self.facts]

    @property
    def labels_sentence(self) -> str:
        """Whose labels were read."""
        read = [one.cohort for one in self.facts if one.labels_read]
        unread = [one.cohort for one in self.facts if not one.labels_read]
        if not read:
            return "No label was read: nothing here comes from a mask or a box."
        told = f"Labels were read of: {', '.join(read)}."
        return f"{told} None of: {', '.join(unread)}." if unread else told
