"""``polypda cohorts check``: whether a cohort's files are as they should be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from polypda.cli.console import wide_console
from polypda.cli.data_root import OptionalDataRoot
from polypda.cohorts.picture_files import MOST_NAMED, name_some
from polypda.quality.checking.check_cohorts import CheckReport, JointReport
from polypda.quality.checking.findings import Finding, Severity

Opt = typer.Option
SEVERITY_STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def check_command(
    cohorts: Annotated[list[str], typer.Argument(metavar="ID…", help="Cohort ids, as `polypda cohorts list` shows.")],
    data_root: OptionalDataRoot = None,
    out: Annotated[Path | None, Opt(help="Write index.html and check.json into this folder.")] = None,
    json: Annotated[Path | None, Opt(help="Write the findings as JSON to this file.")] = None,
    pictures: Annotated[
        bool, Opt("--pictures/--no-pictures", help="Show frames on the page (it must then not be published).")
    ] = True,
    processes: Annotated[int, Opt(min=1, help="Processes that read frames.")] = 1,
    allow_leakage: Annotated[
        bool, Opt("--allow-leakage", help="End with 0 though training and held-out frames are not independent.")
    ] = False,
) -> None:
    """Read every file of cohorts and tell what was found against what is declared; several are compared, too.

    Exit status: 0; 3 where something must be put right; 4 where training and held-out frames are not independent.
    """
    from polypda.workflows.cohorts.check import CheckOutput, check, exit_status  # drawing loads slowly

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"reading {', '.join(cohorts)}")
        report = check(
            cohorts,
            data_root,
            CheckOutput(out, json, pictures),
            processes=processes,
            leakage_allowed=allow_leakage,
            on_frame=lambda done, every: progress.update(task, completed=done, total=every),
        )
    _print(report, allow_leakage)
    if out is not None:
        typer.echo(str(out / "index.html"))
    if status := exit_status(report, leakage_allowed=allow_leakage):
        raise typer.Exit(status)


def _print(report: JointReport, allowed: bool) -> None:
    console = wide_console()
    for cohort in report.cohorts:
        _print_cohort(console, cohort)
    if report.between:
        console.print("Between cohorts:")
        console.print(_table(report.between))
    elif len(report.cohorts) > 1:
        console.print("Between cohorts: no picture was found in two of them.")
    if report.leaks:
        told = f"{len(report.leaks)} kinds of leakage between training and held-out frames."
        console.print(f"LEAKAGE ALLOWED: {told}" if allowed else f"{told} --allow-leakage takes it as it is.")


def _print_cohort(console: Console, report: CheckReport) -> None:
    console.print(f"{report.cohort}: {len(report.opened.frames)} frames, read as {report.layout}.")
    console.print(_table(report.findings))
    errors = sum(finding.severity is Severity.ERROR for finding in report.findings)
    console.print(f"{errors} kinds of errors." if errors else "No errors.")


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("severity", no_wrap=True)
    table.add_column("code", no_wrap=True)
    table.add_column("what was found")
    for finding in findings:
        named = finding.severity is not Severity.NOTE or len(finding.frames) <= MOST_NAMED
        frames = f" [{name_some(finding.frames)}]" if finding.frames and named else ""
        severity = Text(finding.severity.value, style=SEVERITY_STYLE[finding.severity])
        table.add_row(severity, finding.code, Text(finding.message + frames))
    return table
