"""Cross-centre results: any number of evaluations as the tables that every report, figure and card is made from.

Per-frame values for figures: each model's mean over its trainings beside that of its control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.centres import centre_rows, strata_table
from polypda.evaluation.aggregation.comparisons import comparison_table, control_of, uncompared
from polypda.evaluation.aggregation.matrix_table import aggregate_table, matrix_table, models_in_order
from polypda.evaluation.aggregation.panels import GROUP, Panel, panels
from polypda.evaluation.aggregation.result_notes import result_notes
from polypda.evaluation.aggregation.selector_regret import joined_selectors
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.joined_cases import joined_cases
from polypda.evaluation.cases.run_metadata import SOURCE_ONLY, RunMetadata, joint_lines
from polypda.evaluation.scoring.lesions import LESION_RULE

FACTS = [
    *("frame", "patient", "sequence", "cluster", "phantom", "annotation", "positive", "negative"),
    *("relative_polyp_area", "lesions_reference"),
]
VALUES = ("dice", "iou", "fp_components", "fp_area_fraction", "lesions_hit_10")


def frame_means(panels: Sequence[Panel], source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """One row per group and frame.

    Columns beside the group and the frame's facts: VALUES averaged over the trainings, and as many named …_before of
    the source-only trainings of the same runs and seeds (NaN for source-only itself and where there is no control).
    """
    known = {panel.key: panel for panel in panels}
    parts = []
    for panel in panels:
        # known keeps the search for a control short: there may be hundreds of panels
        control = known.get(panel.key._replace(model=source_only))
        before = control_of(panel, [control], source_only) if control and panel.key.model != source_only else None
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

    cases: every prediction once, with the column "control" (:mod:`.joined_cases`). statements: one per evaluation, in
    the order given. centres: :func:`.centres.centre_table`. matrix, aggregates: :mod:`.matrix_table`. comparisons:
    :func:`.comparisons.comparison_table`. strata: :func:`.centres.strata_table`. lesions: the lesion columns of
    ``centres`` with the matching rule in "rule". frames: :func:`frame_means`. stated: name → text of what every table
    repeats. notes: lines that must be read with the numbers. selectors: what each checkpoint rule cost, per run
    (:mod:`.selector_regret`). phantom: some of the frames are rendered.
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


def cross_centre_results(evaluations: Sequence[Evaluation], source_only: str = SOURCE_ONLY) -> CrossCentreResults:
    """Join evaluations, check that they can stand side by side, and compute every table.

    Raises: what :func:`polypda.evaluation.cases.joined_cases.joined_cases` raises.
    """
    cases = joined_cases(evaluations)
    metadata_of_runs = tuple(evaluation.run_metadata for evaluation in evaluations)
    groups = panels(cases)
    comparisons = comparison_table(groups, source_only)
    centres = centre_rows(groups, source_only, comparisons)
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
        strata=_in_order_of(centres, strata_table(groups)),
        lesions=_lesions(centres),
        frames=frame_means(groups, source_only),
        selectors=joined_selectors([evaluation.selectors for evaluation in evaluations]),
        stated=joint_lines(metadata_of_runs, models_in_order(list(centres["model"]), source_only), phantom=phantom),
        notes=result_notes(cases, centres, comparisons, aggregates, metadata_of_runs, uncompared(groups, source_only)),
        phantom=phantom,
    )


def _in_order_of(centres: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The table's rows in the reading order of the per-centre table."""
    return centres[GROUP].merge(table, how="left", on=GROUP)


def _lesions(centres: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in centres if name in LESION_BASIS or str(name).startswith("lesion")]
    return centres[columns].assign(rule=LESION_RULE)
