"""The folder of a report, whole or not at all: cases, tables, figures, overlays, page; of one run or of several."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from polypda.errors import DataError, UsageError
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.aggregation.panels import CONTROL
from polypda.evaluation.cases.case_table import checked_cases, write_cases
from polypda.evaluation.cases.clinical_review import findings_of
from polypda.evaluation.cases.evaluation_file import Evaluation, write_evaluation
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.files import write_whole
from polypda.reporting.documents.checklist import write_checklist
from polypda.reporting.documents.model_card import write_model_card
from polypda.reporting.documents.study import Study
from polypda.reporting.figures.cross_centre_figures import cross_centre_drawings
from polypda.reporting.figures.figure_style import NARROW_FOLDER, write_drawings
from polypda.reporting.figures.run_figures import write_figures
from polypda.reporting.pages.answer import answer, in_one_line
from polypda.reporting.pages.page import Gallery, OverlayImage, copy_gallery, draw_gallery
from polypda.reporting.pages.report_page import PageParts, default_title, render_report_page
from polypda.reporting.report_folders import MADE_FROM, new_folder, refuse_existing
from polypda.reporting.tables.table_files import write_tables


def write_cross_centre_report(
    folder: Path,
    results: CrossCentreResults,
    evaluations: Sequence[Evaluation],
    *,
    study: Study | None = None,
    overlays: bool = True,
    title: str | None = None,
    replace: bool = False,
    made_from: str = "",
) -> Path:
    """Write the report of several runs and return its page.

    Args:
        evaluations: those that ``results`` were made from; their overlays are copied.
        overlays: False for a report that shows no frame.
        title: of the page; by default it is made from the centres.
        replace: a former report in ``folder`` gives way once the new one is complete.
        made_from: a digest of all that decides the report, kept with it.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED, and what reading the catalogue for the model card raises.
    """
    with new_folder(folder, replace=replace) as work:
        (work / "figures").mkdir()
        write_cases(results.cases.drop(columns=CONTROL), work / "cases.csv")
        write_tables(results, work)
        figures = write_drawings(cross_centre_drawings(results), work / "figures")
        write_model_card(work, results, study)
        write_checklist(work, results, study)
        gallery = copy_gallery(evaluations, work) if overlays else Gallery()
        owners = dict.fromkeys(one.folder.parent for one in evaluations if not one.run_metadata.external)
        reviews = tuple(found for owner in owners for found in findings_of(owner))
        parts = PageParts(title or default_title(results), figures, gallery, reviews=reviews)
        write_whole(work / "index.html", render_report_page(results, parts))
        shutil.rmtree(work / "figures" / NARROW_FOLDER)  # the page holds them
        if made_from:
            write_whole(work / MADE_FROM, f"{made_from}\n")
    return folder / "index.html"


def write_report(
    folder: Path,
    cases: pd.DataFrame,
    run_metadata: RunMetadata,
    overlays: Iterable[OverlayImage] = (),
    selectors: pd.DataFrame | None = None,
    *,
    replace: bool = False,
) -> str:
    """Write the report of one run: the tables and the page of :func:`write_cross_centre_report` for it alone, its own
    figures and overlays, and evaluation.json, from which reports of several runs are made.

    Everything is written beside ``folder`` and moved there at the end. ``overlays`` is consumed one by one, so a
    generator never holds more than one image. ``selectors``: what each checkpoint rule cost, for selectors.csv.
    ``replace``: what lies in ``folder`` gives way once the new one is complete, whatever it is: the run's own report.

    Returns: the verdict in one line.
    Raises: UsageError E_REPORT_METHOD; DataError E_REPORT_EXISTS, E_REPORT_MODEL, E_REPORT_STATEMENT,
        E_WRITE_FAILED; those of :func:`polypda.evaluation.cases.case_table.checked_cases` and
        :func:`polypda.evaluation.aggregation.cross_centre.cross_centre_results`.
    """
    cases = checked_cases(cases)
    _check_run_metadata(cases, run_metadata)
    refuse_existing(folder, replace=replace, former=())
    evaluation = Evaluation(cases, run_metadata, folder, *([] if selectors is None else [selectors]))
    results = cross_centre_results([evaluation], run_metadata.source_only)
    with new_folder(folder, replace=replace, former=()) as work:
        (work / "figures").mkdir()
        write_evaluation(work, cases, run_metadata)
        write_tables(results, work)
        figures = write_figures(cases, run_metadata, work / "figures")
        gallery = draw_gallery(overlays, work)
        title = f"{run_metadata.source} → {run_metadata.target} by {run_metadata.method}"
        page = render_report_page(results, PageParts(title, figures, gallery, run_metadata))
        write_whole(work / "index.html", page)
    return in_one_line(answer(results.centres, run_metadata))


def _check_run_metadata(cases: pd.DataFrame, run_metadata: RunMetadata) -> None:
    if run_metadata.method == run_metadata.source_only:
        raise UsageError(
            "E_REPORT_METHOD",
            f"the report compares a method with {run_metadata.source_only}, not that with itself.",
            fix="report a run that adapted, such as adabn or adaptsegnet.",
        )
    target = cases[(cases["role"] == "target") & (cases["cohort"] == run_metadata.target)]
    missing = {run_metadata.source_only, run_metadata.method} - set(target["model"])
    if missing:
        raise DataError(
            "E_REPORT_MODEL",
            f"{', '.join(sorted(missing))} was not scored on the target {run_metadata.target}.",
            where="cases",
            fix=f"evaluate {run_metadata.source_only} and {run_metadata.method} on the same frames of it.",
        )
    facts: dict[str, tuple[set, set]] = {
        "phantom": ({run_metadata.phantom}, set(cases["phantom"])),
        "threshold": ({run_metadata.threshold}, set(cases["threshold"])),
        "seeds": (set(run_metadata.seeds), set(cases["seed"])),
        "split": ({run_metadata.split}, set(cases["split"])),
        "source": ({run_metadata.source}, set(cases["source"])),
        "target": ({run_metadata.target}, set(cases["target"])),
    }
    wrong = [
        f"{name}: stated {_listed(stated)}, cases {_listed(found)}"
        for name, (stated, found) in facts.items()
        if stated != found
    ]
    if wrong:
        raise DataError(
            "E_REPORT_STATEMENT",
            f"the report would state what its cases do not hold ({'; '.join(wrong)}).",
            where="cases",
            fix="evaluate all models of this run with one threshold on one split, and report each run by itself.",
        )


def _listed(values: set) -> str:
    return ", ".join(sorted(map(str, values)))
