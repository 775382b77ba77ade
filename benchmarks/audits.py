"""Do a few labelled frames tell what all would? Audits drawn many times from real targets whose labels are all known.

    python benchmarks/audits.py --data-root DATA --runs RUN … --out reports/audits

Every frame of a run's target is predicted by its source-only and its adapted model once (remembered in --remember);
then `polypda audit` is played: frames are drawn in strata as it draws them, their labels are "returned", and the
interval is compared with the mean over all frames. Beside it: the same number of frames drawn without strata.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from polypda.cohorts.opening import open_cohort
from polypda.data.cache import load_native
from polypda.evaluation.estimation.stratified import (
    allocate,
    draw,
    expected_half_width,
    make_strata,
    merged,
    stratified_mean,
)
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.predictions import reference_mask
from polypda.networks.registry import load_segmenter
from polypda.reporting.tables.text_table import padded_markdown
from polypda.training.run_folder import RunFolder
from polypda.workflows.audit.plan import USUAL_CHANGE
from polypda.workflows.runs.stages import SOURCE_ONLY
from polypda.workflows.runs.trained_models import RunModels
from polypda.workflows.scoring.label_free import ModelPair
from polypda.workflows.scoring.label_free_evidence import overlap

DRAWINGS = 1000
FRAMES = (10, 20, 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="complete run folders")
    parser.add_argument("--remember", type=Path, default=Path("runs/audits"), help="folder of what was predicted")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for folder in arguments.runs:
        frames = known_frames(folder, arguments.data_root, arguments.remember)
        rows += [row for count in FRAMES for row in played(folder, frames, count)]
        print(folder.name, flush=True)
    table = pd.DataFrame(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.out / "audits.csv", index=False, float_format="%.4f")
    text = document(table)
    (arguments.out / "audits.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def known_frames(folder: Path, data_root: Path, remembered: Path) -> pd.DataFrame:
    """Every labelled frame of a run's target: Dice of both models, their agreement, and the share that they mark."""
    path = remembered / f"{folder.name}.csv"
    if path.is_file():
        return pd.read_csv(path)
    run = RunFolder.open(folder)
    config = run.config()
    weights = RunModels(run, config).by_name()
    before, after = (load_segmenter(config.network, weights[name]) for name in (SOURCE_ONLY, config.method))
    models = ModelPair(before, after, config.asked(torch.device("cpu")))
    rows = []
    for frame in open_cohort(config.target, data_root, labels=True).frames:
        native = load_native(frame, models.asked.grid)
        reference = reference_mask(frame, native.image)
        if reference is None:
            continue
        polyp = (reference > 0) & native.valid
        marked = [(map_ >= DEFAULT_THRESHOLD) & native.valid for map_ in models.maps(native)]
        rows.append(
            {
                "polyp": bool(polyp.any()),
                "before": overlap(marked[0], polyp),
                "after": overlap(marked[1], polyp),
                "agreement": overlap(*marked),
                "marked": max(one.sum() for one in marked) / native.valid.sum(),
            }
        )
    remembered.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)
    return pd.DataFrame(rows)


def played(folder: Path, frames: pd.DataFrame, count: int) -> Iterator[dict[str, object]]:
    """One row with strata, one without."""
    config = RunFolder.open(folder).config()
    difference = 1 - frames["agreement"].to_numpy()
    for strata in (True, False):
        codes = make_strata(difference, frames["marked"], count if strata else 1)
        sizes = np.bincount(codes)
        spread = USUAL_CHANGE * np.sqrt(np.bincount(codes, difference**2) / sizes)
        drawn = allocate(sizes, spread, count)
        told = _many(frames, codes, drawn)
        yield {
            "run": folder.name, "target": config.target, "frames": len(frames), "labelled": count,
            "strata": len(sizes), **told, "expected_change": expected_half_width(sizes, drawn, spread),
        }  # fmt: skip


def _many(frames: pd.DataFrame, codes: NDArray[np.int64], drawn: NDArray[np.int64]) -> dict[str, float]:
    """Truth, mean of the estimates, coverage and half width over many drawings."""
    polyp = frames["polyp"].to_numpy()
    quantities = {"change": (frames["after"] - frames["before"]).to_numpy(), "dice": frames["after"].to_numpy()}
    found: dict[str, list[float]] = {f"{name}_{what}": [] for name in quantities for what in ("mean", "held", "half")}
    for seed in range(DRAWINGS):
        indices = draw(codes, drawn, seed)
        own, held = merged(codes[indices], np.bincount(codes))
        for name, values in quantities.items():
            one = stratified_mean(values[indices], own, held, counted=polyp[indices])
            found[f"{name}_mean"].append(one.value)
            found[f"{name}_held"].append(float(one.low <= values[polyp].mean() <= one.high))
            found[f"{name}_half"].append(one.half_width)
    truth = {f"{name}_truth": float(values[polyp].mean()) for name, values in quantities.items()}
    return truth | {name: float(np.nanmean(values)) for name, values in found.items()}


def document(table: pd.DataFrame) -> str:
    """The report's Markdown."""
    shown = {
        "target": "target", "frames": "frames", "labelled": "labelled", "strata": "strata",
        "change_truth": "change, all frames", "change_mean": "mean of audits", "change_half": "±",
        "change_held": "held", "dice_truth": "Dice, all frames", "dice_mean": "mean of audits ", "dice_half": "± ",
        "dice_held": "held ", "expected_change": "± of the change, expected",
    }  # fmt: skip
    grid = [list(shown.values())]
    for row in table[list(shown)].to_dict("records"):
        share = {name for name in row if str(name).endswith("held")}
        grid.append([f"{v:.1%}" if n in share else f"{v:.3f}" if isinstance(v, float) else str(v)
                     for n, v in row.items()])  # fmt: skip
    return "\n".join(
        [
            "# What a few labelled frames tell of all",
            "",
            f"{DRAWINGS} audits each, with the strata of `polypda audit` (more than one) and without; held: 95 % "
            "intervals that hold the mean over all frames with a polyp.",
            "",
            padded_markdown(grid, [index > 0 for index in range(len(shown))]),
        ]
    )


if __name__ == "__main__":
    main()
