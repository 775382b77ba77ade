"""Every check of a cohort, in the order of reading."""

from __future__ import annotations

from collections.abc import Callable

from polypda.quality.checking.check_ancestry import check_ancestry
from polypda.quality.checking.check_copies import check_duplicates, check_hidden_sequences, check_near_duplicates
from polypda.quality.checking.check_declared import (
    check_boxes,
    check_counts,
    check_modes,
    check_negatives,
    check_sizes,
)
from polypda.quality.checking.check_files import check_orientation, check_pairing, check_problems
from polypda.quality.checking.check_masks import check_mask_drawing, check_mask_files
from polypda.quality.checking.check_overlays import check_overlays
from polypda.quality.checking.check_pictures import check_field_of_view, check_glare_and_blur, check_interlacing
from polypda.quality.checking.check_split import check_split
from polypda.quality.checking.cohort_view import CohortView
from polypda.quality.checking.findings import Finding, Severity

CHECKS: tuple[Callable[[CohortView], list[Finding]], ...] = (
    check_pairing,
    check_problems,
    check_duplicates,
    check_near_duplicates,
    check_split,
    check_hidden_sequences,
    check_counts,
    check_sizes,
    check_negatives,
    check_modes,
    check_boxes,
    check_orientation,
    check_mask_files,
    check_mask_drawing,
    check_interlacing,
    check_field_of_view,
    check_overlays,
    check_glare_and_blur,
    check_ancestry,
)


def run_checks(view: CohortView) -> tuple[Finding, ...]:
    """All findings, gravest first. No file is opened."""
    return gravest_first([finding for check in CHECKS for finding in check(view)])


def gravest_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes; otherwise in their order."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
