"""How the cohort is divided, and by what."""

from __future__ import annotations

from polypda.cohorts.frames import Split
from polypda.cohorts.splits import clusters_known
from polypda.quality.checking.cohort_view import CohortView
from polypda.quality.checking.findings import Finding, Severity


def check_split(view: CohortView) -> list[Finding]:
    """Size and origin of the parts; patients and sequences that lie in two of them."""
    counts = view.opened.counts()
    told = ", ".join(f"{part} {count}" for part, count in counts.items())
    official = all(frame.split is not None for frame in view.found.frames)
    whose = "the release's own" if official else "by hash"
    findings = [Finding("N_SPLIT", Severity.NOTE, f"split {told} ({whose}).", facts=dict(counts))]
    if view.split_error is not None:
        error = view.split_error
        findings.append(Finding(error.code, Severity.ERROR, f"{error.what} Fix: {error.fix}", leak=True))
    for part in Split:
        if not counts[part.value]:
            findings.append(Finding("W_SPLIT_EMPTY", Severity.WARNING, f"no frame is in the {part.value} part."))
    if not official and not clusters_known(view.opened.frames):
        message = "patients and sequences are unknown, so frames are split singly: like frames may part."
        findings.append(Finding("W_CLUSTER_UNKNOWN", Severity.WARNING, message))
    return findings
