"""The proof: every model of a run on the held-out part of both cohorts, at native resolution, and the report of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.errors import DataError, PolypdaError
from polypda.evaluation.cases.case_table import CaseKey
from polypda.evaluation.cases.evaluation_file import read_evaluation, regret_rows
from polypda.evaluation.cases.run_metadata import SOURCE_ONLY, RunMetadata
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.predictions import NativePrediction, predict_native
from polypda.networks.segmenter import Segmenter
from polypda.networks.weights import training_identity
from polypda.reporting.overlays.frame_choice import choose_frames
from polypda.reporting.pages.page import OverlayImage
from polypda.reporting.pages.report_folder import write_report
from polypda.training.config import AdaptConfig, FinalStatistics
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress, phase
from polypda.training.run_folder import RunFolder, environment
from polypda.training.selectors import Choice, set_aside
from polypda.workflows.runs.cohort_pair import CohortPair
from polypda.workflows.runs.configure import recorded_note
from polypda.workflows.runs.leakage import recorded_leakage
from polypda.workflows.runs.reports import adaptation_findings
from polypda.workflows.runs.source_labels import LearntLabels
from polypda.workflows.runs.source_package import CONTROL_NOTE, packaged_facts
from polypda.workflows.runs.stages import ADABN
from polypda.workflows.runs.trained_models import Snapshots, learns_target_labels, wants_oracle
from polypda.workflows.scoring.label_free_evidence import UnscoredRun
from polypda.workflows.scoring.prediction_overlay import prediction_overlay
from polypda.workflows.scoring.score_memory import Rows, ScoreMemory
from polypda.workflows.scoring.scoring import Scoring
from polypda.workflows.scoring.side_by_side import ScoringProcesses
from polypda.workflows.scoring.unscored import NOT_SCORED, report_unscored

UNSCORED = "unscored"
"""Folder of a run whose target cannot be scored."""


@dataclass(frozen=True)
class RowKey:
    """Names the rows of one part of a cohort, by model and frame. trainings: model → identity of its weights."""

    run: str
    source: str
    target: str
    seed: int
    role: str
    cohort: str
    split: str
    phantom: bool
    trainings: dict[str, str]

    def __call__(self, model: str, frame: Frame) -> CaseKey:
        named = {name: value for name, value in vars(self).items() if name != "trainings"}
        return CaseKey(
            **named,
            model=model,
            frame=frame.frame,
            training=self.trainings[model],
            patient=frame.patient or "",
            sequence=frame.sequence or "",
        )


@dataclass(frozen=True)
class EvaluatedRun:
    """A trained run: its models by name (method and controls), and how its checkpoint was chosen.

    snapshots: what it was chosen from, where what the checkpoint rules cost is to be told. memory: of scores that other
    runs have computed. regret: what the checkpoint rules cost, where snapshots are no longer there.
    """

    run: RunFolder
    config: AdaptConfig
    phantom: bool
    models: dict[str, Segmenter]
    choice: Choice | None
    duration_s: float
    snapshots: Snapshots | None = None
    memory: ScoreMemory | None = None
    regret: pd.DataFrame | None = None

    @property
    def shown(self) -> str:
        """The model that the report compares with source-only; a source-only run has its other control."""
        return self.config.method if self.config.method != SOURCE_ONLY else ADABN

    @cached_property
    def trainings(self) -> dict[str, str]:
        """Model name → identity of its weights: runs that share a control share its identity."""
        return {name: training_identity(model) for name, model in self.models.items()}

    @property
    def _not_scored(self) -> str:
        """What a page has to say of models that the run no longer has."""
        gone = self.run.not_kept().models
        return f"Not scored here, for the run did not keep their models: {', '.join(gone)}." if gone else ""

    @cached_property
    def learnt(self) -> LearntLabels:
        """What taught the models."""
        return LearntLabels.recorded(self.run)

    def keys(self, role: str, cohort: OpenedCohort, part: str = Split.TEST.value) -> RowKey:
        """Names the rows of one cohort's part."""
        config = self.config
        return RowKey(
            self.run.name,
            config.source,
            config.target,
            config.seed,
            role,
            cohort.id,
            part,
            cohort.phantom,
            self.trainings,
        )

    @property
    def run_metadata(self) -> RunMetadata:
        config = self.config
        chosen = self.choice is not None and self.shown == config.method
        return RunMetadata(
            run=self.run.name,
            source=config.source,
            target=config.target,
            method=self.shown,
            source_only=SOURCE_ONLY,
            selector=config.selector if chosen else "last",
            selected_step=self.choice.step if chosen and self.choice else None,
            seeds=(config.seed,),
            threshold=DEFAULT_THRESHOLD,
            input_size=(config.data.size, config.data.size),
            inference=config.inference.words,
            split=Split.TEST.value,
            batch_norm=_batch_norm_text(config),
            statistics_control=ADABN if chosen and config.final_statistics is FinalStatistics.TARGET else None,
            phantom=self.phantom,
            supervision=self.learnt.words,
            notes=(
                *filter(None, [recorded_note(self.run), self._not_scored]),
                *self.learnt.notes,
                *([CONTROL_NOTE] if config.source_package else []),
            ),
            target_labels_used=wants_oracle(config),
            target_labels_trained_on=learns_target_labels(config),
            accepted=config.accepted or "",
            set_aside=set_aside(self.run.folder),
            curves=adaptation_findings(self.run) if chosen else (),
            leakage=recorded_leakage(self.run.folder) if config.allow_leakage else None,
            settings=config.model_dump(mode="json"),
            duration_s=self.duration_s,
            versions=environment(),
        )


def _batch_norm_text(config: AdaptConfig) -> str:
    policy = f"policy {config.batch_norm.value} for the method and its source-only control"
    if config.final_statistics is FinalStatistics.TARGET:
        return f"{policy}; {config.method} ends with the target's statistics: compare it with adabn, too"
    return f"{policy}; statistics as trained"


@dataclass(frozen=True)
class Reported:
    """page: of the report, or of a target without labels. verdict: what it says, in one line. scored: by labels."""

    page: Path
    verdict: str
    scored: bool = True


def evaluate_and_report(
    evaluated: EvaluatedRun, pair: CohortPair, *, overlays: int | None, progress: Progress
) -> Reported:
    """Score every model on the test part of source and target, write the report folder.

    Only here are the target's masks opened. Where it has none to score by, the models are weighed without labels.
    Args: overlays: how many per cohort, None for all. Raises: what scoring and writing raise.
    """
    target, why = _labelled_target(pair)
    if target is None:
        page = report_unscored(_unscored(evaluated, pair), why, overlays, progress)
        done = "trained" if evaluated.config.method == SOURCE_ONLY else "adapted"
        return Reported(page, f"{done}; {NOT_SCORED}", scored=False)
    cohorts = {"target": target} if pair.source is None else {"source": pair.source, "target": target}
    return _report_on(evaluated, cohorts, overlays, progress)


def _unscored(evaluated: EvaluatedRun, pair: CohortPair) -> UnscoredRun:
    run, config = evaluated.run, evaluated.config
    facts = packaged_facts(run)
    return UnscoredRun(
        folder=run.folder / UNSCORED,
        run_metadata=evaluated.run_metadata,
        models={name: evaluated.models[name] for name in (SOURCE_ONLY, evaluated.shown)},
        asked=config.asked(open_fabric(config.compute, one_process=True).device),
        source=pair.source,
        target=pair.target,
        choice=evaluated.choice,
        data_root=None if evaluated.phantom else pair.target_root,
        source_foreground=facts.source_foreground if facts else float("nan"),
    )


def _report_on(
    evaluated: EvaluatedRun, cohorts: dict[str, OpenedCohort], overlays: int | None, progress: Progress
) -> Reported:
    """Likewise for cohorts by their role in the run; a source whose frames are not here is left out."""
    cases = score(evaluated, cohorts, progress)
    report = evaluated.run.report
    images = _overlays(evaluated, cohorts, cases, overlays)
    regret = _selector_regret(evaluated, cohorts["target"], cases, progress)
    with phase(progress, "writing the report"):
        verdict = write_report(report, cases, evaluated.run_metadata, images, regret, replace=True)
    return Reported(report / "index.html", verdict)


def _labelled_target(pair: CohortPair) -> tuple[OpenedCohort | None, str]:
    """The target with its labels; None, and why, where there is nothing to score by."""
    try:
        target = pair.labelled_target()
    except DataError as error:
        if error.code != "E_MASK_MISSING":
            raise
        return None, error.what.rstrip(".")
    if not target.labelled(Split.TEST):
        return None, "no held-out frame of the target has a label to score it by"
    return target, ""


def score(evaluated: EvaluatedRun, cohorts: dict[str, OpenedCohort], progress: Progress) -> pd.DataFrame:
    """The cases: one row per model and held-out frame of both cohorts."""
    with ScoringProcesses(evaluated.run, evaluated.config) as processes:
        scored = [_scored(evaluated, role, cohort, processes, progress) for role, cohort in cohorts.items()]
    return Scoring(rows=[row for rows in scored for row in rows]).cases()


def _scored(
    evaluated: EvaluatedRun, role: str, cohort: OpenedCohort, processes: ScoringProcesses, progress: Progress
) -> Rows:
    """The rows of one cohort, frame by frame; a model whose scores on these very frames are known is not run again."""
    frames, key, memory = cohort.labelled(Split.TEST), evaluated.keys(role, cohort), evaluated.memory
    known: dict[str, Rows | None] = dict.fromkeys(evaluated.models)
    signature = ""
    if memory is not None and frames:
        signature = memory.signature(cohort, frames)
        known = {name: memory.recall(signature, name, frames, key) for name in evaluated.models}
    asked = [name for name, rows in known.items() if rows is None]
    scoring = Scoring()
    if processes.pay(len(frames), len(asked)):
        scoring.rows = processes.rows(cohort, frames, asked, key, progress)
    elif asked:
        scoring.add(cohort, len(frames), _predictions(evaluated, frames, asked), key, progress)
    for name in asked:
        known[name] = rows = [row for row in scoring.rows if row["model"] == name]
        if memory is not None and signature:
            memory.keep(signature, name, frames, key, rows)
    return [row for together in zip(*(rows or [] for rows in known.values()), strict=True) for row in together]


def recorded_regret(report: Path) -> pd.DataFrame | None:
    """What a former report says that each checkpoint rule cost; None where it cannot be read."""
    try:
        found = read_evaluation(report).selectors
    except PolypdaError:
        return None
    return None if found.empty else found


def _selector_regret(
    evaluated: EvaluatedRun, target: OpenedCohort, cases: pd.DataFrame, progress: Progress
) -> pd.DataFrame | None:
    """What each checkpoint rule cost; None without a choice or without a held-out target frame that shows a polyp.

    cases: in which the snapshot that is handed out is scored already.
    """
    choice, snapshots, config = evaluated.choice, evaluated.snapshots, evaluated.config
    if choice is None or snapshots is None:
        return evaluated.regret
    aside = bool(set_aside(evaluated.run.folder))
    own = cases[(cases["cohort"] == target.id) & (cases["model"] == config.method)]["dice"].dropna()
    known = {} if aside or own.empty else {choice.step: own.to_list()}
    dice, n = snapshots.dice(target.labelled(Split.TEST), progress, known)
    run = {
        "run": evaluated.run.name,
        "source": config.source,
        "target": config.target,
        "model": config.method,
        "seed": config.seed,
    }
    used = "" if aside else choice.selector
    return regret_rows(run, choice.choices, dice, used=used, n=n) if n else None


def _overlays(
    evaluated: EvaluatedRun, cohorts: dict[str, OpenedCohort], cases: pd.DataFrame, count: int | None
) -> Iterator[OverlayImage]:
    """Draw the frames chosen by rule, the target's first."""
    for cohort in (cohorts[role] for role in ("target", "source") if role in cohorts):
        chosen = choose_frames(cases, SOURCE_ONLY, evaluated.shown, cohort.id, "all" if count is None else count)
        by_name = {frame.frame: frame for frame in cohort.labelled(Split.TEST)}
        predictions = _predictions(evaluated, [by_name[name] for name, _ in chosen], (SOURCE_ONLY, evaluated.shown))
        for (name, why), prediction in zip(chosen, predictions, strict=True):
            own = cases[(cases["cohort"] == cohort.id) & (cases["frame"] == name)].set_index("model")
            image = prediction_overlay(prediction, cohort, own.loc[[SOURCE_ONLY, evaluated.shown]], why)
            yield OverlayImage(cohort.id, name, why, image)


def _predictions(evaluated: EvaluatedRun, frames: Sequence[Frame], models: Iterable[str]) -> Iterator[NativePrediction]:
    config = evaluated.config
    device = open_fabric(config.compute, one_process=True).device
    chosen = {name: evaluated.models[name] for name in models}
    return predict_native(chosen, frames, config.asked(device))
