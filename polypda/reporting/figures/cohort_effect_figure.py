"""In what cohorts differ most: every feature's effect with its interval for two cohorts, a heat map for more."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polypda.evaluation.cohort_differences import SUPPORTED_FROM, CohortDifferences, supported
from polypda.quality.frame_table import BY_NAME, FEATURES
from polypda.reporting.figures.figure_style import BANNER_IN, BETTER, INK, RULE, SOFT_INK, Layout, empty_figure
from polypda.reporting.figures.matrix_figure import HeatPanels, heat_maps
from polypda.reporting.verdict import records
from polypda.reporting.wording import signed

ROW_IN, LETTER_IN = 0.235, 0.072
VALUE_IN, FOOT_IN = 0.55, 0.62


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
