"""What is made of runs (curves, reports, what may leave a centre whose frames may not), and how they are kept."""

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


runs_app = typer.Typer(
    help="Runs on disk: which there are, where each stands, whether its files are intact, and what may go.",
    no_args_is_help=True,
)
Folder = Annotated[Path, typer.Argument(help="A run folder, or a folder that holds some.", show_default=False)]
MB = 10**6


@runs_app.command("list")
def list_command(folder: Folder = Path("runs")) -> None:
    """Show the runs in a folder: state, pair, method, verdict and size."""
    from rich.table import Table

    from polypda.cli.console import wide_console
    from polypda.workflows.runs.keeping import runs_below, summary

    table = Table("run", "state", "pair", "method", "seed", "verdict", "size", box=None, pad_edge=False)
    for run in runs_below(folder):
        one = summary(run)
        name = one.folder.relative_to(folder).as_posix() if one.folder != folder else one.folder.resolve().name
        told, _, _ = one.verdict.partition(":")  # the sentence is for `runs show`
        words = (one.state, one.pair, one.method, one.seed, told or one.hands_out or "–")
        table.add_row(name, *words, f"{one.size / MB:.1f} MB")
    if not table.row_count:
        typer.echo(f"there is no run in {folder}.")
        return
    wide_console().print(table)


@runs_app.command("show")
def show_run_command(run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]) -> None:
    """Show where one run stands: its stages, what it hands out, who works in it, and what may go."""
    from polypda.training.run_folder import RunFolder
    from polypda.workflows.runs.keeping import holder, removable, stage_lines, summary

    folder = RunFolder.open(run).folder
    one, held, spare = summary(folder), holder(folder), removable(folder)
    lines = [
        f"{one.folder.resolve().name}: {one.pair} by {one.method}, seed {one.seed}",
        f"state: {one.state}{f', since {one.updated}' if one.updated else ''}",
        *([f"works in it: {held.words}"] if held else []),
        *([f"hands out: {one.hands_out}"] if one.hands_out else []),
        *([f"verdict: {one.verdict}"] if one.verdict else []),
        *(f"stage {line}" for line in stage_lines(folder)),
        *filter(None, [RunFolder(folder).not_kept().words]),
        f"size: {one.size / MB:.1f} MB, of which {sum(part.size for part in spare) / MB:.1f} MB may go "
        "(`polypda runs clean`)",
    ]
    if one.state not in ("complete",) and held is None:
        lines.append(f"go on with: polypda adapt --resume {run}")
    typer.echo("\n".join(lines))


@runs_app.command("verify")
def verify_command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders, folders that hold some, source packages, reports, or exported models.",
            show_default=False,
        ),
    ],
) -> None:
    """Compare every file with the checksum that was recorded when it was written.

    Prints what is wrong; the exit status is 3 where something is.
    """
    from polypda.errors import DataError
    from polypda.integrity import is_listed
    from polypda.workflows.runs.keeping import problems, runs_below

    found, checked = [], 0
    for path in runs:
        for one in [path] if path.is_file() or is_listed(path) else runs_below(path) or [path]:
            faults = problems(one)
            checked += 1
            typer.echo(f"{one}: {'intact' if not faults else f'not intact, {_files(len(faults))}'}")
            for fault in faults:
                shown = fault.path.relative_to(one) if fault.path != one else fault.path.name
                typer.echo(f"  {shown} {fault.what}")
            found += faults
    if found:
        raise DataError(
            "E_RUN_DAMAGED",
            f"{_files(len(found))} of {checked} checked place{'s' * (checked != 1)} not what was written.",
            fix="put back copies of them. What a run can make again (checkpoints, selection, reports): remove it and "
            "give `polypda adapt --resume RUN`. Then look at the disk.",
        )


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


@runs_app.command("clean")
def clean_command(
    folder: Folder,
    dry_run: Annotated[bool, Opt("--dry-run", help="Only say what would be removed.")] = False,
    unlock: Annotated[
        bool, Opt("--unlock", help="Remove the lock of a process of another machine that is gone.")
    ] = False,
    models: Annotated[
        bool, Opt("--models", help="Of complete runs also models that nothing needs: of parts and of checkpoints.")
    ] = False,
) -> None:
    """Remove what killed commands left and, of complete runs, the state that only serves to train on.

    Figures, reports, records and the models that are used stay.
    """
    from polypda.workflows.runs.keeping import clean, removable, runs_below

    total = 0
    for run in runs_below(folder):
        parts = removable(run, models=models) if dry_run else clean(run, unlock=unlock, models=models)
        total += sum(part.size for part in parts)
        for part in parts:
            typer.echo(f"{part.path} ({part.what}, {part.size / MB:.1f} MB)")
    typer.echo(f"{'would remove' if dry_run else 'removed'} {total / MB:.1f} MB")
