"""Parts of cohorts that are scored: opened with their labels, told of, and written as an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from polypda.cohorts.frames import Frame, OpenedCohort
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.splits import require_split
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.errors import DataError, UsageError
from polypda.evaluation.aggregation.cross_centre import cross_centre_results
from polypda.evaluation.cases.evaluation_file import Evaluation, write_evaluation
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.files import whole_folder, write_failed
from polypda.reporting.tables.table_files import write_tables
from polypda.workflows.scoring.scoring import FrameList, ScoredPart, Scoring

if TYPE_CHECKING:
    from polypda.training.config import AdaptConfig


@dataclass(frozen=True)
class OpenedPart:
    """A part to score, with its labelled frames. role: what the cohort is in the run."""

    part: ScoredPart
    role: str
    cohort: OpenedCohort
    frames: tuple[Frame, ...]


def open_part(
    part: ScoredPart, root: Path, config: AdaptConfig | None = None, *, allow_leakage: bool = False
) -> OpenedPart:
    """Open a part's cohort with its labels.

    Raises: DataError E_NO_LABELS, E_FRAME_UNKNOWN, E_FRAMES_LIST; what opening raises.
    """
    cohort = open_cohort(part.cohort, root, labels=True, allow_leakage=allow_leakage)
    frames = tuple(frame for split in part.splits for frame in cohort.labelled(split))
    if part.listed is not None:
        frames = _listed(part, part.listed, cohort, frames)
    if not frames and part.part != "all":
        require_split(cohort, part.splits[0])
    if not frames:
        raise DataError(
            "E_NO_LABELS",
            f"no frame of its part '{part.part}' has a label to score by.",
            where=part.cohort,
            fix="put the masks where the manifest says; `polypda cohorts check` shows what was found.",
        )
    role = "other"
    if config is not None:
        role = {config.source: "source", config.target: "target"}.get(part.cohort, "other")
    return OpenedPart(part, role, cohort, frames)


def _listed(part: ScoredPart, listed: FrameList, cohort: OpenedCohort, frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The listed frames, which all are labelled and of the part. Raises: DataError E_FRAME_UNKNOWN, E_FRAMES_LIST."""
    chosen = listed.chosen(cohort.frames, cohort.id)
    known = {frame.frame for frame in frames}
    strange = [frame for frame in chosen if frame.frame not in known]
    if strange:
        first = strange[0]
        why = f"of its part '{first.split}'" if first.split not in part.splits else "without a label"
        what = (
            f"{len(strange)} of {len(chosen)} listed frames cannot be scored as '{part.part}', such as {first.frame}, "
        )
        fix = f"--on {part.cohort}:all scores frames of every part; take frames without a label out of the list."
        raise DataError("E_FRAMES_LIST", f"{what}{why}.", where=listed.name, fix=fix)
    return chosen


def listed_notes(opened: Sequence[OpenedPart]) -> tuple[str, ...]:
    """What must be told where only listed frames were scored."""
    return tuple(
        f"{one.cohort.id}: only the {len(one.frames)} frames listed in '{one.part.listed.name}' were scored, of "
        f"{len(one.cohort.frames)} of the cohort."
        for one in opened
        if one.part.listed is not None
    )


def same_part(parts: Sequence[ScoredPart]) -> None:
    """Refuse parts of several kinds, or the same one twice: their figures could not stand in one table.

    Raises: UsageError E_PART.
    """
    if not parts:
        raise UsageError("E_PART", "nothing is named to score on.", fix="e.g. --on kvasir, or --on kvasir:all")
    kinds = list(dict.fromkeys(part.part for part in parts))
    if len(kinds) > 1:
        raise UsageError(
            "E_PART", f"parts of several kinds: {', '.join(kinds)}.", fix="score each kind by a command of its own."
        )
    if len({part.cohort for part in parts}) < len(parts):
        raise UsageError("E_PART", "a cohort is named twice.", fix="name each cohort once.")
    named = {part.cohort for part in parts}
    if doubled := [name for name in named if whole_cohort(name) != name and whole_cohort(name) in named]:
        raise UsageError(
            "E_PART",
            f"{doubled[0]} is a part of {whole_cohort(doubled[0])}, which is named, too.",
            fix="name one of them.",
        )


def write_scored(folder: Path, scoring: Scoring, run_metadata: RunMetadata) -> Path:
    """Write an evaluation's folder whole, over a former one: cases, facts, tables, the legacy table.

    Raises: DataError E_WRITE_FAILED.
    """
    cases = scoring.cases()
    results = cross_centre_results([Evaluation(cases, run_metadata, folder)], run_metadata.source_only)
    try:
        with whole_folder(folder, replace=True, sealed=True) as work:
            if scoring.legacy is not None:
                scoring.legacy.write(work)
                notes = tuple(_legacy_notes(scoring, results.centres))
                run_metadata = run_metadata.model_copy(update={"notes": (*run_metadata.notes, *notes)})
                results = replace(results, metadata_of_runs=(run_metadata,), notes=(*results.notes, *notes))
            write_evaluation(work, cases, run_metadata)
            write_tables(results, work)
    except OSError as error:
        raise write_failed(folder, error) from error
    return folder


def _legacy_notes(scoring: Scoring, table: pd.DataFrame) -> Iterator[str]:
    assert scoring.legacy is not None
    rows = table[["cohort", "model", "dice_frame"]].to_dict("records")
    own = {(row["cohort"], row["model"]): row["dice_frame"] for row in rows}
    yield from scoring.legacy.warnings(own)
