"""Which figures a page of cohort statistics has.

Where cohorts' fields of view and polyps lie: one small map per cohort.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from polypda.evaluation.cohort_differences import ALPHA, SUPPORTED_FROM
from polypda.quality.frame_table import PlaceMaps
from polypda.reporting.cohort_statistics import CohortStatistics
from polypda.reporting.figures.cohort_distribution_figure import (
    IMAGE_FEATURES,
    LABEL_FEATURES,
    distributions,
    shown_features,
)
from polypda.reporting.figures.cohort_effect_figure import cohort_profile, distance_matrix, effect_forest
from polypda.reporting.figures.figure_style import INK, SOFT_INK, Drawing, Layout, PanelGrid, PanelSize, panel_grid

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


MOST_FOR_PHONES = 5
"""Cohorts; with more, drawings are laid out once and a phone scrolls them sideways, so that the page stays small."""
READING = (
    "One row per cohort: density over its frames, bar from the first to the third quartile, line and number at the "
    "median. The outermost 0.5 % of frames may lie beyond the axis."
)


def cohort_drawings(statistics: CohortStatistics) -> list[Drawing]:
    """All figures that the statistics allow, in the order of the page."""
    return list(_drawings(statistics))


def _drawings(statistics: CohortStatistics) -> Iterator[Drawing]:
    frames, phantom = statistics.differences.frames, statistics.phantom
    small = len(statistics.cohorts) <= MOST_FOR_PHONES
    yield from _comparisons(statistics)
    yield Drawing(
        "pictures",
        "Pictures, side by side",
        READING,
        lambda layout: distributions(frames, IMAGE_FEATURES, layout, phantom=phantom),
        small,
    )
    if shown_features(frames, LABEL_FEATURES):
        yield Drawing(
            "polyps",
            "Polyps, side by side",
            f"{READING} Frames with a polyp only.",
            lambda layout: distributions(frames, LABEL_FEATURES, layout, phantom=phantom),
            small,
        )
    if len(statistics.cohorts) == 2:
        yield _pair_drawing(statistics)
    yield Drawing(
        "field-of-view",
        "Mean field of view",
        "Over the whole frame, brought to one size: white where every frame shows the inside, black where none does. "
        "Solid line: half of the frames; dotted: a tenth; dashed: nine tenths.",
        lambda layout: field_outlines(statistics.maps, layout, phantom=phantom),
        small,
    )
    if any(one.polyps is not None for one in statistics.maps.values()):
        yield Drawing(
            "polyp-places",
            "Where polyps lie",
            "Over the bounding box of each frame’s field of view, frames with a polyp only; boxes count with all of "
            "their area.",
            lambda layout: polyp_places(statistics.maps, layout, phantom=phantom),
            small,
        )


def _comparisons(statistics: CohortStatistics) -> Iterator[Drawing]:
    differences, phantom = statistics.differences, statistics.phantom
    if len(statistics.cohorts) > 2:
        yield Drawing(
            "distances",
            "Distance between cohorts",
            "Energy coefficient of light, colour, highlights, sharpness and noise inside the field of view: 0 alike, 1 "
            "wholly apart. Framed: two halves of one cohort, which shows what chance does.",
            lambda layout: distance_matrix(differences, layout, phantom=phantom),
            for_small_pages=False,
        )
        yield Drawing(
            "profiles",
            "What sets each cohort apart",
            "Mean Cliff’s δ of a cohort over the others: +1 (blue) all of its frames lie above theirs, −1 (red) "
            "below, 0 "
            "the same.",
            lambda layout: cohort_profile(differences, layout, phantom=phantom),
            for_small_pages=False,
        )


def _pair_drawing(statistics: CohortStatistics) -> Drawing:
    return Drawing(
        "differences",
        "In what they differ",
        "Cliff’s δ: the chance that a frame of the one lies above a frame of the other, less the reverse. Lines: "
        "95 % "
        "intervals; dashed where frames were treated as independent (likely too narrow); none where the cohorts do "
        f"not overlap or have too few clusters. Filled: at least {SUPPORTED_FROM:g} (outside the grey band) and "
        "p < "
        f"{ALPHA:g} after Holm’s correction.",
        lambda layout: effect_forest(statistics.differences.effects, layout, phantom=statistics.phantom),
    )
