"""The source × cohort matrix: every model's Dice in every centre, each training counted once whatever runs share it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.aggregates import (
    cluster_means_instead,
    dice_frames,
    dice_values,
    estimates,
    interval_columns,
    mean_over_frames,
)
from polypda.evaluation.aggregation.centres import cluster_count, dice_seed_sd
from polypda.evaluation.aggregation.panels import GROUP, Panel, panels
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY

FACTS = ("frame", "training", "seed", "patient", "sequence", "cluster", "phantom", "annotation", "positive", "dice")
CELL = ["source", "adapted_to", "cohort", "model"]


def matrix_table(cases: pd.DataFrame, comparisons: pd.DataFrame, source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """One row per cell: model ``model`` of centre ``source``, adapted to ``adapted_to``, scored on ``cohort``.

    source: whose labels trained the model; for the oracle, the target. adapted_to: "" for source-only and oracle.
    own_centre: the cohort's own labels trained the model (the diagonal, and the oracle on its own cohort).
    dice, low, high, interval, words, cluster_means: dice_frame with its interval. delta, delta_low, delta_high,
    delta_interval, p_holm: against source-only, where the comparison exists.

    cases: of :func:`.joined_cases.joined_cases`. comparisons: their :func:`.comparisons.comparison_table`.
    """
    cells = panels(_by_origin(cases[[*GROUP, *FACTS]], source_only))
    found = estimates(cells, dice_values)
    rows = [
        _origin(panel)
        | {"dice": estimate.value}
        | interval_columns(estimate)
        | {"cluster_means": cluster_means_instead(estimate, panel, dice_values(panel))}
        | _basis(panel)
        for panel, estimate in zip(cells, found, strict=True)
    ]
    table = pd.DataFrame(rows).astype({"clusters": "Int64"})
    return _in_reading_order(_with_deltas(table, comparisons), source_only)


def aggregate_table(matrix: pd.DataFrame, source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """One row per source and model over the centres that the source was adapted to.

    Columns: source, model, n_centers, centers (their ids, with commas), dice_center (mean over centres),
    dice_worst_center, worst_center, delta_center (mean over centres of Δ against source-only), delta_worst_center,
    worst_delta_center. Cells without a frame that enters Dice are left out, so ``n_centers`` may differ between models.
    """
    adapted = matrix[(matrix["adapted_to"] != "") & (matrix["adapted_to"] == matrix["cohort"])]
    rows = []
    for source in dict.fromkeys(adapted["source"]):
        methods = adapted[adapted["source"] == source]
        targets = list(dict.fromkeys(methods["cohort"]))
        controls = matrix["cohort"].isin(targets) & (
            ((matrix["model"] == source_only) & (matrix["source"] == source))
            | ((matrix["model"] == ORACLE) & (matrix["source"] == matrix["cohort"]))
        )
        cells = pd.concat([matrix[controls], methods])
        cells = cells[cells["n"] > 0]
        for model in models_in_order(list(cells["model"]), source_only):
            rows.append({"source": source, "model": model} | _over_centres(cells[cells["model"] == model]))
    columns = ["source", "model", *_over_centres(matrix.iloc[:0])]
    return pd.DataFrame(rows, columns=columns)


def _over_centres(cells: pd.DataFrame) -> dict[str, object]:
    dice, cohorts = cells["dice"].to_numpy(), cells["cohort"].to_numpy()
    delta = cells["delta"].to_numpy(dtype=np.float64)
    compared = len(cells) > 0 and not np.isnan(delta).any()
    return {
        "n_centers": len(cells),
        "centers": ", ".join(cohorts),
        "dice_center": float(mean_over_frames(dice)),
        "dice_worst_center": float(dice.min()) if len(cells) else math.nan,
        "worst_center": str(cohorts[dice.argmin()]) if len(cells) else "",
        "delta_center": float(mean_over_frames(delta)) if compared else math.nan,
        "delta_worst_center": float(delta.min()) if compared else math.nan,
        "worst_delta_center": str(cohorts[delta.argmin()]) if compared else "",
    }


def _by_origin(cases: pd.DataFrame, source_only: str) -> pd.DataFrame:
    """Rename pairs to origins, so that one training seen in several runs falls into one cell."""
    oracle, control = cases["model"] == ORACLE, cases["model"] == source_only
    return cases.assign(
        source=cases["source"].where(~oracle, cases["target"]),
        target=cases["target"].where(~(oracle | control), ""),
        role="",
    )


def _origin(panel: Panel) -> dict[str, object]:
    key = panel.key
    return {
        "source": key.source,
        "adapted_to": key.target,
        "cohort": key.cohort,
        "split": key.split,
        "model": key.model,
        "own_centre": key.source == key.cohort and key.target == "",
    }


def _basis(panel: Panel) -> dict[str, object]:
    chosen = dice_frames(panel)
    clusters, unit = cluster_count(panel.frames[chosen])
    return {
        "n": int(chosen.sum()),
        "clusters": clusters,
        "cluster_unit": unit,
        "n_seeds": panel.n_seeds,
        "n_trainings": len(panel.trainings),
        "seed_sd": dice_seed_sd(panel),
        "phantom": panel.phantom,
        "annotation": panel.annotation,
    }


def _with_deltas(table: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    names = {"target": "adapted_to", "low": "delta_low", "high": "delta_high", "interval": "delta_interval"}
    wanted = ["source", "target", "cohort", "model", "delta", "low", "high", "interval", "p_holm"]
    found = comparisons.reindex(columns=wanted).rename(columns=names)
    oracle = found["model"] == ORACLE
    # The oracle's Δ depends on the source it is compared with: it belongs to the comparisons, not to its one cell.
    found = found[~oracle].drop_duplicates(CELL)
    table = table.merge(found, how="left", on=CELL)
    table["delta_interval"] = table["delta_interval"].astype(object).where(table["delta_interval"].notna(), "")
    return table.astype({"delta": "float64", "delta_low": "float64", "delta_high": "float64", "p_holm": "float64"})


def _in_reading_order(table: pd.DataFrame, source_only: str) -> pd.DataFrame:
    """By source, then source-only, methods, oracle; cohorts by name within."""
    rank = {model: index for index, model in enumerate(models_in_order(sorted(table["model"]), source_only))}
    keys = table.assign(rank=table["model"].map(rank)).sort_values(["source", "rank", "adapted_to", "cohort"])
    return table.loc[keys.index].reset_index(drop=True)


def target_cells(matrix: pd.DataFrame) -> pd.DataFrame:
    """The cells that the wide table shows: models in the centre that they were adapted to, controls and oracle."""
    shown = (matrix["adapted_to"] == "") | (matrix["adapted_to"] == matrix["cohort"])
    return matrix[shown & ((matrix["model"] != ORACLE) | matrix["own_centre"])]


def models_in_order(models: Sequence[str], source_only: str = SOURCE_ONLY) -> list[str]:
    """Distinct models, source-only first and the oracle last, otherwise as they come."""
    rank = {source_only: 0, ORACLE: 2}
    return sorted(dict.fromkeys(models), key=lambda model: rank.get(model, 1))
