"""What the loggers of a run are told when it is finished: its figures, overlays, model and tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from polypda.evaluation.cases.evaluation_file import CASES_FILE
from polypda.training.progress import EventLog
from polypda.training.run_folder import CONFIG, RunFolder
from polypda.training.run_loggers import Tracking
from polypda.training.selectors import SELECTION
from polypda.workflows.runs.trained_models import ADAPTED
from polypda.workflows.scoring.evaluate import Reported

CENTRES = "centers.csv"
FIGURES = {"dice_frame": "dice", "frame_specificity": "frame_specificity", "missed": "missed"}
"""Columns of centers.csv → how a logger has them: ``result/dice/COHORT/MODEL``."""


def track_results(tracking: Tracking, run: RunFolder, reported: Reported, *, of_patients: bool) -> None:
    """Tell every logger what a run came to, and what it lacks of the run's stages (a server may have been away).

    Args: of_patients: whether frames are real. Then neither overlays nor the cases, a row per frame, are sent away.
    """
    if not tracking.names:
        return
    for stage in run.stages():
        steps = EventLog(stage, 0, writes=False)
        with tracking.of(run.folder, stage.name) as loggers:
            loggers.catch_up(2**62, partial(steps.before, 2**62))
    folder = reported.page.parent
    files = [run.folder / name for name in (CONFIG, SELECTION, ADAPTED)]
    files += [folder / name for name in (CENTRES, "selectors.csv", CASES_FILE)]
    images = {f"overlay/{path.stem}": path for path in sorted((folder / "overlays").glob("*.png"))}
    with tracking.of(run.folder) as loggers:
        loggers.results(
            dict(_figures(folder / CENTRES)),
            images,
            [path for path in files if path.is_file()],
            [*images.values(), folder / CASES_FILE] if of_patients else [],
        )


def _figures(table: Path) -> Iterator[tuple[str, float]]:
    if not table.is_file():  # a target without labels
        return
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for column, name in FIGURES.items():
                with suppress(ValueError):  # empty where there is nothing to count
                    yield f"result/{name}/{row['cohort']}/{row['model']}", float(row[column])
