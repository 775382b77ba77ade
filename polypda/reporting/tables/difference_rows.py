"""Comparisons as rows of the forest plot: target centre by target centre, grouped by where the model comes from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.panels import CONTROL
from polypda.evaluation.cases.statement import ORACLE, SOURCE_ONLY
from polypda.reporting.figures.forest_figure import DifferenceRow, RowPanel
from polypda.reporting.pages.verdict import finding, records

PAIR = ["source", "target", "split", "model"]


def at_target(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons in the centre that was adapted to."""
    return comparisons[comparisons["cohort"] == comparisons["target"]]


def difference_panels(results: CrossCentreResults) -> list[RowPanel]:
    """One panel per target centre; comparisons without a Dice are left out."""
    rows = at_target(results.comparisons)
    rows = rows[rows["delta"].notna()]
    seeds = _per_seed(results.cases)
    panels = []
    for target, part in rows.groupby("target", sort=False):
        groups: dict[str, list[DifferenceRow]] = {}
        for row in sorted(records(part), key=lambda row: row["model"] == ORACLE):
            key = (str(row["source"]), str(target), str(row["split"]), str(row["model"]))
            groups.setdefault(f"from {row['source']}", []).append(_row(row, seeds.get(key, ())))
        panels.append(RowPanel(f"in {target}", str(target), groups))
    return panels


def _row(row: dict, seeds: tuple[float, ...]) -> DifferenceRow:
    return DifferenceRow(
        model=str(row["model"]),
        delta=float(row["delta"]),
        low=float(row["low"]),
        high=float(row["high"]),
        kind=str(row["interval"]),
        finding=finding(row),
        bound=row["model"] == ORACLE,
        seeds=seeds,
    )


def _per_seed(cases: pd.DataFrame) -> dict[tuple[str, str, str, str], tuple[float, ...]]:
    """(source, target, split, model) → difference of each seed's mean Dice to that of its own control."""
    scored = cases[(cases["cohort"] == cases["target"]) & cases["positive"] & cases["dice"].notna()]
    means = scored.groupby([*PAIR, "training", "seed", CONTROL], sort=False)["dice"].mean().reset_index()
    control = means[means["model"] == SOURCE_ONLY].drop_duplicates([*PAIR[:3], "training"])
    dice_of_control = control.set_index([*PAIR[:3], "training"])["dice"]
    adapted = means[(means["model"] != SOURCE_ONLY) & (means[CONTROL] != "")]
    keys = pd.MultiIndex.from_frame(adapted[[*PAIR[:3], CONTROL]])
    adapted = adapted.assign(delta=adapted["dice"].to_numpy() - dice_of_control.reindex(keys).to_numpy())
    per_seed = adapted[np.isfinite(adapted["delta"])].groupby([*PAIR, "seed"])["delta"].mean()
    found: dict[tuple[str, str, str, str], tuple[float, ...]] = {}
    for key, values in per_seed.groupby(level=list(range(4)), sort=False):
        source, target, split, model = map(str, key)
        found[source, target, split, model] = tuple(map(float, values))
    return found
