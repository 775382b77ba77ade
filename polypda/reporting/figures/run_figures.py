"""The report's figures, made from cases alone: paired Dice before and after, and Dice against polyp size.

Frames annotated with boxes: on how many a polyp was found before and after adaptation.
"""

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
    INK,
    SAME,
    STYLE,
    WORSE,
    ReportFigure,
    rendered,
)

MOST_SINGLE_FRAMES = 150
"""Above this many frames sequences are drawn instead, where they are known."""


def write_figures(cases: pd.DataFrame, run_metadata: RunMetadata, folder: Path) -> list[ReportFigure]:
    """Draw the report's figures as PNG and SVG; a figure without a frame to show is left out.

    Dice is drawn of frames with a mask; frames annotated with boxes have a figure of their own.

    Raises: DataError E_CASES_FRAMES_DIFFER, E_WRITE_FAILED.
    """
    pairs = paired_cases(cases, run_metadata.source_only, run_metadata.method)
    positive, boxed = pairs[pairs["positive"] & pairs["dice_before"].notna()], boxed_frames(pairs)
    drawings = []
    if len(boxed):
        drawings.append(("polyps-found", "Polyps found before and after", lesions_found(boxed, run_metadata)))
    if len(positive):
        drawings.append(("paired-dice", "Dice before and after adaptation", paired_dice(positive, run_metadata)))
        drawings.append(("dice-by-size", "Dice against polyp size", dice_by_size(positive, run_metadata)))
    figures = []
    for name, title, (figure, caption) in drawings:
        png, svg = folder / f"{name}.png", folder / f"{name}.svg"
        write_whole(png, rendered(figure, "png"))
        write_whole(svg, rendered(figure, "svg"))
        figures.append(ReportFigure(title, caption, png, svg))
    return figures


def paired_dice(positive: pd.DataFrame, run_metadata: RunMetadata) -> tuple[Figure, str]:
    """One line per frame (or sequence) from its Dice before to its Dice after; target beside source."""
    units = {role: _units(part) for role, part in _by_role(positive)}
    with mpl.rc_context(STYLE):
        figure, axes = _panels(len(units), run_metadata, fraction_y=True)
        for axis, (role, (table, unit)) in zip(axes, units.items(), strict=True):
            _draw_pairs(axis, table)
            axis.set_title(f"{_cohort(run_metadata, role)} ({role})\n{len(table)} {unit}", fontsize=11)
            axis.set_xticks([0, 1], [run_metadata.source_only, run_metadata.method])
        axes[0].set_ylabel("Dice")
        _legend_of_changes(figure, axes[0])
    limit = f"{CHANGED_BY_DICE:g}"
    return figure, (
        f"Each line is one of the units named above the panel, from {run_metadata.source_only} to "
        f"{run_metadata.method}; blue gained and red lost more than {limit} Dice. Black: mean. {_origin(run_metadata)}"
    )


def dice_by_size(positive: pd.DataFrame, run_metadata: RunMetadata) -> tuple[Figure, str]:
    """Dice of each frame before and after against its relative polyp area, with the mean of each size stratum."""
    parts = _by_role(positive)
    with mpl.rc_context(STYLE):
        figure, axes = _panels(len(parts), run_metadata, fraction_y=True)
        for axis, (role, part) in zip(axes, parts, strict=True):
            frames = _mean_of_trainings(part, "frame")
            _draw_sizes(axis, frames, run_metadata)
            axis.set_title(f"{_cohort(run_metadata, role)} ({role})\n{len(frames)} frames", fontsize=11)
        axes[0].set_ylabel("Dice")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure, (
        "Polyp area as a share of the field of view (an endoscope gives no millimetres). Bars: mean Dice within <1 %, "
        f"1–5 %, 5–15 % and >15 %, with the number of frames below. {_origin(run_metadata)}"
    )


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
    for index, mean in enumerate(means):
        side = -1 if index == 0 else 1
        axis.annotate(
            f"{mean:.2f}", (index, mean), (side * 12, 0), textcoords="offset points", va="center",
            ha="right" if index == 0 else "left", fontweight="bold",
        )  # fmt: skip
    axis.set_xlim(-0.3, 1.3)
    axis.set_ylim(-0.02, 1.02)
    axis.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axis.set_axisbelow(True)


def _draw_sizes(axis: Axes, frames: pd.DataFrame, run_metadata: RunMetadata) -> None:
    area = frames["relative_polyp_area"].to_numpy()
    low, high = min(area.min(), 0.005) / 1.4, min(1.0, max(area.max(), 0.25) * 1.4)
    edges = [low, *SIZE_LIMITS, high]
    models = (("dice_before", BEFORE, "s", run_metadata.source_only), ("dice_after", AFTER, "o", run_metadata.method))
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


def _by_role(positive: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    parts = ((role, positive[positive["role"] == role]) for role in ("target", "source"))
    return [(role, part) for role, part in parts if not part.empty]


def _panels(count: int, run_metadata: RunMetadata, *, fraction_y: bool) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(1.0 + 4.2 * count, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    if run_metadata.phantom:
        figure.suptitle(PHANTOM_BANNER, fontsize=10, backgroundcolor=BANNER_PAPER)
    return figure, list(figure.subplots(1, count, sharey=fraction_y, squeeze=False)[0])


def _legend_of_changes(figure: Figure, axis: Axes) -> None:
    lines = [
        axis.plot([], [], color=colour, marker="o", markersize=4, label=label)[0]
        for colour, label in ((BETTER, "better"), (WORSE, "worse"), (SAME, "about the same"), (INK, "mean"))
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=4, frameon=False)


def _cohort(run_metadata: RunMetadata, role: str) -> str:
    return run_metadata.target if role == "target" else run_metadata.source


def _origin(run_metadata: RunMetadata) -> str:
    return f"Split {run_metadata.split}; {run_metadata.seeds_text}; checkpoint rule: {run_metadata.selector_text}."


KINDS = (
    ("found before and after", SAME),
    ("found only after", BETTER),
    ("found only before", WORSE),
    ("not found", "#FFFFFF"),
)
NARROWEST_LABELLED = 0.05


def boxed_frames(pairs: pd.DataFrame) -> pd.DataFrame:
    """The frames with a polyp of :func:`polypda.evaluation.aggregation.centres.paired_cases` that boxes annotate."""
    return pairs[pairs["positive"] & (pairs["annotation"] == BOX)]


def lesions_found(boxed: pd.DataFrame, run_metadata: RunMetadata) -> tuple[Figure, str]:
    """A bar per cohort: frames on which any polyp was found, by which model; with the share of polyps found."""
    parts = [(role, part) for role in ("target", "source") if len(part := boxed[boxed["role"] == role])]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 1.6 + 1.1 * len(parts)), layout="constrained")
        FigureCanvasAgg(figure)
        if run_metadata.phantom:
            figure.suptitle(PHANTOM_BANNER, fontsize=10, backgroundcolor=BANNER_PAPER)
        axis = figure.subplots()
        names = []
        for index, (role, part) in enumerate(parts):
            shares, frames = _fractions(part)
            left = 0.0
            for (name, colour), share in zip(KINDS, shares, strict=True):
                label = name if index == 0 else None
                axis.barh(index, share, left=left, height=0.55, color=colour, edgecolor=INK, linewidth=0.8, label=label)
                if share >= NARROWEST_LABELLED:
                    dark = colour in (BETTER, WORSE)
                    axis.text(
                        left + share / 2, index, f"{share:.0%}".replace("%", " %"), ha="center", va="center",
                        color="white" if dark else INK,
                    )  # fmt: skip
                left += share
            cohort = run_metadata.target if role == "target" else run_metadata.source
            names.append(f"{cohort} ({role})\n{frames} frames")
        axis.set_yticks(range(len(parts)), names)
        axis.invert_yaxis()
        axis.set_xlim(0, 1)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
        axis.set_xlabel("share of the frames with a polyp")
        figure.legend(loc="outside lower center", ncols=len(KINDS), frameon=False)
    return figure, (
        f"A polyp counts as found when the box around a region that was marked overlaps its box by IoU ≥ "
        f"{HEADLINE_IOU:g}. Before: {run_metadata.source_only}; after: {run_metadata.method}. "
        f"Split {run_metadata.split}; {run_metadata.seeds_text}; checkpoint rule: {run_metadata.selector_text}."
    )


def _fractions(part: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Share of the frames of each kind, [4], and how many frames there are; trainings weigh alike."""
    before, after = ((part[f"lesions_hit_10_{when}"] > 0).to_numpy() for when in ("before", "after"))
    kinds = [before & after, ~before & after, before & ~after, ~before & ~after]
    return np.array([kind.mean() for kind in kinds]), int(part["frame"].nunique())
