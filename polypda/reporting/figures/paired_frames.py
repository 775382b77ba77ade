"""Frames with a polyp before and after adaptation, side by side, and their slopes: a line for each patient, sequence or
frame from source-only to the adapted model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from polypda.evaluation.aggregation.centres import CHANGED_BY_DICE, cluster_count
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.reporting.figures.figure_style import (
    BETTER,
    CHANGES,
    INK,
    RULE,
    SAME,
    SOFT_INK,
    WORSE,
    Layout,
    PanelSize,
    panel_grid,
    titled,
)
from polypda.reporting.wording import cluster_noun

RELIABILITY = [f"reliability_{kind}_{tenth}" for kind in "npg" for tenth in range(10)]
PAIR = ["source", "target", "split"]
PANEL = PanelSize(width=1.35, height=1.75, left=0.12, right=0.12, above=0.55, below=0.32, first_left=0.42, stretch=1.25)
LETTER_IN, TITLE_LINE_IN = 0.072, 0.14
"""Mean width of a letter, and height of a line, of the titles."""
MOST_SINGLE_FRAMES = 150
"""Where clusters are unknown and frames are more than this, only their mean is drawn."""


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
    own = cases.loc[cases["cohort"] == cases["target"], [*PAIR, "model", "training", *RELIABILITY]]
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


@dataclass(frozen=True)
class SlopePanel:
    """before, after: Dice of each unit; unit: what one line is ("patients", "frames", …)."""

    source: str
    target: str
    method: str
    before: np.ndarray
    after: np.ndarray
    unit: str
    mean_before: float
    mean_after: float


def slope_panels(groups: Sequence[TargetModels]) -> list[SlopePanel]:
    """One panel per source → target and method: means per cluster, or frames where clusters are unknown."""
    panels = []
    for group in groups:
        for method in group.methods:
            frames = pd.DataFrame(
                {"cluster": group.cluster, "before": group.before[method], "after": group.dice[method]}
            )  # fmt: skip
            lines, name = _units(frames, group.unit)
            panels.append(
                SlopePanel(
                    group.source, group.target, method, lines["before"].to_numpy(), lines["after"].to_numpy(), name,
                    float(frames["before"].mean()), float(frames["after"].mean()),
                )
            )  # fmt: skip
    return panels


def _units(frames: pd.DataFrame, unit: str) -> tuple[pd.DataFrame, str]:
    if unit != "unknown":
        return frames.groupby("cluster", sort=True).mean(), f"{cluster_noun(unit)}s"
    if len(frames) <= MOST_SINGLE_FRAMES:
        return frames, "frames"
    return frames.iloc[:0], "frames: mean only"


def slopes(panels: Sequence[SlopePanel], layout: Layout, *, phantom: bool) -> Figure:
    """Small panels; blue gained and red lost more than 0.05 Dice; black: mean over frames."""
    methods = Counter((panel.source, panel.target) for panel in panels)
    group = max(methods.values()) if len(set(methods.values())) == 1 else 0
    size = replace(PANEL, width=max(PANEL.width, *(len(panel.method) * LETTER_IN for panel in panels)))
    size, titles = titled(size, [(panel.source, panel.target) for panel in panels], LETTER_IN, TITLE_LINE_IN)
    grid = panel_grid(len(panels), size, layout, phantom=phantom, foot_in=0.35, group=group)
    for axis, panel, title in zip(grid.axes, panels, titles, strict=True):
        _draw(axis, panel)
        axis.set_title(f"{title}\n{panel.method}", fontsize=8, loc="left", pad=4)
        count = f"{len(panel.before)} {panel.unit}" if len(panel.before) else panel.unit
        axis.set_xlabel(count, fontsize=7.5, color=SOFT_INK, labelpad=2)
        axis.set_xticks([0, 1], ["before", "after"], fontsize=7.5)
        axis.tick_params(axis="both", labelsize=7.5, length=2)
    grid.label_y("Dice")
    handles = [
        Line2D([], [], color=colour, linewidth=2 if colour == INK else 1.2, label=label) for colour, label in CHANGES
    ]
    grid.figure.legend(
        handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=8, columnspacing=1.0, handlelength=1.4
    )
    return grid.figure


def _draw(axis: Axes, panel: SlopePanel) -> None:
    change = panel.after - panel.before
    colours = np.where(change > CHANGED_BY_DICE, BETTER, np.where(change < -CHANGED_BY_DICE, WORSE, SAME))
    styles = np.where(change < -CHANGED_BY_DICE, "--", "-")  # also told apart in greyscale
    ends = [((0, before), (1, after)) for before, after in zip(panel.before, panel.after, strict=True)]
    alpha = float(np.clip(16 / max(len(ends), 1), 0.25, 0.85))
    axis.add_collection(
        LineCollection(ends, colors=list(colours), linestyles=list(styles), linewidths=1.0, alpha=alpha)
    )  # fmt: skip
    means = (panel.mean_before, panel.mean_after)
    axis.plot([0, 1], means, color=INK, linewidth=2.3, marker="o", markersize=4, zorder=5)
    for index, (mean, side, align) in enumerate(zip(means, (-4, 4), ("right", "left"), strict=True)):
        axis.annotate(
            f"{mean:.2f}", (index, mean), (side, 0), textcoords="offset points", va="center", ha=align, fontsize=7.5,
            fontweight="bold",
        )  # fmt: skip
    axis.set_xlim(-0.42, 1.42)
    axis.set_ylim(-0.02, 1.02)
    axis.grid(axis="y", color=RULE, linewidth=0.7)
    axis.set_axisbelow(True)
