"""On how many polyp-free frames does each adapted model of the bench, and its control, mark nothing?

    python benchmarks/clean_frames.py --data-root DATA --runs runs/bench --out reports/real-frames

Frames: ``polypgen-negative``, sequences of centres 1 to 4 without a polyp, learnt by nobody. Goes on where it stopped:
answers are remembered by the model's content in RUNS/clean-frames.json.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch

from polypda.cohorts.frames import Frame
from polypda.cohorts.opening import open_cohort
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.predictions import predict_native
from polypda.networks.registry import load_segmenter
from polypda.networks.weights import training_identity
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import set_aside
from polypda.workflows.runs.cohort_pair import data_roots
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.stages import SOURCE_ONLY
from polypda.workflows.runs.trained_models import RunModels

COHORT = "polypgen-negative"
NAME = "clean-frames"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"))
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = list(scored(arguments.runs, arguments.data_root))
    frame = pd.DataFrame(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(arguments.out / f"{NAME}.csv", index=False)
    text = table(frame)
    (arguments.out / f"{NAME}.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def scored(runs: Path, data_root: Path) -> Iterator[dict[str, object]]:
    """One row per complete run and model; a model that several runs share is asked once."""
    remembered = runs / f"{NAME}.json"
    known: dict[str, list[int]] = json.loads(remembered.read_text()) if remembered.is_file() else {}
    for folder in sorted(path for path in runs.iterdir() if (path / "report" / "cases.csv").is_file()):
        run = RunFolder.open(folder)
        config = run.config()
        root = data_roots([COHORT], config, Paths(data_root, runs / "cache", "none"))[COHORT]
        frames = open_cohort(COHORT, root, labels=True).frames
        for name, weights in RunModels(run, config).by_name().items():
            if name not in (SOURCE_ONLY, config.method):
                continue
            model = load_segmenter(config.network, weights)
            key = f"{training_identity(model)} {config.data.grid.key()} {config.inference.key()}"
            if key not in known:
                asked = config.asked(torch.device("cpu"))
                seen = predict_native({"": model}, frames, asked, scored=False)
                known[key] = [int(not ((one.probabilities[""] >= DEFAULT_THRESHOLD) & one.valid).any()) for one in seen]
                remembered.write_text(json.dumps(known))
            yield {
                "source": config.source,
                "target": config.target,
                "model": name,
                "seed": config.seed,
                "frames": len(frames),
                "clean": sum(known[key]) / len(frames),
                "clean_by_sequence": sequence_mean(frames, known[key]),
                "set_aside": bool(set_aside(folder)) and name == config.method,
            }


def sequence_mean(frames: Sequence[Frame], clean: Sequence[int]) -> float:
    """Mean over sequences of the share of clean frames: neighbours of a film are not independent."""
    groups: dict[str, list[int]] = defaultdict(list)
    for frame, value in zip(frames, clean, strict=True):
        groups[frame.sequence or frame.frame].append(value)
    return sum(sum(values) / len(values) for values in groups.values()) / len(groups)


def table(rows: pd.DataFrame) -> str:
    """Mean over seeds per source → target and model."""
    keys = ["source", "target", "model"]
    unique = rows.drop_duplicates([*keys, "seed"])
    means = unique.groupby(keys, sort=False)[["clean", "clean_by_sequence"]].mean()
    seeds = unique.groupby(keys, sort=False)["seed"].nunique()
    lines = [
        f"Frames of `{COHORT}` ({int(rows['frames'].iloc[0])}) on which a model marks nothing, mean over seeds.",
        "",
        "| source → target | model | seeds | frames left clean | mean over sequences |",
        "|---|---|---|---|---|",
    ]
    for (source, target, model), row in means.iterrows():
        count = seeds[(source, target, model)]
        cells = [f"`{source}` → `{target}`", f"`{model}`", str(count)]
        lines.append(f"| {' | '.join(cells)} | {row['clean']:.0%} | {row['clean_by_sequence']:.0%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
