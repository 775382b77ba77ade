"""Which frames train and which are held out: by patient, else by sequence, else by frame.

A unit's part follows from a hash of the cohort's id and the unit alone, so that adding frames never moves one, and
opening a cohort with or without labels gives the same split.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.errors import DataError, LeakageError

FRACTIONS = {Split.TRAIN: 0.70, Split.VALIDATION: 0.10, Split.TEST: 0.20}
"""Expected fraction of a cohort's units in each part; with few units the outcome scatters around it."""

Unit = tuple[str, str]
"""Kind (patient, sequence or frame) and name of what must stay in one part."""


def unit_of(frame: Frame) -> Unit:
    """What must not be divided: the frame's patient, else its sequence, else the frame itself."""
    if frame.patient:
        return "patient", frame.patient
    if frame.sequence:
        return "sequence", frame.sequence
    return "frame", frame.frame


def hashed_split(cohort_id: str, unit: Unit) -> Split:
    """The part that a unit falls into when no official split names one."""
    digest = hashlib.sha256("\0".join((cohort_id, *unit)).encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < FRACTIONS[Split.TRAIN]:
        return Split.TRAIN
    return Split.VALIDATION if position < FRACTIONS[Split.TRAIN] + FRACTIONS[Split.VALIDATION] else Split.TEST


def assign_splits(frames: Sequence[Frame], *, refuse: bool = True) -> tuple[Frame, ...]:
    """Give every frame a part: the official one where the release names it, else the unit's hashed one.

    A frame without an official part follows the other frames of its unit when those have one.
    refuse: False takes a split that divides patients or sequences as it is: for a check, or by the user's leave.
    Raises: LeakageError E_SPLIT_LEAK when an official split divides a patient or a sequence.
    """
    official: dict[Unit, Split] = {unit_of(frame): frame.split for frame in frames if frame.split is not None}
    assigned = tuple(
        frame
        if frame.split is not None
        else replace(frame, split=official.get(unit_of(frame)) or hashed_split(frame.cohort, unit_of(frame)))
        for frame in frames
    )
    if refuse:
        require_no_leak(assigned)
    return assigned


def require_no_leak(frames: Iterable[Frame]) -> None:
    """Raise LeakageError E_SPLIT_LEAK when a patient or a sequence lies in two parts of its cohort.

    Sequence names count within their patient; where a sequence has frames without a patient, the name alone counts.
    """
    frames = tuple(frames)
    anonymous = {(frame.cohort, frame.sequence) for frame in frames if frame.sequence and not frame.patient}
    parts: dict[tuple[str, str, str], dict[Split, str]] = defaultdict(dict)
    for frame in frames:
        if frame.split is None:
            continue
        if frame.patient:
            parts[frame.cohort, "patient", frame.patient].setdefault(frame.split, frame.frame)
        if frame.sequence and (frame.cohort, frame.sequence) in anonymous:
            parts[frame.cohort, "sequence", frame.sequence].setdefault(frame.split, frame.frame)
    leaks = {unit: seen for unit, seen in parts.items() if len(seen) > 1}
    if not leaks:
        return
    (cohort, kind, name), seen = next(iter(leaks.items()))
    parts_named = ", ".join(f"{part.value} (frame {frame})" for part, frame in seen.items())
    more = f" So do {len(leaks) - 1} more." if len(leaks) > 1 else ""
    raise LeakageError(
        "E_SPLIT_LEAK",
        f"{kind} {name} lies in {parts_named}: held-out figures would be too good.{more}",
        where=cohort,
        fix="put each patient and sequence into one part (column split), and name every frame's patient or none's.",
    )


def require_split(opened: OpenedCohort, part: Split) -> tuple[Frame, ...]:
    """The frames of one part. Raises: DataError E_SPLIT_EMPTY when there are none."""
    frames = opened.split(part)
    if frames:
        return frames
    counts = opened.counts()
    units = len({unit_of(frame) for frame in opened.frames})
    parts = ", ".join(f"{name} {count}" for name, count in counts.items())
    raise DataError(
        "E_SPLIT_EMPTY",
        f"no frame is in the {part.value} part ({parts}; {units} patients, sequences or single frames to divide).",
        where=opened.id,
        fix="name the parts in the column split of the cohort's frames.csv, or add patients.",
    )


def clusters_known(frames: Iterable[Frame]) -> bool:
    """True when every frame tells its patient or its sequence, so that no neighbouring frames can part."""
    return all(frame.cluster is not None for frame in frames)
