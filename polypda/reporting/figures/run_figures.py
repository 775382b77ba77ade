"""The figures of one run's report, from its cases alone: paired Dice before and after, Dice against polyp size, and on
how many frames annotated with boxes a polyp was found."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from polypda.evaluation.aggregation.aggregates import SIZE_LIMITS
from polypda.evaluation.aggregation.centres import CHANGED_BY_DICE, paired_cases
from polypda.evaluation.cases.case_table import BOX
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER, RunMetadata
from polypda.evaluation.scoring.mask_geometry import HEADLINE_IOU
from polypda.files import write_whole
from polypda.reporting.figures.figure_style import (
    AFTER,
    BANNER_PAPER,
    BEFORE,
    BETTER,
    CHANGES,
    INK,
    SAME,
    STYLE,
    WORSE,
    ReportFigure,
    described,
    rendered,
)

MOST_SINGLE_FRAMES = 150
"""Above this many frames sequences are drawn instead, where they are known."""
FOUND = {
    "found before and after": SAME, "found only after": BETTER, "found only before": WORSE, "not found": "#FFFFFF",
}  # fmt: skip
NARROWEST_LABELLED = 0.05


def write_figures(cases: pd.DataFrame, run_metadata: RunMetadata, folder: Path) -> list[ReportFigure]:
    """Draw the report's figures as PNG and SVG; a figure without a frame to show is left out.

    Dice is drawn of frames with a mask; frames annotated with boxes have a figure of their own.

    Raises: DataError E_CASES_FRAMES_DIFFER, E_WRITE_FAILED.
    """
    run = run_metadata
    pairs = paired_cases(cases, run.source_only, run.method)
    positive = pairs[pairs["positive"] & pairs["dice_before"].notna()]
    boxed = pairs[pairs["positive"] & (pairs["annotation"] == BOX)]
    origin = f"Split {run.split}; {run.seeds_text}; checkpoint rule: {run.selector_text}."
    facts = {"before": run.source_only, "after": run.method, "changed": CHANGED_BY_DICE, "iou": HEADLINE_IOU}
    figures = []
    for name, draw, frames in (
        ("polyps-found", lesions_found, boxed),
        ("paired-dice", paired_dice, positive),
        ("dice-by-size", dice_by_size, positive),
    ):
        if frames.empty:
            continue
        png, svg = folder / f"{name}.png", folder / f"{name}.svg"
        with mpl.rc_context(STYLE):
            figure = draw(_by_role(frames, run), run)
            write_whole(png, rendered(figure, "png"))
            write_whole(svg, rendered(figure, "svg"))
        figures.append(ReportFigure(*described("run", name, origin=origin, **facts), png, svg))
    return figures


Parts = dict[str, pd.DataFrame]
"""Cohort and role, as panels are named → its frames, the target's first."""


def paired_dice(parts: Parts, run: RunMetadata) -> Figure:
    """One line per frame (or sequence) from its Dice before to its Dice after; target beside source."""
    figure, axes = _panels(len(parts), run)
    for axis, (name, part) in zip(axes, parts.items(), strict=True):
        table, unit = _units(part)
        _draw_pairs(axis, table)
        axis.set_title(f"{name}\n{len(table)} {unit}", fontsize=11)
        axis.set_xticks([0, 1], [run.source_only, run.method])
    axes[0].set_ylabel("Dice")
    lines = [axes[0].plot([], [], color=colour, marker="o", markersize=4, label=label)[0] for colour, label in CHANGES]
    figure.legend(handles=lines, loc="outside lower center", ncols=4, frameon=False)
    return figure


def dice_by_size(parts: Parts, run: RunMetadata) -> Figure:
    """Dice of each frame before and after against its relative polyp area, with the mean of each size stratum."""
    figure, axes = _panels(len(parts), run)
    for axis, (name, part) in zip(axes, parts.items(), strict=True):
        frames = _mean_of_trainings(part, "frame")
        _draw_sizes(axis, frames, run)
        axis.set_title(f"{name}\n{len(frames)} frames", fontsize=11)
    axes[0].set_ylabel("Dice")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def lesions_found(parts: Parts, run: RunMetadata) -> Figure:
    """A bar per cohort: frames on which any polyp was found, by which model; trainings weigh alike."""
    figure = _figure(9.4, 1.6 + 1.1 * len(parts), run)
    axis = figure.subplots()
    for row, part in enumerate(parts.values()):
        before, after = ((part[f"lesions_hit_10_{when}"] > 0).to_numpy() for when in ("before", "after"))
        left = 0.0
        for (name, colour), frames in zip(
            FOUND.items(), (before & after, ~before & after, before & ~after, ~before & ~after), strict=True
        ):
            fraction, label = frames.mean(), name if row == 0 else None
            axis.barh(row, fraction, left=left, height=0.55, color=colour, edgecolor=INK, linewidth=0.8, label=label)
            if fraction >= NARROWEST_LABELLED:
                axis.text(
                    left + fraction / 2, row, f"{fraction:.0%}".replace("%", " %"), ha="center", va="center",
                    color="white" if colour in (BETTER, WORSE) else INK,
                )  # fmt: skip
            left += fraction
    names = [f"{name}\n{part['frame'].nunique()} frames" for name, part in parts.items()]
    axis.set_yticks(range(len(parts)), names)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
    axis.set_xlabel("share of the frames with a polyp")
    figure.legend(loc="outside lower center", ncols=len(FOUND), frameon=False)
    return figure


def _draw_pairs(axis: Axes, table: pd.DataFrame) -> None:
    change = (table["dice_after"] - table["dice_before"]).to_numpy()
    kinds = (
        (np.abs(change) <= CHANGED_BY_DICE, SAME),
        (change > CHANGED_BY_DICE, BETTER),
        (change < -CHANGED_BY_DICE, WORSE),
    )
    alpha = float(np.clip(18 / max(len(table), 1), 0.18, 0.8))
    for chosen, colour in kinds:
        some = table[chosen]
        ends = some[["dice_before", "dice_after"]].to_numpy().T
        if ends.size:
            axis.plot([0, 1], ends, color=colour, alpha=alpha, linewidth=1.1, marker="o", markersize=3.5, clip_on=False)
    means = [table["dice_before"].mean(), table["dice_after"].mean()]
    axis.plot([0, 1], means, color=INK, linewidth=2.6, marker="D", markersize=7, markeredgecolor="white", zorder=5)
    for index, (mean, side, align) in enumerate(zip(means, (-12, 12), ("right", "left"), strict=True)):
        axis.annotate(
            f"{mean:.2f}", (index, mean), (side, 0), textcoords="offset points", va="center", ha=align,
            fontweight="bold",
        )  # fmt: skip
    axis.set_xlim(-0.3, 1.3)
    axis.set_ylim(-0.02, 1.02)
    axis.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axis.set_axisbelow(True)


def _draw_sizes(axis: Axes, frames: pd.DataFrame, run: RunMetadata) -> None:
    area = frames["relative_polyp_area"].to_numpy()
    low, high = min(area.min(), 0.005) / 1.4, min(1.0, max(area.max(), 0.25) * 1.4)
    edges = [low, *SIZE_LIMITS, high]
    models = (("dice_before", BEFORE, "s", run.source_only), ("dice_after", AFTER, "o", run.method))
    for column, colour, marker, name in models:
        axis.scatter(
            area, frames[column], s=22, c=colour, marker=marker, alpha=0.6, linewidths=0.4, edgecolors=INK, label=name,
            clip_on=False,
        )  # fmt: skip
    for left, right in pairwise(edges):
        inside = frames[(area >= left) & (area < right)]
        for column, colour, _, _ in models:
            if len(inside):
                mean = inside[column].mean()
                axis.hlines(mean, left * 1.04, right / 1.04, color="white", linewidth=5, zorder=4)
                axis.hlines(mean, left * 1.04, right / 1.04, color=colour, linewidth=3, zorder=5)
        axis.text(
            np.sqrt(left * right), -0.045, f"n = {len(inside)}", ha="center", va="top", fontsize=8.5, color="#555"
        )
    for limit in SIZE_LIMITS:
        axis.axvline(limit, color="#BBBBBB", linewidth=0.9, linestyle=":")
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    axis.set_ylim(-0.11, 1.02)
    axis.set_yticks(np.linspace(0, 1, 6))
    ticks = [tick for tick in (0.001, 0.003, *SIZE_LIMITS, 0.5) if low <= tick <= high]
    axis.set_xticks(ticks)
    axis.minorticks_off()
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
    axis.set_xlabel("relative polyp area (log scale)")


def _units(part: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    frames = _mean_of_trainings(part, "frame")
    if len(frames) <= MOST_SINGLE_FRAMES or (part["sequence"] == "").any():
        return frames, "frames"
    return _mean_of_trainings(part, "sequence"), "sequences (mean of their frames)"


def _mean_of_trainings(part: pd.DataFrame, unit: str) -> pd.DataFrame:
    return part.groupby(unit, sort=True)[["dice_before", "dice_after", "relative_polyp_area"]].mean().reset_index()


def _by_role(frames: pd.DataFrame, run: RunMetadata) -> Parts:
    named = {"target": run.target, "source": run.source}
    parts = {f"{cohort} ({role})": frames[frames["role"] == role] for role, cohort in named.items()}
    return {name: part for name, part in parts.items() if len(part)}


def _panels(count: int, run: RunMetadata) -> tuple[Figure, list[Axes]]:
    figure = _figure(1.0 + 4.2 * count, 5.0, run)
    return figure, list(figure.subplots(1, count, sharey=True, squeeze=False)[0])


def _figure(width_in: float, height_in: float, run: RunMetadata) -> Figure:
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    if run.phantom:
        figure.suptitle(PHANTOM_BANNER, fontsize=10, backgroundcolor=BANNER_PAPER)
    return figure
