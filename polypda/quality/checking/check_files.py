"""Files that cannot be used, do not pair up, or would be shown turned."""

from __future__ import annotations

from collections import defaultdict

from polypda.cohorts.opening import missing_boxes, missing_masks
from polypda.quality.checking.cohort_view import CohortView, names
from polypda.quality.checking.findings import Drawing, Finding, Severity
from polypda.quality.checking.observation import Observation


def check_pairing(view: CohortView) -> list[Finding]:
    """Images without masks or boxes, masks without images, frames that the manifest leaves out."""
    findings = []
    found = view.found
    if found.without_mask:
        error = missing_masks(view.manifest, view.located, found)
        findings.append(Finding(error.code, Severity.ERROR, error.what, found.without_mask, drawing=Drawing.FRAME))
    if found.without_box:
        error = missing_boxes(view.manifest, found)
        findings.append(Finding(error.code, Severity.ERROR, error.what, found.without_box, drawing=Drawing.FRAME))
    if found.masks_without_image:
        orphans = tuple(path.name for path in found.masks_without_image)
        findings.append(Finding("W_MASK_ORPHAN", Severity.WARNING, f"{len(orphans)} masks have no image.", orphans))
    excluded = view.located.layout.exclude
    if excluded:
        told = {exclusion.frame: exclusion.why for exclusion in excluded}
        message = f"{len(told)} frames are left out by the manifest."
        findings.append(Finding("N_EXCLUDED", Severity.NOTE, message, tuple(told), values=told))
    return findings


def check_problems(view: CohortView) -> list[Finding]:
    """Files that cannot be read or do not fit their image; the check goes on with the others."""
    by_code: dict[str, list[Observation]] = defaultdict(list)
    for one in view.seen:
        if one.problem is not None:
            by_code[one.problem.code].append(one)
    findings = []
    for code, concerned in by_code.items():
        problem = concerned[0].problem
        first = f"{concerned[0].frame.frame}: {problem.what} Fix: {problem.fix}" if problem else ""
        message = f"{len(concerned)} frames; the first, {first}"
        drawing = Drawing.FRAME if code in ("E_IMAGE_TRUNCATED", "E_MASK_SIZE") else Drawing.NOTHING
        findings.append(Finding(code, Severity.ERROR, message, names(concerned), drawing=drawing))
    return findings


def check_orientation(view: CohortView) -> list[Finding]:
    """Images whose EXIF data ask for turning: read as stored here, turned by most viewers and annotation tools."""
    turned = [one for one in view.seen if one.orientation != 1]
    if not turned:
        return []
    message = (
        f"{len(turned)} images carry an EXIF orientation; they are read as they are stored, while a tool that draws "
        "masks may have turned them. Look at the masks, or import the cohort (`polypda cohorts import` turns both)."
    )
    values = {one.frame.frame: f"orientation {one.orientation}" for one in turned}
    return [Finding("W_ORIENTATION", Severity.WARNING, message, names(turned), drawing=Drawing.MASK, values=values)]
