"""`polypda matrix`: every source × target × method × seed, and the report of all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from polypda.cli.adapt import adapt_command
from polypda.cli.cluster import cancel_command, check_command, status_command
from polypda.cli.configuration import command_with_options, given_options, name_data_root, places_of
from polypda.cohorts.image_files import number_of
from polypda.cohorts.pairs import every_pair
from polypda.errors import DataError, Interrupted, UsageError
from polypda.files import require_writable
from polypda.methods.index import DEFAULT_METHOD, check_names
from polypda.workflows.runs.early_checks import check_cohorts

if TYPE_CHECKING:
    from polypda.training.config import AdaptConfig
    from polypda.workflows.matrix.matrix_plan import MatrixPlan, PlannedRun
    from polypda.workflows.matrix.on_cluster import OnCluster

Opt = typer.Option
DECIDED_BY_THE_MATRIX = (
    "source",
    "target",
    "method",
    "seed",
    "out",
    "resume",
    "start",
    "source_package",
    "oracle",
    "option",
)


class Where(StrEnum):
    """Where runs are computed."""

    PROCESSES = "processes"
    SLURM = "slurm"


class MatrixGroup(TyperGroup):
    """`polypda matrix` itself runs the matrix; `status`, `cancel` and `check` are of its jobs on a cluster."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if not args or args[0] not in self.commands:
            args = ["run", *args]
        return super().make_context(info_name, args, parent, **extra)


matrix_app = typer.Typer(cls=MatrixGroup, help="Every source × target × method × seed, and the report of all.")
matrix_app.command("status")(status_command)
matrix_app.command("cancel")(cancel_command)
matrix_app.command("check")(check_command)


@matrix_app.command("run", context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, hidden=True)
def matrix_command(
    context: typer.Context,
    sources: Annotated[str | None, Opt(help="Labelled cohorts, separated by commas.")] = None,
    targets: Annotated[str | None, Opt(help="Cohorts to adapt to, separated by commas.")] = None,
    pairs: Annotated[str | None, Opt(help="Instead of both: SOURCE/TARGET,SOURCE/TARGET…")] = None,
    methods: Annotated[
        str, Opt(help="Methods and controls; `oracle` needs --target-labels.")
    ] = f"source-only,adabn,{DEFAULT_METHOD}",
    seeds: Annotated[str, Opt(help="Seeds, separated by commas.")] = "0",
    out: Annotated[Path, Opt(help="Folder of the runs and of the report.")] = Path("runs/matrix"),
    report: Annotated[Path | None, Opt(help="Report folder. Default: OUT/report.")] = None,
    study: Annotated[Path | None, Opt(help="What only people can say, for model card and checklist.")] = None,
    no_overlays: Annotated[bool, Opt("--no-overlays", help="A report of numbers and plots only.")] = False,
    method_option: Annotated[
        list[str] | None, Opt("-O", "--method-option", help="METHOD:NAME=VALUE of one method; repeatable.")
    ] = None,
    jobs: Annotated[int, Opt(min=1, help="Runs at once, each in a process; give --threads with it.")] = 1,
    launcher: Annotated[
        Where, Opt(help="Where runs are computed: in processes here, or as jobs of a cluster.", show_default=True)
    ] = Where.PROCESSES,
    cluster: Annotated[
        Path | None, Opt(help="YAML of what a job asks for: partition, account, gpus, memory_gb, minutes …")
    ] = None,
    wait: Annotated[bool, Opt("--wait", help="With a cluster: end when all runs have ended, with the report.")] = False,
    dry_run: Annotated[
        bool, Opt("--dry-run", help="Print the runs, where each stands, and an estimate of their time.")
    ] = False,
) -> None:
    """Adapt every source to every target by every method, and report all in one table.

    All training, data and compute options of `polypda adapt` are taken as well, for every run. One source-only
    training per cohort and seed serves all; complete runs are left alone, interrupted ones go on: give the same
    command again. With `oracle`, a target's upper bound is the source-only model trained on that target.

    On a cluster: `--launcher slurm --cluster FILE`; `polypda matrix check`, `status` and `cancel` are of its jobs.
    """
    wanted, by_method = (
        _listed(methods, "--methods"),
        _method_options(method_option or [], _listed(methods, "--methods")),
    )
    wanted_pairs = _pairs(sources, targets, pairs)
    _name_data_root(context.args)
    check_cohorts([name for pair in wanted_pairs for name in pair])
    for method in wanted:
        check_names(method, by_method.get(method, {}))
    require_writable(out)

    from polypda.methods.registry import method_options
    from polypda.training.criteria import ORACLE
    from polypda.workflows.matrix.matrix import state_of
    from polypda.workflows.matrix.matrix_plan import plan_matrix
    from polypda.workflows.runs.launch import configuration
    from polypda.workflows.runs.reports import check_report
    from polypda.workflows.runs.stages import adapts

    queue = _queue(launcher, cluster, out, wait=wait, jobs=jobs)
    report_folder = report or out / "report"
    options = _shared_options(context.args)
    if jobs > 1 and options["trainings_at_once"] is None:
        options["trainings_at_once"] = 1  # the runs share the cores already: jobs × threads processes and no more

    def configure(source: str, target: str, method: str, seed: int, oracle: bool) -> AdaptConfig:
        chosen = by_method.get(method, {})
        learns = adapts(method) and method_options(method, chosen).learns_target_labels
        permitted = options["target_labels"] and (oracle or options["selector"] == ORACLE or learns)
        # every method that is to stand in the table is named: its parts are trained only where they are asked for
        parts = options["parts"] or "none"
        shared = {**options, "seed": seed, "oracle": oracle, "target_labels": permitted, "parts": parts}
        return configuration(shared, source=source, target=target, method=method, method_options=chosen)

    plan = plan_matrix(wanted_pairs, wanted, _seeds(seeds), configure)
    for source, target, reason in plan.left_out:
        print(f"left out: {source} → {target}: {reason}", file=sys.stderr)
    states = {run.name: state_of(run, out) for run in plan.runs}
    check_report(report_folder, study, force=True)
    if dry_run:
        _print_plan(plan, states, queue)
        return
    failed, queued = _run(plan, out, options, jobs, queue)
    if queued:
        print(f"{queued} of {len(plan.runs)} runs are in the queue: `polypda matrix status --out {out}` shows them.")
        print("When they have ended, the same command makes the report.")
        return
    page = _report(plan, out, report_folder, failed, study, overlays=not no_overlays)
    print(page)
    if failed:
        raise typer.Exit(3)


def _name_data_root(extra: Sequence[str]) -> None:
    """Let the manifests of `--data-root` count before the options of `polypda adapt` are read, which takes torch."""
    for number, word in enumerate(extra):
        name, _, value = word.partition("=")
        if name == "--data-root" and (value or number + 1 < len(extra)):
            name_data_root(Path(value or extra[number + 1]))


def _shared_options(extra: Sequence[str]) -> dict[str, Any]:
    """The options of `polypda adapt` among the words that are not the matrix's own."""
    parsed = command_with_options(adapt_command).make_context("polypda matrix", list(extra))
    if given := given_options(parsed) & set(DECIDED_BY_THE_MATRIX):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given))
        raise UsageError(
            "E_OPTION",
            f"{names} cannot be given: the matrix decides it for each run.",
            fix="use --sources, --targets, --methods (with `oracle`), --seeds, --out and -O METHOD:NAME=VALUE.",
        )
    return dict(parsed.params)


def _queue(launcher: Where, cluster: Path | None, out: Path, *, wait: bool, jobs: int) -> OnCluster | None:
    """The cluster's launcher, where it is asked for. Raises: UsageError E_OPTION, E_CLUSTER_FILE."""
    if launcher is Where.PROCESSES:
        if cluster is not None or wait:
            raise UsageError("E_OPTION", "--cluster and --wait are for a cluster.", fix="add --launcher slurm.")
        return None
    if jobs > 1:
        raise UsageError("E_OPTION", "--jobs is for this machine.", fix="give at_once in the cluster's file.")
    from polypda.workflows.matrix.cluster import read_cluster
    from polypda.workflows.matrix.on_cluster import OnCluster

    return OnCluster(out, read_cluster(cluster), wait=wait)


def _run(
    plan: MatrixPlan, out: Path, options: dict[str, Any], jobs: int, queue: OnCluster | None
) -> tuple[list[str], int]:
    """Run what is missing; returns a line for each run that failed, and how many wait or run on a cluster."""
    from polypda.cli.console import terminal_progress
    from polypda.training.progress import Silent
    from polypda.workflows.matrix.launchers import InProcesses, Launcher, Sequential
    from polypda.workflows.matrix.matrix import RunState, run_matrix

    numbers = {run.name: number for number, run in enumerate(plan.runs, 1)}

    def announce(run: PlannedRun, state: RunState) -> None:
        print(f"[{numbers[run.name]}/{len(plan.runs)}] {run.name}: {state.value}", file=sys.stderr, flush=True)

    failed, queued = [], 0
    launcher: Launcher = queue or (Sequential() if jobs == 1 else InProcesses(jobs))
    progress = terminal_progress() if isinstance(launcher, Sequential) else Silent()
    places, here = places_of(options), queue is None
    try:
        for outcome in run_matrix(plan.runs, out, places, progress, launcher, here=here, announce=announce):
            queued += bool(outcome.job) and queue is not None and not queue.wait
            if outcome.error is not None:
                failed.append(f"{outcome.run.name}: {outcome.error}")
                print(outcome.error, file=sys.stderr, flush=True)
    except (Interrupted, KeyboardInterrupt) as error:
        what = error.what if isinstance(error, Interrupted) else "stopped."
        raise Interrupted("E_INTERRUPTED", what, fix="give the same command again to go on.") from error
    return failed, queued


def _report(
    plan: MatrixPlan, out: Path, folder: Path, failed: list[str], study: Path | None, *, overlays: bool
) -> Path:
    from polypda.workflows.runs.reports import report, was_scored
    from polypda.workflows.scoring.evaluate import UNSCORED

    broken = {line.partition(":")[0] for line in failed}
    # Each run's own report: what was evaluated later, on whatever part, is no cell of the matrix
    ended = [out / run.name for run in plan.runs if run.name not in broken]
    complete = [run / "report" for run in ended if was_scored(run)]
    unscored = [run / UNSCORED / "index.html" for run in ended if not was_scored(run)]
    if unscored and not complete:
        print("adapted; not scored (no labels): each run has its own page", file=sys.stderr)
        return unscored[0]
    if not complete:
        raise DataError(
            "E_MATRIX_FAILED",
            "every run failed, so there is nothing to report.",
            where=out,
            fix="see the errors above.",
        )
    notes = [f"Planned, but not in these numbers: {' '.join(line.split())}" for line in failed]
    notes += [f"Adapted, but not scored (no labels): {page.parents[1].name}." for page in unscored]
    notes += [f"Left out: {source} → {target}: {reason}" for source, target, reason in plan.left_out]
    return report(complete, folder, study=study, overlays=overlays, force=True, notes=notes)


def _print_plan(plan: MatrixPlan, states: dict[str, Any], queue: OnCluster | None) -> None:
    from polypda.cli.console import duration_text
    from polypda.workflows.matrix.matrix import RunState, estimated_seconds, timed_step

    open_runs = [run for run in plan.runs if states[run.name] in (RunState.MISSING, RunState.INTERRUPTED)]
    try:
        seconds = estimated_seconds(open_runs, timed_step)
    except UsageError as error:
        if queue is None or error.code != "E_DEVICE":
            raise
        seconds = {}  # a login node without the device
    width = max(len(run.name) for run in plan.runs)
    for run in plan.runs:
        taken = f"takes {', '.join(run.needs)}" if run.needs else "trains its own start"
        time = duration_text(seconds[run.name]) if run.name in seconds else "–"
        print(f"{run.name:<{width}}  {states[run.name].value:<10}  {time:>10}  {taken}")
    total = duration_text(sum(seconds.values())) if seconds or not open_runs else "an unknown time"
    print(f"{len(plan.runs)} runs, {len(open_runs)} to train: about {total} of training here, if nothing else runs")
    print("(timed on random frames; decoding, checkpoints and scoring come on top).")
    if queue is not None:
        _print_jobs(queue, [run for run in plan.runs if states[run.name] is not RunState.COMPLETE], seconds)


def _print_jobs(queue: OnCluster, runs: Sequence[PlannedRun], seconds: dict[str, float]) -> None:
    """The arrays that would be submitted, and how long they take at least."""
    from polypda.cli.console import duration_text
    from polypda.workflows.matrix.on_cluster import arrays

    cluster = queue.cluster
    for needs, group in arrays(runs, {run.name for run in runs}).items():
        print(f"array of {len(group)} (from {group[0].name}){' after ' * bool(needs)}{', '.join(needs)}")
    shared = sum(seconds.values()) / cluster.at_once
    chains = (seconds.get(run.name, 0) + max((seconds.get(name, 0) for name in run.needs), default=0) for run in runs)
    if seconds:
        least = duration_text(max(shared, *chains))
        print(f"with nodes as fast as this machine and {cluster.at_once} jobs at once: at least {least}")
    limit = f"{cluster.minutes} min, {cluster.cpus} processors, {cluster.gpus} GPUs"
    print(f"each job: partition {cluster.partition or '(default)'}, {limit}; at the limit a run goes on in a next turn")


def _pairs(sources: str | None, targets: str | None, pairs: str | None) -> list[tuple[str, str]]:
    if pairs is None and sources is not None and targets is not None:
        return every_pair(_listed(sources, "--sources"), _listed(targets, "--targets"))
    if pairs is None or sources is not None or targets is not None:
        raise UsageError("E_OPTION", "give --sources and --targets, or --pairs.", fix="e.g. --pairs zju2/haining")
    parted = [tuple(name.strip() for name in pair.split("/")) for pair in _listed(pairs, "--pairs")]
    wrong = [pair for pair in parted if len(pair) != 2 or not all(pair)]
    if wrong:
        raise UsageError("E_OPTION", f"'{'/'.join(wrong[0])}' is no SOURCE/TARGET.", fix="e.g. --pairs zju2/haining")
    return [(source, target) for source, target in parted]


def _listed(text: str, option: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("E_OPTION", f"{option} is empty.", fix=f"e.g. {option} first,second")
    return names


def _seeds(text: str) -> list[int]:
    numbers = [number_of(name) for name in _listed(text, "--seeds")]
    if None in numbers:
        raise UsageError("E_OPTION", f"--seeds {text[:40]} are not whole numbers.", fix="e.g. --seeds 0,1,2")
    return [number for number in numbers if number is not None]


def _method_options(texts: Sequence[str], methods: Sequence[str]) -> dict[str, dict[str, str]]:
    """``["adaptsegnet:lambda_adv_main=0.01"]`` → the options of each method."""
    from polypda.options import parse_options

    chosen: dict[str, dict[str, str]] = {}
    for text in texts:
        method, colon, rest = text.partition(":")
        if not colon or method not in methods:
            raise UsageError(
                "E_METHOD_OPTION",
                f"'{text}' is no METHOD:NAME=VALUE of a method of this matrix.",
                fix=f"e.g. -O {methods[-1]}:NAME=VALUE",
            )
        chosen.setdefault(method, {}).update(parse_options([rest]))
    return chosen
