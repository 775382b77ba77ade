"""Frames that two cohorts share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from polypda.cohorts.frames import Split
from polypda.quality.checking.check_ancestry import check_ancestry_between
from polypda.quality.checking.check_copies import describe, same_bytes
from polypda.quality.checking.cohort_view import CohortView, name_of
from polypda.quality.checking.findings import Drawing, Finding, Severity
from polypda.quality.checking.observation import Observation
from polypda.quality.near_duplicates.pairs import find_alike


def check_between(views: Sequence[CohortView]) -> list[Finding]:
    """What cohorts that are checked together share: by their manifests, byte for byte, and by their pictures."""
    if len(views) < 2:
        return []
    findings = check_ancestry_between([view.manifest.id for view in views])
    seen = [one for view in views for one in view.seen]
    search = find_alike([one.print for one in seen], [one.frame.cohort for one in seen])
    pairs = [(seen[pair.first], seen[pair.second], pair) for pair in search.copies]
    told = {(name_of(one.frame), name_of(other.frame)): describe(pair, one, other) for one, other, pair in pairs}
    for one, other in _identical(seen):
        told[name_of(one.frame), name_of(other.frame)] = (
            f"{one.frame.split}, {other.frame.split}; {same_bytes(one, other)}"
        )
    splits = {name_of(one.frame): one.frame.split for one in seen}
    by_cohorts: dict[tuple[str, str], list] = defaultdict(list)
    for pair in told:
        by_cohorts[pair[0][0], pair[1][0]].append(pair)
    for (one_cohort, other_cohort), shared in by_cohorts.items():
        leaking = [pair for pair in shared if _leaks(splits[pair[0]], splits[pair[1]])]
        message = f"{one_cohort} and {other_cohort} share {len(shared)} pictures"
        values = {" ≈ ".join("/".join(name) for name in pair): told[pair] for pair in shared}
        if leaking:
            message += f", {len(leaking)} of them in the training part of one and the held-out part of the other"
        code = "E_SHARED_PICTURES" if leaking else "W_SHARED_PICTURES"
        severity = Severity.ERROR if leaking else Severity.WARNING
        findings.append(
            Finding(code, severity, f"{message}.", tuple(values), tuple(shared), bool(leaking), Drawing.PAIRS, values)
        )
    return findings


def _leaks(one: Split | None, other: Split | None) -> bool:
    return (one is Split.TEST) != (other is Split.TEST)


def _identical(seen: Sequence[Observation]) -> list[tuple[Observation, Observation]]:
    by_hash: dict[str, list[Observation]] = defaultdict(list)
    for one in seen:
        if one.image_sha256:
            by_hash[one.image_sha256].append(one)
    groups = (group for group in by_hash.values() if len({one.frame.cohort for one in group}) > 1)
    return [
        (one, other)
        for group in groups
        for place, one in enumerate(group)
        for other in group[place + 1 :]
        if one.frame.cohort != other.frame.cohort
    ]
