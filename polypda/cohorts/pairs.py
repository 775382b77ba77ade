"""Which two cohorts can be source and target of an adaptation, by their manifests alone."""

from __future__ import annotations

from collections.abc import Sequence

from polypda.cohorts.catalogue import manifest, shared_frames
from polypda.cohorts.sub_cohorts import CohortName
from polypda.errors import LeakageError, UsageError


def check_pair(source: str, target: str, *, allow_leakage: bool = False) -> None:
    """Refuse pairs that cannot mean anything, before any file is read. Two modes of one cohort are a pair.

    allow_leakage: True lets cohorts of one origin pass; a cohort and a part of it never.
    Raises: UsageError E_COHORT_UNKNOWN, E_MODE_NAME, E_SAME_COHORT; LeakageError E_SHARED_FRAMES.
    """
    manifest(source), manifest(target)
    names = CohortName.parse(source), CohortName.parse(target)
    if names[0] == names[1]:
        raise UsageError(
            "E_SAME_COHORT",
            f"source and target are both '{source}': there is nothing to adapt to.",
            fix="choose another target; `polypda cohorts list` shows them.",
        )
    if names[0].cohort == names[1].cohort and None in (names[0].mode, names[1].mode):
        raise LeakageError(
            "E_SHARED_FRAMES",
            f"'{source}' and '{target}' are a cohort and a part of it: they share frames.",
            fix="name two modes of the cohort, or another cohort.",
        )
    if shared_frames(source, target) is not None and not allow_leakage:
        raise shared_ancestry(source, target)


def shared_ancestry(one: str, other: str) -> LeakageError:
    """The error for two cohorts that share frames by what their manifests say."""
    return LeakageError(
        "E_SHARED_FRAMES",
        f"'{one}' and '{other}' share frames: a gain between them would be memory, not adaptation.",
        fix="choose cohorts of different origin (`polypda cohorts show` tells the ancestry), or give --allow-leakage, "
        "which every report will say.",
    )


def every_pair(sources: Sequence[str], targets: Sequence[str]) -> list[tuple[str, str]]:
    """Every source with every target."""
    return [(source, target) for source in dict.fromkeys(sources) for target in dict.fromkeys(targets)]
