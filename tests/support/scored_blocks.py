"""Painted scenes whose Dice is known by counting columns: masks of ten rows, and the cases that score them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from polypda.evaluation.cases.case_table import CaseKey, case_row, cases_table
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.scoring.metrics import frame_metrics

SIZE = (36, 48)
VALID = np.ones(SIZE, bool)


def block(width: int, left: int = 0) -> np.ndarray:
    """A mask of ten rows, ``width`` columns wide."""
    mask = np.zeros(SIZE, np.uint8)
    mask[10:20, left : left + width] = 1
    return mask


def scored(model: str, frame: str, marked: int, *, polyp: int = 20, role: str = "target", seed: int = 0, **key) -> dict:
    """A case whose reference is ``polyp`` columns wide (0: no polyp) and whose prediction is ``marked`` columns."""
    cohort = "haining" if role == "target" else "zju2"
    metrics = frame_metrics(block(marked).astype(float), block(polyp), VALID)
    key = {"phantom": True, "training": f"{model} {seed}"} | key
    return case_row(CaseKey("run", "zju2", "haining", model, seed, role, cohort, "test", frame, **key), metrics)


def block_study() -> pd.DataFrame:
    """Target: a and d improve, b is harmed, c stays; n1 and n2 are negatives. Source: one frame. Sequences known."""
    columns = {"a": (0, 10), "b": (20, 16), "c": (12, 12), "d": (10, 20)}
    rows = []
    for index, (frame, (before, after)) in enumerate(columns.items()):
        for model, marked in (("source-only", before), ("adaptsegnet", after), ("oracle", 20)):
            rows.append(scored(model, frame, marked, sequence=f"s{index // 2}"))
    for frame, after in (("n1", 4), ("n2", 9), ("n3", 0)):
        for model, marked in (("source-only", 2), ("adaptsegnet", after), ("oracle", 0)):
            rows.append(scored(model, frame, marked, polyp=0, sequence="s9"))
    rows += [scored(model, "z", 18, role="source", sequence="z1") for model in ("source-only", "adaptsegnet", "oracle")]
    return cases_table(rows)


def block_run() -> RunMetadata:
    """What the run of :func:`block_study` says of itself."""
    return RunMetadata(
        run="run",
        source="zju2",
        target="haining",
        method="adaptsegnet",
        selector="lowest target entropy",
        selected_step=60,
        seeds=(0,),
        input_size=(96, 128),
        phantom=True,
        target_labels_used=True,
        settings={"optimiser": {"lr": 0.00025}, "levels": ["main", "aux"], "name": "<b>&"},
        duration_s=125.2,
        versions={"polypda": "0.1.0"},
    )
