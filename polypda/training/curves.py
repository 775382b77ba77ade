"""A training as it went: what its events and its snapshots' scores say, step by step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from polypda.errors import DataError
from polypda.integrity import check
from polypda.methods.registry import method_class, method_options
from polypda.training.checkpoints import DONE
from polypda.training.collapse import Alarm, alarms_of
from polypda.training.progress import EVENTS
from polypda.training.run_folder import ROUND, RunFolder
from polypda.training.selectors import SELECTION, Choice


@dataclass(frozen=True, eq=False)
class StageCurves:
    """One stage of a run. Tables are indexed by the step number (from 0).

    losses: player → a column per term, unweighted values; NaN where a term was not played. gradients: L2 norm per
    player. accuracy: fraction put right per discriminator. cpu_s: CPU seconds per step (empty in older runs). alarms:
    of the collapse watch.
    """

    stage: str
    losses: dict[str, pd.DataFrame]
    gradients: pd.DataFrame
    accuracy: pd.DataFrame
    cpu_s: pd.Series
    alarms: tuple[Alarm, ...] = ()

    @property
    def steps(self) -> int:
        """How many were made."""
        return len(self.gradients)


def stage_names(run: RunFolder) -> list[str]:
    """Stages that have events, the method's first, then in the order of training."""
    order = [run.config().method, "start", "source-only", "oracle"]
    found = {path.parent.name for path in (run.folder / "stages").glob("*/events.jsonl") if path.stat().st_size}
    return [name for name in dict.fromkeys(order) if name in found] + sorted(found - set(order))


def read_curves(run: RunFolder, stage: str) -> StageCurves:
    """Read a stage's events; the last line of a running or killed training may be cut and is left out.

    Raises: DataError E_CURVES_EMPTY (no event), E_CURVES_EVENTS (a damaged line), E_FILE_CHANGED.
    """
    path = run.stage(stage) / EVENTS
    if (run.stage(stage) / DONE).is_file() and path.is_file():
        check(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            event = {**event, "step": int(event["step"]), "losses": dict(event["losses"])}
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            what, where = f"line {number} is no event of a training.", f"{run.name}/stages/{stage}/events.jsonl"
            fix = "remove that line, or train the stage again."
            raise DataError("E_CURVES_EVENTS", what, where=where, fix=fix) from error
        events.append(event)
    if not events:
        what, fix = f"stage '{stage}' has made no step.", "wait until it has, or name another stage."
        raise DataError("E_CURVES_EMPTY", what, where=run.name, fix=fix)
    steps = pd.Index([event["step"] for event in events], name="step")
    players = list(dict.fromkeys(player for event in events for player in event["losses"]))
    return StageCurves(
        stage,
        {player: _table([event["losses"].get(player, {}) for event in events], steps) for player in players},
        _table([event.get("grad", {}) for event in events], steps),
        _table([event.get("accuracy", {}) for event in events], steps),
        pd.Series([event.get("cpu_s") for event in events], index=steps, dtype=float).dropna(),
        alarms_of(events, planned_steps(run, stage) or len(events)),
    )


def planned_steps(run: RunFolder, stage: str) -> int:
    """How many steps a stage was to have; 0 where that is not known here."""
    config, method = run.config(), stage.partition(ROUND)[0]
    if stage in ("start", "oracle"):
        return config.start_steps if stage == "start" else 0
    options = {**config.supervised, **config.options}
    known = {name: value for name, value in options.items() if name in method_class(method).Options.model_fields}
    labels = method_options(method, known).pseudo_labels
    return max(1, config.adapt_steps // (labels.rounds if labels is not None else 1))


def snapshot_table(run: RunFolder) -> pd.DataFrame:
    """The label-free criteria of the start (step 0) and of every snapshot, indexed by step; empty before the choice."""
    path = run.folder / SELECTION
    if not path.is_file():
        return pd.DataFrame()
    choice = Choice.from_json(path.read_text(encoding="utf-8"))
    scores = [*([choice.start] if choice.start else []), *choice.scores]
    return pd.DataFrame([score.as_row() for score in scores]).set_index("step")


def _table(rows: list[dict[str, float]], steps: pd.Index) -> pd.DataFrame:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    values = [[row.get(column) for column in columns] for row in rows]
    return pd.DataFrame(values, index=steps, columns=columns, dtype=float)
