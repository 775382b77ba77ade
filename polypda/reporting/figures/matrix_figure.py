"""The source × centre matrix as heat maps: one panel per model, the numbers in the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from polypda.reporting.figures.figure_style import INK, SOFT_INK, Layout, PanelGrid, PanelSize, panel_grid
from polypda.reporting.wording import plain, signed

Cells = Mapping[tuple[str, str], float]
"""(source, centre) → value."""

CELL_WIDTH_IN, CELL_HEIGHT_IN = 0.56, 0.4
MOST_ROOMY_COLUMNS = 6
"""With more centres cells get narrower, down to what two digits need."""
NARROW_CELL_IN = 0.42
LETTER_IN = 0.082
"""Width of a letter at the labels' size, a little more than the mean."""
LEAST_SPAN = 0.05
EMPTY_CELL = "#EFEFEF"


@dataclass(frozen=True)
class HeatPanels:
    """What the panels share. sources: rows. centres: columns. panels: title → cells.

    own: (panel, row, centre) to be framed: a model trained on this centre's labels. bold: likewise, cells whose
    difference is statistically supported. diverging: colours around 0, signed numbers.
    """

    sources: Sequence[str]
    centres: Sequence[str]
    panels: Mapping[str, Cells]
    label: str
    own: frozenset[tuple[str, str, str]] = frozenset()
    bold: frozenset[tuple[str, str, str]] = frozenset()
    diverging: bool = False
    phantom: bool = False


def heat_maps(heat: HeatPanels, layout: Layout) -> Figure:
    """Draw the panels with one colour scale, which lies below them."""
    colours, scale = _scale(heat)
    grid = panel_grid(len(heat.panels), _panel_size(heat), layout, phantom=heat.phantom, foot_in=0.75)
    for index, (axis, (title, cells)) in enumerate(zip(grid.axes, heat.panels.items(), strict=True)):
        _draw_panel(axis, heat, title, cells, colours, scale)
        axis.set_title(title, fontsize=10, fontweight="bold", loc="left")
        axis.set_xticks(range(len(heat.centres)), list(heat.centres), rotation=40, ha="right", rotation_mode="anchor")
        labels = list(heat.sources) if grid.first[index] else [""] * len(heat.sources)
        axis.set_yticks(range(len(heat.sources)), labels)
        axis.tick_params(length=0, labelsize=9)
    _colour_bar(grid, heat, colours, scale)
    return grid.figure


def _panel_size(heat: HeatPanels) -> PanelSize:
    cell = CELL_WIDTH_IN if len(heat.centres) <= MOST_ROOMY_COLUMNS else NARROW_CELL_IN
    longest_row = max(map(len, heat.sources)) * LETTER_IN
    longest_column = max(map(len, heat.centres)) * LETTER_IN * 0.72
    longest_title = max(map(len, heat.panels)) * LETTER_IN * 1.3
    width = cell * len(heat.centres)
    return PanelSize(
        width=width,
        height=CELL_HEIGHT_IN * len(heat.sources),
        left=0.12,
        right=max(0.12, longest_title - width),
        above=0.32,
        below=longest_column + 0.25,
        first_left=max(longest_row + 0.25, longest_column * 0.9 - cell / 2),
        stretch=1.0,
    )


def _scale(heat: HeatPanels) -> tuple[Colormap, Normalize]:
    values = np.array([value for cells in heat.panels.values() for value in cells.values()], dtype=float)
    values = values[np.isfinite(values)]
    if heat.diverging:
        span = max(LEAST_SPAN, float(np.abs(values).max(initial=0.0)))
        return mpl.colormaps["RdBu"], TwoSlopeNorm(0.0, -span, span)
    if not values.size:
        return mpl.colormaps["viridis"], Normalize(0.0, 1.0)
    low, high = np.floor(values.min() * 10) / 10, np.ceil(values.max() * 10) / 10
    return mpl.colormaps["viridis"], Normalize(low, max(high, low + 0.1))


def _draw_panel(
    axis: Axes, heat: HeatPanels, title: str, cells: Cells, colours: Colormap, scale: Normalize
) -> None:  # fmt: skip
    axis.set_xlim(-0.5, len(heat.centres) - 0.5)
    axis.set_ylim(len(heat.sources) - 0.5, -0.5)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    for row, source in enumerate(heat.sources):
        for column, centre in enumerate(heat.centres):
            value = cells.get((source, centre), float("nan"))
            known = not pd.isna(value)
            colour = mpl.colors.to_hex(colours(scale(value))) if known else EMPTY_CELL
            axis.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.2)
            )  # fmt: skip
            if known:
                axis.text(
                    column, row, signed(value) if heat.diverging else plain(value), ha="center", va="center",
                    fontsize=9 if len(heat.centres) <= MOST_ROOMY_COLUMNS else 8, color=legible_on(colour),
                    fontweight="bold" if (title, source, centre) in heat.bold else "normal",
                )  # fmt: skip
            if (title, source, centre) in heat.own:
                axis.add_patch(
                    Rectangle((column - 0.44, row - 0.42), 0.88, 0.84, fill=False, edgecolor=INK, linewidth=1.6)
                )  # fmt: skip


def legible_on(colour: str) -> str:
    """Ink or white, whichever has the higher WCAG contrast on a "#rrggbb" paper."""
    paper, ink = _luminance(colour), _luminance(INK)
    contrast_of_ink = (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05)
    return "white" if 1.05 / (paper + 0.05) > contrast_of_ink else INK


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _colour_bar(grid: PanelGrid, heat: HeatPanels, colours: Colormap, scale: Normalize) -> None:
    width, height = grid.figure.get_size_inches()
    length = min(3.2, width - 0.8)
    axis = grid.figure.add_axes(((width - length) / 2 / width, 0.52 / height, length / width, 0.13 / height))
    bar = grid.figure.colorbar(mpl.cm.ScalarMappable(scale, colours), cax=axis, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=SOFT_INK)
    bar.ax.locator_params(axis="x", nbins=5)
    bar.set_label(heat.label, fontsize=9)
