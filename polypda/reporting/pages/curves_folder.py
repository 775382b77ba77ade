"""The curves of a run as a folder: a page, and a PNG and SVG per stage."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from polypda.evaluation.cases.statement import PHANTOM_BANNER
from polypda.files import write_json, write_whole
from polypda.reporting.figures.figure_style import NARROW_FOLDER, Drawing, Layout, write_drawings
from polypda.reporting.figures.run_curve_figures import curve_panels, draw_curves
from polypda.reporting.pages.curve_findings import curve_findings
from polypda.reporting.pages.new_folder import whole_folder
from polypda.reporting.pages.page import data_uri, page_environment
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
        write_json(work / FINDINGS_FILE, findings)
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
