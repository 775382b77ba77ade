"""The quick preset over several seeds: does the adapted model beat source-only on the target, on average?

    python benchmarks/quick_seeds.py --out runs/quick              # five seeds, about five CPU minutes each
    python benchmarks/quick_seeds.py --out runs/quick --tabulate   # only prints the table of finished runs

Phantoms: not clinical evidence.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/quick"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--source", default="zju2")
    parser.add_argument("--target", default="haining")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a run")
    parser.add_argument("--parts", default="none", choices=["none", "first", "all"], help="of the method's sum")
    parser.add_argument("--oracle", action="store_true", help="train the upper bound as well")
    parser.add_argument("--tabulate", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    for seed in range(arguments.seeds):
        folder = arguments.out / f"s{seed}"
        if not arguments.tabulate and not folder.exists():
            pair = ["--source", arguments.source, "--target", arguments.target, "--phantom"]
            command = [sys.executable, "-c", "from polypda.cli.main import main; main()", "adapt"]
            pair += ["--threads", str(arguments.threads)]
            pair += ["--parts", arguments.parts]
            if arguments.oracle:
                pair += ["--oracle", "--target-labels"]
            subprocess.run([*command, *pair, "--seed", str(seed), "--out", str(folder)], check=True)
    print(table([arguments.out / f"s{seed}" for seed in range(arguments.seeds)]))


def table(runs: list[Path]) -> str:
    """One row per seed: Dice of each model on the target's held-out frames with a polyp, and specificity without."""
    models, rows = [], []
    for run in runs:
        centres = pd.read_csv(run / "report" / "centers.csv", comment="#")
        target = centres[centres["role"] == "target"].set_index("model")
        home = centres[centres["role"] == "source"].set_index("model")["dice_frame"]
        models = [model for model in target.index if model != "oracle"]
        dice, clean = target["dice_frame"], target["frame_specificity"]
        gains = [dice[model] - dice[models[0]] for model in models[1:]]
        oracle = [dice["oracle"]] if "oracle" in dice else []
        rows.append([home[models[0]], dice[models[0]], *gains, *oracle, clean[models[0]], clean[models[-1]]])
    oracle_heading = ["oracle"] if rows and len(rows[0]) == len(models) + 4 else []
    headings = ["seed", "source-only: home", "target", *(f"Δ `{model}`" for model in models[1:]), *oracle_heading]
    headings += ["left clean: source-only", "adapted"]
    means = [sum(column) / len(column) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    for name, values in [*((str(seed), row) for seed, row in enumerate(rows)), ("mean", means)]:
        last = len(values) - 2
        changes = range(2, 2 + len(models) - 1)
        cells = [f"{value:+.3f}" if index in changes else f"{value:.3f}" for index, value in enumerate(values[:last])]
        cells += [f"{value:.0%}" for value in values[last:]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
