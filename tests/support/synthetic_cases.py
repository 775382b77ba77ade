"""Cases of runs that never took place: checked tables of many centres, methods, seeds and patients, in milliseconds.

Frames, patients and reference areas depend on the cohort alone, predictions on training × cohort × frame, so that two
runs that share a training share its predictions, as real runs do.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from polypda.evaluation.aggregation.centres import centre_table
from polypda.evaluation.aggregation.comparisons import comparison_table
from polypda.evaluation.aggregation.panels import panels
from polypda.evaluation.cases.case_table import SCHEMA_VERSION, checked_cases
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.joined_cases import check_comparable, with_controls
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.scoring.metrics import PROTOCOL

WIDTH_PX, HEIGHT_PX, VALID_PX = 320, 256, 60_000
SKILL: Mapping[str, float] = {"source-only": 0.45, "adabn": 0.55, "adaptsegnet": 0.65, "oracle": 0.85}
"""Share of a polyp that a model finds on average in a foreign centre; other names lie between 0.4 and 0.7."""
OWN_CENTRE_SKILL = 0.8


@dataclass(frozen=True)
class SyntheticCohort:
    """One centre's held-out frames. clusters: "patient", "sequence" or "unknown"; negatives: share without a polyp."""

    id: str
    patients: int = 12
    frames_per_patient: int = 8
    negatives: float = 0.2
    clusters: str = "patient"
    annotation: str = "mask"
    phantom: bool = False
    split: str = "test"


@dataclass(frozen=True)
class SyntheticStudy:
    """Every ordered pair of the cohorts, every method and seed: one run each, with source-only and (perhaps) oracle.

    The source-only training of a source and seed is shared by its runs; the oracle of a target is a training of its own
    shared by the runs that adapt to it.
    """

    cohorts: Sequence[SyntheticCohort] = field(
        default_factory=lambda: [SyntheticCohort(name) for name in ("ada", "bea", "cid")]
    )
    methods: Sequence[str] = ("adabn", "adaptsegnet")
    seeds: Sequence[int] = (0, 1)
    oracle: bool = True
    pairs: Sequence[tuple[str, str]] | None = None
    """(source, target) to run; None: all ordered pairs."""

    def evaluations(self) -> list[Evaluation]:
        """One evaluation per pair and seed, each of source-only, all methods and the oracle on both cohorts."""
        known = {cohort.id: cohort for cohort in self.cohorts}
        pairs = self.pairs or [(one, other) for one in known for other in known if one != other]
        return [
            synthetic_run(known[source], known[target], self.methods, seed, oracle=self.oracle)
            for source, target in pairs
            for seed in self.seeds
        ]


def synthetic_run(
    source: SyntheticCohort,
    target: SyntheticCohort,
    methods: Sequence[str] = ("adaptsegnet",),
    seed: int = 0,
    *,
    run: str = "",
    oracle: bool = False,
    on: Sequence[tuple[str, SyntheticCohort]] = (),
) -> Evaluation:
    """One run's evaluation: all models on source and target, or on the (role, cohort) pairs of ``on``."""
    models = ["source-only", *methods, *(["oracle"] if oracle else [])]
    run = run or f"{source.id}-{target.id}-{seed}"
    parts = []
    for role, cohort in on or (("source", source), ("target", target)):
        for model in models:
            training = training_of(model, source.id, target.id, seed)
            # An adapted model meets the centre it was adapted to; the source-only one knows its own centre best
            own = cohort.id == (target.id if model == "oracle" else source.id)
            table = synthetic_cases(cohort, model, training, own_centre=own)
            parts.append(table.assign(run=run, source=source.id, target=target.id, model=model, seed=seed, role=role))
    cases = checked_cases(pd.concat(parts, ignore_index=True))
    return Evaluation(cases, synthetic_run_metadata(source, target, methods[-1], seed, run, oracle=oracle), Path(run))


def training_of(model: str, source: str, target: str, seed: int) -> str:
    """Identity of the weights: source-only belongs to the source, oracle to the target, all others to the pair."""
    index = {"source-only": source, "oracle": target}.get(model, f"{source}>{target}")
    return f"{_number(f'{model} {index} {seed}'):08x}{seed:04x}"


def synthetic_run_metadata(
    source: SyntheticCohort, target: SyntheticCohort, method: str, seed: int, run: str, *, oracle: bool = False
) -> RunMetadata:
    """What a run says of itself."""
    return RunMetadata(
        run=run,
        source=source.id,
        target=target.id,
        method=method,
        selector="last",
        selected_step=40,
        seeds=(seed,),
        input_size=(128, 128),
        split=target.split,
        phantom=source.phantom or target.phantom,
        target_labels_used=oracle,
        settings={"data": {"size": 128}, "encoder": "mobilenet_v2"},
        versions={"polypda": "0.1.0"},
    )


@lru_cache(maxsize=256)
def synthetic_cases(cohort: SyntheticCohort, model: str, training: str, *, own_centre: bool = False) -> pd.DataFrame:
    """The frames of a cohort as one training sees them; columns of the cases table but for those that name the run.

    Shared between calls, as a training is between runs: take a copy before changing it.
    """
    frames = _frames(cohort)
    rng = np.random.default_rng(_number(f"{training} {cohort.id}"))
    skill = SKILL.get(model, 0.4 + 0.3 * (_number(model) % 100) / 100)
    skill = OWN_CENTRE_SKILL if own_centre and model != "oracle" else skill
    difficulty = np.random.default_rng(_number(cohort.id)).normal(0, 0.12, cohort.patients)[frames["index"]]
    found = np.clip(skill + difficulty + rng.normal(0, 0.1, len(frames)) + rng.normal(0, 0.02), 0, 0.98)
    found[found < 0.15] = 0.0
    positive = frames["positive"].to_numpy()
    tp = np.where(positive, np.round(found * frames["reference_px"]), 0).astype(int)
    alarms = np.where(positive, 0, rng.random(len(frames)) < 0.5 - 0.3 * skill)
    fp = np.where(positive, np.where(tp > 0, 0.15 * frames["reference_px"], 0), alarms * 700).astype(int)
    table = frames.drop(columns="index").assign(tp_px=tp, fp_px=fp, fp_components=np.where(positive, np.nan, alarms))
    table = _with_ratios(_with_lesions(table, rng), cohort)
    return table.assign(training=training, threshold=0.5, protocol=PROTOCOL, schema_version=SCHEMA_VERSION)


@lru_cache(maxsize=64)
def _frames(cohort: SyntheticCohort) -> pd.DataFrame:
    rng = np.random.default_rng(_number(f"frames of {cohort.id}"))
    count = cohort.patients * cohort.frames_per_patient
    index = np.repeat(np.arange(cohort.patients), cohort.frames_per_patient)
    positive = np.arange(count) % 10 >= round(10 * cohort.negatives)
    area = np.where(positive, np.exp(rng.uniform(np.log(0.004), np.log(0.3), count)), 0.0)
    names = np.array([f"{cohort.id}-p{number:03d}" for number in index], dtype=object)
    patient = names if cohort.clusters == "patient" else np.full(count, "", dtype=object)
    sequence = names + "-v1" if cohort.clusters != "unknown" else np.full(count, "", dtype=object)
    return pd.DataFrame(
        {
            "cohort": cohort.id,
            "split": cohort.split,
            "frame": [f"{number:05d}" for number in range(count)],
            "patient": patient,
            "sequence": sequence,
            "cluster": np.where(patient == "", sequence, patient),
            "phantom": cohort.phantom,
            "annotation": cohort.annotation,
            "prediction_missing": False,
            "width_px": WIDTH_PX,
            "height_px": HEIGHT_PX,
            "valid_px": VALID_PX,
            "positive": positive,
            "negative": ~positive,
            "reference_px": np.round(area * VALID_PX).astype(int),
            "reference_outside_share": 0.0,
            "index": index,
        }
    )


def _with_lesions(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    positive = table["positive"].to_numpy()
    overlap = table["tp_px"] / np.maximum(table["reference_px"] + table["fp_px"], 1)
    predicted = np.where(positive, (table["tp_px"] > 0) + (rng.random(len(table)) < 0.1), table["fp_components"])
    predicted = predicted.astype(int)
    return table.assign(
        lesions_reference=positive.astype(int),
        lesions_predicted=predicted,
        lesions_hit_10=np.minimum(positive & (overlap >= 0.1), predicted).astype(int),
        lesions_hit_50=np.minimum(positive & (overlap >= 0.5), predicted).astype(int),
        lesion_specks_reference=0,
        lesion_specks_predicted=0,
        specks=np.where(positive, np.nan, 0),
    )


def _with_ratios(table: pd.DataFrame, cohort: SyntheticCohort) -> pd.DataFrame:
    tp, fp = table["tp_px"], table["fp_px"]
    fn = table["reference_px"] - tp
    tn = table["valid_px"] - tp - fp - fn
    positive, predicted = table["positive"], tp + fp
    dice = (2 * tp / (2 * tp + fp + fn)).where(positive)
    missed = positive & (predicted == 0)
    ratios = {
        "dice": dice,
        "iou": dice / (2 - dice),
        "sensitivity": (tp / table["reference_px"].where(positive)),
        "ppv": (tp / predicted.where(predicted > 0)),
        "specificity": tn / (tn + fp),
        "f2": (5 * tp / (5 * tp + 4 * fn + fp)).where(positive),
        "mae": (fp + fn) / table["valid_px"],
        "hd95_px": np.where(missed, 400.0, 10 + 100 * (1 - dice)),
        "nsd": (0.9 * dice),
        "nsd_tolerance_px": 3.0,
        "relative_polyp_area": table["reference_px"] / table["valid_px"],
        "fp_area_fraction": fp / table["valid_px"],
    }
    if cohort.annotation == "box":  # boxes allow no pixel figure
        ratios = dict.fromkeys(ratios, np.nan)
        ratios["fp_area_fraction"] = np.where(positive, np.nan, fp / table["valid_px"])
    flags = {
        "missed": missed,
        "false_positive_frame": ~positive & (fp > 0.01 * table["valid_px"]),
        "hd95_penalised": missed & (cohort.annotation == "mask"),
    }
    counts = {"tp_px": tp, "fp_px": fp, "fn_px": fn, "tn_px": tn, "reference_px": table["reference_px"]}
    tenths = _reliability(tp, fp, fn, tn)
    if cohort.annotation == "box":
        counts, tenths = dict.fromkeys(counts, np.nan), dict.fromkeys(tenths, 0)
    return table.assign(**ratios, **flags, **tenths, **counts, predicted_px=predicted)


def _reliability(tp: pd.Series, fp: pd.Series, fn: pd.Series, tn: pd.Series) -> dict[str, pd.Series]:
    """Everything marked at probability 0.9, everything else at 0.1."""
    zero = tp * 0
    columns = {f"reliability_{kind}_{tenth}": zero for kind in "npg" for tenth in range(10)}
    marked, rest = tp + fp, fn + tn
    columns |= {"reliability_n_9": marked, "reliability_p_9": 0.9 * marked, "reliability_g_9": tp}
    return columns | {"reliability_n_1": rest, "reliability_p_1": 0.1 * rest, "reliability_g_1": fn}


def _number(text: str) -> int:
    """The same number for the same text in every process."""
    return zlib.crc32(text.encode())


def centres_of(cases: pd.DataFrame) -> pd.DataFrame:
    """The per-centre table of cases that no evaluation holds."""
    cases = with_controls(checked_cases(cases))
    check_comparable(cases)
    groups = panels(cases)
    return centre_table(groups, comparison_table(groups))
