"""Which figures a page of cohort statistics has, and all but the distributions: effects, distances, maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from polypda.evaluation.cohort_differences import ALPHA, SUPPORTED_FROM, CohortDifferences, supported
from polypda.quality.frame_table import BY_NAME, FEATURES, PlaceMaps
from polypda.reporting.cohort_statistics import CohortStatistics
from polypda.reporting.figures.cohort_distribution_figure import (
    IMAGE_FEATURES,
    LABEL_FEATURES,
    distributions,
    shown_features,
)
from polypda.reporting.figures.figure_style import (
    BANNER_IN,
    BETTER,
    INK,
    RULE,
    SOFT_INK,
    Drawing,
    Layout,
    PanelGrid,
    PanelSize,
    described,
    empty_figure,
    panel_grid,
)
from polypda.reporting.figures.matrix_figure import HeatPanels, heat_maps
from polypda.reporting.verdict import records
from polypda.reporting.wording import signed

ROW_IN, LETTER_IN = 0.235, 0.072
VALUE_IN, FOOT_IN = 0.55, 0.62
OUTLINES = (0.1, 0.5, 0.9)
MOST_FOR_PHONES = 5
"""Cohorts; with more, drawings are laid out once and a phone scrolls them sideways, so that the page stays small."""


def cohort_drawings(statistics: CohortStatistics) -> Iterator[Drawing]:
    """All figures that the statistics allow, in the order of the page."""
    differences, maps, phantom = statistics.differences, statistics.maps, statistics.phantom
    small = len(statistics.cohorts) <= MOST_FOR_PHONES

    def drawing(name: str, draw: partial[Figure], small: bool = small) -> Drawing:
        title, caption = described("cohorts", name, supported_from=SUPPORTED_FROM, alpha=ALPHA)
        return Drawing(name, title, caption, draw, small)

    if len(statistics.cohorts) > 2:
        yield drawing("distances", partial(distance_matrix, differences, phantom=phantom), False)
        yield drawing("profiles", partial(cohort_profile, differences, phantom=phantom), False)
    yield drawing("pictures", partial(distributions, differences.frames, IMAGE_FEATURES, phantom=phantom))
    if shown_features(differences.frames, LABEL_FEATURES):
        yield drawing("polyps", partial(distributions, differences.frames, LABEL_FEATURES, phantom=phantom))
    if len(statistics.cohorts) == 2:
        yield drawing("differences", partial(effect_forest, differences.effects, phantom=phantom))
    yield drawing("field-of-view", partial(field_outlines, maps, phantom=phantom))
    if any(one.polyps is not None for one in maps.values()):
        yield drawing("polyp-places", partial(polyp_places, maps, phantom=phantom))


def effect_forest(effects: pd.DataFrame, layout: Layout, *, phantom: bool) -> Figure:
    """Cliff's delta of one pair, the largest first. Filled: supported. Solid: over clusters; dashed: over frames."""
    rows = sorted(records(effects), key=lambda row: -abs(row["delta"]))
    shown = set(supported(effects)["feature"])
    names_in = max(len(BY_NAME[row["feature"]].title) for row in rows) * LETTER_IN + 0.15
    head = (BANNER_IN if phantom else 0.08) + 0.05
    height = head + FOOT_IN + ROW_IN * len(rows)
    figure = empty_figure(layout.width_in, height, phantom=phantom)
    width = layout.width_in - names_in - VALUE_IN
    axis = figure.add_axes(
        (names_in / layout.width_in, FOOT_IN / height, width / layout.width_in, ROW_IN * len(rows) / height)
    )
    for y, row in enumerate(rows):
        _draw_effect(axis, y, row, row["feature"] in shown)
    axis.set_xlim(-1.04, 1.04)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), [BY_NAME[row["feature"]].title for row in rows])
    axis.tick_params(axis="y", length=0, labelsize=8.5)
    axis.set_xticks((-1, -0.5, 0, 0.5, 1), ("−1", "−0.5", "0", "+0.5", "+1"), fontsize=8.5)
    axis.axvspan(-SUPPORTED_FROM, SUPPORTED_FROM, color="#F3F3F3", zorder=0)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.grid(axis="x", color=RULE, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines["left"].set_visible(False)
    one, other = str(effects["cohort"].iloc[0]), str(effects["other"].iloc[0])
    axis.set_xlabel(f"Cliff’s δ: ← lower in {other}, higher →\n(beside {one})", fontsize=8.5)
    return figure


def cohort_profile(differences: CohortDifferences, layout: Layout, *, phantom: bool) -> Figure:
    """How each cohort differs from the others: mean Cliff's delta over them, per feature."""
    effects = differences.effects
    higher = pd.concat(
        [
            effects.assign(who=effects["other"], effect=effects["delta"]),
            effects.assign(who=effects["cohort"], effect=-effects["delta"]),
        ]
    )
    means = higher.groupby(["feature", "who"])["effect"].mean()
    named = [feature for feature in FEATURES if feature.name in set(effects["feature"])]
    cells = {
        (feature.title, cohort): float(means[feature.name, cohort])
        for feature in named
        for cohort in differences.cohorts
        if (feature.name, cohort) in means.index
    }
    titles = [feature.title for feature in named]
    heat = HeatPanels(
        titles, differences.cohorts, {"": cells}, "mean Cliff’s δ over the other cohorts", diverging=True,
        phantom=phantom,
    )  # fmt: skip
    return heat_maps(heat, layout)


def distance_matrix(differences: CohortDifferences, layout: Layout, *, phantom: bool) -> Figure:
    """The energy coefficient of every two cohorts; on the diagonal that of two halves of one cohort. Below 0: 0."""
    cells = {}
    for row in records(differences.distances):
        cells[row["cohort"], row["other"]] = cells[row["other"], row["cohort"]] = max(float(row["distance"]), 0.0)
    halves = {(row["cohort"], row["cohort"]): max(float(row["distance"]), 0.0) for row in records(differences.halves)}
    cohorts = differences.cohorts
    heat = HeatPanels(
        cohorts, cohorts, {"": cells | halves}, "energy coefficient", frozenset(("", name, name) for name in cohorts),
        phantom=phantom,
    )  # fmt: skip
    return heat_maps(heat, layout)


def _draw_effect(axis: Axes, y: int, row: dict, is_supported: bool) -> None:
    colour = BETTER if is_supported else SOFT_INK
    if pd.notna(row["low"]):
        style = "-" if row["clusters_known"] else (0, (3, 2))
        axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2, linestyle=style, zorder=3)
    axis.plot(
        [row["delta"]], [y], "o", markersize=5.5, markeredgecolor=colour, markeredgewidth=1.4, zorder=4,
        markerfacecolor=colour if is_supported else "white",
    )  # fmt: skip
    axis.text(1.02, y, signed(row["delta"]), transform=axis.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)


def field_outlines(maps: Mapping[str, PlaceMaps], layout: Layout, *, phantom: bool) -> Figure:
    """Fraction of frames whose field of view covers a place of the frame; lines at a tenth, half and nine tenths."""
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
    """Fraction of the frames with a polyp that show it at a place of the field of view's box."""
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
        width=1.5 if layout.is_narrow else 1.75, height=1.5, left=0.1, right=0.1, above=0.42, below=0.06,
        first_left=0.05, stretch=1.15,
    )  # fmt: skip
    return panel_grid(len(maps), size, layout, phantom=phantom, foot_in=0.5)


def _panel(
    axis: Axes, fractions: NDArray[np.float64], aspect: float, title: str, colours: mpl.colors.Colormap, highest: float
) -> None:  # fmt: skip
    axis.imshow(
        fractions, extent=(0, 1, 1, 0), cmap=colours, vmin=0, vmax=highest, aspect=1 / aspect, interpolation="none"
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
