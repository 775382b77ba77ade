"""Paired slopes: a line from source-only to the adapted model for each patient, sequence, frame, or centre."""

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

from polypda.evaluation.aggregation.centres import CHANGED_BY_DICE
from polypda.reporting.figures.figure_style import (
    BETTER,
    INK,
    RULE,
    SAME,
    SOFT_INK,
    WORSE,
    Layout,
    PanelSize,
    pair_title,
    panel_grid,
)
from polypda.reporting.figures.paired_frames import TargetModels
from polypda.reporting.wording import cluster_noun

PANEL = PanelSize(width=1.35, height=1.75, left=0.12, right=0.12, above=0.55, below=0.32, first_left=0.42, stretch=1.25)
LETTER_IN, TITLE_LINE_IN = 0.072, 0.14
"""Mean width of a letter, and height of a line, of the titles."""
MOST_SINGLE_FRAMES = 150
"""Where clusters are unknown and frames are more than this, only their mean is drawn."""


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
    longest = max(len(name) for panel in panels for name in (panel.source, panel.target, panel.method))
    size = replace(PANEL, width=max(PANEL.width, longest * LETTER_IN))
    titles = [pair_title(panel.source, panel.target, size.width, LETTER_IN) for panel in panels]
    if any("\n" in title for title in titles):
        size = replace(size, above=size.above + TITLE_LINE_IN)
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
        Line2D([], [], color=colour, linewidth=2 if colour == INK else 1.2, label=label)
        for colour, label in ((BETTER, "better"), (WORSE, "worse"), (SAME, "about the same"), (INK, "mean"))
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
