"""`polypda adapt`: the main job."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypda.cli.configuration import (
    DEFAULT_METHOD,
    DataRoot,
    chosen_options,
    configuration,
    default_cache,
    given_options,
    places_of,
    read_file,
)
from polypda.errors import Interrupted, UsageError
from polypda.workflows.runs.paths import Paths

if TYPE_CHECKING:
    from polypda.training.config import AdaptConfig
    from polypda.training.run_folder import RunFolder
    from polypda.workflows.runs.cohort_pair import CohortPair

RUN = "Run"
Opt = typer.Option
DEFAULT_OVERLAYS = 12
WITH_RESUME = {"resume", "data_root", "cache_dir", "overlays"}
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
    cache_dir: Annotated[
        Path | None, Opt(envvar="POLYPDA_CACHE", help="Decoded frames and phantoms.", rich_help_panel=RUN)
    ] = None,
) -> None:
    """Adapt a segmenter from one cohort to another without the target's labels, and report whether it helped.

    Trains a source-only start, adapts it, trains its equal-budget control, and scores all on the held-out part of both
    cohorts at native resolution. The last line printed is the report's path.
    """
    from polypda.cli.console import terminal_progress
    from polypda.workflows.runs.adapt import adapt
    from polypda.workflows.runs.configure import recorded_note

    paths = places_of(context.params)
    _check_combination(context, resume, source_package)
    run, pair = _resumed(resume, paths) if resume is not None else _started(context, paths)
    print(f"run folder: {run.folder}", file=sys.stderr)
    if note := recorded_note(run):
        print(note, file=sys.stderr)
    try:
        page = adapt(run, paths, pair, terminal_progress())
    except (Interrupted, KeyboardInterrupt) as error:
        what = error.what if isinstance(error, Interrupted) else "stopped."
        again = _resume_command(run.folder, paths, run.config().phantom)
        raise Interrupted("E_INTERRUPTED", what, fix=f"go on with: {again}") from error
    print(page)


def _started(context: typer.Context, paths: Paths) -> tuple[RunFolder, CohortPair]:
    from polypda.workflows.runs.adapt import check_start, open_data, start_run
    from polypda.workflows.runs.source_package import from_package, read_source_package

    options, chosen = context.params, chosen_options(context)
    package = read_source_package(options["source_package"]) if options["source_package"] is not None else None
    source = package.facts.source if package else options["source"]
    if source is None or options["target"] is None:
        raise UsageError(
            "E_COHORTS",
            "give --source (or --source-package) and --target; or --resume RUN.",
            fix="`polypda cohorts list` shows them.",
        )
    method = options["method"] or DEFAULT_METHOD
    config = configuration(options, source=source, target=options["target"], method=method, method_options=chosen)
    if package is not None:
        config = from_package(config, package, chosen)
    folder = _folder(options, config)
    segmenter = check_start(folder, config, paths, package)
    if config.phantom:
        print("rendering phantoms (kept for the next run)…", file=sys.stderr, flush=True)
    pair = open_data(config, paths)
    return start_run(folder, config, paths, pair, segmenter, package), pair


def _resumed(folder: Path, paths: Paths) -> tuple[RunFolder, CohortPair]:
    from polypda.training.run_folder import RunFolder
    from polypda.workflows.runs.adapt import open_data

    run = RunFolder.open(folder)
    return run, open_data(run.config(), paths, run)


def _folder(options: Mapping[str, Any], config: AdaptConfig) -> Path:
    from polypda.training.run_folder import free_folder
    from polypda.workflows.matrix.matrix_plan import run_name

    return options["out"] or free_folder(Path("runs"), run_name(config))


def _check_combination(context: typer.Context, resume: Path | None, source_package: Path | None) -> None:
    """Refuse options that would be ignored."""
    from polypda.options import options_of
    from polypda.training.config import AdaptConfig

    given = given_options(context)
    if resume is not None and (ignored := sorted(given - WITH_RESUME)):
        raise UsageError(
            "E_OPTION",
            f"a resumed run keeps its settings; {_spelled(ignored)} would be ignored.",
            fix="leave it out, or start a new run.",
        )
    packed = {known.name for known in options_of(AdaptConfig) if known.option.by_package} | {"start"}
    if source_package is not None and resume is None and (decided := sorted(given & packed)):
        raise UsageError(
            "E_OPTION",
            f"{_spelled(decided)} would be ignored: the source package decides it, or has no frames.",
            fix="leave it out.",
        )
    if resume is None and not context.params["phantom"] and "phantom_frames" in given:
        raise UsageError("E_OPTION", "--phantom-frames is for phantoms.", fix="add --phantom, or leave it out.")


def _spelled(names: list[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _resume_command(folder: Path, paths: Paths, phantom: bool) -> str:
    words = ["polypda", "adapt", "--resume", str(folder)]
    if not phantom:
        words += ["--data-root", str(paths.data_root)]
    if paths.cache != default_cache():
        words += ["--cache-dir", str(paths.cache)]
    if paths.overlays != DEFAULT_OVERLAYS:
        words += ["--overlays", "all" if paths.overlays is None else str(paths.overlays)]
    return shlex.join(words)
