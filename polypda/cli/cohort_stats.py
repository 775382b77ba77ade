"""`polypda cohorts stats`: in what cohorts differ, before anything is trained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from polypda.cli.configuration import default_cache
from polypda.cli.data_root import OptionalDataRoot

Opt = typer.Option
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
    from polypda.errors import UsageError
    from polypda.reporting.pages.cohort_page import STATS_FILES, headlines, write_cohort_statistics
    from polypda.reporting.report_folders import refuse_existing
    from polypda.workflows.cohorts.cohort_stats import StatsRequest, cohort_statistics

    if no_labels and labels_of:
        raise UsageError("E_OPTION", "--no-labels and --labels-of contradict each other.", fix="give one of them.")
    folder = out or Path("cohort-statistics") / "+".join(cohorts).replace(":", "-")[:LONGEST_NAME]
    refuse_existing(folder, replace=force, former=STATS_FILES)  # before minutes are spent
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
