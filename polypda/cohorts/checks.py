"""Looking at every file of a cohort and holding it against what its manifest says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from polypda.cohorts.catalogue import manifest as manifest_of
from polypda.cohorts.frames import LabelState, OpenedCohort, Split
from polypda.cohorts.images import AMBIGUOUS_GREY
from polypda.cohorts.inspection import FrameInspection, inspect_frame
from polypda.cohorts.label_files import FoundFrames
from polypda.cohorts.layouts import Located, find_frames
from polypda.cohorts.likeness import alike_pairs
from polypda.cohorts.manifest import Manifest
from polypda.cohorts.opening import find_cohort, missing_boxes, missing_masks
from polypda.cohorts.splits import assign_splits, clusters_known

MOST_OUTSIDE_SHARE = 0.05
"""A mask with more than this share of its area outside the field of view was probably not drawn on this picture."""


class Severity(StrEnum):
    """error: the cohort must not be used as it is. warning: figures may mislead. note: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing about a cohort; ``frames`` are the frames it concerns (empty: the cohort as a whole)."""

    code: str
    severity: Severity
    message: str
    frames: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """All findings about a cohort, gravest first, with what was looked at."""

    cohort: str
    layout: str
    opened: OpenedCohort
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def check_cohort(
    cohort_id: str, data_root: Path | None, *, on_frame: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Open a cohort with its labels, read every file and report what was found against what is declared.

    on_frame: called after each frame with the number done and the number of all.
    Raises: as :func:`~polypda.cohorts.opening.open_cohort`, but missing masks become findings.
    """
    manifest = manifest_of(cohort_id, data_root)
    located = find_cohort(manifest, data_root)
    found = find_frames(manifest, located, labels=True)
    opened = OpenedCohort(cohort_id, located.folder, assign_splits(found.frames), located.phantom)
    inspections = []
    for done, frame in enumerate(opened.frames, start=1):
        inspections.append(inspect_frame(frame))
        if on_frame is not None:
            on_frame(done, len(opened.frames))
    return report_on(manifest, located, found, opened, inspections)


def report_on(
    manifest: Manifest,
    located: Located,
    found: FoundFrames,
    opened: OpenedCohort,
    inspections: Sequence[FrameInspection],
) -> CheckReport:
    """Put what was seen together; reads no file."""
    findings = [
        *_pairing(manifest, located, found),
        *_problems(inspections),
        *_counts(manifest, located, opened),
        *_sizes(manifest, located, inspections),
        *_masks(inspections),
        *_negatives(inspections),
        *_duplicates(inspections),
        *_alike(inspections),
        *_split(located, found, opened),
    ]
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return CheckReport(manifest.id, located.layout.name, opened, tuple(findings))


def _pairing(manifest: Manifest, located: Located, found: FoundFrames) -> list[Finding]:
    findings = []
    if found.without_mask:
        error = missing_masks(manifest, located, found)
        findings.append(Finding(error.code, Severity.ERROR, error.what, found.without_mask))
    if found.without_box:
        error = missing_boxes(manifest, found)
        findings.append(Finding(error.code, Severity.ERROR, error.what, found.without_box))
    if found.masks_without_image:
        names = tuple(path.name for path in found.masks_without_image)
        findings.append(Finding("W_MASK_ORPHAN", Severity.WARNING, f"{len(names)} masks have no image.", names))
    for exclusion in located.layout.exclude:
        message = f"left out by the manifest: {exclusion.why}."
        findings.append(Finding("N_EXCLUDED", Severity.NOTE, message, (exclusion.frame,)))
    return findings


def _problems(inspections: Sequence[FrameInspection]) -> list[Finding]:
    by_code: dict[str, list[FrameInspection]] = defaultdict(list)
    for inspection in inspections:
        if inspection.problem is not None:
            by_code[inspection.problem.code].append(inspection)
    findings = []
    for code, concerned in by_code.items():
        problem = concerned[0].problem
        first = f"{concerned[0].frame.frame}: {problem.what} Fix: {problem.fix}" if problem else ""
        message = f"{len(concerned)} frames; the first, {first}"
        findings.append(Finding(code, Severity.ERROR, message, _ids(concerned)))
    return findings


def _counts(manifest: Manifest, located: Located, opened: OpenedCohort) -> list[Finding]:
    found = len(opened.frames)
    if located.phantom:
        return [Finding("N_PHANTOM", Severity.NOTE, f"{found} rendered frames: synthetic, not clinical evidence.")]
    findings = []
    if not located.layout.verified:
        message = (
            f"the layout '{located.layout.name}' was written from descriptions and never tried: look at the pairs."
        )
        findings.append(Finding("W_LAYOUT_UNVERIFIED", Severity.WARNING, message))
    declared = manifest.verified.frames if manifest.verified.frames is not None else manifest.declared.frames
    expected = located.layout.frames if located.layout.frames is not None else declared
    left_out = len(located.layout.exclude)
    counted = f"{found} frames" + (f" and {left_out} left out" if left_out else "")
    if expected is None:
        findings.append(Finding("N_COUNT", Severity.NOTE, f"{counted}; how many there should be is unknown."))
    elif found + left_out != expected:
        findings.append(Finding("W_COUNT", Severity.WARNING, f"{counted}, {expected} expected."))
    elif declared is not None and declared != expected:
        message = f"{counted}, as many as this form of the cohort holds; the whole cohort has {declared}."
        findings.append(Finding("N_COUNT", Severity.NOTE, message))
    else:
        findings.append(Finding("N_COUNT", Severity.NOTE, f"{counted}, {expected} expected."))
    return findings


def _sizes(manifest: Manifest, located: Located, inspections: Sequence[FrameInspection]) -> list[Finding]:
    sizes = Counter(inspection.image_size for inspection in inspections if inspection.image_size)
    if not sizes:
        return []
    commonest = ", ".join(f"{width}×{height} ({count})" for (width, height), count in sizes.most_common(3))
    more = f" and {len(sizes) - 3} more sizes" if len(sizes) > 3 else ""
    findings = [Finding("N_SIZES", Severity.NOTE, f"images are {commonest}{more}.")]
    wanted = located.layout.resolutions or manifest.verified.resolutions or manifest.declared.resolutions
    if located.layout.resized or not wanted:
        return findings
    odd = [entry for entry in inspections if entry.image_size and entry.image_size not in wanted]
    if odd:
        told = ", ".join(f"{width}×{height}" for width, height in wanted)
        message = f"{len(odd)} images are not {told}, as the manifest says."
        findings.append(Finding("W_SIZE", Severity.WARNING, message, _ids(odd)))
    return findings


def _masks(inspections: Sequence[FrameInspection]) -> list[Finding]:
    files = [(entry, entry.mask_file) for entry in inspections if entry.mask_file is not None]
    several = [entry for entry, file in files if file.channels > 1]
    coloured = [entry for entry, file in files if file.coloured]
    grey = [entry for entry, file in files if file.grey_share > 0]
    outside = [entry for entry in inspections if (entry.outside_share or 0) > MOST_OUTSIDE_SHARE]
    findings = []
    if several:
        message = f"{len(several)} of {len(files)} masks have several channels; the brightest counts."
        findings.append(Finding("N_MASK_CHANNELS", Severity.NOTE, message, _ids(several)))
    if coloured:
        message = f"{len(coloured)} masks are colour-coded; every colour is taken as polyp."
        findings.append(Finding("N_MASK_COLOURED", Severity.NOTE, message, _ids(coloured)))
    if grey:
        ambiguous = [file.ambiguous_share for _, file in files]
        message = (
            f"{len(grey)} of {len(files)} masks hold values between black and white, as JPEG or resizing leaves them "
            f"(between {AMBIGUOUS_GREY[0]} and {AMBIGUOUS_GREY[1]}: mean {np.mean(ambiguous):.2%}, most "
            f"{max(ambiguous):.2%} of the pixels); 128 and above is polyp."
        )
        findings.append(Finding("N_MASK_GREY", Severity.NOTE, message, _ids(grey)))
    if outside:
        message = f"{len(outside)} masks lie with more than {MOST_OUTSIDE_SHARE:.0%} outside the lit field of view."
        findings.append(Finding("W_MASK_OUTSIDE", Severity.WARNING, message, _ids(outside)))
    return findings


def _negatives(inspections: Sequence[FrameInspection]) -> list[Finding]:
    negative = [entry for entry in inspections if entry.frame.label_state is LabelState.NEGATIVE]
    contradicted = [entry for entry in negative if entry.mask_area_px]
    empty = [entry for entry in inspections if entry.frame.label_state is LabelState.MASK and entry.mask_area_px == 0]
    findings = []
    if contradicted:
        message = f"{len(contradicted)} frames are declared free of polyps but their masks are not empty."
        findings.append(Finding("E_NEGATIVE_MASK", Severity.ERROR, message, _ids(contradicted)))
    if negative:
        message = f"{len(negative)} frames are declared free of polyps."
        findings.append(Finding("N_NEGATIVE", Severity.NOTE, message, _ids(negative)))
    if empty:
        message = f"{len(empty)} masks are empty: these frames count as free of polyps."
        findings.append(Finding("N_MASK_EMPTY", Severity.NOTE, message, _ids(empty)))
    return findings


def _duplicates(inspections: Sequence[FrameInspection]) -> list[Finding]:
    by_hash: dict[str, list[FrameInspection]] = defaultdict(list)
    for inspection in inspections:
        if inspection.image_sha256 is not None:
            by_hash[inspection.image_sha256].append(inspection)
    groups = [group for group in by_hash.values() if len(group) > 1]
    parted = [group for group in groups if len({entry.frame.split for entry in group}) > 1]
    together = [group for group in groups if len({entry.frame.split for entry in group}) == 1]
    findings = []
    if parted:
        message = f"{len(parted)} groups of byte-identical images lie in different parts of the split."
        findings.append(Finding("W_DUPLICATE_LEAK", Severity.WARNING, message, _ids([e for g in parted for e in g])))
    if together:
        message = f"{len(together)} groups of byte-identical images within one part."
        findings.append(Finding("N_DUPLICATE", Severity.NOTE, message, _ids([e for g in together for e in g])))
    return findings


def _alike(inspections: Sequence[FrameInspection]) -> list[Finding]:
    pairs = [
        (inspections[one], inspections[other])
        for one, other in alike_pairs([inspection.fingerprint for inspection in inspections])
        if inspections[one].image_sha256 != inspections[other].image_sha256
    ]
    parted = [pair for pair in pairs if pair[0].frame.split is not pair[1].frame.split]
    findings = []
    if parted:
        message = f"{len(parted)} pairs of nearly the same picture lie in different parts of the split."
        frames = tuple(f"{one.frame.frame} ≈ {other.frame.frame}" for one, other in parted)
        findings.append(Finding("W_ALIKE_LEAK", Severity.WARNING, message, frames))
    if len(pairs) > len(parted):
        message = f"{len(pairs) - len(parted)} pairs of nearly the same picture within one part."
        findings.append(Finding("N_ALIKE", Severity.NOTE, message))
    return findings


def _split(located: Located, found: FoundFrames, opened: OpenedCohort) -> list[Finding]:
    counts = opened.counts()
    told = ", ".join(f"{part} {count}" for part, count in counts.items())
    official = all(frame.split is not None for frame in found.frames)
    whose = "the release's own" if official else "by hash"
    findings = [Finding("N_SPLIT", Severity.NOTE, f"split {told} ({whose}).")]
    for part in Split:
        if not counts[part.value]:
            findings.append(Finding("W_SPLIT_EMPTY", Severity.WARNING, f"no frame is in the {part.value} part."))
    if not official and not clusters_known(opened.frames):
        message = "patients and sequences are unknown, so frames are split singly: like frames may part."
        findings.append(Finding("W_CLUSTER_UNKNOWN", Severity.WARNING, message))
    return findings


def _ids(inspections: Sequence[FrameInspection]) -> tuple[str, ...]:
    return tuple(inspection.frame.frame for inspection in inspections)
