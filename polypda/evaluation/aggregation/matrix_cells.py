"""The source × cohort matrix as text cells: one row per source and model, one column per cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from polypda.evaluation.aggregation.cell_text import (
    BOXES_ONLY,
    NOT_KNOWN,
    clusters_text,
    signed,
    three_digits,
    with_interval,
)
from polypda.evaluation.aggregation.matrix_table import models_in_order, target_cells
from polypda.evaluation.cases.case_values import BOX
from polypda.evaluation.cases.statement import ORACLE, SOURCE_ONLY
from polypda.evaluation.statistics import IntervalKind

OWN_MARK = "†"
SIGNIFICANT = 0.05
OWN_LABELS = "each cohort's own"
BOLD_NOTE = (
    "Bold: better than source-only, p < 0.05 by cluster sign-flip test after Holm, and the interval of the difference "
    "over clusters lies above 0; never where frames were treated as independent."
)
MATRIX_NOTE = (
    "Rows: the centre whose labels trained the model, and the model; columns: the cohort that was scored. Cells: "
    f"dice_frame. {OWN_MARK} the model's own centre, held-out part. A method is shown in the centre that it was "
    "adapted to; the oracle was trained on each cohort's own labels (an upper bound). " + BOLD_NOTE
)
AGGREGATE_NOTE = (
    "Over the centres that a source was adapted to, each weighing the same: dice_center (mean), dice_worst_center "
    "(lowest), and Δ against source-only likewise."
)


def is_improvement(delta_low: float, delta_interval: str, p_holm: float) -> bool:
    """Whether a cell may be set in bold: better, by the adjusted test and by the interval over clusters alike.

    The sign-flip test alone calls up to 8 % of lopsided null differences significant, both together below 4 %
    (tests/evaluation/statistics); and where frames had to be treated as independent neither can be trusted.
    """
    over_clusters = delta_interval in (IntervalKind.BOOTSTRAP, IntervalKind.CLUSTER_T)
    return bool(over_clusters and p_holm < SIGNIFICANT and delta_low > 0)  # NaN compares as False


def matrix_cells(matrix: pd.DataFrame, bold: Callable[[str], str] = str) -> pd.DataFrame:
    """Text cells; a cell that was not scored is "–".

    Args:
        matrix: as :func:`polypda.evaluation.aggregation.matrix_table.matrix_table` makes it.
        bold: applied to the text of a significant improvement.
    """
    shown = target_cells(matrix)
    shown = shown.assign(source=shown["source"].where(shown["model"] != ORACLE, OWN_LABELS))
    texts = {(row["source"], row["model"], row["cohort"]): _cell_text(row, bold) for row in shown.to_dict("records")}
    cohorts = sorted(set(shown["cohort"]))
    rows = []
    for source in sorted(set(shown["source"]), key=lambda name: (name == OWN_LABELS, name)):
        for model in models_in_order(list(shown.loc[shown["source"] == source, "model"]), SOURCE_ONLY):
            cells = {cohort: texts.get((source, model, cohort), NOT_KNOWN) for cohort in cohorts}
            rows.append({"source": source, "model": model, **cells})
    return pd.DataFrame(rows)


def cohort_line(matrix: pd.DataFrame) -> str:
    """ "ada: n = 76 frames, 12 patients; …": what the columns of the matrix rest on."""
    heads = matrix.sort_values("cohort").drop_duplicates("cohort")
    return "; ".join(
        f"{row['cohort']}: {BOXES_ONLY}"
        if row["annotation"] == BOX
        else f"{row['cohort']}: n = {row['n']} frames with a polyp, clusters: "
        f"{clusters_text(row['clusters'], row['cluster_unit'])}"
        for row in heads.to_dict("records")
    )


def aggregate_cells(aggregates: pd.DataFrame) -> pd.DataFrame:
    """Means and worst cases over target centres as text cells."""
    return pd.DataFrame(
        {
            "source": aggregates["source"],
            "model": aggregates["model"],
            "centres": aggregates["n_centers"].astype(str) + " (" + aggregates["centers"] + ")",
            "dice_center": aggregates["dice_center"].map(three_digits),
            "dice_worst_center": _named(aggregates["dice_worst_center"], aggregates["worst_center"], three_digits),
            "Δ mean": aggregates["delta_center"].map(signed),
            "Δ worst": _named(aggregates["delta_worst_center"], aggregates["worst_delta_center"], signed),
        }
    )


def _cell_text(row: Mapping[Any, Any], bold: Callable[[str], str]) -> str:
    if row["annotation"] == BOX:
        return BOXES_ONLY
    text = with_interval(row["dice"], row["low"], row["high"], row["interval"], three_digits)
    if row["own_centre"] and row["model"] != ORACLE:
        text += f" {OWN_MARK}"
    return bold(text) if is_improvement(row["delta_low"], row["delta_interval"], row["p_holm"]) else text


def _named(values: pd.Series, names: pd.Series, write: Callable[..., str]) -> pd.Series:
    texts = [f"{write(value)} ({name})" if name else write(value) for value, name in zip(values, names, strict=True)]
    return pd.Series(texts, index=values.index, dtype=object)
