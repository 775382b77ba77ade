"""Sub-cohorts: the frames of one imaging mode, named ``ID:MODE``, such as ``polydeep:nbi``.

A sub-cohort keeps the parts of its whole cohort, so no patient trains in one mode and is scored in another.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from polypda.cohorts.frames import Frame, LabelState, OpenedCohort
from polypda.cohorts.image_files import stays_inside
from polypda.cohorts.tables import MODE_NAME, PART_NAMES
from polypda.errors import DataError, LeakageError, UsageError, nearest

log = logging.getLogger(__name__)
STATE_WORDS = {
    LabelState.MASK: "with masks",
    LabelState.BOX: "with boxes",
    LabelState.NEGATIVE: "without a polyp",
    LabelState.NONE: "without a label",
}


@dataclass(frozen=True)
class CohortName:
    """cohort: the id of the manifest. mode: the imaging mode in small letters; None for the whole cohort."""

    cohort: str
    mode: str | None = None

    @classmethod
    def parse(cls, text: str) -> CohortName:
        """Read ``ID`` or ``ID:MODE``; the mode in any case. Raises: UsageError E_MODE_NAME."""
        cohort, colon, mode = text.partition(":")
        if not colon:
            return cls(cohort)
        if mode.lower() in PART_NAMES:
            what = f"'{text}': {mode} is a part of a cohort, and no imaging mode."
            raise UsageError(
                "E_MODE_NAME", what, fix=f"name the cohort, {cohort}: its parts are taken as they are due."
            )
        if not MODE_NAME.fullmatch(mode):
            raise UsageError("E_MODE_NAME", f"'{text}' is no ID or ID:MODE.", fix="e.g. polydeep, or polydeep:nbi")
        return cls(cohort, mode.lower())

    def __str__(self) -> str:
        return self.cohort if self.mode is None else f"{self.cohort}:{self.mode}"

    @property
    def file_name(self) -> str:
        """The name in file names; ids hold no dot, so no other cohort is called so."""
        return self.cohort if self.mode is None else f"{self.cohort}.{self.mode}"


def canonical(name: str) -> str:
    """A cohort's name as figures and files carry it. Raises: UsageError E_MODE_NAME."""
    return str(CohortName.parse(name))


def whole_cohort(name: str) -> str:
    """The id of the cohort that a name is, or is a part of."""
    return name.partition(":")[0]


def file_name_of(name: str) -> str:
    """A cohort's name in file names. Raises: UsageError E_MODE_NAME; DataError E_COHORT_NAME (it would be a path)."""
    found = CohortName.parse(name).file_name
    if not stays_inside(found) or "/" in found or "\\" in found:
        fix = "take the run or the evaluation that says so as damaged."
        raise DataError("E_COHORT_NAME", f"'{name[:80]}' is no cohort's name, but a path.", fix=fix)
    return found


def modes_of(frames: Iterable[Frame]) -> dict[str, int]:
    """Imaging mode → frames, the commonest first; frames that tell none are left out."""
    return dict(Counter(frame.mode for frame in frames if frame.mode is not None).most_common())


def label_words(frames: Iterable[Frame]) -> str:
    """What is known of frames' labels: "40 with masks, 38 with boxes, 60 without a polyp"; "" for no frame."""
    states = Counter(frame.label_state for frame in frames)
    return ", ".join(f"{states[state]} {words}" for state, words in STATE_WORDS.items() if states[state])


def mode_words(frames: Iterable[Frame]) -> str:
    """Likewise per imaging mode: "NBI 60 (20 with boxes, 40 without a polyp); WL …"; "" where none is told."""
    frames = tuple(frames)
    described = [
        f"{mode} {count} ({label_words(frame for frame in frames if frame.mode == mode)})"
        for mode, count in modes_of(frames).items()
    ]
    untold = sum(frame.mode is None for frame in frames)
    return "; ".join([*described, f"not told for {untold}"] if described and untold else described)


def sub_cohort(whole: OpenedCohort, mode: str) -> OpenedCohort:
    """The frames of one mode, in the parts that the whole cohort gives them. Raises: DataError E_MODE_UNKNOWN."""
    frames = tuple(frame for frame in whole.frames if frame.mode is not None and frame.mode.lower() == mode.lower())
    modes = modes_of(whole.frames)
    if not frames:
        there = ", ".join(f"{name} ({count} frames)" for name, count in modes.items())
        raise DataError(
            "E_MODE_UNKNOWN",
            f"no frame has the imaging mode '{mode}'.{nearest(mode.upper(), modes)}",
            where=whole.id,
            fix=f"the modes there are: {there}." if there else "name each frame's in the column mode of frames.csv.",
        )
    untold = len(whole.frames) - sum(modes.values())
    if untold:
        log.warning("%s: %d frames tell no imaging mode and are in no sub-cohort", whole.id, untold)
    return OpenedCohort(str(CohortName(whole.id, mode.lower())), whole.root, frames, whole.phantom, whole.all_negative)


def require_shared_units(source: OpenedCohort, target: OpenedCohort) -> None:
    """Two modes of one cohort can be parted only by what they share: the patient, else the sequence.

    Raises: LeakageError E_MODE_UNITS when a frame tells neither.
    """
    if whole_cohort(source.id) != whole_cohort(target.id):
        return
    untold = [frame.frame for frame in (*source.frames, *target.frames) if frame.cluster is None]
    if untold:
        raise LeakageError(
            "E_MODE_UNITS",
            f"{len(untold)} frames tell neither patient nor sequence, such as {untold[0]}: one polyp could train in "
            f"{source.id} and be scored in {target.id}.",
            where=whole_cohort(source.id),
            fix="name patients (or sequences that hold both modes) in frames.csv, or take another cohort as target.",
        )
