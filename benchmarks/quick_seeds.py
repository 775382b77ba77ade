"""The quick preset over several seeds: does the adapted model beat source-only on the target, on average?

    python benchmarks/quick_seeds.py --out runs/quick              # five seeds, about four minutes each on one core
    python benchmarks/quick_seeds.py --out runs/quick --tabulate   # only prints the table of finished runs

Phantoms: not clinical evidence.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

MODELS = ("source-only", "adabn", "adaptsegnet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/quick"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--source", default="zju2")
    parser.add_argument("--target", default="haining")
    parser.add_argument("--tabulate", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    for seed in range(arguments.seeds):
        folder = arguments.out / f"s{seed}"
        if not arguments.tabulate and not folder.exists():
            pair = ["--source", arguments.source, "--target", arguments.target, "--phantom"]
            command = [sys.executable, "-c", "from polypda.cli.main import main; main()", "adapt", *pair]
            subprocess.run([*command, "--seed", str(seed), "--out", str(folder)], check=True)
    print(table([arguments.out / f"s{seed}" for seed in range(arguments.seeds)]))


def table(runs: list[Path]) -> str:
    """One row per seed: Dice of each model on the target's held-out frames with a polyp, and specificity without."""
    rows = []
    for run in runs:
        centres = pd.read_csv(run / "report" / "centers.csv", comment="#")
        target = centres[centres["role"] == "target"].set_index("model")
        dice = [target.loc[model, "dice_frame"] for model in MODELS]
        specificity = [target.loc[model, "frame_specificity"] for model in MODELS]
        rows.append([*dice, dice[2] - dice[0], *specificity])
    frame = pd.DataFrame(rows)
    lines = [
        "| seed | Dice: source-only | adabn | adaptsegnet | Δ | specificity: source-only | adabn | adaptsegnet |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, values in [*((str(seed), row) for seed, row in enumerate(rows)), ("mean", frame.mean().tolist())]:
        cells = [f"{value:.3f}" for value in values[:3]] + [f"{values[3]:+.3f}"] + [f"{v:.0%}" for v in values[4:]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
