"""Panels with one line per model: Dice by polyp size, its distribution, and the reliability of probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from polypda.evaluation.aggregation.aggregates import SIZE_LIMITS, size_stratum
from polypda.evaluation.cases.run_metadata import SOURCE_ONLY
from polypda.reporting.figures.figure_style import (
    INK,
    MODEL_LINES,
    MODEL_MARKERS,
    REFERENCE_LINE,
    RULE,
    SOFT_INK,
    Layout,
    PanelSize,
    panel_grid,
    power_of_ten,
    titled,
)
from polypda.reporting.figures.paired_frames import RELIABILITY, TargetModels

Styles = Sequence[tuple[str, dict[str, Any]]]

MOST_LINES = len(MODEL_LINES)
"""Methods per figure beside source-only."""
MANY_FRAMES = 400
"""From this many dots on, SVG holds them as one bitmap: the file stays small."""
PANEL = PanelSize(width=2.5, height=2.0, left=0.2, right=0.15, above=0.48, below=0.5, first_left=0.42)
TALL_PANEL = PanelSize(width=2.5, height=2.75, left=0.2, right=0.15, above=0.36, below=0.5, first_left=0.42)
LEGEND_LINE_IN = 0.2
LETTER_IN, TITLE_LINE_IN = 0.088, 0.15
"""Mean width of a letter, and height of a line, of the titles."""


def model_panels(groups: Sequence[TargetModels]) -> list[list[TargetModels]]:
    """Figures of panels: every figure shows the same at most MOST_LINES methods, one panel per source → target."""
    methods = tuple(dict.fromkeys(method for group in groups for method in group.methods))
    figures = []
    for chunk in in_chunks(methods, MOST_LINES):
        own = [(group, tuple(method for method in chunk if method in group.methods)) for group in groups]
        figures.append([replace(group, methods=some) for group, some in own if some])
    return figures


def in_chunks(methods: tuple[str, ...], most: int) -> Iterator[tuple[str, ...]]:
    """The methods in groups of at most ``most``, as equal in size as possible."""
    count = -(-len(methods) // most)
    for index in range(count):
        yield methods[index * len(methods) // count : (index + 1) * len(methods) // count]


def dice_by_size(panels: Sequence[TargetModels], layout: Layout, *, phantom: bool) -> Figure:
    """Dots: source-only, frame by frame. Lines: mean per size stratum of each model."""
    areas = np.concatenate([panel.area.to_numpy() for panel in panels])
    low, high = min(areas.min(), 0.005) / 1.3, min(1.0, max(areas.max(), 0.25) * 1.3)
    edges = np.array([low, *SIZE_LIMITS, high])
    middles = np.sqrt(edges[:-1] * edges[1:])

    def draw(axis: Axes, panel: TargetModels, styles: Styles) -> None:
        area, frames = panel.area.to_numpy(), panel.dice
        axis.scatter(
            area, frames[SOURCE_ONLY], s=7, color="#B5B5B5", linewidths=0, zorder=1, rasterized=len(area) > MANY_FRAMES
        )  # fmt: skip
        strata = size_stratum(area)
        for model, style in styles:
            dice = frames[model].to_numpy()
            means = [dice[strata == index].mean() if (strata == index).any() else np.nan for index in range(4)]
            axis.plot(middles, means, **style, zorder=3, markersize=4.5)
        for index, (left, right) in enumerate(pairwise(edges)):
            count = int((strata == index).sum())
            axis.text(np.sqrt(left * right), 1.03, f"n={count}", ha="center", va="bottom", fontsize=7, color=SOFT_INK)
        for limit in SIZE_LIMITS:
            axis.axvline(limit, color="#C8C8C8", linewidth=0.8, linestyle=":")
        axis.set_xscale("log")
        axis.set_xlim(low, high)
        axis.set_xticks([tick for tick in (0.001, *SIZE_LIMITS, 0.5) if low <= tick <= high])
        axis.minorticks_off()
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
        axis.set_ylim(-0.02, 1.02)

    return _curves(panels, layout, phantom, draw, "relative polyp area ({} frames)", "Dice", PANEL)


def distribution(panels: Sequence[TargetModels], layout: Layout, *, phantom: bool) -> Figure:
    """Empirical CDF of Dice: the fraction of frames that reach no more; lower and further right is better."""

    def draw(axis: Axes, panel: TargetModels, styles: Styles) -> None:
        for model, style in styles:
            dice = np.sort(panel.dice[model].to_numpy())
            fractions = np.arange(1, len(dice) + 1) / len(dice)
            line = {name: value for name, value in style.items() if name != "marker"}
            axis.step(np.r_[0, dice, 1], np.r_[0, fractions, 1], where="post", **line)
        axis.axvline(0.5, color="#C8C8C8", linewidth=0.8, linestyle=":")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1.02)

    return _curves(panels, layout, phantom, draw, "Dice ({} frames)", "share of frames ≤ Dice", PANEL)


def reliability(panels: Sequence[TargetModels], layout: Layout, *, phantom: bool) -> Figure:
    """Fraction of reference pixels against mean probability per tenth; below it, how many pixels each tenth holds."""

    def draw(axis: Axes, panel: TargetModels, styles: Styles) -> None:
        counts = axis.inset_axes((0, 0, 1, 0.22))
        axis.set_ylim(-0.36, 1.02)
        axis.plot([0, 1], [0, 1], color="#B5B5B5", linewidth=1, linestyle="--", zorder=1)
        for model, style in styles:
            n, p, g = panel.bins[model].reindex(RELIABILITY).to_numpy(dtype=float).reshape(3, 10)
            held = n > 0
            axis.plot(p[held] / n[held], g[held] / n[held], **style, markersize=4)
            line = {name: value for name, value in style.items() if name != "marker"}
            counts.stairs(np.maximum(n, 0.5), np.linspace(0, 1, 11), baseline=0.5, **line)
        counts.set_yscale("log")
        counts.set_xlim(0, 1)
        counts.set_ylim(bottom=0.5)
        counts.set_xticks([])
        counts.tick_params(axis="y", labelsize=6.5, length=2)
        counts.minorticks_off()
        highest = max(1.0, np.floor(np.log10(counts.get_ylim()[1])))
        counts.set_yticks([1, 10**highest])
        counts.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        counts.patch.set_alpha(0)
        axis.set_xlim(0, 1)
        axis.set_yticks(np.linspace(0, 1, 6))
        axis.spines["left"].set_bounds(0, 1)

    return _curves(panels, layout, phantom, draw, "mean probability", "share of polyp pixels", TALL_PANEL)


def _styles(methods: Sequence[str], panel: TargetModels) -> list[tuple[str, dict[str, Any]]]:
    """source-only, then the panel's methods, each with its line: by its index among the figure's methods."""
    lines = [{**line, "marker": marker} for line, marker in zip(MODEL_LINES, MODEL_MARKERS, strict=True)]
    own = [(method, lines[index]) for index, method in enumerate(methods) if method in panel.methods]
    return [(SOURCE_ONLY, {**REFERENCE_LINE, "marker": "s"}), *own]


def _curves(
    panels: Sequence[TargetModels],
    layout: Layout,
    phantom: bool,
    draw: Callable[[Axes, TargetModels, Styles], None],
    x_label: str,
    y_label: str,
    size: PanelSize,
) -> Figure:
    """Equal panels, and below them which line is which model. x_label: {} stands for the number of frames."""
    methods = tuple(dict.fromkeys(method for panel in panels for method in panel.methods))
    columns = 2 if layout.is_narrow else len(methods) + 1
    foot = LEGEND_LINE_IN * -(-(len(methods) + 1) // columns) + 0.1
    above = 14 if size is PANEL else 5
    pairs = [(panel.source, panel.target) for panel in panels]
    size, titles = titled(size, pairs, LETTER_IN, TITLE_LINE_IN)
    grid = panel_grid(len(panels), size, layout, phantom=phantom, foot_in=foot)
    for axis, panel, title in zip(grid.axes, panels, titles, strict=True):
        draw(axis, panel, _styles(methods, panel))
        axis.set_title(title, fontsize=9, fontweight="bold", loc="left", pad=above)
        axis.grid(axis="y", color=RULE, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8)
        axis.set_xlabel(x_label.format(len(panel.dice)), fontsize=8.5, labelpad=2)
    grid.label_y(y_label)
    everything = replace(panels[0], methods=methods)
    handles = [Line2D([], [], **style, markersize=4, label=model) for model, style in _styles(methods, everything)]
    grid.figure.legend(
        handles=handles, loc="lower center", ncols=columns, frameon=False, fontsize=8, handlelength=3, labelcolor=INK,
        columnspacing=1.4,
    )  # fmt: skip
    return grid.figure
