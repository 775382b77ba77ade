"""`polypda adapt`: the main job."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.cli.configuration import (
    DataRoot,
    chosen_options,
    given_options,
    places_of,
    read_file,
)
from polypda.errors import Interrupted, UsageError
from polypda.files import require_run
from polypda.options import spelled
from polypda.workflows.runs.early_checks import check_wish
from polypda.workflows.runs.paths import DEFAULT_OVERLAYS, Paths, default_cache

if TYPE_CHECKING:
    from polypda.training.config import AdaptConfig
    from polypda.training.run_folder import RunFolder
    from polypda.workflows.runs.cohort_pair import CohortPair

RUN = "Run"
Opt = typer.Option
WITH_RESUME = {"resume", "data_root", "cache_dir", "overlays", "processes", "mlflow_uri"}
"""Options that a resumed run still takes; its configuration decides the rest."""


def adapt_command(
    context: typer.Context,
    data_root: DataRoot = Path("data"),
    option: Annotated[list[str] | None, Opt("-O", "--option", help="NAME=VALUE of the method; repeatable.")] = None,
    config: Annotated[
        Path | None,
        Opt(
            is_eager=True,
            callback=read_file,
            help="YAML file of these options by their names, and `options:` of the method; the command line wins.",
        ),
    ] = None,
    out: Annotated[
        Path | None, Opt(help="Run folder. Default: runs/SOURCE-to-TARGET-METHOD-sSEED.", rich_help_panel=RUN)
    ] = None,
    resume: Annotated[Path | None, Opt(help="Go on with an interrupted run.", rich_help_panel=RUN)] = None,
    start: Annotated[Path | None, Opt(help="Reuse the source-only start of this run.", rich_help_panel=RUN)] = None,
    accepted: Annotated[
        Path | None,
        Opt(
            help="accepted.csv of `polypda review import`: outlines of training frames that reviewers accepted are "
            "learnt as certain pseudo-labels; every report says so.",
            rich_help_panel=RUN,
        ),
    ] = None,
    source_package: Annotated[
        Path | None,
        Opt(
            help="Adapt from `polypda source-package` instead of source frames, by a source-free method.",
            rich_help_panel=RUN,
        ),
    ] = None,
    overlays: Annotated[str, Opt(help="Overlays per cohort: a number, or all.", rich_help_panel=RUN)] = str(
        DEFAULT_OVERLAYS
    ),
    mlflow_uri: Annotated[
        str | None,
        Opt(
            help="Where --log-to mlflow sends the run, without frames of patients: e.g. http://host:5000. Unless "
            "given, nothing leaves the run's folder.",
            rich_help_panel=RUN,
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None, Opt(envvar="POLYPDA_CACHE", help="Decoded frames and phantoms.", rich_help_panel=RUN)
    ] = None,
) -> None:
    """Adapt a segmenter from one cohort to another without the target's labels, and report whether it helped.

    Trains a source-only start, adapts it, trains its equal-budget control, and scores all on the held-out part of both
    cohorts at native resolution. A target without labels is predicted and weighed without them instead. The last line
    printed is the report's path.
    """
    paths = places_of(context.params)
    if resume is None:
        check_wish(context.params, paths, chosen_options(context), out=out, source_package=source_package)
    _check_combination(context, resume, source_package)
    if resume is not None:
        require_run(resume)

    from polypda.cli.console import terminal_progress
    from polypda.training.run_folder import RunFolder
    from polypda.workflows.runs.adapt import adapt, open_data
    from polypda.workflows.runs.configure import recorded_note

    run = RunFolder.open(resume) if resume is not None else None
    try:
        if run is not None:
            pair = open_data(run.config(), paths, run)
        else:
            run, pair = _started(context, paths)
        print(f"run folder: {run.folder}", file=sys.stderr)
        if note := recorded_note(run):
            print(note, file=sys.stderr)
        page = adapt(run, paths, pair, terminal_progress(), context.params["processes"])
    except (Interrupted, KeyboardInterrupt) as error:
        what = error.what if isinstance(error, Interrupted) else "stopped."
        if run is None:
            fix = "nothing was begun yet: give the same command again."
        else:
            if run.status().get("state") == "started":
                run.set_status("interrupted")
            others = context.params["processes"] if resume is not None else None
            fix = f"go on with: {_resume_command(run.folder, paths, run.config().phantom, others)}"
        raise Interrupted("E_INTERRUPTED", what, fix=fix) from error
    if verdict := run.status().get("verdict"):
        print(verdict)
    print(page)


def _started(context: typer.Context, paths: Paths) -> tuple[RunFolder, CohortPair]:
    from polypda.workflows.runs.launch import launch

    options = context.params
    return launch(
        options,
        paths,
        method_options=chosen_options(context),
        source_package=options["source_package"],
        out=options["out"],
        before_data=_announce,
    )


def _announce(config: AdaptConfig) -> None:
    what = "rendering phantoms (kept for the next run)" if config.phantom else "opening the cohorts, comparing frames"
    print(f"{what}…", file=sys.stderr, flush=True)


def _check_combination(context: typer.Context, resume: Path | None, source_package: Path | None) -> None:
    """Refuse options that would be ignored."""
    given = given_options(context)
    if resume is None:
        from polypda.workflows.runs.launch import require_taken

        require_taken(given, source_package=source_package is not None, phantom=bool(context.params["phantom"]))
    elif ignored := sorted(given - WITH_RESUME):
        raise UsageError(
            "E_OPTION",
            f"a resumed run keeps its settings; {spelled(ignored)} would be ignored.",
            fix="leave it out, or start a new run.",
        )


def _resume_command(folder: Path, paths: Paths, phantom: bool, processes: int | None) -> str:
    words = ["polypda", "adapt", "--resume", str(folder)]
    if processes is not None:
        words += ["--processes", str(processes)]
    if not phantom:
        words += ["--data-root", str(paths.data_root)]
    if paths.cache != default_cache():
        words += ["--cache-dir", str(paths.cache)]
    if paths.overlays != DEFAULT_OVERLAYS:
        words += ["--overlays", "all" if paths.overlays is None else str(paths.overlays)]
    if paths.mlflow_uri is not None:
        words += ["--mlflow-uri", paths.mlflow_uri]
    return shlex.join(words)
