"""The bench: every method on real frames, three source → target pairs, from the same source-only models.

    python benchmarks/real_frames.py --data-root DATA --encoder-weights mobilenet_v2.safetensors --out runs/bench
    python benchmarks/real_frames.py … --dry-run          # what would be run

The headline pair (Olympus → Fuji) is run with three seeds, the others with one. Give the same command again to go on.
Sizes are those that two CPU cores can finish; on a GPU raise --size, --batch-size, --start-steps and --adapt-steps.
λ of the adversarial game was chosen on the headline pair without any target label (see --choose-lambda) and frozen.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench_page import write_bench_page

from polypda.training.config import AdaptConfig
from polypda.training.progress import Silent
from polypda.workflows.configure import resolve_config, weights_name
from polypda.workflows.launchers import InProcesses
from polypda.workflows.matrix import RunState, run_matrix, state_of
from polypda.workflows.matrix_plan import PlannedRun, plan_matrix
from polypda.workflows.places import Places
from polypda.workflows.report import report

HEADLINE = ("cvc-clinicdb", "bkai-neopolyp")
PAIRS = [HEADLINE, ("cvc-clinicdb", "polypgen-c4"), ("bkai-neopolyp", "cvc-clinicdb")]
"""Olympus → Fuji; into a centre with many polyp-free frames; into a centre whose sequences are known."""
METHODS = [
    *("adaptsegnet", "adda", "fcn-wild", "lsd", "advent", "minent", "fda", "mean-teacher", "mic", "polyp-mix", "tent"),
    *("adaptsegnet+minent", "fcan"),
]
"""The dearest last: restyling the source takes as long as five other runs."""
CONTROLS = ["source-only", "adabn", "oracle"]
SMALL_JUDGE = {"discriminator_width": 32, "ramp": 30}
OPTIONS: dict[str, dict[str, object]] = {
    **{
        method: {**SMALL_JUDGE, "lambda_adv_main": 2e-2, "lambda_adv_aux": 4e-3} for method in ("adaptsegnet", "advent")
    },
    "fcan": {"ramp": 30, "aan_steps": 10, "aan_rate": 6.0},
    "fcn-wild": {"ramp": 30},
}
OPTIONS["adaptsegnet+minent"] = OPTIONS["adaptsegnet"]
"""Beside the preset `standard`; the same for every pair."""
LAMBDAS = (1e-3, 5e-3, 2e-2)
COMMAND = "python benchmarks/real_frames.py --data-root DATA --encoder-weights mobilenet_v2-imagenet.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--encoder-weights", required=True, help="MobileNetV2, safetensors")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--report", type=Path, help="default: OUT/report")
    parser.add_argument("--cache-dir", type=Path, default=Path("runs/cache"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the headline pair")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--start-steps", type=int, default=600)
    parser.add_argument("--adapt-steps", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--report-only", action="store_true", help="report what is complete, run nothing")
    parser.add_argument("--choose-lambda", action="store_true", help="only run AdaptSegNet with three λ, and choose")
    arguments = parser.parse_args()
    runs = lambda_runs(arguments) if arguments.choose_lambda else bench_runs(arguments)
    if arguments.dry_run:
        for run in runs:
            print(f"{run.name:<60} {state_of(run, arguments.out).value}")
        return
    failed = [] if arguments.report_only else bring_to_end(runs, arguments)
    if arguments.choose_lambda:
        choose_lambda(runs, arguments.out)
        return
    states = {run.name: state_of(run, arguments.out) for run in runs}
    complete = [arguments.out / name / "report" for name, state in states.items() if state is RunState.COMPLETE]
    failed += not_run([run for run in runs if states[run.name] is not RunState.COMPLETE])
    folder = arguments.report or arguments.out / "report"
    notes = [f"Planned, but not in these numbers: {name}" for name in failed]
    page = report(complete, folder, study=None, overlays=False, force=True, notes=notes)
    write_bench_page(folder, [run.parent for run in complete], COMMAND)
    print(page)


def not_run(runs: list[PlannedRun]) -> list[str]:
    """A line per source → target and seed with what is missing of it."""
    missing: dict[str, list[str]] = {}
    for run in runs:
        config = run.config
        missing.setdefault(f"{config.source} → {config.target}, seed {config.seed}", []).append(config.method)
    return [f"{where}: {', '.join(methods)}" for where, methods in missing.items()]


def bench_runs(arguments: argparse.Namespace) -> list[PlannedRun]:
    """The headline pair with every seed, then every pair with the first."""

    def configure(source: str, target: str, method: str, seed: int, oracle: bool) -> AdaptConfig:
        return configuration(arguments, source, target, method, seed, OPTIONS.get(method, {}), oracle=oracle)

    methods = [*CONTROLS, *arguments.methods]
    seeds = arguments.seeds
    plans = [
        plan_matrix([HEADLINE], methods, seeds[:1], configure),
        plan_matrix(PAIRS, methods, seeds[:1], configure),
        plan_matrix([HEADLINE], methods, seeds, configure),
    ]
    return list({run.name: run for plan in plans for run in plan.runs}.values())


def lambda_runs(arguments: argparse.Namespace) -> list[PlannedRun]:
    """AdaptSegNet on the headline pair with each λ, from the bench's own first start."""
    seed = arguments.seeds[0]
    base = configuration(arguments, *HEADLINE, "source-only", seed, {})
    start = PlannedRun("-".join((HEADLINE[0], "to", HEADLINE[1], "source-only", f"s{seed}")), base)
    runs = [start]
    for weight in LAMBDAS:
        options = {**OPTIONS["adaptsegnet"], "lambda_adv_main": weight, "lambda_adv_aux": weight / 5}
        config = configuration(arguments, *HEADLINE, "adaptsegnet", seed, options)
        runs.append(PlannedRun(f"lambda-{weight:g}", config, start.name))
    return runs


def choose_lambda(runs: list[PlannedRun], out: Path) -> None:
    """The strongest pull that leaves the task whole: source validation Dice within 0.02 of the start's, and the
    target's foreground share within the selectors' guard. No target label decides."""
    print("| λ main | source validation Dice: start | end | foreground on target: start | end | eligible |")
    print("|---|---|---|---|---|---|")
    for run, weight in zip(runs[1:], LAMBDAS, strict=True):
        selection = json.loads((out / run.name / "selection.json").read_text())
        start, end = selection["start"], selection["scores"][-1]
        whole = end["source_dice"] >= start["source_dice"] - 0.02 and end["step"] in selection["eligible"]
        print(
            f"| {weight:g} | {start['source_dice']:.3f} | {end['source_dice']:.3f} | {start['target_foreground']:.3f} "
            f"| {end['target_foreground']:.3f} | {'yes' if whole else 'no'} |"
        )


def configuration(
    arguments: argparse.Namespace,
    source: str,
    target: str,
    method: str,
    seed: int,
    options: dict[str, object],
    *,
    oracle: bool = False,
) -> AdaptConfig:
    """The preset `standard` at the bench's size; every method has the same budget and batch-norm policy."""
    return resolve_config(
        source=source,
        target=target,
        method=method,
        preset_name="standard",
        phantom=False,
        top={
            "seed": seed,
            "oracle": oracle or None,
            "target_labels": oracle or None,
            "start_steps": arguments.start_steps,
            "adapt_steps": arguments.adapt_steps,
            "checkpoint_every": max(1, arguments.adapt_steps // 4),
            "encoder_weights": weights_name(Path(arguments.encoder_weights)),
        },
        sections={
            "network": {},
            "data": {"size": arguments.size, "batch_size": arguments.batch_size},
            "compute": {"threads": 1, "device": arguments.device},
        },
        options=options,
    )


def bring_to_end(runs: list[PlannedRun], arguments: argparse.Namespace) -> list[str]:
    """Run what is missing; returns a line for each run that failed."""
    places = Places(arguments.data_root, arguments.cache_dir, arguments.encoder_weights, overlays=0)
    numbers = {run.name: number for number, run in enumerate(runs, 1)}

    def announce(run: PlannedRun, state: RunState) -> None:
        if state is not RunState.COMPLETE:
            print(f"[{numbers[run.name]}/{len(runs)}] {run.name}: {state.value}", file=sys.stderr, flush=True)

    outcomes = run_matrix(runs, arguments.out, places, Silent(), InProcesses(arguments.jobs), announce)
    failed = [f"{outcome.run.name}: {outcome.error}" for outcome in outcomes if outcome.error]
    print("\n".join(failed), file=sys.stderr)
    return failed


if __name__ == "__main__":
    main()
