"""The curves of a run as a folder: a page, and a PNG and SVG per stage."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.files import write_whole
from polypda.reporting.figures.figure_style import NARROW_FOLDER, Drawing, Layout, write_drawings
from polypda.reporting.figures.run_curve_figures import curve_panels, draw_curves
from polypda.reporting.pages.page import data_uri, page_environment
from polypda.reporting.report_folders import whole_folder
from polypda.training.curves import StageCurves

PAGE, FINDINGS_FILE = "index.html", "findings.json"


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
    with whole_folder(folder, replace=folder.exists(), former=(PAGE, FINDINGS_FILE)) as work:
        figures = write_drawings([_drawing(stage, phantom=phantom) for stage in stages], work)
        shown = [
            {
                "title": stage.title,
                "findings": curve_findings(stage.curves, stage.snapshots, chance=stage.chance),
                "caption": figure.caption,
                "source": data_uri(figure.svg.read_bytes(), "svg+xml"),
                "narrow": data_uri(figure.narrow.read_bytes(), "svg+xml") if figure.narrow else "",
            }
            for stage, figure in zip(stages, figures, strict=True)
        ]
        findings = {stage.curves.stage: told["findings"] for stage, told in zip(stages, shown, strict=True)}
        write_whole(work / FINDINGS_FILE, json.dumps(findings, ensure_ascii=False, indent=1) + "\n")
        page = page_environment().get_template("curves_page.html.jinja")
        html = page.render(
            run=run, adaptation=adaptation, phantom=phantom, phantom_banner=PHANTOM_BANNER, stages=shown
        )  # fmt: skip
        write_whole(work / PAGE, html)
        shutil.rmtree(work / NARROW_FOLDER)
    return folder / PAGE


def _drawing(stage: ShownStage, *, phantom: bool) -> Drawing:
    curves = stage.curves
    panels = curve_panels(curves, stage.snapshots, stage.chosen, stage.chance)
    cost = f"; median {curves.cpu_s.median():.2f} CPU s per step" if len(curves.cpu_s) else ""

    def draw(layout: Layout):
        return draw_curves(panels, layout, phantom=phantom)

    name = "curves-" + re.sub(r"[^\w.-]+", "-", curves.stage)
    return Drawing(name, stage.title, f"{curves.steps} steps{cost}.", draw)


WON, ABOVE_CHANCE = 0.95, 0.05
"""An accuracy above the first, or less than the second above chance, leaves the alignment little to follow."""
LATE_FRACTION = 0.25
COLLAPSED = 0.25
"""Foreground on the target fell below this share of what the start marked."""
FLOODED = 4.0
FROM_NOTHING = 0.01
"""…and above this share it is told, where the start marked nothing to compare with."""
FORGOTTEN = 0.05
"""Source validation Dice lost since the start."""


def curve_findings(curves: StageCurves, snapshots: pd.DataFrame, *, chance: float = 0.5) -> list[str]:
    """Sentences, gravest first; one that says so where nothing was found.

    Args:
        snapshots: as :func:`polypda.training.curves.snapshot_table` makes it; may be empty.
        chance: accuracy of a discriminator that guesses.
    """
    found = [*_collapse(snapshots), *_forgotten(snapshots), *_discriminators(curves, chance), *_losses(curves)]
    return found or ["No collapse, no runaway loss and no decided discriminator was found by these rules."]


def _collapse(snapshots: pd.DataFrame) -> Iterator[str]:
    if len(snapshots) < 2:
        return
    marked = snapshots["target_foreground"]
    if not marked.iloc[0] > 0:
        if marked.iloc[-1] > FROM_NOTHING:
            yield f"The start marked nothing of the target, the end {marked.iloc[-1]:.1%}: look at what it marks."
        return
    first, last, lowest = marked.iloc[0], marked.iloc[-1], marked.idxmin()
    told = f"of the target's field of view {first:.1%} was marked at the start, {last:.1%} at the end"
    if last < COLLAPSED * first:
        yield f"Mode collapse towards background: {told}."
    elif last > FLOODED * first:
        yield f"Mode collapse towards polyp: {told}."
    elif marked.min() < COLLAPSED * first:
        yield f"Passing collapse at step {lowest} ({marked.min():.1%} marked); {told}."
    half = snapshots[snapshots.index >= snapshots.index.max() / 2]["target_foreground"]
    if len(half) > 1 and half.iloc[-1] < 0.5 * half.max() and last >= COLLAPSED * first:
        yield f"Late decline: the marked share halved between step {half.idxmax()} and the end ({told})."


def _forgotten(snapshots: pd.DataFrame) -> Iterator[str]:
    dice = snapshots["source_dice"].dropna() if len(snapshots) else pd.Series(dtype=float)
    if len(dice) > 1 and dice.iloc[0] - dice.iloc[-1] > FORGOTTEN:
        yield f"The task on the source was partly forgotten: validation Dice {dice.iloc[0]:.3f} → {dice.iloc[-1]:.3f}."


def _discriminators(curves: StageCurves, chance: float) -> Iterator[str]:
    for name in curves.accuracy.columns:
        judged = curves.accuracy[name].dropna()
        late = judged.iloc[-max(1, round(LATE_FRACTION * len(judged))) :].mean()
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
