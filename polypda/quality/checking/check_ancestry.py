"""What is known of public sets that share frames."""

from __future__ import annotations

from collections.abc import Sequence

from polypda.cohorts.catalogue import shared_frames
from polypda.quality.checking.cohort_view import CohortView
from polypda.quality.checking.findings import Finding, Severity


def check_ancestry(view: CohortView) -> list[Finding]:
    """Data sets that share frames with this one: never use them as independent."""
    findings = []
    for overlap in view.manifest.overlaps:
        message = f"{overlap.what} ({overlap.data_set}; {overlap.status}): never count it as independent of this one."
        findings.append(Finding("N_ANCESTRY", Severity.NOTE, message, facts={"data_set": overlap.data_set}))
    return findings


def check_ancestry_between(cohorts: Sequence[str]) -> list[Finding]:
    """Cohorts of one check that share frames by what their manifests say."""
    findings = []
    for place, one in enumerate(cohorts):
        for other in cohorts[place + 1 :]:
            overlap = shared_frames(one, other)
            if overlap is not None:
                message = f"{one} and {other} share frames: {overlap.what}."
                findings.append(Finding("E_SHARED_FRAMES", Severity.ERROR, message, leak=True))
    return findings
