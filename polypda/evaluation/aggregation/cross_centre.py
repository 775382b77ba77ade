"""Cross-centre results: the tables that every report, figure and card is made from, and the notes to read with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.centres import centre_table, strata_table
from polypda.evaluation.aggregation.comparisons import comparison_table, control_of, uncompared
from polypda.evaluation.aggregation.matrix_table import aggregate_table, matrix_table, models_in_order
from polypda.evaluation.aggregation.panels import GROUP, GroupKey, Panel, panels
from polypda.evaluation.cases.case_table import BOX
from polypda.evaluation.cases.evaluation_file import Evaluation, joined_selectors
from polypda.evaluation.cases.joined_cases import joined_cases
from polypda.evaluation.cases.run_metadata import (
    ONE_SEED,
    ORACLE,
    PHANTOM_BANNER,
    SOURCE_ONLY,
    RunMetadata,
    joint_lines,
)
from polypda.evaluation.scoring.mask_geometry import LESION_RULE
from polypda.evaluation.statistics.intervals import CLUSTER_T_FROM, INDEPENDENT_FRAMES

FACTS = [
    *("frame", "patient", "sequence", "cluster", "phantom", "annotation", "positive", "negative"),
    *("relative_polyp_area", "lesions_reference"),
]
VALUES = ("dice", "iou", "fp_components", "fp_area_fraction", "lesions_hit_10")


def frame_means(panels: Sequence[Panel], source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """One row per group and frame, for figures.

    Columns: GROUP, FACTS, VALUES averaged over the trainings, and as many named …_before of the source-only trainings
    of the same runs and seeds (NaN for source-only itself and where there is no control).
    """
    known = {panel.key: panel for panel in panels}
    parts = []
    for panel in panels:
        before = control_of(panel, known, source_only)
        part = panel.frames[[*GROUP, *FACTS]].reset_index(drop=True)
        columns = {name: panel.mean_values(name) for name in VALUES}
        nothing = np.full(len(part), np.nan)
        columns |= {f"{name}_before": before.mean_values(name) if before else nothing for name in VALUES}
        parts.append(part.assign(**columns))
    return pd.concat(parts, ignore_index=True)


LESION_BASIS = (
    *GROUP,
    *("phantom", "annotation", "n_frames", "n_positive", "n_negative", "n_seeds", "clusters", "cluster_unit"),
)


@dataclass(frozen=True, eq=False)
class CrossCentreResults:
    """Everything that is known about the models of several runs; tables are described where they are made.

    cases: every prediction once, with the column "control". lesions: the lesion columns of ``centres`` with the
    matching rule in "rule". stated: name → text of what every table repeats. notes: lines that must be read with the
    numbers. phantom: some of the frames are rendered.
    """

    cases: pd.DataFrame = field(repr=False)
    metadata_of_runs: tuple[RunMetadata, ...] = field(repr=False)
    centres: pd.DataFrame = field(repr=False)
    matrix: pd.DataFrame = field(repr=False)
    comparisons: pd.DataFrame = field(repr=False)
    aggregates: pd.DataFrame = field(repr=False)
    strata: pd.DataFrame = field(repr=False)
    lesions: pd.DataFrame = field(repr=False)
    frames: pd.DataFrame = field(repr=False)
    selectors: pd.DataFrame = field(repr=False)
    stated: dict[str, str]
    notes: tuple[str, ...]
    phantom: bool


def cross_centre_results(
    evaluations: Sequence[Evaluation], source_only: str = SOURCE_ONLY, *, joined: Callable[[], None] = lambda: None
) -> CrossCentreResults:
    """Join evaluations, check that they can stand side by side, and compute every table.

    joined: called once their cases are joined, and not needed any more.
    Raises: what :func:`.joined_cases.joined_cases` raises.
    """
    cases = joined_cases(evaluations)
    joined()
    metadata_of_runs = tuple(evaluation.run_metadata for evaluation in evaluations)
    groups = panels(cases)
    comparisons = comparison_table(groups, source_only)
    centres = centre_table(groups, comparisons, source_only)
    matrix = matrix_table(cases, comparisons, source_only)
    aggregates = aggregate_table(matrix, source_only)
    phantom = bool(cases["phantom"].any())
    return CrossCentreResults(
        cases=cases,
        metadata_of_runs=metadata_of_runs,
        centres=centres,
        matrix=matrix,
        comparisons=comparisons,
        aggregates=aggregates,
        strata=centres[GROUP].merge(strata_table(groups), how="left", on=GROUP),  # in the order of the centres
        lesions=_lesions(centres),
        frames=frame_means(groups, source_only),
        selectors=joined_selectors([evaluation.selectors for evaluation in evaluations]),
        stated=joint_lines(metadata_of_runs, models_in_order(list(centres["model"]), source_only), phantom=phantom),
        notes=result_notes(cases, centres, comparisons, aggregates, metadata_of_runs, uncompared(groups, source_only)),
        phantom=phantom,
    )


def _lesions(centres: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in centres if name in LESION_BASIS or str(name).startswith("lesion")]
    return centres[columns].assign(rule=LESION_RULE)


def result_notes(
    cases: pd.DataFrame,
    centres: pd.DataFrame,
    comparisons: pd.DataFrame,
    aggregates: pd.DataFrame,
    metadata_of_runs: Sequence[RunMetadata],
    uncompared: Sequence[GroupKey],
) -> tuple[str, ...]:
    """Lines for people, those about whole cohorts first; tables as in :class:`CrossCentreResults`."""
    cohorts = centres.drop_duplicates(["cohort", "split"])
    lines = [
        *_phantom_notes(cohorts),
        *(note for _, row in cohorts.iterrows() for note in _cohort_notes(row)),
        *_missing_notes(cases),
        *_seed_notes(centres),
        *_run_notes(metadata_of_runs, oracle=bool((cases["model"] == ORACLE).any())),
        *_comparison_notes(comparisons, uncompared),
        *_aggregate_notes(aggregates),
        *(f"{run.run}: {note}" for run in metadata_of_runs for note in run.notes),
    ]
    return tuple(dict.fromkeys(lines))


def _phantom_notes(cohorts: pd.DataFrame) -> Iterator[str]:
    rendered, real = cohorts[cohorts["phantom"]], cohorts[~cohorts["phantom"]]
    if len(rendered):
        beside = f"; {', '.join(real['cohort'])}: real frames" if len(real) else ""
        yield f"{PHANTOM_BANNER} ({', '.join(rendered['cohort'])}{beside})."


def _cohort_notes(row: pd.Series) -> Iterator[str]:
    cohort, n = row["cohort"], row["n_positive"]
    if row["annotation"] == BOX:
        yield f"{cohort}: annotated with boxes only: lesion figures, no Dice and no other figure of pixels."
    elif row["annotation"] == "mixed":
        yield f"{cohort}: {row['n_dice']} of {n} frames with a polyp have a mask; the others enter lesion figures only."
    if n == 0:
        yield f"{cohort}: no frame with a polyp was scored: no Dice, no sensitivity."
    elif pd.isna(row["clusters"]):
        yield f"{cohort}: neither patients nor sequences are known: {INDEPENDENT_FRAMES}."
    elif row["clusters"] == 1:
        yield (
            f"{cohort}: every frame with a polyp (n = {n}) comes from one {_unit(row)}: no interval, and no word on "
            f"other {_unit(row)}s."
        )
    elif row["clusters"] < CLUSTER_T_FROM:
        yield f"{cohort}: only {row['clusters']} {_unit(row)}s with a polyp: no interval; their means are given."
    if row["n_negative"] == 0:
        yield f"{cohort}: no frame without a polyp was scored: false alarms were not measured."
    if row["n_unscored"]:
        yield f"{cohort}: frames that enter no mean, their whole reference outside the valid area: {row['n_unscored']}."


def _unit(row: pd.Series) -> str:
    return "cluster" if row["cluster_unit"] == "mixed" else str(row["cluster_unit"])


def _missing_notes(cases: pd.DataFrame) -> Iterator[str]:
    missing = cases[cases["prediction_missing"]].drop_duplicates(["cohort", "model", "training", "frame"])
    totals = cases[["cohort", "frame"]].drop_duplicates()["cohort"].value_counts()
    for _, head in missing.drop_duplicates(["cohort", "model"]).iterrows():
        cohort, model = str(head["cohort"]), head["model"]
        lacking = missing[(missing["cohort"] == cohort) & (missing["model"] == model)]
        yield (
            f"{cohort}, {model}: {lacking['frame'].nunique()} of {totals[cohort]} frames had no prediction and were "
            "scored as empty, as was asked for."
        )


def _seed_notes(centres: pd.DataFrame) -> Iterator[str]:
    yield from _single_seed_notes(centres)
    for (source, target), part in centres[centres["role"] == "target"].groupby(["source", "target"], sort=False):
        seeds = part.drop_duplicates("model").set_index("model")["n_seeds"]
        if seeds.nunique() > 1:
            listed = ", ".join(
                f"{model} {count}" for model, count in zip(list(map(str, seeds.index)), seeds, strict=True)
            )
            yield f"{source!s} → {target!s}: the models have different numbers of seeds ({listed})."
    several = centres[(centres["model"] == SOURCE_ONLY) & (centres["n_trainings"] > centres["n_seeds"])]
    for source, part in several.groupby("source", sort=False):
        yield (
            f"{source!s}: runs trained source-only models of their own ({part['n_trainings'].max()} trainings, "
            f"{part['n_seeds'].max()} seeds); each method is compared with that of its own run."
        )


def _single_seed_notes(centres: pd.DataFrame) -> Iterator[str]:
    """One sentence where nothing was trained twice; else the adaptations that were not are named."""
    adapted = centres[(centres["role"] == "target") & ~centres["model"].isin([SOURCE_ONLY, ORACLE])]
    rows = adapted if len(adapted) else centres
    seeds = rows.groupby(["source", "target", "model"], sort=False)["n_seeds"].max().reset_index()
    single = seeds[seeds["n_seeds"] == 1]
    if len(single) and len(single) == len(seeds):
        yield f"One seed: {ONE_SEED}."
        return
    for (source, target), part in single.groupby(["source", "target"], sort=False):
        yield f"{source!s} → {target!s}, {', '.join(part['model'])}: one seed: {ONE_SEED} there."


def _run_notes(metadata_of_runs: Sequence[RunMetadata], *, oracle: bool) -> Iterator[str]:
    facts = {
        "checkpoint rules": [run.selector for run in metadata_of_runs],
        "input sizes": [f"{run.input_size[1]}×{run.input_size[0]} px" for run in metadata_of_runs if not run.external],
        "inferences": [run.inference for run in metadata_of_runs if not run.external],
        "batch-norm policies": [run.batch_norm for run in metadata_of_runs if run.batch_norm],
    }
    for what, found in facts.items():
        if len(set(found)) > 1:
            yield f"The runs have different {what}: {'; '.join(dict.fromkeys(found))}."
    chosen = [run.run for run in metadata_of_runs if run.selector == ORACLE]
    for run in metadata_of_runs:
        if run.set_aside:
            why = "; ".join(run.set_aside)
            yield f"{run.run}: the adapted model is set aside, its rows are the source-only control's: {why}."
    if chosen:
        yield f"CHECKPOINTS CHOSEN ON TARGET LABELS (selector oracle), no unlabelled results: {', '.join(chosen)}."
    trained_on = [run.run for run in metadata_of_runs if run.target_labels_trained_on]
    if trained_on:
        yield f"MODELS TAUGHT BY TARGET LABELS (semi-supervised), no unlabelled results: {', '.join(trained_on)}."
    accepted = [f"{run.run}: {run.accepted}" for run in metadata_of_runs if run.accepted]
    if accepted:
        yield f"MODELS TAUGHT BY TARGET OUTLINES THAT REVIEWERS ACCEPTED (training frames): {'; '.join(accepted)}."
    for run in metadata_of_runs:
        if run.supervision:
            yield f"{run.source}: {run.supervision}; models from it are no models of masks."
    if oracle:
        yield "The oracle was trained on target labels: an upper bound, not a method."


def _oracle_notes(comparisons: pd.DataFrame) -> Iterator[str]:
    """Where the oracle did not even reach a model without the target's labels, it bounds nothing."""
    oracles = comparisons[(comparisons["model"] == ORACLE) & (comparisons["cohort"] == comparisons["target"])]
    for target, part in oracles[oracles["delta"] < 0].groupby("target", sort=False):
        sources = ", ".join(sorted(set(part["source"])))
        yield (
            f"{target!s}: the oracle's mean Dice ({part['dice_after'].iloc[0]:.3f}) is below source-only from "
            f"{sources}: with as few labels, and this budget, it is no upper bound there."
        )


def _comparison_notes(comparisons: pd.DataFrame, uncompared: Sequence[GroupKey]) -> Iterator[str]:
    yield from _oracle_notes(comparisons)
    family = comparisons[comparisons["in_family"]]
    if len(family):
        untested = int(family["p_value"].isna().sum())
        rest = f"; not testable, but counted: {untested}" if untested else ""
        yield f"p values are adjusted by Holm over the family of adapted models × targets (size {len(family)}{rest})."
    for key in uncompared:
        yield f"{key.model} ({key.source} → {key.target}) on {key.cohort}: not compared, no source-only beside it."


def _aggregate_notes(aggregates: pd.DataFrame) -> Iterator[str]:
    for source, part in aggregates.groupby("source", sort=False):
        if part["centers"].nunique() > 1:
            listed = "; ".join(f"{model}: {ids}" for model, ids in zip(part["model"], part["centers"], strict=True))
            yield f"{source!s}: means over centres rest on different centres ({listed})."
