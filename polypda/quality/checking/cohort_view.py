"""What a check is given: the manifest, where the files lie, and what was seen in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.label_files import FoundFrames
from polypda.cohorts.layouts import Located
from polypda.cohorts.manifest import Manifest
from polypda.errors import LeakageError
from polypda.quality.checking.findings import FrameName
from polypda.quality.checking.observation import Observation
from polypda.quality.checking.overlay_maps import OverlayMap
from polypda.quality.near_duplicates.pairs import PairSearch


@dataclass(frozen=True)
class CohortView:
    """A cohort after the look at its files.

    alike: pairs of positions in ``seen``. split_error: why the split cannot be used as it is. overlays: where text
    and insets lie.
    """

    manifest: Manifest
    located: Located
    found: FoundFrames
    opened: OpenedCohort
    seen: tuple[Observation, ...]
    alike: PairSearch = field(default_factory=lambda: PairSearch(()))
    split_error: LeakageError | None = None
    overlays: tuple[OverlayMap, ...] = ()


def names(seen: Iterable[Observation]) -> tuple[str, ...]:
    """The frames' ids."""
    return tuple(one.frame.frame for one in seen)


def name_of(frame: Frame) -> FrameName:
    """Cohort and frame."""
    return frame.cohort, frame.frame


def share_text(part: Sequence[object], whole: Sequence[object]) -> str:
    """``12 of 300 frames (4.0 %)``."""
    share = len(part) / len(whole) if whole else 0.0
    return f"{len(part)} of {len(whole)} frames ({share:.1%})"


def held_out_apart(one: Split | None, other: Split | None) -> bool:
    """Whether two frames lie in different parts of a split."""
    return one is not None and other is not None and one is not other
