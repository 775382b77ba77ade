"""The curves of one training as small panels: losses per player, discriminators, foreground, label-free criteria."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polypda.reporting.figures.figure_style import INK, MODEL_LINES, RULE, SOFT_INK, Layout, PanelSize, panel_grid
from polypda.training.criteria import CRITERIA
from polypda.training.curves import StageCurves

PANEL = PanelSize(width=2.35, height=1.7, left=0.5, right=0.15, above=0.72, below=0.42, first_left=0.0)
LONGEST_OF_THREE = 12
"""Letters of the longest name with which three stand side by side over a panel."""
FURTHER_LINES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linewidth": 1.2, "linestyle": "-"},
    {"color": "#56B4E9", "linewidth": 1.7, "linestyle": (0, (3, 1))},
    {"color": "#8C6D1F", "linewidth": 1.7, "linestyle": (0, (1.2, 1.2))},
    {"color": "#7A7A7A", "linewidth": 1.7, "linestyle": (0, (6, 1.5))},
)
SMOOTHED_OVER = 15
"""Each smooth line is a running median over this share (1/15) of the steps."""


@dataclass(frozen=True)
class CurvePanel:
    """title, and what draws its lines; ``legend``: names in the order of their lines."""

    title: str
    draw: Callable[[Axes], None]
    legend: tuple[str, ...] = ()


def curve_panels(curves: StageCurves, snapshots: pd.DataFrame, chosen: int | None, chance: float) -> list[CurvePanel]:
    """Every panel that has something to show.

    Args: chosen: the step of the checkpoint in use. chance: accuracy of a discriminator that guesses.
    """
    panels = [_lines_panel(f"Losses of {player}", losses) for player, losses in curves.losses.items()]
    if curves.accuracy.shape[1]:
        panels.append(_lines_panel("Accuracy of discriminators", curves.accuracy, (0.0, 1.0), chance))
    panels.append(_lines_panel("Gradient norms (log)", curves.gradients, log=True))
    if len(snapshots):
        names = {"source_foreground": "source", "target_foreground": "target"}
        marked = snapshots[list(names)].rename(columns=names).dropna(axis=1, how="all") * 100
        panels.append(_snapshot_panel("Marked as polyp (% of the field)", marked, chosen, legend=True))
        for rule in CRITERIA.values():
            if rule.key not in snapshots or rule.reads_target_labels:
                continue
            values = snapshots[[rule.key]].dropna()
            if len(values):
                panels.append(_snapshot_panel(rule.title, values, chosen))
    return panels


def draw_curves(panels: Sequence[CurvePanel], layout: Layout, *, phantom: bool) -> Figure:
    """All panels over the training's steps."""
    grid = panel_grid(len(panels), PANEL, layout, phantom=phantom)
    for axis, panel in zip(grid.axes, panels, strict=True):
        panel.draw(axis)
        axis.set_title(panel.title, fontsize=9, fontweight="bold", loc="left", pad=6 + 11 * _rows(panel.legend))
        axis.grid(axis="y", color=RULE, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8)
        axis.set_xlabel("step", fontsize=8, labelpad=1)
        if panel.legend:
            axis.legend(
                loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=_columns(panel.legend), frameon=False,
                fontsize=7.5, handlelength=1.6, columnspacing=0.9, borderaxespad=0.1, handletextpad=0.4, labelcolor=INK,
            )  # fmt: skip
    return grid.figure


def _lines_panel(
    title: str, table: pd.DataFrame, limits: tuple[float, float] | None = None, level: float | None = None, *,
    log: bool = False,
) -> CurvePanel:  # fmt: skip
    names = [str(name) for name in table.columns]

    def draw(axis: Axes) -> None:
        window = max(1, len(table) // SMOOTHED_OVER)
        for name, style in zip(names, _styles(len(names)), strict=True):
            values = table[name].dropna()
            axis.plot(values.index, values, color=style["color"], linewidth=0.6, alpha=0.35)
            smooth = values.rolling(window, min_periods=1, center=True).median()
            axis.plot(smooth.index, smooth, **style, label=name)
        if level is not None:
            axis.axhline(level, color=SOFT_INK, linewidth=0.9, linestyle=(0, (2, 2)))
        if limits:
            axis.set_ylim(*limits)
        if log:
            axis.set_yscale("log")

    return CurvePanel(title, draw, tuple(names))


def _styles(count: int) -> list[dict[str, Any]]:
    """A style for each of any number of lines; with more than there are, they come again."""
    return list(islice(cycle((*MODEL_LINES, *FURTHER_LINES)), count))


def _columns(legend: tuple[str, ...]) -> int:
    return 3 if max(map(len, legend), default=0) <= LONGEST_OF_THREE else 2


def _rows(legend: tuple[str, ...]) -> int:
    return -(-len(legend) // _columns(legend))


def _snapshot_panel(title: str, table: pd.DataFrame, chosen: int | None, *, legend: bool = False) -> CurvePanel:
    def draw(axis: Axes) -> None:
        for name, style in zip(table.columns, MODEL_LINES, strict=False):
            values = table[name].dropna()
            axis.plot(values.index, values, **style, marker="o", markersize=3.5, label=str(name))
        if chosen is not None:
            axis.axvline(chosen, color=INK, linewidth=0.9)
        axis.set_xlim(left=-0.03 * max(table.index))
        low, high = axis.get_ylim()
        if high - low < 1e-9:
            axis.set_ylim(low - 0.05, high + 0.05)

    return CurvePanel(title, draw, tuple(map(str, table.columns)) if legend else ())
