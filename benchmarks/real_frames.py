"""The bench: methods on real frames, four source → target pairs, from the same source-only models.

    python benchmarks/real_frames.py --data-root DATA --encoder-weights mobilenet_v2.safetensors --out runs/bench
    python benchmarks/real_frames.py … --dry-run          # what would be run
    python benchmarks/real_frames.py … --gpu --minutes 12 # at 352 px on one data-centre GPU

The whole recipe comes first, on every pair with every seed, then what it is made of, then every further method on the
headline pair (Olympus → Fuji) and at last elsewhere. Give the same command again to go on; ``--core`` ends after them.
Sizes are those that two CPU cores can finish. ``--gpu`` is the same bench at 352 px: bfloat16, frames changed on the
device, several runs at once; after ``--minutes`` no further run begins, and the report holds what is complete.
Options are the preset ``standard``'s: none was chosen on these pairs' labels.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from bench_page import write_bench_page

from polypda.training.config import AdaptConfig
from polypda.training.progress import Silent
from polypda.workflows.matrix.launchers import InProcesses
from polypda.workflows.matrix.matrix import RunState, run_matrix, state_of
from polypda.workflows.matrix.matrix_plan import PlannedRun, plan_matrix
from polypda.workflows.runs.configure import resolve_config, weights_name
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.reports import report

HEADLINE = ("cvc-clinicdb", "bkai-neopolyp")
PAIRS = [HEADLINE, ("cvc-clinicdb", "polypgen-c4"), ("bkai-neopolyp", "cvc-clinicdb"), ("cvc-clinicdb", "polypgen-c3")]
"""Olympus → Fuji; into a centre with many polyp-free frames; Fuji → Olympus, whose sequences are known; to another
Olympus centre."""
WHOLE = "adaptsegnet+target-colours+self-training"
CORE = ["adaptsegnet", "target-colours+self-training", WHOLE]
"""The game alone, the other parts alone, all together."""
FURTHER = [
    *(
        "adaptsegnet+target-colours",
        "self-training",
        "target-colours",
        "advent",
        "minent",
        "fda",
        "mean-teacher",
        "mic",
    ),
    *("polyp-mix", "adda", "fcn-wild", "lsd", "fcan"),
]
"""The dearest last: restyling the source takes as long as five other runs."""
CONTROLS = ["source-only", "adabn"]
OWN_LABELS = {HEADLINE, ("bkai-neopolyp", "cvc-clinicdb")}
"""Pairs whose oracle costs nothing further: it is the source-only model of the pair the other way round."""
OWN_LABELS_ONCE = {("cvc-clinicdb", "polypgen-c4")}
"""Pairs whose oracle is trained for the first seed."""
ON_DEVICE: dict[str, object] = {"augment_on": "device"}
MIXED: dict[str, object] = {"precision": "bf16-mixed", "workers": 2}
COMMAND = "python benchmarks/real_frames.py --data-root DATA --encoder-weights mobilenet_v2-imagenet.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--encoder-weights", required=True, help="MobileNetV2, safetensors")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--report", type=Path, help="default: OUT/report")
    parser.add_argument("--cache-dir", type=Path, default=Path("runs/cache"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the headline pair")
    parser.add_argument("--core", action="store_true", help="only the core methods")
    parser.add_argument("--gpu", action="store_true", help="352 px, batches of 16, bf16-mixed, four runs at once")
    parser.add_argument("--minutes", type=float, help="begin no run after so long")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--start-steps", type=int, default=900)
    parser.add_argument("--adapt-steps", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--report-only", action="store_true", help="report what is complete, run nothing")
    if parser.parse_known_args()[0].gpu:
        parser.set_defaults(size=352, batch_size=16, device="cuda", jobs=4)
    arguments = parser.parse_args()
    runs = bench_runs(arguments)
    if arguments.dry_run:
        for run in runs:
            print(f"{run.name:<60} {state_of(run, arguments.out).value}")
        return
    failed = [] if arguments.report_only else bring_to_end(runs, arguments)
    states = {run.name: state_of(run, arguments.out) for run in runs}
    shown = {run.name for run in runs if (run.config.source, run.config.target) in PAIRS}  # the rest lends its oracle
    complete = [
        arguments.out / name / "report"
        for name, state in states.items()
        if state is RunState.COMPLETE and name in shown
    ]
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
    """The whole recipe on every pair with every seed, then its parts, then the others, the headline pair first."""
    first, *others = arguments.seeds
    waves = [(pair, CORE[-1:], seed) for seed in (first, *others) for pair in PAIRS]
    waves += [(HEADLINE, CORE, seed) for seed in (first, *others)]
    waves += [(pair, CORE, seed) for seed in (first, *others) for pair in PAIRS]
    if not arguments.core:
        waves += [(HEADLINE, FURTHER, seed) for seed in (first, *others)]
        waves += [(pair, FURTHER, first) for pair in PAIRS if pair != HEADLINE]
    planned: dict[str, PlannedRun] = {}
    for pair, methods, seed in waves:
        oracle = pair in OWN_LABELS or (pair in OWN_LABELS_ONCE and seed == first)

        def configure(source: str, target: str, method: str, seed: int, oracle: bool) -> AdaptConfig:
            return configuration(arguments, source, target, method, seed, oracle=oracle)

        plan = plan_matrix([pair], [*CONTROLS, *(["oracle"] if oracle else []), *methods], [seed], configure)
        for run in plan.runs:
            if run.start is not None or (run.config.source, seed) not in _bases(planned):
                planned.setdefault(run.name, _named_alike(run, planned))
    return list(planned.values())


def _bases(planned: dict[str, PlannedRun]) -> dict[tuple[str, int], str]:
    """(source, seed) → the run that trains its source-only model."""
    return {(run.config.source, run.config.seed): name for name, run in planned.items() if run.start is None}


def _named_alike(run: PlannedRun, planned: dict[str, PlannedRun]) -> PlannedRun:
    """The run with its start and oracle taken from base runs that are planned already, whatever pair named them."""
    bases = _bases(planned)
    mine = bases.get((run.config.source, run.config.seed))
    if run.start is None or mine is None:
        return run
    target = bases.get((run.config.target, run.config.seed))
    return replace(run, start=mine, oracle=target if run.oracle and target else run.oracle)


def configuration(
    arguments: argparse.Namespace,
    source: str,
    target: str,
    method: str,
    seed: int,
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
            "guard": False,
            "encoder_weights": weights_name(Path(arguments.encoder_weights)),
        },
        sections={
            "network": {"encoder": "mobilenet_v2"},
            "data": {
                "size": arguments.size,
                "batch_size": arguments.batch_size,
                **(ON_DEVICE if arguments.gpu else {}),
            },
            "compute": {"threads": 1, "device": arguments.device, **(MIXED if arguments.gpu else {})},
        },
        options={},
    )


def bring_to_end(runs: list[PlannedRun], arguments: argparse.Namespace) -> list[str]:
    """Run what is missing; returns a line for each run that failed."""
    paths = Paths(arguments.data_root, arguments.cache_dir, arguments.encoder_weights, overlays=0)
    numbers = {run.name: number for number, run in enumerate(runs, 1)}

    def announce(run: PlannedRun, state: RunState) -> None:
        if state is not RunState.COMPLETE:
            print(f"[{numbers[run.name]}/{len(runs)}] {run.name}: {state.value}", file=sys.stderr, flush=True)

    outcomes = run_matrix(
        runs, arguments.out, paths, Silent(), InProcesses(arguments.jobs, arguments.minutes), announce
    )
    failed = [f"{outcome.run.name}: {outcome.error}" for outcome in outcomes if outcome.error]
    print("\n".join(failed), file=sys.stderr)
    return failed


if __name__ == "__main__":
    main()
