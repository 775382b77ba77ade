"""`polypda report`: any number of runs as one cross-centre report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polypda.errors import UsageError

Opt = typer.Option


def report_command(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or folders of an evaluation.", show_default=False)
    ] = None,
    out: Annotated[Path | None, Opt(help="Folder of the report, such as reports/NAME.", show_default=False)] = None,
    study: Annotated[
        Path | None, Opt(help="What only people can say, for model card and checklist (see --study-template).")
    ] = None,
    no_overlays: Annotated[
        bool, Opt("--no-overlays", help="Numbers and plots only: for a report that will be published.")
    ] = False,
    title: Annotated[str | None, Opt(help="Title of the page.")] = None,
    force: Annotated[bool, Opt("--force", help="Replace a former report in --out.")] = False,
    study_template: Annotated[bool, Opt("--study-template", help="Print a study file to fill in, and end.")] = False,
) -> None:
    """Compare every model with source-only in every centre: page, tables, figures, model card and checklist.

    Of a run folder its report and all its later evaluations are taken. The page's path is printed last.
    """
    if study_template:
        from polypda.reporting.documents.study_file import study_template as template

        typer.echo(template())
        return
    if not runs or out is None:
        raise UsageError(
            "E_REPORT_ARGUMENTS",
            "runs and --out are needed.",
            fix="polypda report RUN… --out reports/NAME",
        )
    from polypda.workflows.runs.reports import report

    typer.echo(report(runs, out, study=study, overlays=not no_overlays, title=title, force=force))
