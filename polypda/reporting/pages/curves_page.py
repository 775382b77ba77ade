"""The curves of a run as a folder: a page with what they show in words, and a PNG and SVG per stage of small panels."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from polypda.files import write_whole
from polypda.reporting.figures.figure_style import (
    INK,
    MODEL_LINES,
    NARROW_FOLDER,
    RULE,
    SOFT_INK,
    Drawing,
    Layout,
    PanelSize,
    panel_grid,
    power_of_ten,
    write_drawings,
)
from polypda.reporting.pages.page import embedded, render_page
from polypda.reporting.report_folders import new_folder
from polypda.training.collapse_limits import ABOVE_CHANCE, AREA_FACTOR, FROM_NOTHING, SOURCE_DICE_LOST, WON
from polypda.training.criteria import CRITERIA
from polypda.training.curves import StageCurves

PAGE, FINDINGS_FILE = "index.html", "findings.json"
PANEL = PanelSize(width=2.35, height=1.7, left=0.5, right=0.15, above=0.72, below=0.42, first_left=0.0)
LONGEST_OF_THREE = 12
"""Letters of the longest name with which three stand side by side over a panel."""
FURTHER_LINES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linewidth": 1.2, "linestyle": "-"},
    {"color": "#56B4E9", "linewidth": 1.7, "linestyle": (0, (3, 1))},
    {"color": "#8C6D1F", "linewidth": 1.7, "linestyle": (0, (1.2, 1.2))},
    {"color": "#7A7A7A", "linewidth": 1.7, "linestyle": (0, (6, 1.5))},
)
SMOOTHED_OVER = 15
"""Each smooth line is a running median over this fraction (1/15) of the steps."""


LATE_FRACTION = 0.25


@dataclass(frozen=True)
class ShownStage:
    """A stage with its title, and what its snapshots say (without rows where it has none).

    chosen: step of the checkpoint in use. chance: accuracy of a discriminator that guesses.
    """

    curves: StageCurves
    title: str
    snapshots: pd.DataFrame
    chosen: int | None
    chance: float


def write_curves(folder: Path, stages: Sequence[ShownStage], *, run: str, adaptation: str, phantom: bool) -> Path:
    """Write index.html, findings.json and curves-STAGE.{png,svg} in place of former ones; returns the page.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    with new_folder(folder, replace=folder.exists(), former=(PAGE, FINDINGS_FILE)) as work:
        figures = [embedded(figure) for figure in write_drawings([_drawing(stage, phantom) for stage in stages], work)]
        findings = [curve_findings(stage.curves, stage.snapshots, chance=stage.chance) for stage in stages]
        by_stage = {stage.curves.stage: found for stage, found in zip(stages, findings, strict=True)}
        write_whole(work / FINDINGS_FILE, json.dumps(by_stage, ensure_ascii=False, indent=1) + "\n")
        shown = list(zip(findings, figures, strict=True))
        html = render_page("curves_page.html.jinja", run=run, adaptation=adaptation, phantom=phantom, stages=shown)
        write_whole(work / PAGE, html)
        shutil.rmtree(work / NARROW_FOLDER)
    return folder / PAGE


def _drawing(stage: ShownStage, phantom: bool) -> Drawing:
    curves = stage.curves
    panels = curve_panels(curves, stage.snapshots, stage.chosen, stage.chance)
    cost = f"; median {curves.cpu_s.median():.2f} CPU s per step" if len(curves.cpu_s) else ""
    name = "curves-" + re.sub(r"[^\w.-]+", "-", curves.stage)
    return Drawing(name, stage.title, f"{curves.steps} steps{cost}.", partial(draw_curves, panels, phantom=phantom))


def curve_findings(curves: StageCurves, snapshots: pd.DataFrame, *, chance: float = 0.5) -> list[str]:
    """Sentences, gravest first; one that says so where nothing was found.

    Args:
        snapshots: as :func:`polypda.training.curves.snapshot_table` makes it; may be empty.
        chance: accuracy of a discriminator that guesses.
    """
    stopped, warned = (
        [f"The collapse watch {alarm.words}." for alarm in curves.alarms if alarm.stops is stops]
        for stops in (True, False)
    )
    found = [*stopped, *_collapse(snapshots), *_forgotten(snapshots)]
    found += [*_discriminators(curves, chance), *_losses(curves), *warned]
    return found or ["No collapse, no runaway loss and no decided discriminator was found by these rules."]


def _collapse(snapshots: pd.DataFrame) -> Iterator[str]:
    if len(snapshots) < 2:
        return
    predicted = snapshots["target_foreground"]
    if not predicted.iloc[0] > 0:
        if predicted.iloc[-1] > FROM_NOTHING:
            yield f"The start marked nothing of the target, the end {predicted.iloc[-1]:.1%}: look at what it marks."
        return
    first, last, lowest = predicted.iloc[0], predicted.iloc[-1], predicted.idxmin()
    change = f"of the target's field of view {first:.1%} was marked at the start, {last:.1%} at the end"
    if last < first / AREA_FACTOR:
        yield f"Mode collapse towards background: {change}."
    elif last > AREA_FACTOR * first:
        yield f"Mode collapse towards polyp: {change}."
    elif predicted.min() < first / AREA_FACTOR:
        yield f"Passing collapse at step {lowest} ({predicted.min():.1%} marked); {change}."
    half = snapshots[snapshots.index >= snapshots.index.max() / 2]["target_foreground"]
    if len(half) > 1 and half.iloc[-1] < 0.5 * half.max() and last >= first / AREA_FACTOR:
        yield f"Late decline: the marked share halved between step {half.idxmax()} and the end ({change})."


def _forgotten(snapshots: pd.DataFrame) -> Iterator[str]:
    dice = snapshots["source_dice"].dropna() if len(snapshots) else pd.Series(dtype=float)
    if len(dice) > 1 and dice.iloc[0] - dice.iloc[-1] > SOURCE_DICE_LOST:
        yield f"The task on the source was partly forgotten: validation Dice {dice.iloc[0]:.3f} → {dice.iloc[-1]:.3f}."


def _discriminators(curves: StageCurves, chance: float) -> Iterator[str]:
    for name in curves.accuracy.columns:
        accuracy = curves.accuracy[name].dropna()
        late = accuracy.iloc[-max(1, round(LATE_FRACTION * len(accuracy))) :].mean()
        if late > WON:
            yield f"{name} won (accuracy {late:.2f} in the last quarter): the domains stayed apart."
        elif late < chance + ABOVE_CHANCE:
            yield (
                f"{name} is near chance (accuracy {late:.2f} in the last quarter, chance {chance:g}): either it was "
                "fooled, or it never learnt to tell the domains apart. See whether it was better before."
            )


def _losses(curves: StageCurves) -> Iterator[str]:
    for player, losses in curves.losses.items():
        for term in [term for term in losses.columns if term.startswith("seg")]:
            values = losses[term].dropna()
            quarter = len(values) // 4
            if quarter < 2:
                continue
            first, last = values.iloc[:quarter].median(), values.iloc[-quarter:].median()
            if last > 2 * first:
                yield f"{player}'s {term} grew from {first:.3g} to {last:.3g} (medians of the first and last quarter)."


@dataclass(frozen=True)
class CurvePanel:
    """title, and what draws its lines; ``legend``: names in the order of their lines."""

    title: str
    draw: Callable[[Axes], None]
    legend: tuple[str, ...] = ()


def curve_panels(curves: StageCurves, snapshots: pd.DataFrame, chosen: int | None, chance: float) -> list[CurvePanel]:
    """Every panel that has something to show.

    Args: chosen: the step of the checkpoint in use. chance: accuracy of a discriminator that guesses.
    """
    panels = [_lines_panel(f"Losses of {player}", losses) for player, losses in curves.losses.items()]
    if curves.accuracy.shape[1]:
        panels.append(_lines_panel("Accuracy of discriminators", curves.accuracy, (0.0, 1.0), chance))
    panels.append(_lines_panel("Gradient norms (log)", curves.gradients, log=True))
    if len(snapshots):
        names = {"source_foreground": "source", "target_foreground": "target"}
        foreground = snapshots[list(names)].rename(columns=names).dropna(axis=1, how="all") * 100
        panels.append(_snapshot_panel("Marked as polyp (% of the field)", foreground, chosen, legend=True))
        for rule in CRITERIA.values():
            if rule.key not in snapshots or rule.reads_target_labels:
                continue
            values = snapshots[[rule.key]].dropna()
            if len(values):
                panels.append(_snapshot_panel(rule.title, values, chosen))
    return panels


def draw_curves(panels: Sequence[CurvePanel], layout: Layout, *, phantom: bool) -> Figure:
    """All panels over the training's steps."""
    grid = panel_grid(len(panels), PANEL, layout, phantom=phantom)
    for axis, panel in zip(grid.axes, panels, strict=True):
        panel.draw(axis)
        axis.set_title(panel.title, fontsize=9, fontweight="bold", loc="left", pad=6 + 11 * _rows(panel.legend))
        axis.grid(axis="y", color=RULE, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8)
        axis.set_xlabel("step", fontsize=8, labelpad=1)
        if panel.legend:
            axis.legend(
                loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=_columns(panel.legend), frameon=False,
                fontsize=7.5, handlelength=1.6, columnspacing=0.9, borderaxespad=0.1, handletextpad=0.4, labelcolor=INK,
            )  # fmt: skip
    return grid.figure


def _lines_panel(
    title: str, table: pd.DataFrame, limits: tuple[float, float] | None = None, level: float | None = None, *,
    log: bool = False,
) -> CurvePanel:  # fmt: skip
    names = [str(name) for name in table.columns]

    def draw(axis: Axes) -> None:
        window = max(1, len(table) // SMOOTHED_OVER)
        for name, style in zip(names, _styles(len(names)), strict=True):
            values = table[name].dropna()
            axis.plot(values.index, values, color=style["color"], linewidth=0.6, alpha=0.35)
            smooth = values.rolling(window, min_periods=1, center=True).median()
            axis.plot(smooth.index, smooth, **style, label=name)
        if level is not None:
            axis.axhline(level, color=SOFT_INK, linewidth=0.9, linestyle=(0, (2, 2)))
        if limits:
            axis.set_ylim(*limits)
        if log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
            axis.yaxis.set_minor_formatter(NullFormatter())

    return CurvePanel(title, draw, tuple(names))


def _styles(count: int) -> list[dict[str, Any]]:
    """A style for each of any number of lines; with more than there are, they come again."""
    return list(islice(cycle((*MODEL_LINES, *FURTHER_LINES)), count))


def _columns(legend: tuple[str, ...]) -> int:
    return 3 if max(map(len, legend), default=0) <= LONGEST_OF_THREE else 2


def _rows(legend: tuple[str, ...]) -> int:
    return -(-len(legend) // _columns(legend))


def _snapshot_panel(title: str, table: pd.DataFrame, chosen: int | None, *, legend: bool = False) -> CurvePanel:
    def draw(axis: Axes) -> None:
        for name, style in zip(table.columns, MODEL_LINES, strict=False):
            values = table[name].dropna()
            axis.plot(values.index, values, **style, marker="o", markersize=3.5, label=str(name))
        if chosen is not None:
            axis.axvline(chosen, color=INK, linewidth=0.9)
        axis.set_xlim(left=-0.03 * max(table.index))
        low, high = axis.get_ylim()
        if high - low < 1e-9:
            axis.set_ylim(low - 0.05, high + 0.05)

    return CurvePanel(title, draw, tuple(map(str, table.columns)) if legend else ())
