"""The report folder: cases, tables, figures, overlays and the page, from cases alone; whole or not there at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.errors import DataError, UsageError
from polypda.evaluation.aggregation.centers import centre_table
from polypda.evaluation.aggregation.centre_files import write_centres
from polypda.evaluation.aggregation.selector_regret import write_selectors
from polypda.evaluation.cases.cases import checked_cases
from polypda.evaluation.cases.evaluation_file import write_evaluation
from polypda.evaluation.cases.statement import ReportStatement
from polypda.files import write_json, write_png, write_whole
from polypda.reporting.figures.figures import write_figures
from polypda.reporting.pages.new_folder import refuse_existing, whole_folder
from polypda.reporting.pages.page import MOST_EMBEDDED_PREVIEWS, GalleryPicture, preview, render_page

LONGEST_NAME = 60
OVERLAY_LIST = "overlays/overlays.json"


@dataclass(frozen=True)
class OverlayPicture:
    """A drawn overlay: uint8 H×W×3 RGB, its frame and the reason for showing it ("" for none)."""

    cohort: str
    frame: str
    why: str
    picture: NDArray[np.uint8]


def write_report(
    folder: Path,
    cases: pd.DataFrame,
    statement: ReportStatement,
    overlays: Iterable[OverlayPicture] = (),
    selectors: pd.DataFrame | None = None,
) -> Path:
    """Write a report: index.html, cases.csv, evaluation.json, centers.*, figures/*.{png,svg}, overlays/*.png.

    Everything is written beside ``folder`` and moved there at the end. ``overlays`` is consumed one by one, so a
    generator never holds more than one picture. ``selectors``: what each checkpoint rule cost, for selectors.csv.

    Returns: ``folder``.
    Raises: UsageError E_REPORT_METHOD; DataError E_REPORT_EXISTS, E_REPORT_MODEL, E_REPORT_STATEMENT,
        E_WRITE_FAILED; those of :func:`polypda.evaluation.cases.cases.checked_cases` and
        :func:`polypda.evaluation.aggregation.centers.centre_table`.
    """
    cases = checked_cases(cases)
    _check_statement(cases, statement)
    refuse_existing(folder)
    table = centre_table(cases, statement.source_only)
    with whole_folder(folder) as work:
        _fill(work, cases, table, statement, overlays, selectors)
    return folder


def _fill(
    work: Path,
    cases: pd.DataFrame,
    table: pd.DataFrame,
    statement: ReportStatement,
    overlays: Iterable[OverlayPicture],
    selectors: pd.DataFrame | None,
) -> None:
    for name in ("figures", "overlays"):
        (work / name).mkdir()
    write_evaluation(work, cases, statement)
    write_centres(table, work, statement)
    if selectors is not None:
        write_selectors(selectors, work)
    figures = write_figures(cases, statement, work / "figures")
    gallery = list(write_overlays(work, overlays))
    if gallery:
        _write_overlay_list(work, gallery)
    write_whole(work / "index.html", render_page(table, statement, figures, gallery, selectors))


def write_overlays(work: Path, overlays: Iterable[OverlayPicture]) -> Iterator[GalleryPicture]:
    """Write overlays/*.png one by one; yields what the page shows of each."""
    for place, overlay in enumerate(overlays, 1):
        name = f"overlays/{place:03d}-{file_name(f'{overlay.cohort}-{overlay.frame}')}.png"
        write_png(work / name, overlay.picture)
        small = preview(overlay.picture) if place <= MOST_EMBEDDED_PREVIEWS else None
        yield GalleryPicture(overlay.cohort, overlay.frame, overlay.why, name, small)


def _write_overlay_list(work: Path, gallery: list[GalleryPicture]) -> None:
    """What each overlay shows and why it was chosen, for reports of several runs."""
    entries = [
        {"file": Path(shown.href).name, "cohort": shown.cohort, "frame": shown.frame, "why": shown.why}
        for shown in gallery
    ]
    write_json(work / OVERLAY_LIST, entries)


def file_name(text: str) -> str:
    """Text as part of a file name on every system: letters and digits of any script, '-', '_' and '.'."""
    plain = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    return plain[:LONGEST_NAME].rstrip("-.") or "frame"


def _check_statement(cases: pd.DataFrame, statement: ReportStatement) -> None:
    if statement.method == statement.source_only:
        raise UsageError(
            "E_REPORT_METHOD",
            f"the report compares a method with {statement.source_only}, not {statement.source_only} with itself.",
            fix="report a run that adapted, such as adabn or adaptsegnet.",
        )
    target = cases[(cases["role"] == "target") & (cases["cohort"] == statement.target)]
    missing = {statement.source_only, statement.method} - set(target["model"])
    if missing:
        raise DataError(
            "E_REPORT_MODEL",
            f"{', '.join(sorted(missing))} was not scored on the target {statement.target}.",
            where="cases",
            fix=f"evaluate {statement.source_only} and {statement.method} on the same frames of {statement.target}.",
        )
    facts: dict[str, tuple[set, set]] = {
        "phantom": ({statement.phantom}, set(cases["phantom"])),
        "threshold": ({statement.threshold}, set(cases["threshold"])),
        "seeds": (set(statement.seeds), set(cases["seed"])),
        "split": ({statement.split}, set(cases["split"])),
        "source": ({statement.source}, set(cases["source"])),
        "target": ({statement.target}, set(cases["target"])),
    }
    wrong = {name: (said, found) for name, (said, found) in facts.items() if said != found}
    if wrong:
        listed = "; ".join(
            f"{name}: stated {_listed(said)}, cases {_listed(found)}" for name, (said, found) in wrong.items()
        )
        raise DataError(
            "E_REPORT_STATEMENT",
            f"the report would state what its cases do not hold ({listed}).",
            where="cases",
            fix="evaluate all models of this run with one threshold on one split, and report each run by itself.",
        )


def _listed(values: set) -> str:
    return ", ".join(sorted(map(str, values)))
