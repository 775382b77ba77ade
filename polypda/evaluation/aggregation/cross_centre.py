"""Cross-centre results: any number of evaluations as the tables that every report, figure and card is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from polypda.evaluation.aggregation.centers import centre_rows
from polypda.evaluation.aggregation.comparisons import comparison_table, uncompared
from polypda.evaluation.aggregation.frame_means import frame_means
from polypda.evaluation.aggregation.matrix_table import aggregate_table, matrix_table, models_in_order
from polypda.evaluation.aggregation.panels import GROUP, panels
from polypda.evaluation.aggregation.result_notes import result_notes
from polypda.evaluation.aggregation.selector_regret import joined_selectors
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.joined_cases import joined_cases
from polypda.evaluation.cases.size_strata import strata_table
from polypda.evaluation.cases.statement import SOURCE_ONLY, ReportStatement, joint_lines
from polypda.evaluation.scoring.lesions import LESION_RULE

LESION_COLUMNS = [
    *GROUP,
    *("phantom", "annotation", "n_frames", "n_positive", "n_negative", "n_seeds", "clusters", "cluster_unit"),
    *("lesions_reference", "lesions_predicted", "lesion_specks_reference", "lesion_specks_predicted"),
    *("lesions_hit_10", "lesion_sensitivity_10", "lesion_sensitivity_10_low", "lesion_sensitivity_10_high"),
    *("lesion_sensitivity_10_interval", "lesion_sensitivity_10_words", "lesion_ppv_10", "lesion_fp_per_frame_10"),
    *("lesions_hit_50", "lesion_sensitivity_50", "lesion_ppv_50", "lesion_fp_per_frame_50"),
]


@dataclass(frozen=True, eq=False)
class CrossCentreResults:
    """Everything that is known about the models of several runs; tables are described where they are made.

    cases: every prediction once, with the column "control" (:mod:`.joined_cases`). statements: one per evaluation, in
    the order given. centres: :func:`.centers.centre_table`. matrix, aggregates: :mod:`.matrix_table`. comparisons:
    :func:`.comparisons.comparison_table`. strata: :mod:`.size_strata`. lesions: the lesion columns of ``centres`` with
    the matching rule in "rule". frames: :func:`.frame_means.frame_means`. stated: name → text of what every table
    repeats. notes: lines that must be read with the numbers. selectors: what each checkpoint rule cost, per run
    (:mod:`.selector_regret`). phantom: some of the frames are rendered.
    """

    cases: pd.DataFrame = field(repr=False)
    statements: tuple[ReportStatement, ...] = field(repr=False)
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
    statements = tuple(evaluation.statement for evaluation in evaluations)
    groups = panels(cases)
    comparisons = comparison_table(groups, source_only)
    centres = centre_rows(groups, source_only, comparisons)
    matrix = matrix_table(cases, comparisons, source_only)
    aggregates = aggregate_table(matrix, source_only)
    phantom = bool(cases["phantom"].any())
    return CrossCentreResults(
        cases=cases,
        statements=statements,
        centres=centres,
        matrix=matrix,
        comparisons=comparisons,
        aggregates=aggregates,
        strata=_in_order_of(centres, strata_table(groups)),
        lesions=centres[LESION_COLUMNS].assign(rule=LESION_RULE),
        frames=frame_means(groups, source_only),
        selectors=joined_selectors([evaluation.selectors for evaluation in evaluations]),
        stated=joint_lines(statements, models_in_order(list(centres["model"]), source_only), phantom=phantom),
        notes=result_notes(cases, centres, comparisons, aggregates, statements, uncompared(groups, source_only)),
        phantom=phantom,
    )


def _in_order_of(centres: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The table's rows in the reading order of the per-centre table."""
    return centres[GROUP].merge(table, how="left", on=GROUP)
