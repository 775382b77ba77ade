"""Which frames to label, so that what adaptation changed is known to ±x."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.splits import require_split
from polypda.data.cache import load_native
from polypda.data.labels import read_reference
from polypda.errors import DataError, UsageError
from polypda.evaluation.cases.run_metadata import SOURCE_ONLY
from polypda.evaluation.estimation.stratified import (
    LEAST_OF_A_STRATUM,
    allocate,
    draw,
    expected_half_width,
    make_strata,
)
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.integrity import with_digest, without_digest
from polypda.networks.registry import load_segmenter
from polypda.networks.weights import training_identity
from polypda.training.config import AdaptConfig
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.cohort_pair import data_roots
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.stages import ADABN, adapts
from polypda.workflows.runs.trained_models import RunModels
from polypda.workflows.scoring.evaluate import UNSCORED
from polypda.workflows.scoring.label_free import ModelPair, held_out_frames
from polypda.workflows.scoring.label_free_evidence import overlap
from polypda.workflows.scoring.unscored import known_answers

SCHEMA, SCHEMA_WITHOUT_DIGEST = "polypda-audit/2", "polypda-audit/1"
PLAN, LIST, IMAGES = "plan.json", "list.csv", "images"
ALL_PARTS = "all"
USUAL_CHANGE = 0.7
"""Change of Dice per lost agreement of the two answers, where no labelled source frame tells it."""
LEAST_DICE_SPREAD = 0.25
"""Standard deviation of Dice over frames that is reckoned with at least: a new centre scatters more than the source."""


class Prefill(StrEnum):
    """Outlines to correct instead of an empty image."""

    NONE = "none"
    LABELME = "labelme"
    COCO = "coco"


@dataclass(frozen=True)
class Stratum:
    """frames: how many of the whole set; drawn: of the sample."""

    frames: int
    drawn: int


@dataclass(frozen=True)
class Drawn:
    """A frame to label. image: its exported file. stratum: its place in the plan's strata."""

    image: str
    frame: str
    stratum: int


@dataclass(frozen=True)
class AuditPlan:
    """What was drawn from what, how, and what was expected of it.

    part: of the target that the answer is about. models: name → identity of weights, source-only first.
    expected_change, expected_dice: half widths of the 95 % intervals, 0–1.
    """

    run: str
    target: str
    part: str
    models: dict[str, str]
    seed: int
    strata: tuple[Stratum, ...]
    frames: tuple[Drawn, ...]
    expected_change: float
    expected_dice: float
    prefill: str = Prefill.NONE.value

    @property
    def population(self) -> int:
        """Frames of the whole set."""
        return sum(stratum.frames for stratum in self.strata)

    def as_json(self) -> dict[str, Any]:
        return with_digest({"schema": SCHEMA, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> AuditPlan:
        """Raises: DataError E_AUDIT_PLAN."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["schema"] != SCHEMA_WITHOUT_DIGEST:
                values = without_digest(values)
            if values.pop("schema") not in (SCHEMA, SCHEMA_WITHOUT_DIGEST):
                raise ValueError("it is of another version")
            values["strata"] = tuple(Stratum(**one) for one in values["strata"])
            values["frames"] = tuple(Drawn(**one) for one in values["frames"])
            return cls(**values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"the plan cannot be read ({str(error) or type(error).__name__})."
            raise DataError(
                "E_AUDIT_PLAN", what, where=path, fix="make it anew: polypda audit RUN --frames N."
            ) from error


@dataclass(frozen=True)
class AuditedRun:
    """A finished run, its two models and its target, without labels."""

    run: RunFolder
    config: AdaptConfig
    models: ModelPair
    names: tuple[str, str]
    target: OpenedCohort
    root: Path

    @classmethod
    def open(cls, folder: Path, paths: Paths) -> AuditedRun:
        """Raises: DataError E_RUN_MISSING, E_RUN_UNFINISHED; what opening the target raises."""
        run = RunFolder.open(folder)
        config = run.config()
        names = (SOURCE_ONLY, config.method if adapts(config.method) else ADABN)
        weights = RunModels(run, config).by_name()
        before, after = (load_segmenter(config.network, weights[name]) for name in names)
        asked = config.asked(open_fabric(config.compute, one_process=True).device)
        root = data_roots([config.target], config, paths)[config.target]
        target = open_cohort(config.target, root, labels=False, allow_leakage=config.allow_leakage)
        return cls(run, config, ModelPair(before, after, asked), names, target, root)

    @property
    def identities(self) -> dict[str, str]:
        """Model name → identity of its weights."""
        pair = (self.models.before, self.models.after)
        return {name: training_identity(model) for name, model in zip(self.names, pair, strict=True)}

    def frames(self, part: str) -> tuple[Frame, ...]:
        """The frames of a part. Raises: UsageError E_PART; DataError E_SPLIT_EMPTY."""
        if part == ALL_PARTS:
            return self.target.frames
        if part not in list(Split):
            names = ", ".join([*Split, ALL_PARTS])
            raise UsageError("E_PART", f"there is no part '{part}'.", fix=f"one of {names}.")
        return require_split(self.target, Split(part))


def plan_audit(
    audited: AuditedRun,
    paths: Paths,
    frames: int,
    part: str,
    progress: Progress,
    *,
    seed: int = 0,
    prefill: Prefill = Prefill.NONE,
) -> AuditPlan:
    """Choose frames, and say what is to be expected of them. No label of the target is opened.

    Raises: UsageError E_PART; DataError E_AUDIT_SIZE, E_SPLIT_EMPTY.
    """
    known = audited.frames(part)
    if not min(LEAST_OF_A_STRATUM, len(known)) <= frames <= len(known):
        fix = f"give a number between {LEAST_OF_A_STRATUM} and {len(known)}; --part all takes every frame."
        what = f"{frames} frames cannot be drawn from the {len(known)} of part '{part}'."
        raise DataError("E_AUDIT_SIZE", what, where=audited.target.id, fix=fix)
    difference, size = np.array(list(_answers(audited, known, progress))).T
    codes = make_strata(difference, size, frames)
    sizes = np.bincount(codes)
    per_difference, dice_spread = _expected_spreads(audited, paths, progress)
    squares = np.bincount(codes, difference**2) / sizes
    spread = per_difference * np.sqrt(squares)
    drawn = allocate(sizes, spread, frames)
    chosen = draw(codes, drawn, seed)
    listed = [
        Drawn(f"audit-{number:03d}.png", known[index].frame, int(codes[index]))
        for number, index in enumerate(chosen, 1)
    ]
    return AuditPlan(
        run=audited.run.name,
        target=audited.target.id,
        part=part,
        models=audited.identities,
        seed=seed,
        strata=tuple(Stratum(int(held), int(count)) for held, count in zip(sizes, drawn, strict=True)),
        frames=tuple(listed),
        expected_change=expected_half_width(sizes, drawn, spread),
        expected_dice=expected_half_width(sizes, drawn, np.full(len(sizes), dice_spread)),
        prefill=prefill.value,
    )


def _answers(audited: AuditedRun, frames: Sequence[Frame], progress: Progress) -> Iterator[tuple[float, float]]:
    """(1 − agreement of the two models, larger of the shares that they mark) of each frame."""
    known = known_answers(audited.run.folder / UNSCORED, audited.identities, frames)
    if known is not None:
        marked = known[["foreground_before", "foreground_after"]].max(axis=1)
        yield from zip((1 - known["agreement"]).tolist(), marked.tolist(), strict=True)
        return
    progress.begin(f"predicting {audited.target.id}", 0, len(frames))
    try:
        for number, frame in enumerate(frames, 1):
            native = load_native(frame, audited.models.asked.grid)
            before, after = ((map_ >= DEFAULT_THRESHOLD) & native.valid for map_ in audited.models.maps(native))
            yield 1 - overlap(before, after), float(max(before.sum(), after.sum()) / max(1, native.valid.sum()))
            progress.advance(number)
    finally:
        progress.end()


def _expected_spreads(audited: AuditedRun, paths: Paths, progress: Progress) -> tuple[float, float]:
    """Change of Dice per lost agreement, and the standard deviation of Dice, from held-out source frames if any."""
    config = audited.config
    try:
        root = data_roots([config.source], config, paths)[config.source]
        frames = held_out_frames(open_cohort(config.source, root, labels=True, allow_leakage=True))
    except DataError:  # a run from a source package, or one whose source is elsewhere
        frames = []
    changes, lost, dice = [], [], []
    progress.begin("estimating, source", 0, len(frames))
    try:
        for number, frame in enumerate(frames, 1):
            native = load_native(frame, audited.models.asked.grid)
            reference = (read_reference(frame, native.image) > 0) & native.valid
            before, after = ((map_ >= DEFAULT_THRESHOLD) & native.valid for map_ in audited.models.maps(native))
            if reference.any():
                dice.append(overlap(after, reference))
                changes.append(dice[-1] - overlap(before, reference))
                lost.append(1 - overlap(before, after))
            progress.advance(number)
    finally:
        progress.end()
    squares = float(np.sum(np.square(lost)))
    if len(dice) < 2 or squares == 0:
        return USUAL_CHANGE, LEAST_DICE_SPREAD
    ratio = math.sqrt(float(np.sum(np.square(changes))) / squares)
    return max(ratio, USUAL_CHANGE / 2), max(float(np.std(dice, ddof=1)), LEAST_DICE_SPREAD)
