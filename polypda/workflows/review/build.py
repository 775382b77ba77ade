"""From finished runs to the folder that a clinician opens: `polypda review build RUN…`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.opening import open_cohort
from polypda.data.labels import box_corners
from polypda.errors import DataError, UsageError
from polypda.evaluation.aggregation.aggregates import NO_STRATUM, SIZE_STRATA, size_stratum
from polypda.evaluation.aggregation.centres import paired_cases
from polypda.evaluation.cases.case_table import BOX
from polypda.evaluation.cases.evaluation_file import is_evaluation, read_evaluation
from polypda.evaluation.cases.run_metadata import SOURCE_ONLY
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.predictions import NativePrediction, predict_native
from polypda.networks.registry import load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.networks.weights import training_identity
from polypda.reporting.report_folders import refuse_existing
from polypda.review.folder import FORMER, PredictedCase, ReviewPlan, write_review
from polypda.review.frames import entropy
from polypda.review.orderings import Candidate, Order, choose, worth
from polypda.review.record import CaseFigures, ReviewRecord, Side
from polypda.training.config import AdaptConfig
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.workflows.review.predicted import PART, PredictedFolder
from polypda.workflows.runs.cohort_pair import data_roots
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.stages import ADABN
from polypda.workflows.runs.trained_models import RunModels

DEFAULT_CASES = 200


@dataclass(frozen=True)
class ReviewWish:
    """What is to be handed out. order: None: by lot where it is blinded, else the worst
    first or, where nothing was scored, where models disagree."""

    cases: int = DEFAULT_CASES
    order: Order | None = None
    part: Split = Split.TEST
    blinded: bool = False
    single_file: bool = False
    panels: bool = True
    every_frame: bool = False
    seed: int = 0


@dataclass(frozen=True)
class ReviewedRun:
    """A finished run whose predictions are judged. part: of the target."""

    run: RunFolder
    config: AdaptConfig
    cohort: OpenedCohort
    part: Split
    scored: bool

    @classmethod
    def open(cls, folder: Path, part: Split, paths: Paths) -> ReviewedRun:
        """Open a run and its target. Of training frames no label is looked at: acceptance must not lean on one.

        Raises: DataError E_RUN_MISSING, E_RUN_UNFINISHED, E_COHORT_ABSENT, and what opening the cohort raises.
        """
        run = RunFolder.open(folder)
        config = run.config()
        RunModels(run, config).by_name()
        scored = part is Split.TEST and is_evaluation(run.report)
        roots = data_roots([config.target], config, paths)
        cohort = open_cohort(config.target, roots[config.target], labels=scored, allow_leakage=config.allow_leakage)
        return cls(run, config, cohort, part, scored)

    @property
    def models(self) -> dict[Side, str]:
        """The models before and after; a source-only run has its other control."""
        after = self.config.method if self.config.method != SOURCE_ONLY else ADABN
        return {"before": SOURCE_ONLY, "after": after}

    @cached_property
    def segmenters(self) -> dict[Side, Segmenter]:
        paths = RunModels(self.run, self.config).by_name()
        return {side: load_segmenter(self.config.network, paths[name]) for side, name in self.models.items()}

    @cached_property
    def trainings(self) -> dict[Side, str]:
        return {side: training_identity(model) for side, model in self.segmenters.items()}

    @cached_property
    def frames(self) -> dict[str, Frame]:
        """The frames that may be handed out, by name."""
        known = {frame.frame: frame for frame in self.cohort.split(self.part)}
        return {name: known[name] for name in self.scores.index if name in known} if self.scored else known

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The run's own cases of both models on the target, one row per frame, by frame.

        Raises: DataError E_REVIEW_STALE where they are of other weights than the run holds.
        """
        cases = read_evaluation(self.run.report).cases
        own = cases[(cases["role"] == "target") & (cases["cohort"] == self.cohort.id)]
        for side, name in self.models.items():
            if set(own.loc[own["model"] == name, "training"]) - {self.trainings[side]}:
                raise DataError(
                    "E_REVIEW_STALE",
                    f"its report scored other weights of '{name}' than the run holds now.",
                    where=self.run.name,
                    fix=f"score it again: remove {self.run.name}/report and `polypda adapt --resume {self.run.name}`.",
                )
        pairs = paired_cases(own, self.models["before"], self.models["after"])
        return pairs.set_index("frame")

    def row(self, frame: str) -> pd.Series:
        return cast(pd.Series, self.scores.loc[frame])

    def candidates(self) -> list[Candidate]:
        """Every frame with what it was scored."""
        found = []
        for name, frame in self.frames.items():
            values = {}
            if self.scored:
                row = self.row(name)
                values = {f"worth_{when}": _worth(row, when) for when in ("before", "after")}
            found.append(Candidate(self.run.name, self.cohort.id, name, frame.sequence or "", **values))
        return found

    def predicted(self, names: Sequence[str]) -> Iterator[NativePrediction]:
        device = open_fabric(self.config.compute, one_process=True).device
        models = {str(side): model for side, model in self.segmenters.items()}
        frames = [self.frames[name] for name in names]
        return predict_native(models, frames, self.config.asked(device), scored=self.scored)

    def case(self, seen: NativePrediction, candidate: Candidate, order: Order) -> PredictedCase:
        """A prediction as it is handed out."""
        described = manifest(self.cohort.id)
        scope = described.scope
        boxed = self.scored and str(self.row(candidate.frame)["annotation"]) == BOX
        marked = {side: seen.probabilities[side] >= DEFAULT_THRESHOLD for side in ("before", "after")}
        reference = seen.reference
        if reference is not None and seen.ignored is not None:
            reference = np.where(seen.ignored, 0, reference)
        measured = measure(seen)
        return PredictedCase(
            run=self.run.name,
            owner=self.run.folder,
            frame=seen.frame,
            pixels=seen.image,
            field=seen.valid,
            before=marked["before"],
            after=marked["after"],
            trainings=self.trainings,
            phantom=self.cohort.phantom,
            reference=None if reference is None or boxed else reference.astype(bool),
            boxes=box_corners(seen.frame) if boxed else None,
            uncertainty={side: entropy(seen.probabilities[side]) for side in ("before", "after")},
            figures=_figures(self.row(candidate.frame)) if self.scored else None,
            centre=described.city or described.centre or "",
            device=" ".join(filter(None, [scope.vendor, scope.processor])),
            why=order.value,
            values=_finite(
                {
                    "worth_before": candidate.worth_before,
                    "worth_after": candidate.worth_after,
                    "disagreement": measured[0],
                    "uncertainty": measured[1],
                }
            ),
        )


def build_review(
    runs: Sequence[Path],
    out: Path,
    wish: ReviewWish,
    paths: Paths,
    progress: Progress,
    *,
    replace_former: bool = False,
    images: Path | None = None,
) -> ReviewRecord:
    """Write the folder of a review and its record in each run. Returns what was handed out.

    Args: runs: run folders, or one folder of `polypda predict`. images: where the latter's pictures lie.

    Raises: UsageError E_REVIEW_RUNS, E_REVIEW_COUNT, E_REVIEW_ORDER, E_REVIEW_MODELS; DataError E_REPORT_EXISTS,
    E_REVIEW_EMPTY, and what :meth:`ReviewedRun.open`, predicting and writing raise.
    """
    if not runs:
        raise UsageError("E_REVIEW_RUNS", "no run was given.", fix="name a run folder of `polypda adapt`.")
    refuse_existing(out, replace=replace_former, former=FORMER, forcible=True)
    if any(PredictedFolder.recognises(folder) for folder in runs):
        return _of_predictions(runs, out, wish, images, replace_former=replace_former)
    if images is not None:
        raise UsageError("E_OPTION", "--images is for folders of `polypda predict`.", fix="leave it out.")
    opened = [ReviewedRun.open(folder, wish.part, paths) for folder in runs]
    by_name = _by_name(opened)
    order = _order(wish, scored=all(one.scored for one in opened))
    candidates = [candidate for one in opened for candidate in one.candidates()]
    if not candidates:
        raise DataError(
            "E_REVIEW_EMPTY",
            f"{opened[0].cohort.id} has no frame in its part '{wish.part.value}'.",
            where=opened[0].run.name,
            fix="--part test, train or validation.",
        )
    if order.needs_prediction:
        candidates = [measured for one in opened for measured in _measured(one, candidates, progress)]
    chosen = choose(candidates, order, wish.cases, every_frame=wish.every_frame, seed=wish.seed)
    plan = ReviewPlan(
        models=opened[0].models,
        part=wish.part.value,
        order=order.value,
        blinded=wish.blinded,
        single_file=wish.single_file,
        panels=wish.panels,
        referenced=any(one.scored for one in opened),
    )
    return write_review(out, _cases(by_name, chosen, order, progress), plan, replace=replace_former)


def _of_predictions(
    runs: Sequence[Path], out: Path, wish: ReviewWish, images: Path | None, *, replace_former: bool
) -> ReviewRecord:
    """The same for one folder of `polypda predict`: one model, no reference."""
    if len(runs) > 1:
        raise UsageError("E_REVIEW_RUNS", "predictions are reviewed by themselves.", fix="name one folder.")
    if wish.blinded or wish.part is not Split.TEST:
        what = "predictions are of one model and no part: there is nothing to blind or to choose."
        raise UsageError("E_OPTION", what, fix="leave --blinded and --part out.")
    folder = PredictedFolder(runs[0], images)
    candidates = folder.candidates()
    order = wish.order or Order.RANDOM
    if order is Order.DISAGREEMENT:
        raise UsageError("E_REVIEW_ORDER", "one model disagrees with none.", fix=f"--order {Order.UNCERTAIN}, random")
    if not candidates:
        raise DataError("E_REVIEW_EMPTY", "no frame was predicted.", where=folder.name, fix="predict some frames.")
    if order is Order.UNCERTAIN:
        candidates = list(folder.measured(candidates))
        if all(math.isnan(one.uncertainty) for one in candidates):
            what = "--order uncertain: no maps of probability were kept."
            raise UsageError("E_REVIEW_ORDER", what, fix="predict with --probabilities png16, or --order random.")
    chosen = choose(candidates, order, wish.cases, every_frame=True, seed=wish.seed)
    plan = ReviewPlan(
        models=folder.models,
        part=PART,
        order=order.value,
        single_file=wish.single_file,
        panels=wish.panels,
        referenced=False,
    )
    return write_review(out, (folder.case(one, order) for one in chosen), plan, replace=replace_former)


def _order(wish: ReviewWish, *, scored: bool) -> Order:
    """The order that was wished, else the usual one. Raises: UsageError E_REVIEW_ORDER."""
    if wish.order is None:
        return Order.RANDOM if wish.blinded else Order.WORST if scored else Order.DISAGREEMENT
    if wish.blinded and wish.order.needs_reference:
        raise UsageError(
            "E_REVIEW_ORDER",
            f"--order {wish.order} with --blinded: who knows the order could tell which outline is which.",
            fix=f"--order {Order.RANDOM}, {Order.DISAGREEMENT} or {Order.UNCERTAIN}.",
        )
    return wish.order


def _by_name(opened: Sequence[ReviewedRun]) -> dict[str, ReviewedRun]:
    by_name = {one.run.name: one for one in opened}
    if len(by_name) < len(opened):
        raise UsageError("E_REVIEW_RUNS", "two runs have one name.", fix="name each run once; rename one of them.")
    if len({tuple(one.models.values()) for one in opened}) > 1:
        told = "; ".join(f"{one.run.name}: {' and '.join(one.models.values())}" for one in opened)
        raise UsageError(
            "E_REVIEW_MODELS", f"the runs compare different models ({told}).", fix="build a review of each by itself."
        )
    return by_name


def _cases(
    by_name: Mapping[str, ReviewedRun], chosen: Sequence[Candidate], order: Order, progress: Progress
) -> Iterator[PredictedCase]:
    """The chosen cases in their order; runs of neighbours are predicted in one pass."""
    progress.begin("predicting the cases", 0, len(chosen))
    try:
        for number, candidate in enumerate(chosen, 1):
            one = by_name[candidate.run]
            yield one.case(next(one.predicted([candidate.frame])), candidate, order)
            progress.advance(number)
    finally:
        progress.end()


def _measured(one: ReviewedRun, candidates: Sequence[Candidate], progress: Progress) -> Iterator[Candidate]:
    """A run's candidates with disagreement and uncertainty: every one of them is predicted."""
    own = [candidate for candidate in candidates if candidate.run == one.run.name]
    progress.begin(f"comparing the models of {one.run.name}", 0, len(own))
    try:
        for number, (candidate, seen) in enumerate(
            zip(own, one.predicted([candidate.frame for candidate in own]), strict=True), 1
        ):
            disagreement, uncertainty = measure(seen)
            yield replace(candidate, disagreement=disagreement, uncertainty=uncertainty)
            progress.advance(number)
    finally:
        progress.end()


def measure(seen: NativePrediction) -> tuple[float, float]:
    """How far two models' masks differ (1 − IoU; 0 where both mark nothing) and the mean entropy after, in bits."""
    before, after = (seen.probabilities[side][seen.valid] for side in ("before", "after"))
    first, second = before >= DEFAULT_THRESHOLD, after >= DEFAULT_THRESHOLD
    union = np.count_nonzero(first | second)
    disagreement = 1.0 - np.count_nonzero(first & second) / union if union else 0.0
    return float(disagreement), float(entropy(after).mean()) if after.size else math.nan


def _worth(row: pd.Series, when: str) -> float:
    lesions = int(row["lesions_reference"]) + int(row[f"lesions_predicted_{when}"])
    if str(row["annotation"]) == BOX and lesions and int(row["lesions_reference"]):
        return 2.0 * int(row[f"lesions_hit_10_{when}"]) / lesions
    return worth(float(row[f"dice_{when}"]), float(row[f"fp_area_fraction_{when}"]))


def _figures(row: pd.Series) -> CaseFigures:
    area = float(row["relative_polyp_area"])
    stratum = int(size_stratum(np.array([0.0 if math.isnan(area) else area]))[0])
    return CaseFigures(
        dice_before=_or_none(row["dice_before"]),
        dice_after=_or_none(row["dice_after"]),
        relative_polyp_area=_or_none(area),
        size="" if stratum == NO_STRATUM else SIZE_STRATA[stratum],
        outcome_before=_outcome(row, "before"),
        outcome_after=_outcome(row, "after"),
    )


def _outcome(row: pd.Series, when: str) -> str:
    if reference := int(row["lesions_reference"]):
        hits = int(row[f"lesions_hit_10_{when}"])
        return "found" if hits >= reference else "partly" if hits else "missed"
    return "false_alarm" if int(row[f"lesions_predicted_{when}"]) else "clean"


def _or_none(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items() if math.isfinite(value)}
