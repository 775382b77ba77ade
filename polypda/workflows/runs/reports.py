"""What is drawn of runs: the curves of one, finished or not, and the cross-centre report of any number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pandas as pd

import polypda
from polypda.errors import DataError, UsageError, nearest
from polypda.evaluation.aggregation.cross_centre import cross_centre_results
from polypda.evaluation.cases.clinical_review import WHERE as REVIEWS
from polypda.evaluation.cases.evaluation_file import Evaluation, find_evaluations, read_evaluation
from polypda.integrity import sha256_of
from polypda.methods.registry import method_class
from polypda.reporting.documents.study import read_study
from polypda.reporting.pages.curves_page import ShownStage, curve_findings, write_curves
from polypda.reporting.pages.report_folder import write_cross_centre_report
from polypda.reporting.report_folders import MADE_FROM, PAGE, is_made_from, refuse_existing
from polypda.training.curves import read_curves, snapshot_table, stage_names
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import SELECTION
from polypda.workflows.runs.stages import ORACLE
from polypda.workflows.runs.trained_models import trained_parts


def curves(folder: Path, out: Path | None = None, stage: str | None = None) -> Path:
    """Draw every stage of a run that has made a step (or only ``stage``); returns the page, in RUN/curves by default.

    Raises: UsageError E_CURVES_STAGE; DataError E_RUN_MISSING, E_CURVES_EMPTY, E_CURVES_EVENTS, E_REPORT_EXISTS.
    """
    run = RunFolder.open(folder)
    config, names = run.config(), stage_names(run)
    if not names:
        raise DataError(
            "E_CURVES_EMPTY",
            "no stage of this run has made a step; what it reused was trained by another run.",
            where=run.name,
            fix="wait until it has, or draw the run it started from.",
        )
    if stage is not None and stage not in names:
        raise UsageError(
            "E_CURVES_STAGE",
            f"there is no stage '{stage}' with steps.{nearest(stage, names)}",
            where=run.name,
            fix=f"stages: {', '.join(names)}.",
        )
    shown, chance = [], method_class(config.method).chance_accuracy
    for name in [stage] if stage else names:
        adapted = name == config.method
        trained_on = "taught by the target's labels" if name == ORACLE else "without the target"
        if name.startswith((f"{config.method}.", *(f"{part}." for part in trained_parts(config)))):
            trained_on = "a round before the last"
        elif name in trained_parts(config):
            trained_on = "a part of the adaptation"
        title = f"{name}: the adaptation" if adapted else f"{name}: {trained_on}"
        shown.append(
            ShownStage(
                read_curves(run, name),
                title,
                snapshot_table(run) if adapted else pd.DataFrame(),
                _chosen(run) if adapted else None,
                chance,  # other stages have no discriminator
            )
        )
    adaptation = f"{config.source} → {config.target} by {config.method}, seed {config.seed}"
    return write_curves(
        out or run.folder / "curves", shown, run=run.name, adaptation=adaptation, phantom=config.phantom
    )


def adaptation_findings(run: RunFolder) -> tuple[str, ...]:
    """What the curves of a run's adaptation show, in words; () where it has none (it was trained elsewhere)."""
    method = run.config().method
    if method not in stage_names(run):
        return ()
    chance = method_class(method).chance_accuracy
    return tuple(curve_findings(read_curves(run, method), snapshot_table(run), chance=chance))


def _chosen(run: RunFolder) -> int | None:
    path = run.folder / SELECTION
    return int(json.loads(path.read_text(encoding="utf-8"))["step"]) if path.is_file() else None


def report(
    runs: Sequence[Path],
    folder: Path,
    *,
    study: Path | None = None,
    overlays: bool = True,
    title: str | None = None,
    force: bool = False,
    notes: Sequence[str] = (),
) -> Path:
    """Write the cross-centre report of runs (or of single evaluations) and return its page.

    Args:
        runs: run folders, of which the report and all later evaluations of the same part are taken, or folders of an
            evaluation. An evaluation of another part (training frames, say) is named in the notes and left out.
        folder: where to write; must not exist, unless ``force`` and a former report lies there. One that was made of
            the same is left as it is.
        study: a study file, for what only people can say.
        notes: further lines that must be read with the numbers, such as runs that failed.

    Raises: UsageError E_REPORT_EMPTY, E_STUDY_…; DataError E_REPORT_EXISTS, E_EVALUATION_MISSING, E_RUN_UNSCORED,
    and what reading and joining evaluations raises.
    """
    if not runs:
        raise UsageError("E_REPORT_EMPTY", "no run was given.", fix="name one run folder or more.")
    if not (folder / MADE_FROM).is_file():
        refuse_existing(folder, replace=force, forcible=True)
    words = read_study(study) if study else None
    # The same folder named twice, or a run beside its own report, is one evaluation
    for run in runs:
        _require_scored(run)
    evaluations: dict[Path, Evaluation] = {}
    left_out: list[str] = []
    for indices in [find_evaluations(run) for run in runs]:  # all are found before the first is read
        of_run = [read_evaluation(index.resolve()) for index in indices]
        part = of_run[0].run_metadata.split
        evaluations |= {one.folder: one for one in of_run if one.run_metadata.split == part}
        left_out += [_other_part(one, part) for one in of_run if one.run_metadata.split != part]
    made_from = _made_from(list(evaluations), study, overlays, title, (*notes, *left_out))
    if is_made_from(folder, made_from):  # by this very command, killed before it could say so
        return folder / PAGE
    refuse_existing(folder, replace=force)
    read = list(evaluations.values())
    evaluations.clear()

    def let_go() -> None:
        """Of a million cases nobody wants a second copy in memory."""
        read[:] = [replace(one, cases=one.cases.iloc[:0].copy()) for one in read]

    results = cross_centre_results(read, joined=let_go)
    results = replace(results, notes=(*results.notes, *notes, *left_out))
    return write_cross_centre_report(
        folder,
        results,
        read,
        study=words,
        overlays=overlays,
        title=title,
        replace=force,
        made_from=made_from,
    )


def _made_from(
    evaluations: Sequence[Path], study: Path | None, overlays: bool, title: str | None, notes: Sequence[str]
) -> str:
    """A digest of all that decides a report: the same one need not be written again."""
    told = [polypda.__version__, str(overlays), title or "", *notes]
    told += [sha256_of(study)] if study else []
    for folder in evaluations:
        files = [path for path in (*folder.iterdir(), *folder.parent.glob(REVIEWS)) if path.is_file()]
        told += [f"{path.relative_to(folder.parent)} {sha256_of(path)}" for path in sorted(files)]
    return sha256("\n".join(told).encode()).hexdigest()


def _require_scored(run: Path) -> None:
    """Raises: DataError E_RUN_UNSCORED for the folder of a complete run that could not be scored."""
    if was_scored(run) or (run / "evaluations").is_dir():
        return
    what = "its target has no labels, so there is no figure to report; what it marks is on unscored/index.html."
    fix = (
        f"label some frames (polypda audit {run.name} --frames 20), or score it elsewhere: polypda evaluate RUN --on …"
    )
    raise DataError("E_RUN_UNSCORED", what, where=run, fix=fix)


def was_scored(folder: Path) -> bool:
    """False for a complete run whose target had no labels to score by; True for everything else."""
    try:
        status = RunFolder(folder).status()
        return bool(status.get("scored", "verdict" not in status))  # a run before had a verdict only without labels
    except DataError:
        return True


def check_report(folder: Path, study: Path | None, *, force: bool) -> None:
    """Raise what :func:`report` would raise for its folder or its study file, before hours are spent on runs."""
    refuse_existing(folder, replace=force, forcible=True)
    if study is not None:
        read_study(study)


def _other_part(evaluation: Evaluation, part: str) -> str:
    run_metadata = evaluation.run_metadata
    return (
        f"{run_metadata.run}: its evaluation '{evaluation.folder.name}' (part {run_metadata.split}) is not in this "
        f"report, which shows part {part}; give that folder by itself for a report of its own."
    )
