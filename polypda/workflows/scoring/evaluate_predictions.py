"""Scoring maps that someone else's model made: `polypda evaluate --predictions DIR --on COHORT[:PART]`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from polypda.cohorts.catalogue import manifest, shared_frames
from polypda.cohorts.frames import Frame
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.errors import DataError, LeakageError, UsageError
from polypda.evaluation.cases.case_table import CaseKey
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.scoring.map_scale import MapScale
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.pranet2020 import PranetTable
from polypda.evaluation.scoring.predictions import PredictionFolder, predictions_of, require_predictions
from polypda.files import require_writable
from polypda.integrity import sha256_of
from polypda.training.progress import Progress
from polypda.training.run_folder import environment
from polypda.workflows.scoring.scored_parts import OpenedPart, listed_notes, open_part, same_part, write_scored
from polypda.workflows.scoring.scoring import Profile, ScoredPart, Scoring

NOT_STATED = "not stated"
NAMES_SHOWN = 3


def evaluate_predictions(
    folders: Sequence[tuple[str, Path]],
    part: ScoredPart,
    data_root: Path,
    out: Path,
    profile: Profile,
    progress: Progress,
    *,
    trained_on: str | None = None,
    missing_as_empty: bool = False,
    scales: Mapping[str, MapScale] | None = None,
) -> Path:
    """Score folders of maps, matched to frames by stem; returns the evaluation's folder.

    Args:
        folders: (name, folder); a model that is named source-only is what the others are compared with.
        trained_on: the cohort that the models learnt, if the user states it. scales: name → what the values of its maps
            mean, where the user says so.

    Raises: UsageError E_PREDICTIONS_NAME, E_COHORT_UNKNOWN; LeakageError E_SHARED_FRAMES; DataError E_PREDICTION_…,
        E_EVALUATION_EXISTS, and what opening the cohort and scoring raise.
    """
    same_part([part])
    if out.exists():
        raise DataError("E_EVALUATION_EXISTS", "something lies there already.", where=out, fix="choose another --out.")
    if len({name for name, _ in folders}) < len(folders):
        raise UsageError("E_PREDICTIONS_NAME", "two folders have one name.", fix="name them: --predictions NAME=DIR")
    require_writable(out)
    for _, folder in folders:
        require_predictions(folder)
    scored = _scored(
        *(folders, part, data_root, out.name, profile, progress),
        trained_on=trained_on,
        missing_as_empty=missing_as_empty,
        scales=scales or {},
    )
    return write_scored(out, *scored)


def _scored(
    folders: Sequence[tuple[str, Path]],
    part: ScoredPart,
    data_root: Path,
    run: str,
    profile: Profile,
    progress: Progress,
    *,
    trained_on: str | None,
    missing_as_empty: bool,
    scales: Mapping[str, MapScale],
) -> tuple[Scoring, RunMetadata]:
    """What is written: by then the frames are let go, of which there may be hundreds of thousands."""
    notes = list(_check_origin(part, trained_on))
    opened = open_part(part, data_root)
    found = [PredictionFolder.open(name, folder, scales.get(name)) for name, folder in folders]
    notes += listed_notes([opened])
    notes += [note for folder in found for note in _notes(folder, opened)]
    scoring = Scoring(PranetTable() if profile is Profile.PRANET2020 else None, as_columns=True)
    seen = predictions_of(found, opened.frames, missing_as_empty=missing_as_empty)
    keys = _Keys(run, trained_on or NOT_STATED, opened, {folder.name: folder for folder in found})
    scoring.add(opened.cohort, len(opened.frames), seen, keys, progress)
    run_metadata = RunMetadata(
        run=run,
        source=trained_on or NOT_STATED,
        target=part.cohort,
        method=found[-1].name,
        selector="not known",
        seeds=(0,),
        threshold=DEFAULT_THRESHOLD,
        input_size=(0, 0),
        split=part.part,
        phantom=opened.cohort.phantom,
        external=True,
        notes=tuple(notes),
        versions=environment(),
    )
    return scoring, run_metadata


class _Keys:
    """Names the rows: what was predicted, by whom, for which frame."""

    def __init__(self, run: str, source: str, opened: OpenedPart, folders: dict[str, PredictionFolder]) -> None:
        self.run, self.source, self.opened, self.folders = run, source, opened, folders
        self.trainings = {name: _identity(folder) for name, folder in folders.items()}

    def __call__(self, model: str, frame: Frame) -> CaseKey:
        key = CaseKey(
            run=self.run,
            source=self.source,
            target=self.opened.cohort.id,
            model=model,
            seed=0,
            role="target",
            cohort=self.opened.cohort.id,
            split=self.opened.part.part,
            frame=frame.frame,
            phantom=self.opened.cohort.phantom,
            training=self.trainings[model],
            patient=frame.patient or "",
            sequence=frame.sequence or "",
        )
        return replace(key, prediction_missing=not self.folders[model].has(frame))


def _identity(folder: PredictionFolder) -> str:
    """What stands for a training: the content of all maps."""
    digest = hashlib.sha256()
    for stem, path in sorted(folder.files.items()):
        digest.update(stem.encode() + b"\0" + bytes.fromhex(sha256_of(Path(path))))
    return digest.hexdigest()[:12]


def _check_origin(part: ScoredPart, trained_on: str | None) -> list[str]:
    if trained_on is None:
        return [f"It is not stated what the models learnt: whether frames of {part.cohort} were among it is not known."]
    manifest(trained_on)
    if whole_cohort(trained_on) == whole_cohort(part.cohort):
        return [f"The models learnt {trained_on}: whether the scored frames were held out is not known here."]
    if shared_frames(trained_on, part.cohort) is not None:
        raise LeakageError(
            "E_SHARED_FRAMES",
            f"'{trained_on}', which the models learnt, shares frames with '{part.cohort}'.",
            where=part.cohort,
            fix="choose a cohort of different origin; `polypda cohorts show` tells the ancestry.",
        )
    return []


def _notes(folder: PredictionFolder, opened: OpenedPart) -> list[str]:
    """What must be told of a folder: how its maps were read, files of no frame, frames without a file."""
    notes = list(folder.notes)
    if stray := folder.without_frame(opened.cohort.frames):
        notes.append(
            f"{folder.name}: {len(stray)} maps belong to no frame of {opened.cohort.id} and were not used "
            f"({', '.join(stray[:NAMES_SHOWN])})."
        )
    if absent := sum(not folder.has(frame) for frame in opened.frames):
        notes.append(f"{folder.name}: {absent} of {len(opened.frames)} frames had no map and were scored as empty.")
    return notes
