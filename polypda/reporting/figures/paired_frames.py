"""Frames with a polyp before and after adaptation, side by side: what every per-frame figure is drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from polypda.evaluation.aggregation.centres import cluster_count
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY

RELIABILITY = [f"reliability_{kind}_{tenth}" for kind in "npg" for tenth in range(10)]
PAIR = ["source", "target", "split"]


@dataclass(frozen=True)
class TargetModels:
    """All models that adapted one source to one target, on the target's frames with a polyp and a mask.

    methods: without source-only and oracle. dice: one row per frame, means over trainings, a column per model.
    before: likewise, the source-only trainings that each method is compared with. cluster, area (relative, in [0, 1]):
    by frame. unit: of the clusters: "patient", "sequence", "mixed" or "unknown". bins: model → sums of the reliability
    columns over all frames with and without a polyp, averaged over trainings.
    """

    source: str
    target: str
    split: str
    methods: tuple[str, ...]
    dice: pd.DataFrame
    before: pd.DataFrame
    cluster: pd.Series
    area: pd.Series
    unit: str
    bins: dict[str, pd.Series]


def target_models(frames: pd.DataFrame, cases: pd.DataFrame) -> list[TargetModels]:
    """Group the frames of the targets by (target, source, split), in the order of their first appearance.

    Left out are pairs without a Dice (no polyp, or boxes only) and methods without a control.

    Args:
        frames, cases: those of :class:`polypda.evaluation.aggregation.cross_centre.CrossCentreResults`.
    """
    scored = frames[(frames["cohort"] == frames["target"]) & frames["positive"] & frames["dice"].notna()]
    own = cases[cases["cohort"] == cases["target"]]
    sums = own.groupby([*PAIR, "model"], sort=False)[RELIABILITY].sum()
    trainings = own.groupby([*PAIR, "model"], sort=False)["training"].nunique()
    averages = sums.div(trainings, axis=0)
    bins = {tuple(key): averages.loc[key] for key in averages.index}
    found = []
    for key, part in scored.groupby(PAIR, sort=False):
        models = _models_of(part, {model: values for (*pair, model), values in bins.items() if tuple(pair) == key})
        if models is not None:
            found.append(models)
    order = {name: index for index, name in enumerate(dict.fromkeys(scored["target"]))}
    return sorted(found, key=lambda models: order[models.target])


def _models_of(part: pd.DataFrame, bins: dict[str, pd.Series]) -> TargetModels | None:
    dice = part.pivot(index="frame", columns="model", values="dice")
    before = part.pivot(index="frame", columns="model", values="dice_before").dropna(axis="columns", how="all")
    methods = tuple(str(model) for model in part["model"].unique() if model in before and model != ORACLE)
    if SOURCE_ONLY not in dice or not methods:
        return None
    first = part.drop_duplicates("frame").set_index("frame").reindex(dice.index)
    names = part.iloc[0]
    return TargetModels(
        source=str(names["source"]),
        target=str(names["target"]),
        split=str(names["split"]),
        methods=methods,
        dice=dice,
        before=before,
        cluster=first["cluster"],
        area=first["relative_polyp_area"],
        unit=cluster_count(first)[1],
        bins=bins,
    )


def in_chunks(methods: tuple[str, ...], most: int) -> Iterator[tuple[str, ...]]:
    """The methods in groups of at most ``most``, as equal in size as possible."""
    count = -(-len(methods) // most)
    for index in range(count):
        yield methods[index * len(methods) // count : (index + 1) * len(methods) // count]
