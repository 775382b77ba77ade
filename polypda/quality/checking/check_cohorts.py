"""Opening cohorts, looking once at each of their frames, in several processes, and every check of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from polypda.cohorts.catalogue import manifest as manifest_of
from polypda.cohorts.frames import Frame, OpenedCohort
from polypda.cohorts.layouts import find_frames
from polypda.cohorts.opening import find_cohort
from polypda.cohorts.splits import assign_splits
from polypda.cohorts.sub_cohorts import CohortName, sub_cohort
from polypda.errors import LeakageError
from polypda.processes import WorkerPool
from polypda.quality.checking.check_copies import (
    check_ancestry,
    check_between,
    check_duplicates,
    check_hidden_sequences,
    check_near_duplicates,
    check_split,
)
from polypda.quality.checking.check_files import (
    check_boxes,
    check_conversions,
    check_counts,
    check_modes,
    check_negatives,
    check_orientation,
    check_pairing,
    check_problems,
    check_sizes,
)
from polypda.quality.checking.check_images import (
    check_field_of_view,
    check_glare_and_blur,
    check_interlacing,
    check_mask_drawing,
    check_mask_files,
    check_overlays,
)
from polypda.quality.checking.cohort_view import CohortView, Finding, Severity, overlay_maps
from polypda.quality.checking.observation import Observation, observe, of_one_scale
from polypda.quality.fingerprints import StoredFingerprints
from polypda.quality.near_duplicates import find_alike

CHECKS: tuple[Callable[[CohortView], list[Finding]], ...] = (
    check_pairing,
    check_problems,
    check_conversions,
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


FRAMES_AT_ONCE = 16
OnFrame = Callable[[int, int], None]


@dataclass(frozen=True)
class CheckReport:
    """All findings about a cohort, gravest first, with what was looked at."""

    cohort: str
    layout: str
    opened: OpenedCohort
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        """Whether something must be put right before use, leaks apart."""
        return any(finding.severity is Severity.ERROR and not finding.leak for finding in self.findings)

    @property
    def leaks(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.leak)


@dataclass(frozen=True)
class JointReport:
    """Reports of several cohorts and what lies between them."""

    cohorts: tuple[CheckReport, ...]
    between: tuple[Finding, ...] = ()

    @property
    def has_errors(self) -> bool:
        return any(report.has_errors for report in self.cohorts)

    @property
    def leaks(self) -> tuple[Finding, ...]:
        within = tuple(finding for report in self.cohorts for finding in report.leaks)
        return within + tuple(finding for finding in self.between if finding.leak)


def check_cohort(cohort_id: str, data_root: Path | None, *, on_frame: OnFrame | None = None) -> CheckReport:
    """Check one cohort; as :func:`check_cohorts`."""
    return check_cohorts([cohort_id], data_root, on_frame=on_frame).cohorts[0]


def check_cohorts(
    cohort_ids: Sequence[str], data_root: Path | None, *, processes: int = 1, on_frame: OnFrame | None = None
) -> JointReport:
    """Open cohorts with their labels, read every file and report what was found against what is declared.

    on_frame: called after each frame with the number done and the number of all.
    Raises: as :func:`~polypda.cohorts.opening.open_cohort`, but missing masks and boxes, unreadable files and a split
        that divides a patient become findings.
    """
    opened = [_open(cohort, data_root) for cohort in cohort_ids]
    frames = [replace(frame, fellows=None) for view in opened for frame in view.opened.frames]
    seen, prints = [], StoredFingerprints()
    for done, (frame, one) in enumerate(zip(frames, _observations(frames, processes), strict=True), start=1):
        prints.append(one.print)
        seen.append(replace(one, frame=frame, print=None))  # what came from another process brought a copy of the frame
        if on_frame is not None:
            on_frame(done, len(frames))
    views, start = [], 0
    for view in opened:
        part = of_one_scale(seen[start : start + len(view.opened.frames)], any_colour=view.manifest.any_colour)
        of_part = prints[start : start + len(part)]
        start += len(part)
        clusters = [(one.frame.cluster, one.frame.split) if one.frame.cluster else None for one in part]
        alike = find_alike(of_part, clusters)
        views.append(replace(view, seen=part, alike=alike, overlays=overlay_maps(part)))
    reports = tuple(
        CheckReport(view.opened.id, view.located.layout.name, view.opened, run_checks(view)) for view in views
    )
    return JointReport(reports, gravest_first(check_between(views, prints)))


def _open(cohort_id: str, data_root: Path | None) -> CohortView:
    name = CohortName.parse(cohort_id)
    manifest = manifest_of(name.cohort, data_root)
    located = find_cohort(manifest, data_root)
    found = find_frames(manifest, located, labels=True)
    error = None
    try:
        frames = assign_splits(found.frames)
    except LeakageError as leak:
        error, frames = leak, assign_splits(found.frames, refuse=False)
    opened = OpenedCohort(manifest.id, located.folder, frames, located.phantom)
    if name.mode is not None:
        opened = sub_cohort(opened, name.mode)
    return CohortView(manifest, located, found, opened, (), split_error=error)


def _observations(frames: Sequence[Frame], processes: int) -> Iterator[Observation]:
    """In the order of the frames."""
    if processes <= 1 or len(frames) <= FRAMES_AT_ONCE:
        yield from map(observe, frames)
        return
    with WorkerPool(processes, cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(observe, frames, chunksize=FRAMES_AT_ONCE)
