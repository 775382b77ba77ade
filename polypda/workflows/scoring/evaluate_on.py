"""Scoring a finished run on further cohorts, or on its own again: `polypda evaluate RUN --on COHORT[:PART]`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from polypda.cohorts.catalogue import manifest, shared_frames
from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.splits import Unit, require_split, unit_of
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.errors import DataError, LeakageError, UsageError
from polypda.evaluation.aggregation.cross_centre import cross_centre_results
from polypda.evaluation.cases.evaluation_file import Evaluation, write_evaluation
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.scoring.pranet2020 import PranetTable
from polypda.evaluation.scoring.predictions import predict_native
from polypda.files import require_writable, whole_folder, write_failed
from polypda.locks import locked
from polypda.networks.registry import load_segmenter
from polypda.reporting.tables.table_files import write_tables
from polypda.training.config import AdaptConfig
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import recorded_choice
from polypda.workflows.runs.cohort_pair import data_roots, labelled_frames
from polypda.workflows.runs.leakage import leaks_into, require_allowed
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.recorded_data import trained_target_parts
from polypda.workflows.runs.trained_models import FUSED, RunModels, fused_model, fusion_note, learnt_frames
from polypda.workflows.scoring.evaluate import EvaluatedRun
from polypda.workflows.scoring.scoring import FrameList, Profile, ScoredPart, Scoring


@dataclass(frozen=True)
class OpenedPart:
    """A part to score, with its labelled frames. role: what the cohort is in the run."""

    part: ScoredPart
    role: str
    cohort: OpenedCohort
    frames: tuple[Frame, ...]


def evaluate_run(
    folder: Path,
    parts: Sequence[ScoredPart],
    paths: Paths,
    profile: Profile,
    progress: Progress,
    fuse: Sequence[Path] = (),
    *,
    allow_leakage: bool = False,
) -> Path:
    """Score every model of a finished run; returns the evaluation's folder, RUN/evaluations/NAME.

    An evaluation of the same parts is replaced. Args: fuse: runs whose adapted models are fused with this run's.
    allow_leakage: score though scored frames depend on learnt ones, and say so; a run made with such leave has it.

    Raises: LeakageError E_TRAINED_ON, E_SHARED_FRAMES, E_ALIKE_LEAK, E_SPLIT_CHANGED; UsageError E_PART; DataError
        E_RUN_MISSING, E_RUN_LOCKED, E_RUN_UNFINISHED, E_NO_LABELS, and what opening cohorts and scoring raise.
    """
    run = RunFolder.open(folder)
    with locked(run.folder, "evaluate"):
        return _evaluated(run, parts, paths, profile, progress, fuse, allow_leakage=allow_leakage)


def _evaluated(
    run: RunFolder,
    parts: Sequence[ScoredPart],
    paths: Paths,
    profile: Profile,
    progress: Progress,
    fuse: Sequence[Path],
    *,
    allow_leakage: bool,
) -> Path:
    config = run.config()
    weights = RunModels(run, config).by_name()
    same_part(parts)
    allowed = allow_leakage or config.allow_leakage
    fused = [RunFolder.open(one) for one in fuse]
    leaks = tuple(leak for one in (run, *fused) for leak in check_leaks(parts, taught_by(one)))
    require_allowed(leaks, allowed=allowed)
    require_writable(run.folder / "evaluations")
    models = {name: load_segmenter(config.network, path) for name, path in weights.items()}
    if fuse:
        models[FUSED] = fused_model(run, fuse)
    roots = data_roots([part.cohort for part in parts], config, paths)
    opened = [open_part(part, roots[part.cohort], config, allow_leakage=allowed) for part in parts]
    for one in opened:
        for learner in (run, *fused):
            _require_recorded_split(learner, one)
    learnt, unchecked = learnt_frames(run, config, paths)
    scored = [frame for one in opened for frame in one.frames]
    leakage = require_allowed((*leaks, *leaks_into(scored, learnt, paths.cache)), allowed=allowed)
    phantom = config.phantom or any(one.cohort.phantom for one in opened)
    evaluated = EvaluatedRun(run, config, phantom, models, recorded_choice(run.folder), 0.0)
    device = open_fabric(config.compute, one_process=True).device
    scoring = Scoring(PranetTable() if profile is Profile.PRANET2020 else None, as_columns=True)
    for one in opened:
        seen = predict_native(models, one.frames, config.asked(device))
        scoring.add(one.cohort, len(one.frames), seen, evaluated.keys(one.role, one.cohort, one.part.part), progress)
    run_metadata = evaluated.run_metadata
    notes = (*run_metadata.notes, *listed_notes(opened), *_seen_while_adapting(parts, config), *unchecked)
    if fuse:
        notes = (*notes, fusion_note(run, fuse))
    update = {"split": parts[0].part, "duration_s": None, "notes": notes}
    if allowed:
        update["leakage"] = tuple(dict.fromkeys((*(run_metadata.leakage or ()), *leakage)))
    run_metadata = run_metadata.model_copy(update=update)
    return write_scored(run.folder / "evaluations" / _name(parts, fused=bool(fuse)), scoring, run_metadata)


def _name(parts: Sequence[ScoredPart], *, fused: bool) -> str:
    return "+".join(part.name for part in parts) + (f"-{FUSED}" if fused else "")


def open_part(
    part: ScoredPart, root: Path, config: AdaptConfig | None = None, *, allow_leakage: bool = False
) -> OpenedPart:
    """Open a part's cohort with its labels.

    Raises: DataError E_NO_LABELS, E_FRAME_UNKNOWN, E_FRAMES_LIST; what opening raises.
    """
    cohort = open_cohort(part.cohort, root, labels=True, allow_leakage=allow_leakage)
    frames = tuple(frame for split in part.splits for frame in labelled_frames(cohort, split))
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


def taught_by(run: RunFolder) -> tuple[str, ...]:
    """Cohorts whose labels taught a model of a run, or chose it: the source; the target by an oracle, a method that
    learns its labels, a checkpoint chosen by them, or outlines that reviewers accepted."""
    config = run.config()
    labels = trained_target_parts(config) or config.accepted
    return (config.source, config.target) if labels else (config.source,)


def check_leaks(parts: Sequence[ScoredPart], learnt: Sequence[str]) -> tuple[LeakageError, ...]:
    """Refuse to score on what a model learnt or was chosen by; tell cohorts that share frames with what it learnt.

    Args: learnt: see :func:`taught_by`. Raises: LeakageError E_TRAINED_ON; UsageError E_COHORT_UNKNOWN.
    """
    shared = []
    for part in parts:
        manifest(part.cohort)
        if whole_cohort(part.cohort) in {whole_cohort(name) for name in learnt} and part.part != Split.TEST.value:
            raise LeakageError(
                "E_TRAINED_ON",
                f"labels of {part.cohort} taught or chose a model of this run; its part '{part.part}' is not held out.",
                where=part.cohort,
                fix=f"score on {part.cohort}:test.",
            )
        for cohort in learnt:
            if whole_cohort(cohort) != whole_cohort(part.cohort) and shared_frames(cohort, part.cohort) is not None:
                error = LeakageError(
                    "E_SHARED_FRAMES",
                    f"'{cohort}', which a model of this run learnt, shares frames with '{part.cohort}'.",
                    where=part.cohort,
                    fix="choose a cohort of different origin (`polypda cohorts show` tells the ancestry), or give "
                    "--allow-leakage, which every report will say.",
                )
                shared.append(error)
    return tuple(shared)


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


def _seen_while_adapting(parts: Sequence[ScoredPart], config: AdaptConfig) -> Iterator[str]:
    for part in parts:
        if whole_cohort(part.cohort) == whole_cohort(config.target) and part.part != Split.TEST.value:
            yield f"{part.name}: the methods saw training frames of this part, without labels, while they adapted."


def _legacy_notes(scoring: Scoring, table: pd.DataFrame) -> Iterator[str]:
    assert scoring.legacy is not None
    rows = table[["cohort", "model", "dice_frame"]].to_dict("records")
    own = {(row["cohort"], row["model"]): row["dice_frame"] for row in rows}
    yield from scoring.legacy.warnings(own)


def _require_recorded_split(run: RunFolder, one: OpenedPart) -> None:
    """A frame that trained a model must not be scored because the cohort's split changed since.

    What counts is the patient, else the sequence: the other modes of a cohort's training patients did not train, but
    show the same polyps. Raises: LeakageError E_SPLIT_CHANGED.
    """
    config = run.config()
    learnt = list(taught_by(run))
    if one.part.part == Split.TEST.value:
        learnt.append(config.target)
    same = [name for name in dict.fromkeys(learnt) if whole_cohort(name) == whole_cohort(one.cohort.id)]
    seen = {unit for name in same for unit in _learning_units(run.split_text(name))}
    moved = [frame.frame for frame in one.frames if unit_of(frame) in seen or ("frame", frame.frame) in seen]
    if moved:
        raise LeakageError(
            "E_SPLIT_CHANGED",
            f"{len(moved)} frames were in training or validation when this run was made (they, or others of their "
            f"patient or sequence), such as {moved[0]}.",
            where=one.cohort.id,
            fix="restore the cohort's split, or train anew.",
        )


def _learning_units(split_csv: str) -> Iterator[Unit]:
    """Frames, patients and sequences that a recorded split names for training or validation."""
    if not split_csv:
        return
    recorded = pd.read_csv(io.StringIO(split_csv), dtype=str, keep_default_na=False)
    for row in recorded[recorded["split"] != Split.TEST.value].to_dict("records"):
        yield "frame", row["frame"]
        if row["patient"]:
            yield "patient", row["patient"]
        elif row["sequence"]:
            yield "sequence", row["sequence"]
