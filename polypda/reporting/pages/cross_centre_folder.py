"""The folder of a cross-centre report, whole or not at all: tables, figures, overlays, model card, checklist, page."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.aggregation.panels import CONTROL
from polypda.evaluation.aggregation.table_files import write_tables
from polypda.evaluation.cases.cases import write_cases
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.files import write_whole
from polypda.reporting.documents.checklist import write_checklist
from polypda.reporting.documents.model_card import write_model_card
from polypda.reporting.documents.study import Study
from polypda.reporting.figures.cross_centre_figures import cross_centre_drawings
from polypda.reporting.figures.figure_style import NARROW_FOLDER, write_drawings
from polypda.reporting.overlays.run_overlays import copy_worst
from polypda.reporting.pages.cross_centre_page import Gallery, PageParts, default_title, render_cross_centre_page
from polypda.reporting.pages.new_folder import whole_folder


def write_cross_centre_report(
    folder: Path,
    results: CrossCentreResults,
    evaluations: Sequence[Evaluation],
    *,
    study: Study | None = None,
    overlays: bool = True,
    title: str | None = None,
    replace: bool = False,
) -> Path:
    """Write the report of several runs and return its page.

    Args:
        evaluations: those that ``results`` were made from; their overlays are copied.
        overlays: False for a report that shows no frame.
        title: of the page; by default it is made from the centres.
        replace: a former report in ``folder`` gives way once the new one is complete.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED, and what reading the catalogue for the model card raises.
    """
    with whole_folder(folder, replace=replace) as work:
        (work / "figures").mkdir()
        write_cases(results.cases.drop(columns=CONTROL), work / "cases.csv")
        write_tables(results, work)
        figures = write_drawings(cross_centre_drawings(results), work / "figures")
        write_model_card(work, results, study)
        write_checklist(work, results, study)
        gallery = _gallery(evaluations, work) if overlays else Gallery()
        parts = PageParts(title or default_title(results), figures, gallery)
        write_whole(work / "index.html", render_cross_centre_page(results, parts))
        shutil.rmtree(work / "figures" / NARROW_FOLDER)  # the page holds them
    return folder / "index.html"


def _gallery(evaluations: Sequence[Evaluation], work: Path) -> Gallery:
    (work / "overlays").mkdir()
    gallery = copy_worst(evaluations, work)
    if not gallery.pictures:
        (work / "overlays").rmdir()
    return gallery
