"""Where cohorts' fields of view and polyps lie: one small map per cohort."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from polypda.quality.statistics.frame_table import PlaceMaps
from polypda.reporting.figures.figure_style import INK, SOFT_INK, Layout, PanelGrid, PanelSize, panel_grid

LONGER_IN = 1.75
OUTLINES = (0.1, 0.5, 0.9)
FOOT_IN = 0.5


def field_outlines(maps: Mapping[str, PlaceMaps], layout: Layout, *, phantom: bool) -> Figure:
    """Share of frames whose field of view covers a place of the frame; lines at a tenth, half and nine tenths."""
    grid = _grid(maps, layout, phantom)
    for axis, (cohort, one) in zip(grid.axes, maps.items(), strict=True):
        _panel(axis, one.field, one.aspects[0], cohort, mpl.colormaps["Greys_r"], 1.0)
        centres = (np.arange(one.field.shape[0]) + 0.5) / one.field.shape[0]
        if one.field.min() < OUTLINES[0] < one.field.max():
            axis.contour(
                centres, centres, one.field, OUTLINES, colors=["#56B4E9", "#E69F00", "#56B4E9"],
                linewidths=[0.9, 1.6, 0.9], linestyles=["dotted", "solid", "dashed"],
            )  # fmt: skip
    _bar(grid, mpl.colormaps["Greys_r"], 1.0, "share of frames with the field of view here")
    return grid.figure


def polyp_places(maps: Mapping[str, PlaceMaps], layout: Layout, *, phantom: bool) -> Figure:
    """Share of the frames with a polyp that show it at a place of the field of view's box."""
    held = {cohort: one for cohort, one in maps.items() if one.polyps is not None}
    highest = max(float(one.polyps.max()) for one in held.values() if one.polyps is not None)
    grid = _grid(held, layout, phantom)
    for axis, (cohort, one) in zip(grid.axes, held.items(), strict=True):
        if one.polyps is not None:
            _panel(
                axis, one.polyps, one.aspects[1], f"{cohort}\nn = {one.polyp_frames}", mpl.colormaps["viridis"], highest
            )
    _bar(grid, mpl.colormaps["viridis"], highest, "share of frames with a polyp that show it here")
    return grid.figure


def _grid(maps: Mapping[str, PlaceMaps], layout: Layout, phantom: bool) -> PanelGrid:
    size = PanelSize(
        width=1.5 if layout.is_narrow else LONGER_IN, height=1.5, left=0.1, right=0.1, above=0.42, below=0.06,
        first_left=0.05, stretch=1.15,
    )  # fmt: skip
    return panel_grid(len(maps), size, layout, phantom=phantom, foot_in=FOOT_IN)


def _panel(
    axis: Axes, shares: NDArray[np.float64], aspect: float, title: str, colours: mpl.colors.Colormap, highest: float
) -> None:  # fmt: skip
    axis.imshow(
        shares, extent=(0, 1, 1, 0), cmap=colours, vmin=0, vmax=highest, aspect=1 / aspect, interpolation="none"
    )
    axis.set_title(title, fontsize=8.5, fontweight="bold", loc="left", pad=4)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(True)
        spine.set_color("#9A9A9A")


def _bar(grid: PanelGrid, colours: mpl.colors.Colormap, highest: float, label: str) -> None:
    width, height = grid.figure.get_size_inches()
    length = min(3.0, width - 0.8)
    axis = grid.figure.add_axes(((width - length) / 2 / width, 0.38 / height, length / width, 0.1 / height))
    scale = mpl.colors.Normalize(0, 100 * highest)
    bar = grid.figure.colorbar(mpl.cm.ScalarMappable(scale, colours), cax=axis, orientation="horizontal")
    bar.ax.tick_params(labelsize=7.5, colors=SOFT_INK)
    bar.ax.locator_params(axis="x", nbins=5)
    bar.set_label(f"% ({label})", fontsize=8, color=INK, labelpad=1)
