"""Which source-only training an adapted one is compared with: that of its own run and seed, never just any."""

from __future__ import annotations

import pandas as pd

from polypda.evaluation.aggregation.panels import CONTROL
from polypda.evaluation.cases.statement import SOURCE_ONLY


def with_controls(cases: pd.DataFrame, source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """The cases with a column "control": the training of the row's control, "" where there is none.

    The control of a row is the source-only training of its run and seed. A run without one (its control was counted
    under another run that shares it) takes the source-only training of the same source, target and seed, if there is
    exactly one. Control rows themselves have none. An existing column is kept.
    """
    if CONTROL in cases.columns:
        return cases
    own = cases.loc[cases["model"] == source_only]
    keys = cases[["run", "seed", "source", "target"]].copy()
    by_run = own.drop_duplicates(["run", "seed", "source", "target"])[["run", "seed", "source", "target", "training"]]
    shared = own.drop_duplicates(["seed", "source", "target", "training"])
    shared = shared.drop_duplicates(["seed", "source", "target"], keep=False)[["seed", "source", "target", "training"]]
    found = keys.merge(by_run, how="left", on=["run", "seed", "source", "target"])["training"]
    other = keys.merge(shared, how="left", on=["seed", "source", "target"])["training"]
    control = found.fillna(other).fillna("").to_numpy(dtype=object, copy=True)
    control[(cases["model"] == source_only).to_numpy()] = ""
    return cases.assign(**{CONTROL: control})
