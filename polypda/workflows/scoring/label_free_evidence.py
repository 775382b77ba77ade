"""What is weighed of two models without labels of the target: marks, steadiness, drift, alarms, an estimated Dice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame, OpenedCohort
from polypda.data.cache import load_native
from polypda.errors import DataError
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.estimation.confidence import fit_temperatures
from polypda.evaluation.estimation.estimated_dice import AFTER, BEFORE, PairCounts, estimate_dice
from polypda.evaluation.estimation.evidence import NOT_MEASURED, LabelFreeEvidence, ModelEvidence
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.networks.averaged_prediction import Asked
from polypda.networks.segmenter import Segmenter
from polypda.training.collapse_limits import AREA_FACTOR, HELD_OUT_DICE_LOST, LEAST_AGREEMENT, MOSTLY_UNMARKED
from polypda.training.criteria import CRITERIA
from polypda.training.progress import Progress
from polypda.training.selectors import Choice
from polypda.workflows.scoring.label_free import (
    LabelledEvidence,
    ModelPair,
    evenly_spaced,
    labelled_evidence,
    other_cohorts,
)

SCALED_FRAMES = 32
"""Evenly spaced frames on which the answers at two input sizes are compared."""
OTHER_SCALE = 1.5
"""What a model that is asked at one size is asked at beside it."""
CHANGED_BELOW = 0.5


@dataclass(frozen=True)
class UnscoredRun:
    """What of a run is looked at. models: source-only and the one it hands out, by name, in this order.

    source: opened with labels; None where a source package stands for it. source_foreground: what that package says.
    choice: of the checkpoint. set_aside: why the run hands out its source-only control; empty where it does not.
    data_root: below which other cohorts lie; None: none are looked for.
    """

    folder: Path
    run_metadata: RunMetadata
    models: Mapping[str, Segmenter]
    asked: Asked
    source: OpenedCohort | None
    target: OpenedCohort
    choice: Choice | None
    data_root: Path | None
    source_foreground: float = NOT_MEASURED


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks; 1 where both mark nothing."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def gathered_evidence(
    run: UnscoredRun,
    pair: ModelPair,
    frames: Sequence[Frame],
    table: pd.DataFrame,
    counts: PairCounts,
    progress: Progress,
) -> tuple[LabelFreeEvidence, pd.DataFrame]:
    """The evidence, and the table with each frame's expected Dice where it could be estimated.

    Args: frames: all of the target, without labels. table: their predictions, a row each. counts: their pixels by
        confidence.
    """
    others = [] if run.data_root is None else other_cohorts([run.run_metadata.source, run.target.id], run.data_root)
    labelled = labelled_evidence(pair, run.source, frames, others, progress)
    held = labelled.held_out
    known = run.source_foreground
    if held is not None:
        known = float((held.before.labels.sum(axis=1) / held.before.pixels.sum(axis=1)).mean())
    scales, steady = _scale_agreement(run, frames, progress)
    models = []
    for number, when in enumerate((BEFORE, AFTER)):
        foreground = table[f"foreground_{when}"]
        dice = np.array([]) if held is None else (held.before, held.after)[number].dice
        known_dice = dice[~np.isnan(dice)]
        models.append(
            ModelEvidence(
                float(foreground.mean()),
                float((foreground == 0).mean()),
                steady[number],
                _criteria(run.choice, when),
                float(known_dice.mean()) if len(known_dice) else NOT_MEASURED,
            )
        )
    evidence = LabelFreeEvidence(
        frames=len(frames),
        source_foreground=known,
        before=models[0],
        after=models[1],
        agreement=float(table["agreement"].mean()),
        changed=float((table["agreement"] < CHANGED_BELOW).mean()),
        scales=scales,
        source_frames=len(held.before) if held is not None else 0,
        drift=_drift(run.choice),
        pseudo_targets=dict(Counter(one.kind for one in labelled.pseudo_targets)),
    )
    evidence = replace(evidence, findings=(*run.run_metadata.set_aside, *collapse_findings(evidence)))
    return _with_estimates(evidence, table, counts, labelled)


def _with_estimates(
    evidence: LabelFreeEvidence, table: pd.DataFrame, counts: PairCounts, labelled: LabelledEvidence
) -> tuple[LabelFreeEvidence, pd.DataFrame]:
    """Estimates of the means and of every frame; without enough held-out source frames there are none."""
    if labelled.held_out is None:
        return evidence, table
    try:
        estimates = estimate_dice(counts, labelled.held_out.before, labelled.pseudo_targets)
        calibrator = fit_temperatures(labelled.held_out.before)
    except DataError as error:
        if error.code != "E_ESTIMATION_FRAMES":
            raise
        return evidence, table
    expected = {
        "expected_dice_before": calibrator.expected_dice(counts.before),
        "expected_dice_after": calibrator.expected_dice(counts.after),
    }
    return replace(evidence, estimates=tuple(estimates)), table.assign(**expected)


def _criteria(choice: Choice | None, when: str) -> dict[str, float]:
    """The checkpoint criteria that speak for or against an adaptation, of the control or of the chosen snapshot."""
    score = None
    if choice is not None:
        chosen = next((score for score in choice.scores if score.step == choice.step), None)
        score = choice.control if when == BEFORE else chosen
    rules = [rule for rule in CRITERIA.values() if rule.speaks_for_adaptation]
    return {rule.key: score[rule.key] for rule in rules} if score is not None else {}


def _drift(choice: Choice | None) -> tuple[tuple[int, float, float, float], ...]:
    """How the snapshots moved away from source-only, which comes first; then the earliest."""
    if choice is None:
        return ()
    scores = [*([choice.control] if choice.control else []), *choice.scores]
    return tuple((one.step, one.target_foreground, one.control_agreement, one["ensemble_agreement"]) for one in scores)


def _scale_agreement(
    run: UnscoredRun, frames: Sequence[Frame], progress: Progress
) -> tuple[tuple[float, float], list[float]]:
    """The two relative input sizes, and each model's mean Dice between its answers at them."""
    own = run.asked.inference.scales
    scales = (min(own), max(own)) if len(own) > 1 else (own[0], own[0] * OTHER_SCALE)
    asked = [
        replace(run.asked, inference=run.asked.inference.model_copy(update={"scales": (scale,), "flips": False}))
        for scale in scales
    ]
    values: list[list[float]] = [[], []]
    chosen = evenly_spaced(frames, SCALED_FRAMES)
    progress.begin("comparing input sizes", 0, len(chosen))
    try:
        for number, frame in enumerate(chosen, 1):
            native = load_native(frame, run.asked.grid)
            for index, model in enumerate(run.models.values()):
                marked = [(one.native_probability(model, native) >= DEFAULT_THRESHOLD) & native.valid for one in asked]
                values[index].append(overlap(marked[0], marked[1]))
            progress.advance(number)
    finally:
        progress.end()
    return scales, [float(np.mean(one)) if one else NOT_MEASURED for one in values]


def collapse_findings(evidence: LabelFreeEvidence) -> tuple[str, ...]:
    """What speaks against using the adapted model, in words: by the guard's own limits, on all frames of the target."""
    found = []
    share, marked = evidence.source_foreground, evidence.after.foreground
    low, high = share / AREA_FACTOR, share * AREA_FACTOR
    if share > 0 and not low <= marked <= high:
        found.append(f"it marks {marked:.1%} of the target; the source's labels suggest {low:.1%} to {high:.1%}")
    if evidence.after.unmarked >= MOSTLY_UNMARKED:
        found.append(f"it marks nothing on {evidence.after.unmarked:.0%} of the frames")
    if evidence.agreement < LEAST_AGREEMENT:
        found.append(f"its answers agree with source-only by a Dice of only {evidence.agreement:.2f}")
    loss = evidence.before.source_dice - evidence.after.source_dice
    if loss >= HELD_OUT_DICE_LOST:
        found.append(f"it lost {loss:.2f} Dice on held-out frames of the source")
    return tuple(found)
