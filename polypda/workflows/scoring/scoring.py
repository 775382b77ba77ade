"""From predictions to cases: one row per model and frame, whoever made the predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from polypda.cohorts.frames import Frame, LabelState, OpenedCohort, Split
from polypda.cohorts.image_files import IMAGE_SUFFIXES, name_some
from polypda.cohorts.sub_cohorts import canonical, file_name_of
from polypda.data.labels import box_corners
from polypda.errors import DataError, UsageError, nearest
from polypda.evaluation.cases.case_table import BOX, ROWS_AT_ONCE, CaseKey, case_row, joined_parts, typed_parts
from polypda.evaluation.scoring.frame_metric import added_values
from polypda.evaluation.scoring.metrics import frame_metrics, frame_metrics_boxes
from polypda.evaluation.scoring.pranet2020 import PranetTable
from polypda.evaluation.scoring.predictions import NativePrediction
from polypda.training.progress import Progress

PARTS = {part.value: (part,) for part in Split} | {"all": tuple(Split)}


class Profile(StrEnum):
    """Which evaluation protocol is followed; the legacy one comes beside the product's own, never instead."""

    POLYPDA = "polypda"
    PRANET2020 = "pranet2020"


@dataclass(frozen=True)
class FrameList:
    """Frames that a user lists in a file. name: the file's stem, for folders and notes."""

    name: str
    frames: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> FrameList:
        """Read a text file of frame names, one a line (``#`` begins a remark).

        Raises: DataError E_FRAMES_LIST.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            what = f"the list cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})."
            raise DataError(
                "E_FRAMES_LIST", what, where=path, fix="give a text file, one frame's name a line."
            ) from error
        names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not names:
            raise DataError("E_FRAMES_LIST", "it lists no frame.", where=path, fix="write one frame's name a line.")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            what = f"{len(twice)} frames are listed twice: {name_some(twice)}."
            raise DataError("E_FRAMES_LIST", what, where=path, fix="name each frame once.")
        return cls(path.stem, tuple(names))

    def chosen(self, frames: Sequence[Frame], cohort: str) -> tuple[Frame, ...]:
        """Those of a cohort's frames that are listed, in the cohort's order. A name may have a picture's suffix.

        Raises: DataError E_FRAME_UNKNOWN.
        """
        known = {frame.frame for frame in frames}
        by_stem = {frame.image.stem: frame.frame for frame in frames}
        plain = {name: name if name in known else _without_suffix(name) for name in self.frames}
        wanted = {name: by_stem.get(stem, stem) if stem not in known else stem for name, stem in plain.items()}
        unknown = [name for name, frame in wanted.items() if frame not in known]
        if unknown:
            raise DataError(
                "E_FRAME_UNKNOWN",
                f"{len(unknown)} of {len(self.frames)} listed frames are not there: {name_some(unknown)}."
                f"{nearest(unknown[0], known)}",
                where=f"{self.name} of {cohort}",
                fix="name frames as the cohort does: by their image's stem, or its file name.",
            )
        chosen = set(wanted.values())
        return tuple(frame for frame in frames if frame.frame in chosen)


def _without_suffix(name: str) -> str:
    """``7.png`` → ``7``; a name that ends otherwise as it is."""
    path = PurePath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


@dataclass(frozen=True)
class ScoredPart:
    """A part of a cohort to score, as ``ID[:MODE][:PART]`` names it; the held-out part by default.

    cohort: an id, or ``ID:MODE``. listed: the frames to score, where the user lists them; all of them are of the part.
    """

    cohort: str
    part: str = Split.TEST.value
    listed: FrameList | None = None

    @classmethod
    def parse(cls, text: str) -> ScoredPart:
        """No mode is called as a part, so that two words suffice. Raises: UsageError E_PART, E_MODE_NAME."""
        cohort, *rest = text.split(":")
        part = rest.pop() if rest and rest[-1].lower() in PARTS else Split.TEST.value
        strange = rest[1:] or [word for word in rest if nearest(word.lower(), PARTS)]
        if strange:
            raise UsageError(
                "E_PART",
                f"'{text}': there is no part '{strange[-1]}'.{nearest(strange[-1].lower(), PARTS)}",
                fix=f"ID:PART or ID:MODE:PART, of {', '.join(PARTS)}.",
            )
        return cls(canonical(":".join([cohort, *rest])), part.lower())

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that belong to it."""
        return PARTS[self.part]

    @property
    def name(self) -> str:
        """For folders."""
        listed = f"-{self.listed.name}" if self.listed is not None else ""
        return f"{file_name_of(self.cohort)}-{self.part}{listed}"


KeyOf = Callable[[str, Frame], CaseKey]
"""(model, frame) → which row it is."""


@dataclass
class Scoring:
    """Collects cases. legacy: the table of the legacy profile, where it was asked for. as_columns: rows
    are typed some thousand at a time, for as dictionaries they take eight times the memory; else all stay in ``rows``.
    """

    legacy: PranetTable | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    as_columns: bool = False
    _parts: list[pd.DataFrame] = field(default_factory=list, init=False, repr=False)

    def add(
        self, cohort: OpenedCohort, count: int, seen: Iterable[NativePrediction], key: KeyOf, progress: Progress
    ) -> None:
        """Score ``count`` predictions of one cohort. Raises: DataError E_LEGACY_BOXES; what scoring a frame raises."""
        if self.legacy is not None and any(frame.label_state is LabelState.BOX for frame in cohort.frames):
            raise DataError(
                "E_LEGACY_BOXES",
                "frames annotated with boxes have no Dice, which is all that the legacy profile is about.",
                where=cohort.id,
                fix="leave --profile out.",
            )
        boxes_only = is_boxes_only(cohort)
        progress.begin(f"scoring {cohort.id}", 0, count)
        try:
            for number, prediction in enumerate(seen, 1):
                self._add_frame(cohort, prediction, key, boxes_only)
                progress.advance(number)
        finally:
            progress.end()

    def cases(self) -> pd.DataFrame:
        """The checked table. Raises: as :func:`polypda.evaluation.cases.case_table.checked_cases`."""
        parts, self._parts = self._parts, []
        emptied = (parts.pop(0) for _ in range(len(parts)))  # each is let go once it is read
        cases = joined_parts(chain(emptied, typed_parts(self.rows)))
        if self.as_columns:
            self._parts, self.rows = [cases], []
        return cases

    def _add_frame(self, cohort: OpenedCohort, seen: NativePrediction, key: KeyOf, boxes_only: bool) -> None:
        where = f"{cohort.id}/{seen.frame.frame}"
        for model, probability in seen.probabilities.items():
            row, added = key(model, seen.frame), {}
            if seen.reference is None or boxes_only:
                metrics = frame_metrics_boxes(probability, box_corners(seen.frame), seen.valid, frame=where)
                row = replace(row, annotation=BOX)
            else:
                metrics = frame_metrics(probability, seen.reference, seen.valid, frame=where)
                added = added_values(probability, seen.reference, seen.valid)
                if self.legacy is not None:
                    self.legacy.add(cohort.id, model, probability, seen.reference, frame=where)
            self.rows.append({**case_row(row, metrics), **added})
        if self.as_columns and len(self.rows) >= ROWS_AT_ONCE:
            self._parts += typed_parts(self.rows)
            self.rows = []


def is_boxes_only(cohort: OpenedCohort) -> bool:
    """Whether all polyps of the cohort are known by boxes alone; frames without one are then scored likewise."""
    states = {frame.label_state for frame in cohort.frames}
    return LabelState.BOX in states and LabelState.MASK not in states
