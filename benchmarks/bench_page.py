"""One table per source → target of the bench: what a method changed, what it cost, what its checkpoint rule missed."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from polypda.errors import PolypdaError
from polypda.evaluation.cases.evaluation_file import regret_by_rule
from polypda.reporting.wording import plain, signed
from polypda.training.curves import read_curves
from polypda.training.run_folder import RunFolder

INDEPENDENT = "frames treated as independent: likely too narrow"
COLUMNS = (
    *("model", "seeds", "Dice", "Δ Dice", "gap closed", "better / worse", "left clean, Δ", "back home, Δ"),
    *("regret of `last`", "CPU s per step"),
)
EXPLAINED = (
    "Dice: mean over frames with a polyp, native resolution. Δ: against source-only of the same seed and budget, 95 % "
    f"interval; * {INDEPENDENT}. Gap closed: Δ / (oracle − source-only), – where it cannot be estimated. Left clean: "
    "frames without a polyp on which nothing is marked. Back home: Δ Dice on the source's held-out frames. Regret: the "
    "best snapshot's test Dice minus the last one's. CPU seconds: median over the steps of all runs of the method, one "
    "thread, other work beside it."
)


def write_bench_page(report: Path, runs: Sequence[Path], command: str) -> Path:
    """Write bench.md into a report folder. Args: runs: the run folders that the report was made of."""
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    costs, selectors = step_costs(runs), pd.DataFrame(summary.get("selectors", []))
    parts = [
        "# Bench on real frames",
        f"```sh\n{command}\n```",
        *(section for group in summary["headline"] for section in pair_section(group, summary, selectors, costs)),
        *rules_section(selectors),
        "## Read with the numbers",
        "\n".join(f"- {note}" for note in summary["notes"]),
        EXPLAINED,
    ]
    path = report / "bench.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def step_costs(runs: Sequence[Path]) -> dict[str, float]:
    """Method → median CPU seconds per step over all its runs."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for folder in runs:
        run = RunFolder.open(folder)
        for stage in {run.config().method, "source-only"}:
            try:
                seconds[stage] += read_curves(run, stage).cpu_s.tolist()
            except PolypdaError:
                continue  # a stage that makes no step, or that another run made
    return {method: statistics.median(values) for method, values in seconds.items() if values}


def pair_section(
    group: dict[str, Any], summary: dict[str, Any], selectors: pd.DataFrame, costs: dict[str, float]
) -> Iterator[str]:
    """The table of one source → target."""
    source, target = group["source"], group["target"]
    n, negatives = group["source_only"]["n_dice"], group["source_only"]["n_negative"]
    clusters = group["source_only"]["clusters"]
    unit = f"{clusters} {group['source_only']['cluster_unit']}s" if clusters else "patients and sequences unknown"
    yield f"## `{source}` → `{target}`"
    yield f"n = {n} held-out frames with a polyp ({unit}), {negatives} without."
    here = [row for row in summary["comparisons"] if row["source"] == source and row["target"] == target]
    home = {row["model"]: row for row in here if row["cohort"] == source}
    rows = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for model in [group["source_only"], *group["models"]]:
        rows.append(
            model_row(model, home.get(model["model"]), _regret(selectors, source, target, model["model"]), costs)
        )
    yield "\n".join(rows)


def model_row(model: dict[str, Any], home: dict[str, Any] | None, regret: float | None, costs: dict[str, float]) -> str:
    name = model["model"]
    cells = [
        f"`{name}`",
        str(model["n_seeds"]),
        _number(model["dice_frame"]),
        _interval(model, "delta_dice_frame", "delta_low", "delta_high", "delta_interval"),
        f"{plain(100 * model['gap_closed'], 0)} %"
        if model["gap_estimable"] and model["gap_closed"] is not None
        else "–",
        "–" if model["share_better"] is None else f"{model['share_better']:.0%} / {model['share_worse']:.0%}",
        _clean(model),
        _interval(home, "delta", "low", "high", "interval") if home else "–",
        "–" if regret is None else f"{regret:.3f}",
        f"{costs[name]:.2f}" if name in costs else "–",
    ]
    return "| " + " | ".join(cells) + " |"


def rules_section(selectors: pd.DataFrame) -> Iterator[str]:
    """What each label-free checkpoint rule cost, per source → target."""
    if selectors.empty:
        return
    yield "## Checkpoint rules"
    rows = ["| adaptation | rule | runs | mean regret | worst |", "|---|---|---|---|---|"]
    for source, target, rule, runs, _, regret, worst in regret_by_rule(selectors).itertuples(index=False):
        rows.append(f"| `{source}` → `{target}` | {rule} | {runs} | {regret:.3f} | {worst:.3f} |")
    yield "\n".join(rows)


def _regret(selectors: pd.DataFrame, source: str, target: str, model: str) -> float | None:
    if selectors.empty:
        return None
    own = selectors[(selectors["source"] == source) & (selectors["target"] == target) & (selectors["model"] == model)]
    last = own[own["selector"] == "last"]["regret"]
    return float(last.mean()) if len(last) else None


def _clean(model: dict[str, Any]) -> str:
    if model["frame_specificity"] is None:
        return "–"
    change = model["delta_frame_specificity"]
    return f"{model['frame_specificity']:.0%}" + ("" if change is None else f", {change * 100:+.0f} pp")


def _interval(row: dict[str, Any], value: str, low: str, high: str, kind: str) -> str:
    if row.get(value) is None:
        return "–"
    star = "*" if "frame" in str(row[kind]) or "independent" in str(row[kind]) else ""
    span = "" if row[low] is None or math.isnan(row[low]) else f" [{signed(row[low], 3)}, {signed(row[high], 3)}]{star}"
    return f"{signed(row[value], 3)}{span}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
