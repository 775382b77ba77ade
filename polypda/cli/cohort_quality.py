"""`polypda cohorts check` and `stats`: whether cohorts can be trusted, and how they differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from polypda.cli.configuration import OptionalDataRoot
from polypda.cli.console import wide_console
from polypda.cohorts.image_files import MOST_NAMED, name_some
from polypda.workflows.runs.early_checks import check_cohorts
from polypda.workflows.runs.paths import default_cache

if TYPE_CHECKING:
    from polypda.quality.checking.check_cohorts import CheckReport, JointReport
    from polypda.quality.checking.cohort_view import Finding

Opt = typer.Option
SEVERITY_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check_command(
    cohorts: Annotated[list[str], typer.Argument(metavar="ID…", help="Cohort ids, as `polypda cohorts list` shows.")],
    data_root: OptionalDataRoot = None,
    out: Annotated[Path | None, Opt(help="Write index.html and check.json into this folder.")] = None,
    json: Annotated[Path | None, Opt(help="Write the findings as JSON to this file.")] = None,
    images: Annotated[
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
    check_cohorts(cohorts, data_root)
    from polypda.workflows.cohorts.check import CheckOutput, check, exit_status  # drawing loads slowly

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"reading {', '.join(cohorts)}")
        report = check(
            cohorts,
            data_root,
            CheckOutput(out, json, images),
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
    errors = sum(finding.severity == "error" for finding in report.findings)
    console.print(f"{errors} kinds of errors." if errors else "No errors.")


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("severity", no_wrap=True)
    table.add_column("code", no_wrap=True)
    table.add_column("what was found")
    for finding in findings:
        named = finding.severity != "note" or len(finding.frames) <= MOST_NAMED
        frames = f" [{name_some(finding.frames)}]" if finding.frames and named else ""
        severity = Text(finding.severity.value, style=SEVERITY_STYLE[finding.severity])
        table.add_row(severity, finding.code, Text(finding.message + frames))
    return table


LONGEST_NAME = 80


def stats_command(
    cohorts: Annotated[list[str], typer.Argument(metavar="ID…", help="One cohort or more.", show_default=False)],
    data_root: OptionalDataRoot = None,
    out: Annotated[Path | None, Opt(help="Folder to write. Default: cohort-statistics/ID+ID….")] = None,
    frames: Annotated[
        int, Opt("--frames", min=0, help="Frames per cohort, drawn evenly over all of it; 0: every frame.")
    ] = 250,
    seed: Annotated[int, Opt("--seed", min=0, help="Of the draw.")] = 0,
    no_labels: Annotated[bool, Opt("--no-labels", help="Open no mask and no box of any cohort.")] = False,
    labels_of: Annotated[
        list[str] | None, Opt("--labels-of", help="Open labels of this cohort only; repeatable.", show_default=False)
    ] = None,
    samples: Annotated[int, Opt("--samples", min=0, help="Show this many frames per cohort on the page.")] = 0,
    per_frame: Annotated[bool, Opt("--per-frame", help="Also write frames.csv, with the frames' names.")] = False,
    processes: Annotated[int, Opt("--processes", min=1, max=2, help="That measure frames.")] = 2,
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Where figures of frames are kept.")] = None,
    force: Annotated[bool, Opt("--force", help="Replace former statistics in --out.")] = False,
) -> None:
    """Show in what cohorts differ: size, field of view, light, colour, sharpness, noise, polyps, and one distance.

    Writes index.html, figures, stats.csv, differences.csv, distances.csv and stats.json. The page's path is printed
    last.
    """
    check_cohorts(cohorts, data_root)
    from polypda.errors import UsageError
    from polypda.reporting.pages.cohort_page import STATS_FILES, headlines, write_cohort_statistics
    from polypda.reporting.report_folders import refuse_existing
    from polypda.workflows.cohorts.cohort_stats import StatsRequest, cohort_statistics

    if no_labels and labels_of:
        raise UsageError("E_OPTION", "--no-labels and --labels-of contradict each other.", fix="give one of them.")
    folder = out or Path("cohort-statistics") / "+".join(cohorts).replace(":", "-")[:LONGEST_NAME]
    refuse_existing(folder, replace=force, former=STATS_FILES, forcible=True)  # before minutes are spent
    request = StatsRequest(
        cohorts=tuple(cohorts),
        frames=frames or None,
        seed=seed,
        labels_of=() if no_labels else tuple(labels_of) if labels_of else None,
        samples=samples,
    )
    with Progress(
        TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    ) as progress:  # fmt: skip
        tasks = {name: progress.add_task(name, total=None) for name in cohorts}
        statistics = cohort_statistics(
            request,
            data_root,
            cache=cache_dir or default_cache(),
            processes=processes,
            told=lambda name, done, every: progress.update(tasks[name], completed=done, total=every),
        )
    page = write_cohort_statistics(folder, statistics, replace=force, per_frame=per_frame)
    for one in statistics.facts:
        for problem in one.problems:
            typer.echo(f"W_STATS {one.cohort}: {problem}", err=True)
    for line in headlines(statistics):
        typer.echo(line)
    if samples:
        typer.echo("The page contains frames: do not publish it.")
    typer.echo(page)
