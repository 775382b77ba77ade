"""Scores that were computed before: a matrix meets the same control on the same frames in every run.

An entry is decided by the model's weights, the frames' files with their labels, the network's grid, the
inference and the protocol:
changing any of them scores anew. An entry that cannot be read counts as none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from polypda.cache import Store
from polypda.cohorts.frames import Frame, OpenedCohort
from polypda.data.cache import NetworkGrid
from polypda.data.inference import Inference
from polypda.evaluation.cases.case_table import SCHEMA_VERSION, added_columns
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD, PROTOCOL
from polypda.integrity import sha256_of
from polypda.workflows.scoring.scoring import KeyOf

SCORED_AGAINST = ("annotation", "prediction_missing")
"""Columns of a row's key that scoring decides."""

Rows = list[dict[str, Any]]


class ScoreMemory:
    """A folder of case rows, one file per model and part of a cohort."""

    def __init__(self, folder: Path, grid: NetworkGrid, inference: Inference) -> None:
        self.folder = folder
        self.grid = grid
        self.inference = inference

    def signature(self, cohort: OpenedCohort, frames: Sequence[Frame]) -> str:
        """What these frames are, with all that they are scored by."""
        facts = f"{PROTOCOL} {SCHEMA_VERSION} {DEFAULT_THRESHOLD} {self.grid.key()} {self.inference.key()} {cohort.id}"
        facts = " ".join((facts, *added_columns()))
        digest = hashlib.sha256(facts.encode())
        for frame in frames:
            digest.update(repr((frame.frame, frame.label_state.value, _rest(frame))).encode())
            if frame.mask is not None and frame.fellows is not None:
                digest.update(frame.fellows.identity)  # read once for all frames; not their names, once for each
            for path in (value for value in _told(frame).values() if isinstance(value, Path)):
                digest.update(bytes.fromhex(sha256_of(path)) if path.is_file() else b"gone")
        return digest.hexdigest()[:32]

    def recall(self, signature: str, model: str, frames: Sequence[Frame], key: KeyOf) -> Rows | None:
        """The rows of a model on these frames, named for this run; None where they are not known."""
        try:
            kept = json.loads(Store(self.folder).read(_name(signature, model, frames, key)) or b"")
            rows = [dict(kept[frame.frame]) for frame in frames]
        except (ValueError, KeyError, TypeError):
            return None
        for row, frame in zip(rows, frames, strict=True):
            named = key(model, frame)
            known = {name: value for name, value in asdict(named).items() if name not in SCORED_AGAINST}
            row |= known | {"cluster": named.cluster}
        return rows

    def keep(self, signature: str, model: str, frames: Sequence[Frame], key: KeyOf, rows: Rows) -> None:
        """Remember the rows of a model on these frames."""
        text = json.dumps({row["frame"]: row for row in rows}, ensure_ascii=False)
        Store(self.folder).keep(_name(signature, model, frames, key), text.encode())


def _name(signature: str, model: str, frames: Sequence[Frame], key: KeyOf) -> str:
    return f"{signature}-{key(model, frames[0]).training[:32]}.json"


def _rest(frame: Frame) -> list[str]:
    """What a frame carries beside files, such as its boxes."""
    told = {"cohort", "frame", "label_state", "split", "patient", "sequence", "t_s", "mode", "fellows"}
    return [repr(value) for name, value in _told(frame).items() if name not in told and not isinstance(value, Path)]


def _told(frame: Frame) -> dict[str, Any]:
    """Each field of a frame with its value."""
    return {one.name: getattr(frame, one.name) for one in fields(frame)}
