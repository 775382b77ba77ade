"""The curves of a run, finished or not."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from polypda.errors import DataError, UsageError, nearest
from polypda.reporting.pages.curves_page import ShownStage, write_curves
from polypda.training.curves import read_curves, snapshot_table, stage_names
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import SELECTION
from polypda.workflows.runs.stages import ORACLE
from polypda.workflows.runs.trained_models import trained_parts

FOUR_WAY = "lsd"
"""The method whose discriminator tells four kinds of image apart."""


def curves(folder: Path, out: Path | None = None, stage: str | None = None) -> Path:
    """Draw every stage of a run that has made a step (or only ``stage``); returns the page, in RUN/curves by default.

    Raises: UsageError E_CURVES_STAGE; DataError E_RUN_MISSING, E_CURVES_EMPTY, E_CURVES_EVENTS, E_REPORT_EXISTS.
    """
    run = RunFolder.open(folder)
    config, names = run.config(), stage_names(run)
    if not names:
        raise DataError(
            "E_CURVES_EMPTY",
            "no stage of this run has made a step; what it reused was trained by another run.",
            where=run.name,
            fix="wait until it has, or draw the run it started from.",
        )
    if stage is not None and stage not in names:
        raise UsageError(
            "E_CURVES_STAGE",
            f"there is no stage '{stage}' with steps.{nearest(stage, names)}",
            where=run.name,
            fix=f"stages: {', '.join(names)}.",
        )
    shown = []
    for name in [stage] if stage else names:
        adapted = name == config.method
        taught = "taught by the target's labels" if name == ORACLE else "without the target"
        if name.startswith((f"{config.method}.", *(f"{part}." for part in trained_parts(config)))):
            taught = "a round before the last"
        elif name in trained_parts(config):
            taught = "a part of the adaptation"
        title = f"{name}: the adaptation" if adapted else f"{name}: {taught}"
        shown.append(
            ShownStage(
                read_curves(run, name),
                title,
                snapshot_table(run) if adapted else pd.DataFrame(),
                _chosen(run) if adapted else None,
                0.25 if name.split("+")[0] == FOUR_WAY else 0.5,
            )
        )
    adaptation = f"{config.source} → {config.target} by {config.method}, seed {config.seed}"
    return write_curves(
        out or run.folder / "curves", shown, run=run.name, adaptation=adaptation, phantom=config.phantom
    )


def _chosen(run: RunFolder) -> int | None:
    path = run.folder / SELECTION
    return int(json.loads(path.read_text(encoding="utf-8"))["step"]) if path.is_file() else None
