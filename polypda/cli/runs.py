"""What is made of runs: curves, reports, and what may leave a centre whose frames may not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polypda.cli.configuration import DataRoot
from polypda.errors import UsageError
from polypda.files import require_run
from polypda.workflows.runs.early_checks import check_evaluated
from polypda.workflows.runs.paths import Paths, default_cache

Opt = typer.Option


def curves_command(
    run: Annotated[Path, typer.Argument(help="Run folder of `polypda adapt`, finished or not.", show_default=False)],
    out: Annotated[Path | None, Opt(help="Folder of page and pictures. Default: RUN/curves.")] = None,
    stage: Annotated[str | None, Opt(help="Only this stage. Default: all that made a step, the method first.")] = None,
) -> None:
    """Draw a run's curves: losses per player, discriminators' accuracy, foreground, label-free criteria.

    Says in words where a collapse, a runaway loss or a decided discriminator is seen. No target label is read. The
    page's path is printed last.
    """
    require_run(run)
    from polypda.workflows.runs.reports import curves

    typer.echo(curves(run, out, stage))


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
        from polypda.reporting.documents.study import study_template as template

        typer.echo(template())
        return
    if not runs or out is None:
        raise UsageError(
            "E_REPORT_ARGUMENTS",
            "runs and --out are needed.",
            fix="polypda report RUN… --out reports/NAME",
        )
    check_evaluated(runs)
    from polypda.workflows.runs.reports import report

    typer.echo(report(runs, out, study=study, overlays=not no_overlays, title=title, force=force))


def source_package_command(
    run: Annotated[
        Path, typer.Argument(help="Run folder of `polypda adapt` with a finished start.", show_default=False)
    ],
    out: Annotated[Path, Opt(help="Folder of the package; must not exist.", show_default=False)],
    data_root: DataRoot = Path("data"),
    tap: Annotated[str, Opt(help="Where features are taken: bottleneck, decoder or logits.")] = "bottleneck",
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Decoded frames and phantoms.")] = None,
) -> None:
    """Pack a source-only model with features of its training frames, for a centre that may not have the frames.

    There: `polypda adapt --source-package PACKAGE --target COHORT --method METHOD` by a source-free method. Features
    are no frames, but they are not anonymous: agree on handing them on. The folder is printed last.
    """
    require_run(run)
    from polypda.cli.console import terminal_progress
    from polypda.errors import UsageError, nearest
    from polypda.networks.taps import FeatureTap
    from polypda.workflows.runs.source_package import write_source_package

    taps = [known.value for known in FeatureTap]
    if tap not in taps:
        raise UsageError(
            "E_OPTION", f"--tap {tap}: no such place.{nearest(tap, taps)}", fix=f"one of {', '.join(taps)}."
        )
    paths = Paths(data_root, cache_dir or default_cache())
    typer.echo(write_source_package(run, out, FeatureTap(tap), paths, terminal_progress()))
