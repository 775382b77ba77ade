"""Cohorts' figures side by side: one panel per figure, one row per cohort, the same order everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from polypda.quality.frame_table import BY_NAME, Feature
from polypda.reporting.figures.figure_style import INK, RULE, SOFT_INK, Layout, PanelSize, panel_grid
from polypda.reporting.wording import plain

IMAGE_FEATURES = (
    "longer_side_px", "field_share", "laplacian_sd", "lightness", "a", "b", "specular_percent", "rim_to_centre",
    "noise_sd",
)  # fmt: skip
LABEL_FEATURES = (
    "polyp_area_percent", "box_area_percent", "polyp_off_centre", "contrast_lightness", "contrast_a", "contrast_b",
)  # fmt: skip
COHORT_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C7A00", "#6B6B6B")
"""Okabe and Ito's, yellow darkened to be seen on white. Rows are named, so a ninth cohort may share the first's."""
ROW_IN, LETTER_IN = 0.36, 0.078
CELLS = 80
FLAT = 0.004
"""Of the highest point; what is lower is not drawn."""
SHOWN = (0.005, 0.995)
"""Quantiles of all cohorts between which an axis runs: a few frames far out must not press all others together."""
LEAST_BANDWIDTH = 0.012
"""Of the axis: narrower humps cannot be seen."""


def distributions(frames: pd.DataFrame, names: Sequence[str], layout: Layout, *, phantom: bool) -> Figure:
    """Densities with median (line) and middle half (bar) of the features that some cohort has."""
    cohorts = list(dict.fromkeys(frames["cohort"]))
    features = shown_features(frames, names)
    size = PanelSize(
        width=2.02,
        height=ROW_IN * len(cohorts) + 0.1,
        left=0.1,
        right=0.47,
        above=0.36,
        below=0.42,
        first_left=max(map(len, cohorts)) * LETTER_IN + 0.1,
    )
    grid = panel_grid(len(features), size, layout, phantom=phantom)
    for axis, first, feature in zip(grid.axes, grid.first, features, strict=True):
        _draw_panel(axis, frames, feature, cohorts)
        axis.set_yticks(range(len(cohorts)), cohorts if first else [""] * len(cohorts))
        axis.tick_params(axis="y", length=0, labelsize=8.5)
    return grid.figure


def shown_features(frames: pd.DataFrame, names: Sequence[str]) -> list[Feature]:
    """Those of the named features that any frame has."""
    return [BY_NAME[name] for name in names if frames[name].notna().any()]


def _draw_panel(axis: Axes, frames: pd.DataFrame, feature: Feature, cohorts: Sequence[str]) -> None:
    columns = {cohort: frames.loc[frames["cohort"] == cohort, feature.name].dropna().to_numpy() for cohort in cohorts}
    low, high, floor = _limits(np.concatenate(list(columns.values())), feature)
    scale = (lambda values: np.log10(np.maximum(values, floor))) if feature.logarithmic else np.asarray
    axis.set_ylim(len(cohorts) - 0.42, -0.72)
    axis.set_xlim(low, high)
    for row, values in enumerate(columns.values()):
        if not values.size:
            axis.text(high, row, "no label" if feature.basis != "picture" else NOT_MEASURED, **NOTE)
            continue
        _draw_row(axis, scale(values), row, COHORT_COLOURS[row % len(COHORT_COLOURS)], (low, high))
        axis.text(
            1.03, row, plain(float(np.median(values)), feature.digits), transform=axis.get_yaxis_transform(),
            ha="left", va="center", fontsize=8, color=INK,
        )  # fmt: skip
    axis.set_title(feature.title, fontsize=9, fontweight="bold", loc="left", pad=4)
    axis.set_xlabel(feature.unit or " ", fontsize=8, color=SOFT_INK, labelpad=1)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.xaxis.set_minor_locator(NullLocator())
    if feature.logarithmic:
        ticks = _log_ticks(10**low, 10**high)
        axis.set_xticks(np.log10(ticks), [f"{tick:g}" for tick in ticks])
    else:
        axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))


def _draw_row(axis: Axes, values: NDArray[np.float64], row: int, colour: str, limits: tuple[float, float]) -> None:
    positions = np.linspace(*limits, CELLS)
    density = _density(values, positions)
    # A hump's feet stand on the row's line; what is flat between humps is that line
    raised = np.convolve(density > FLAT, (1, 1, 1), "same") > 0
    base = row + 0.18
    heights = base - 0.78 * np.where(density > FLAT, density, 0.0)
    axis.fill(
        np.r_[positions[raised], positions[raised][::-1][:1], positions[raised][:1]],
        np.r_[heights[raised], base, base],
        facecolor=to_rgba(colour, 0.35), edgecolor=colour, linewidth=0.8, zorder=2,
    )  # fmt: skip
    axis.plot(limits, [row + 0.18] * 2, color=colour, linewidth=0.6, zorder=1)
    quarter, median, three_quarters = np.quantile(values, (0.25, 0.5, 0.75))
    axis.plot([quarter, three_quarters], [row + 0.27] * 2, color=colour, linewidth=3, solid_capstyle="butt", zorder=4)
    axis.plot([median] * 2, [row + 0.18, row + 0.36], color=INK, linewidth=1.4, zorder=5)


def _density(values: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal kernel, Silverman's width, its highest point at 1."""
    quartiles = np.quantile(values, (0.25, 0.75))
    spread = min(float(values.std()), float(quartiles[1] - quartiles[0]) / 1.34 or np.inf)
    width = max(0.9 * spread * len(values) ** -0.2, LEAST_BANDWIDTH * float(positions[-1] - positions[0]))
    heights = np.exp(-0.5 * ((positions[:, None] - values[None, :]) / width) ** 2).sum(axis=1)
    return np.asarray(heights / max(float(heights.max()), 1e-9))


def _limits(values: NDArray[np.float64], feature: Feature) -> tuple[float, float, float]:
    """Ends of the axis (of the logarithm where it is one), and what smaller values count as on it."""
    floor = max(float(values[values > 0].min(initial=1.0)), 10.0**-feature.digits / 2) if feature.logarithmic else 0.0
    shown = np.log10(np.maximum(values, floor)) if feature.logarithmic else values
    low, high = np.quantile(shown, SHOWN)
    room = max(0.06 * (high - low), 0.02 * abs(high), 1e-3)
    return float(low - room), float(high + room), floor


def _log_ticks(low: float, high: float) -> list[float]:
    for subs in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)):
        ticks = [float(tick) for tick in LogLocator(subs=subs).tick_values(low, high) if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks[:: -(-len(ticks) // 6)]
    return [float(f"{tick:.3g}") for tick in np.geomspace(low * 1.02, high * 0.98, 3)]


NOT_MEASURED = "not measured"
NOTE: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 7.5, "color": SOFT_INK, "style": "italic"}
