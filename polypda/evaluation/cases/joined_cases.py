"""Cases of several evaluations as one table, after checking that their numbers can stand side by side.

Nothing is dropped to make them fit: what differs is an error that names it. An adapted training is compared with the
source-only training of its own run and seed, never just any.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from polypda.errors import DataError, UsageError
from polypda.evaluation.aggregation.panels import CONTROL, GROUP, frames_differ
from polypda.evaluation.cases.case_table import COLUMNS, SCHEMA_VERSION, checked_cases
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.run_metadata import SOURCE_ONLY

SCORING = ["run", "source", "target", "model", "seed", "cohort"]
"""Columns that name one model's pass over one cohort in one run."""
REFERENCE = [
    *("annotation", "width_px", "height_px", "valid_px", "reference_px", "positive", "negative", "lesions_reference"),
    *("patient", "sequence", "cluster"),
]
"""What belongs to a frame whoever predicted it."""
SAME_PREDICTION_DICE = 0.01
"""Two scorings of one training may differ by this much (another device rounds otherwise), not by more."""


def joined_cases(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """The cases of all evaluations, every prediction once, with the column "control" (:func:`with_controls`).

    A run given twice, or a control that runs share, does not count twice.

    Raises: UsageError E_REPORT_EMPTY; DataError E_CASES_CONFLICT, and those of :func:`check_comparable` and
    :func:`.case_table.checked_cases`.
    """
    if not evaluations:
        raise UsageError("E_REPORT_EMPTY", "no evaluation was given.", fix="name one run folder or more.")
    cases = pd.concat([_of_this_version(evaluation) for evaluation in evaluations], ignore_index=True)
    check_trainings(
        cases, {(e.run_metadata.run, e.run_metadata.method) for e in evaluations if not e.run_metadata.external}
    )
    check_comparable(cases)
    cases = with_controls(cases)
    again = cases.duplicated([*GROUP, "training", "frame"])
    return cases[~again].reset_index(drop=True) if again.any() else cases  # a million rows are not copied for nothing


def _of_this_version(evaluation: Evaluation) -> pd.DataFrame:
    """The evaluation's cases, checked unless they were when they were read or made."""
    cases = evaluation.cases
    known = set(COLUMNS) <= set(cases.columns) and cases["schema_version"].eq(SCHEMA_VERSION).all() and len(cases)
    return cases if known else checked_cases(cases, str(evaluation.folder))


def check_comparable(cases: pd.DataFrame) -> None:
    """Check that all models were scored on the same frames, part, reference and threshold of each cohort.

    Raises: DataError E_MIXED_SPLITS, E_MIXED_PROTOCOL, E_MIXED_PHANTOM, E_REFERENCE_DIFFERS, E_CASES_FRAMES_DIFFER.
    """
    _check_one_value(cases, "split", "E_MIXED_SPLITS", "score every run on the same part of a cohort.")
    _check_one_value(
        cases, "phantom", "E_MIXED_PHANTOM", "give the rendered cohort an id of its own; it is not the real one."
    )
    _check_protocol(cases)
    _check_reference(cases)
    _check_same_frames(cases)


def check_trainings(cases: pd.DataFrame, mains: set[tuple[str, str]]) -> None:
    """Check that a name stands for one training, and a training for one prediction per frame.

    mains: (run, model) of the model that each run is about. Raises: DataError E_CASES_CONFLICT.
    """
    named = ["run", "source", "target", "model", "seed", "training"]
    heads = cases[named].drop_duplicates()
    _check_one_training(heads, ["run", "source", "target", "model", "seed"])
    # Controls may be trained anew for each run; the model that a run is about may not be two things under one name.
    main = pd.Series(list(zip(heads["run"], heads["model"], strict=True)), index=heads.index).isin(list(mains))
    _check_one_training(heads[main], ["source", "target", "model", "seed"])
    _check_one_prediction(cases)


def _check_one_training(heads: pd.DataFrame, name: list[str]) -> None:
    heads = heads.drop_duplicates([*name, "training"])
    several = heads[heads.duplicated(name, keep=False)]
    if several.empty:
        return
    first = several.iloc[0]
    same = several[(several[name] == first[name]).all(axis=1)]
    runs = ", ".join(dict.fromkeys(same["run"]))
    raise DataError(
        "E_CASES_CONFLICT",
        f"{first['model']} of {first['source']} → {first['target']} with seed {first['seed']} stands for "
        f"{len(same)} different trainings (run {runs}); their mean would pass settings off as seeds.",
        where="cases",
        fix="report runs of different settings apart, or score a run that was trained anew again.",
    )


def _check_one_prediction(cases: pd.DataFrame) -> None:
    key = ["training", "cohort", "split", "frame"]
    repeated = cases.loc[cases.duplicated(key, keep=False), [*key, "run", "dice", "fp_components"]]
    if repeated.empty:
        return
    values = repeated[["dice", "fp_components"]].astype("float64").fillna(-1.0)
    spread = values.assign(code=repeated.groupby(key, sort=False).ngroup()).groupby("code").agg(["min", "max"])
    dice_moves = spread[("dice", "max")] - spread[("dice", "min")] > SAME_PREDICTION_DICE
    codes = spread.index[dice_moves]
    if codes.empty:
        return
    first = repeated[repeated.groupby(key, sort=False).ngroup() == codes[0]]
    raise DataError(
        "E_CASES_CONFLICT",
        f"training {first['training'].iloc[0]} has different scores on {len(codes)} frames of "
        f"{first['cohort'].iloc[0]}, such as {first['frame'].iloc[0]} (Dice "
        f"{', '.join(f'{dice:.3f}' for dice in first['dice'])} in run {', '.join(dict.fromkeys(first['run']))}).",
        where="cases",
        fix="score these runs again with the same settings and version.",
    )


def _check_one_value(cases: pd.DataFrame, column: str, code: str, fix: str) -> None:
    values = cases.drop_duplicates(["cohort", column])
    mixed = values[values.duplicated("cohort", keep=False)]
    if mixed.empty:
        return
    cohort = mixed["cohort"].iloc[0]
    of_cohort = mixed[mixed["cohort"] == cohort]
    words = {True: "rendered frames", False: "real frames"} if column == "phantom" else {}
    rows = zip(of_cohort[column], of_cohort["run"], strict=True)
    said = "; ".join(f"{words.get(value, value)} in run {run}" for value, run in rows)
    raise DataError(code, f"cohort {cohort} was scored on {said}.", where="cases", fix=fix)


def _check_protocol(cases: pd.DataFrame) -> None:
    for column in ("protocol", "threshold"):
        values = cases.drop_duplicates(column)
        if len(values) > 1:
            said = "; ".join(f"{value} in run {run}" for value, run in zip(values[column], values["run"], strict=True))
            raise DataError(
                "E_MIXED_PROTOCOL",
                f"the runs were scored with different {column}s: {said}.",
                where="cases",
                fix="score them again alike; their figures cannot be compared.",
            )


def _check_reference(cases: pd.DataFrame) -> None:
    seen = cases[["cohort", "frame", *REFERENCE, "run"]].drop_duplicates(["cohort", "frame", *REFERENCE])
    several = seen[seen.duplicated(["cohort", "frame"], keep=False)]
    if several.empty:
        return
    frames = several.drop_duplicates(["cohort", "frame"])
    cohort, frame = frames.iloc[0]["cohort"], frames.iloc[0]["frame"]
    both = several[(several["cohort"] == cohort) & (several["frame"] == frame)]
    column = next(name for name in REFERENCE if both[name].nunique(dropna=False) > 1)
    values = ", ".join(
        f"{'unknown' if value == '' else value} (run {run})"
        for value, run in zip(both[column], both["run"], strict=True)
    )
    raise DataError(
        "E_REFERENCE_DIFFERS",
        f"{len(frames)} frames were not scored against one reference; first: {cohort} {frame}, {column}: {values}.",
        where="cases",
        fix="the cohort's masks or frames.csv changed between the runs: score all of them again.",
    )


def _check_same_frames(cases: pd.DataFrame) -> None:
    scored = cases[[*SCORING, "frame"]].drop_duplicates()
    expected = scored.drop_duplicates(SCORING).groupby("cohort", sort=False).size()
    found = scored.groupby(["cohort", "frame"], sort=False).size()
    lacking = found[found.to_numpy() != expected.loc[found.index.get_level_values("cohort")].to_numpy()]
    if lacking.empty:
        return
    cohort = lacking.index[0][0]
    of_cohort = scored[scored["cohort"] == cohort]
    everything = set(of_cohort["frame"])
    missing = {
        key: everything - set(frames) for key, frames in of_cohort.groupby(SCORING, sort=False)["frame"] if len(frames)
    }
    (run, source, target, model, seed, _), names = max(missing.items(), key=lambda item: len(item[1]))
    raise frames_differ(
        f"cohort {cohort}: {model} (run {run}, {source} → {target}, seed {seed}) and the other models of this report",
        sorted(names),
    )


def with_controls(cases: pd.DataFrame, source_only: str = SOURCE_ONLY) -> pd.DataFrame:
    """The cases with a column "control": the training of the row's control, "" where there is none.

    The control of a row is the source-only training of its run and seed. A run without one (its control was counted
    under another run that shares it) takes the source-only training of the same source, target and seed, if there is
    exactly one. Control rows themselves have none. An existing column is kept.
    """
    if CONTROL in cases.columns:
        return cases
    pair = ["seed", "source", "target"]
    controls = cases.loc[cases["model"] == source_only, ["run", *pair, "training"]]
    by_run = controls.drop_duplicates(["run", *pair])
    shared = controls.drop_duplicates([*pair, "training"]).drop_duplicates(pair, keep=False).drop(columns="run")
    found = cases[["run", *pair]].merge(by_run, how="left", on=["run", *pair])["training"]
    other = cases[pair].merge(shared, how="left", on=pair)["training"]
    control = found.fillna(other).fillna("").to_numpy(dtype=object, copy=True)
    control[(cases["model"] == source_only).to_numpy()] = ""
    return cases.assign(**{CONTROL: control})
