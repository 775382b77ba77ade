"""Differences to source-only as rows: a forest plot with intervals, and the same rows with one dot per seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from polypda.evaluation.statistics.intervals import IntervalKind
from polypda.reporting.figures.figure_style import (
    BANNER_IN,
    BETTER,
    INK,
    RULE,
    SOFT_INK,
    WORSE,
    Layout,
    empty_figure,
)
from polypda.reporting.verdict import CLUSTER_INTERVALS, Finding
from polypda.reporting.wording import interval, signed

ROW_IN, HEADING_IN, PANEL_GAP_IN = 0.235, 0.27, 0.62
LETTER_IN = 0.078
VALUES_IN = 1.85
LEGEND_LINE_IN = 0.18
LEAST_REACH = 0.05
"""The axis shows at least this much on both sides of 0."""
COLOURS = {"better": BETTER, "worse": WORSE, "unchanged": SOFT_INK, "unknown": SOFT_INK}
MARKERS = {"better": "o", "worse": "s", "unchanged": "o", "unknown": "x"}
"""By the first word of a finding's tone; filled where the finding is a claim."""


@dataclass(frozen=True)
class DifferenceRow:
    """One model beside source-only in one centre. kind: of the interval. bound: the oracle, no adaptation. seeds: the
    difference of each training, in order of the seeds."""

    model: str
    delta: float
    low: float
    high: float
    kind: str
    finding: Finding
    bound: bool = False
    seeds: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.model} (own labels)" if self.bound else self.model


@dataclass(frozen=True)
class RowPanel:
    """The rows of one target centre, grouped by where the model comes from. groups: heading → rows."""

    title: str
    target: str
    groups: dict[str, list[DifferenceRow]] = field(default_factory=dict)

    @property
    def rows(self) -> list[DifferenceRow]:
        return [row for rows in self.groups.values() for row in rows]

    @property
    def height_in(self) -> float:
        return len(self.rows) * ROW_IN + len(self.groups) * HEADING_IN


def forest(panels: Sequence[RowPanel], layout: Layout, *, phantom: bool) -> Figure:
    """Δ with its interval per model; solid: over clusters, dashed: frames as independent, point only: none."""
    reach = [value for panel in panels for row in panel.rows for value in (row.delta, row.low, row.high)]

    def draw(axis: Axes, row: DifferenceRow, y: float) -> None:
        colour = _colour(row)
        if row.kind in CLUSTER_INTERVALS:
            axis.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        elif row.kind == IntervalKind.FRAMES:
            axis.plot([row.low, row.high], [y, y], color=colour, linewidth=1.5, linestyle=(0, (3, 2)))
        filled = row.finding.is_claim and not row.bound
        marker = "D" if row.bound else MARKERS[_direction(row.finding)]
        axis.plot(
            [row.delta], [y], marker=marker, markersize=6, markeredgecolor=colour,
            markerfacecolor=colour if filled else "white", markeredgewidth=1.5, zorder=4,
        )  # fmt: skip

    def value(row: DifferenceRow) -> str:
        if pd.isna(row.low) or layout.is_narrow:
            return signed(row.delta)
        return f"{signed(row.delta)}  ({interval(row.low, row.high)})"

    handles = _legend_handles(panels)
    columns = 1 if layout.is_narrow else len(handles)
    foot = 0.5 + LEGEND_LINE_IN * -(-len(handles) // columns)
    figure = _row_figure(panels, layout, phantom, reach, draw, value, "Δ Dice, adapted − source-only", foot)
    figure.legend(handles=handles, loc="lower center", ncols=columns, frameon=False, fontsize=8)
    return figure


def seed_spread(panels: Sequence[RowPanel], layout: Layout, *, phantom: bool) -> Figure:
    """One dot per training's Δ, and a bar at their mean: what chance in training alone does."""
    reach = [value for panel in panels for row in panel.rows for value in row.seeds]

    def draw(axis: Axes, row: DifferenceRow, y: float) -> None:
        mean = float(np.mean(row.seeds))
        axis.plot([min(row.seeds), max(row.seeds)], [y, y], color="#BBBBBB", linewidth=1.2)
        axis.plot([mean, mean], [y - 0.33 * ROW_IN, y + 0.33 * ROW_IN], color=INK, linewidth=2.2, zorder=3)
        axis.plot(
            row.seeds, [y] * len(row.seeds), "o", markersize=5, color=BETTER, alpha=0.75, markeredgewidth=0, zorder=4
        )

    def value(row: DifferenceRow) -> str:
        return "one seed" if len(row.seeds) < 2 else f"SD {np.std(row.seeds, ddof=1):.3f}"

    return _row_figure(panels, layout, phantom, reach, draw, value, "Δ Dice per seed (bar: mean)", 0.45)


def _row_figure(
    panels: Sequence[RowPanel],
    layout: Layout,
    phantom: bool,
    reach: Sequence[float],
    draw: Callable[[Axes, DifferenceRow, float], None],
    value: Callable[[DifferenceRow], str],
    label: str,
    foot_in: float,
) -> Figure:
    """Panels below each other on one scale; names on the left, values on the right; y runs in inches."""
    labels = [label for panel in panels for label in (*panel.groups, *(row.label for row in panel.rows))]
    names_in = max(map(len, labels)) * LETTER_IN + 0.2
    values_in = 0.75 if layout.is_narrow else VALUES_IN
    head = BANNER_IN if phantom else 0.1
    height = head + foot_in + sum(panel.height_in + PANEL_GAP_IN for panel in panels)
    figure = empty_figure(layout.width_in, height, phantom=phantom)
    width = layout.width_in - names_in - values_in
    low, high = _limits(reach)
    top = height - head
    for panel in panels:
        bottom = top - PANEL_GAP_IN + 0.3 - panel.height_in
        position = (names_in / layout.width_in, bottom / height, width / layout.width_in, panel.height_in / height)
        axis = figure.add_axes(position)
        _draw_rows(axis, panel, draw, value)
        axis.set_xlim(low, high)
        axis.set_title(panel.title, fontsize=10.5, fontweight="bold", loc="left", x=-names_in / width + 0.02, pad=5)
        top -= panel.height_in + PANEL_GAP_IN
    axis.set_xlabel(label, fontsize=9)
    return figure


def _draw_rows(
    axis: Axes,
    panel: RowPanel,
    draw: Callable[[Axes, DifferenceRow, float], None],
    value: Callable[[DifferenceRow], str],
) -> None:
    beside = blended_transform_factory(axis.transAxes, axis.transData)

    def write(text: str, x: float, y: float, **style: Any) -> None:
        """Left of the panel at x 0, right of it at x 1."""
        axis.annotate(
            text, (x, y), (12 * x - 6, 0), xycoords=beside, textcoords="offset points", ha="left" if x else "right",
            va="center", fontsize=8.5, annotation_clip=False, **style,
        )  # fmt: skip

    y = 0.0
    for index, (heading, rows) in enumerate(panel.groups.items()):
        if index:
            axis.axhline(y, color=RULE, linewidth=0.8, zorder=0)
        write(heading, 0, y + HEADING_IN * 0.55, color=SOFT_INK, style="italic")
        y += HEADING_IN
        for row in rows:
            middle = y + ROW_IN / 2
            write(row.label, 0, middle)
            if not pd.isna(row.delta):
                draw(axis, row, middle)
            write(value(row), 1, middle, color=_colour(row))
            y += ROW_IN
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_ylim(panel.height_in, 0)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(axis="x", labelsize=8)
    axis.locator_params(axis="x", nbins=6)


def _direction(found: Finding) -> str:
    return found.tone.split()[0]


def _colour(row: DifferenceRow) -> str:
    return SOFT_INK if row.bound else COLOURS[_direction(row.finding)]


def _limits(reach: Sequence[float]) -> tuple[float, float]:
    values = [value for value in reach if not pd.isna(value)] or [0.0]
    low, high = min(*values, -LEAST_REACH), max(*values, LEAST_REACH)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def _legend_handles(panels: Sequence[RowPanel]) -> list[Line2D]:
    everything = [row for panel in panels for row in panel.rows]
    rows = [row for row in everything if not row.bound]
    handles: list[Line2D] = []
    if any(row.kind in CLUSTER_INTERVALS for row in rows):
        handles.append(Line2D([], [], color=SOFT_INK, linewidth=2.2, label="95 % interval over clusters"))
    if any(row.kind == IntervalKind.FRAMES for row in rows):
        label = "frames as independent: likely too narrow"
        handles.append(Line2D([], [], color=SOFT_INK, linewidth=1.5, linestyle=(0, (3, 2)), label=label))
    kinds = [
        (MARKERS[_direction(one)], COLOURS[_direction(one)], one.is_claim, one.value)
        for one in Finding
        if one is not Finding.UNKNOWN and any(row.finding is one for row in rows)
    ]
    if len(rows) < len(everything):
        kinds.append(("D", SOFT_INK, False, "trained on own labels"))
    for marker, colour, filled, label in kinds:
        handles.append(
            Line2D(
                [], [], linestyle="", marker=marker, markersize=6, markeredgecolor=colour,
                markerfacecolor=colour if filled else "white", label=label,
            )
        )  # fmt: skip
    return handles
