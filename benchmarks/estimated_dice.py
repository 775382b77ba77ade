"""How far is Dice that is estimated without labels off the truth? Measured on finished runs whose targets have labels.

    python benchmarks/estimated_dice.py --data-root DATA --runs runs/bench --out reports/estimated-dice

For every complete run the Dice of its source-only and its adapted model on the target's held-out part is estimated as
`polypda adapt` does for a target without labels, and compared with the truth. What the package knows of other pairs
is here made of other pairs alone: no truth of a pair decides its own interval. Measured beside the default: intervals
without other cohorts, each other cohort as a target that is estimated by the rest, the adapted model's own calibrator,
and a target whose frames without a polyp are known. Goes on where it stopped. With --packaged, what the package says
beside its estimates is made from it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from polypda.cohorts.frames import LabelState, Split
from polypda.cohorts.opening import open_cohort
from polypda.evaluation.estimation.confidence import CALIBRATORS, ConfidenceCounts
from polypda.evaluation.estimation.estimated_dice import (
    AFTER,
    DiceEstimate,
    PairCounts,
    PseudoTarget,
    Spread,
    estimate_dice,
    mean_estimates,
    true_means,
)
from polypda.evaluation.estimation.known_errors import KNOWN_ERRORS, LEFT_OUT, SOURCE, summary_table
from polypda.files import whole_file
from polypda.networks.registry import load_segmenter
from polypda.reporting.tables.text_table import padded_markdown
from polypda.training.progress import Silent
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.stages import SOURCE_ONLY, adapts
from polypda.workflows.runs.trained_models import RunModels
from polypda.workflows.scoring.label_free import (
    OTHER_COHORT,
    LabelledEvidence,
    ModelPair,
    joined_pair,
    labelled_counts,
    labelled_evidence,
    other_cohorts,
)

TABLE = "estimates.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run folders, or folders of runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument(
        "--remember", type=Path, default=Path("runs/estimated-dice"), help="folder of what was predicted"
    )
    parser.add_argument("--packaged", action="store_true", help="also write what the package says beside its estimates")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    every = {}
    for folder in run_folders(arguments.runs):
        every[folder] = seen(folder, arguments.data_root, arguments.remember)
        print(folder.name, flush=True)
    spreads = spreads_of(every)
    rows: list[dict[str, object]] = []
    for folder, one in every.items():
        rows += estimated(folder, one, partial(other_pairs, spreads, pair_of(folder)))
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out / TABLE, index=False, float_format="%.4f")
    text = document(table)
    (arguments.out / "estimates.md").write_text(text + "\n", encoding="utf-8")
    if arguments.packaged:
        summary_table(table).to_csv(KNOWN_ERRORS, index=False, float_format="%.6f")
    print(text)


def run_folders(indices: list[Path]) -> Iterator[Path]:
    """Complete runs that adapted."""
    for index in indices:
        for folder in [index] if (index / "config.json").is_file() else sorted(index.iterdir()):
            if (folder / "report" / "cases.csv").is_file():
                config = RunFolder.open(folder).config()
                if adapts(config.method) and not config.phantom:
                    yield folder


@dataclass(frozen=True, eq=False)
class Seen:
    """What a run's two models say of its target's held-out frames and of labelled stand-ins."""

    target: PairCounts
    evidence: LabelledEvidence


def seen(folder: Path, data_root: Path, remembered: Path) -> Seen:
    """Predict, or read what was predicted before."""
    path = remembered / f"{folder.name}.npz"
    if not path.is_file():
        _keep(path, _predicted(folder, data_root))
    with np.load(path, allow_pickle=False) as arrays:
        listed = json.loads(str(arrays["names"]))

        def counts(name: str) -> ConfidenceCounts:
            return ConfidenceCounts(arrays[f"{name}-pixels"].astype(float), arrays[f"{name}-polyp"].astype(float))

        def pair(name: str) -> PairCounts:
            return PairCounts(counts(f"{name}-before"), counts(f"{name}-after"))

        pseudo = [
            PseudoTarget(n, k, pair(f"p{i}"), counts(f"f{i}"), "" if k == OTHER_COHORT else n.rpartition(", ")[0])
            for i, (n, k) in enumerate(listed)
        ]
        return Seen(pair("target"), LabelledEvidence(pair("source"), tuple(pseudo)))


def _keep(path: Path, one: Seen) -> None:
    parts: dict[str, ConfidenceCounts] = {}
    assert one.evidence.held_out is not None
    pairs = {"target": one.target, "source": one.evidence.held_out}
    pairs |= {f"p{index}": pseudo.counts for index, pseudo in enumerate(one.evidence.pseudo_targets)}
    for name, pair in pairs.items():
        parts |= {f"{name}-before": pair.before, f"{name}-after": pair.after}
    parts |= {f"f{index}": pseudo.fitted_on for index, pseudo in enumerate(one.evidence.pseudo_targets)}
    arrays = {f"{name}-pixels": counts.pixels.astype(np.uint32) for name, counts in parts.items()}
    arrays |= {f"{name}-polyp": counts.labels.astype(np.uint32) for name, counts in parts.items()}
    names = json.dumps([[pseudo.name, pseudo.kind] for pseudo in one.evidence.pseudo_targets])
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, names=np.array(names), **arrays)


def _predicted(folder: Path, data_root: Path) -> Seen:
    run = RunFolder.open(folder)
    config = run.config()
    weights = RunModels(run, config).by_name()
    before, after = (load_segmenter(config.network, weights[name]) for name in (SOURCE_ONLY, config.method))
    models = ModelPair(before, after, config.asked(torch.device("cpu")))
    source, target = (open_cohort(name, data_root, labels=True) for name in (config.source, config.target))
    frames = [f for f in target.labelled(Split.TEST) if f.label_state is not LabelState.BOX]
    others = list(other_cohorts([config.source, config.target], data_root))
    evidence = labelled_evidence(models, source, target.frames, others, Silent())
    return Seen(joined_pair(list(labelled_counts(models, frames, Silent(), "target"))), evidence)


def pair_of(folder: Path) -> tuple[str, str]:
    """Source and target of a run."""
    config = RunFolder.open(folder).config()
    return config.source, config.target


Spreads = dict[tuple[str, str], dict[tuple[str, str], list[float]]]


def spreads_of(every: dict[Path, Seen]) -> Spreads:
    """(rule, quantity) → pair → of each of its runs, how far errors of the sets lie apart: their variance."""
    found: Spreads = {}
    for folder, one in every.items():
        assert one.evidence.held_out is not None
        for told in estimate_dice(one.target, one.evidence.held_out.before, one.evidence.pseudo_targets):
            of_pairs = found.setdefault((told.rule, told.quantity), {})
            of_pairs.setdefault(pair_of(folder), []).append(told.variance)
    return found


def other_pairs(spreads: Spreads, own: tuple[str, str], rule: str, quantity: str) -> Spread:
    """What is known of all pairs but one."""
    others = [float(np.mean(values)) for pair, values in spreads[rule, quantity].items() if pair != own]
    return Spread(float(np.mean(others)), len(others) - 1) if others else Spread()


def estimated(folder: Path, one: Seen, known: Callable[[str, str], Spread]) -> Iterator[dict[str, object]]:
    """One row per rule, calibrator and quantity; of cohorts that are left out, one each."""
    config, counts, evidence = RunFolder.open(folder).config(), one.target, one.evidence
    truth = true_means(counts)
    assert evidence.held_out is not None
    positive = counts.before.positive
    only = PairCounts(counts.before.subset(positive), counts.after.subset(positive))
    facts = {
        "run": folder.name, "source": config.source, "target": config.target, "method": config.method,
        "seed": config.seed, "frames": len(positive), "positive": int(positive.sum()),
    }  # fmt: skip
    for kept in ((), (OTHER_COHORT,)):
        pseudo = [known for known in evidence.pseudo_targets if known.kind not in kept]
        calibrator = "source, restyled frames alone" if kept else SOURCE
        for told in estimate_dice(counts, evidence.held_out.before, pseudo, known):
            yield facts | _with_interval(told, calibrator, truth)
    for left in evidence.pseudo_targets:
        if left.kind == OTHER_COHORT:
            rest = [known_set for known_set in evidence.pseudo_targets if known_set is not left]
            here = {"target": left.name, "frames": len(left.counts.before)}
            for told in estimate_dice(left.counts, evidence.held_out.before, rest, known):
                yield facts | here | _with_interval(told, LEFT_OUT, true_means(left.counts))
    for fit in CALIBRATORS:
        own = fit(evidence.held_out.after)
        value = mean_estimates(counts, own)[AFTER]
        yield facts | _row(own.name, "adapted model's own, uncorrected", AFTER, truth[AFTER], value)
        calibrator = fit(evidence.held_out.before)
        for name, seen_by in (("source, uncorrected", counts), ("source, uncorrected, polyp frames known", only)):
            for quantity, value in mean_estimates(seen_by, calibrator).items():
                yield facts | _row(own.name, name, quantity, truth[quantity], value)


def _with_interval(told: DiceEstimate, calibrator: str, truth: dict[str, float]) -> dict[str, object]:
    return _row(told.rule, calibrator, told.quantity, truth[told.quantity], told.value) | {
        "uncorrected": told.uncorrected, "low": told.low, "high": told.high, "sets": told.sets,
        "variance": told.variance,
    }  # fmt: skip


def _row(rule: str, calibrator: str, quantity: str, truth: float, estimate: float) -> dict[str, object]:
    return {"rule": rule, "calibrator": calibrator, "quantity": quantity, "truth": truth, "estimate": estimate}


def document(table: pd.DataFrame) -> str:
    """The report's Markdown."""
    short = summary_table(table)
    grid = [[str(name) for name in short.columns]]
    grid += [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in row] for row in short.to_numpy().tolist()]
    lines = [
        "# Dice estimated without labels, and how far it was off",
        "",
        "Intervals are made to hold the truth in 90 % of cases; no truth of a pair decides its own. variance: of the "
        "mean errors of the sets of stand-ins.",
        "",
        padded_markdown(grid, [False] * 3 + [True] * (len(grid[0]) - 3)),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
