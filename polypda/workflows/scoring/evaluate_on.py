"""Scoring a finished run on further cohorts, or on its own again: `polypda evaluate RUN --on COHORT[:PART]`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from polypda.cohorts.catalogue import manifest, shared_frames
from polypda.cohorts.frames import Split
from polypda.cohorts.splits import Unit, unit_of
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.errors import LeakageError
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.scoring.pranet2020 import PranetTable
from polypda.evaluation.scoring.predictions import predict_native
from polypda.files import require_writable
from polypda.locks import locked
from polypda.networks.registry import load_segmenter
from polypda.training.config import AdaptConfig
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import recorded_choice
from polypda.workflows.runs.cohort_pair import data_roots
from polypda.workflows.runs.leakage import leaks_into, require_allowed
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.recorded_data import trained_target_parts
from polypda.workflows.runs.trained_models import FUSED, RunModels, fused_model, fusion_note, learnt_frames
from polypda.workflows.scoring.evaluate import EvaluatedRun
from polypda.workflows.scoring.scored_parts import OpenedPart, listed_notes, open_part, same_part, write_scored
from polypda.workflows.scoring.scoring import Profile, ScoredPart, Scoring


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
        scored = _scored(run, parts, paths, profile, progress, fuse, allow_leakage=allow_leakage)
        return write_scored(run.folder / "evaluations" / _name(parts, fused=bool(fuse)), *scored)


def _scored(
    run: RunFolder,
    parts: Sequence[ScoredPart],
    paths: Paths,
    profile: Profile,
    progress: Progress,
    fuse: Sequence[Path],
    *,
    allow_leakage: bool,
) -> tuple[Scoring, RunMetadata]:
    """What is written: by then the frames are let go, of which there may be hundreds of thousands."""
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
    return scoring, run_metadata.model_copy(update=update)


def _name(parts: Sequence[ScoredPart], *, fused: bool) -> str:
    return "+".join(part.name for part in parts) + (f"-{FUSED}" if fused else "")


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


def _seen_while_adapting(parts: Sequence[ScoredPart], config: AdaptConfig) -> Iterator[str]:
    for part in parts:
        if whole_cohort(part.cohort) == whole_cohort(config.target) and part.part != Split.TEST.value:
            yield f"{part.name}: the methods saw training frames of this part, without labels, while they adapted."


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
