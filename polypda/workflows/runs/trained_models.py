"""A finished run: where its models lie, its kept checkpoints as they would be used, and what it learnt from."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from polypda.cohorts.frames import Frame, Split
from polypda.cohorts.opening import open_cohort
from polypda.data.cache import CachedFrames
from polypda.errors import DataError, UsageError
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.predictions import predict_native
from polypda.integrity import check
from polypda.methods.registry import method_class, parts_of
from polypda.networks.averaged_prediction import FusedSegmenter
from polypda.networks.batch_norm import recompute_statistics
from polypda.networks.registry import load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.training.checkpoints import DONE, PUT_BACK, Checkpoint, final_segmenter, list_checkpoints, planned
from polypda.training.config import AdaptConfig, FinalStatistics, Parts
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.training.stage import sound_steps
from polypda.training.stage_batches import statistics_batches
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.stages import ADABN, ORACLE, SOURCE_ONLY, START, adapts

INITIAL, ADAPTED = "initial.safetensors", "adapted.safetensors"
REUSED_START, REUSED_CONTROL, REUSED_ORACLE = "start.safetensors", "control.safetensors", "oracle.safetensors"


def trained_parts(config: AdaptConfig) -> tuple[str, ...]:
    """The sums that the run trains beside its method, one part added at a time; without the controls."""
    shown = {Parts.NONE: 0, Parts.FIRST: 1, Parts.ALL: None}[config.parts]
    return tuple(part for part in parts_of(config.method) if adapts(part))[:shown]


def part_config(config: AdaptConfig, part: str) -> AdaptConfig:
    """The configuration of one of :func:`trained_parts`: with the options that it knows."""
    known = method_class(part).Options.model_fields
    options = {name: value for name, value in config.options.items() if name in known}
    return config.model_copy(update={"method": part, "options": options, "parts": Parts.NONE})


def part_file(part: str) -> str:
    """Name of a part's model in the run."""
    return f"part-{part}.safetensors"


def wants_oracle(config: AdaptConfig) -> bool:
    """Whether the run has an upper bound."""
    return config.oracle or config.method == ORACLE


def learns_target_labels(config: AdaptConfig) -> bool:
    """Whether the method itself is taught by target labels (semi-supervised), beside the oracle."""
    if not adapts(config.method):
        return False
    return config.of_method.learns_target_labels


@dataclass(frozen=True)
class RunModels:
    """Where the models of a run lie, whether it trained them or took them from elsewhere.

    What is asked for and not there yet raises DataError E_RUN_UNFINISHED (a training) or E_RUN_INCOMPLETE (a copy).
    """

    run: RunFolder
    config: AdaptConfig

    @property
    def initial(self) -> Path:
        """The segmenter before any training here; in a run from a source package, the package's."""
        return self._kept(REUSED_START if self.config.source_package is not None else INITIAL)

    @property
    def start(self) -> Path:
        """Source-only, where every model begins."""
        return self._kept(REUSED_START) if self.config.start_from else self._final(START)

    @property
    def control(self) -> Path:
        """Source-only with the method's budget."""
        return self._kept(REUSED_CONTROL) if self.config.control_from else self._final(SOURCE_ONLY)

    @property
    def adapted(self) -> Path:
        """What the run hands out: the chosen snapshot, or the control where the guard says so."""
        path = self.run.folder / ADAPTED
        if not path.is_file():
            raise self._unfinished(self.config.method)
        check(path, fix=self.run.remedy(path.name))
        return path

    @property
    def oracle(self) -> Path:
        """The upper bound."""
        return self._kept(REUSED_ORACLE) if self.config.oracle_from else self._final(ORACLE)

    def by_name(self) -> dict[str, Path]:
        """Model name → weights of a run whose trainings are finished, controls first."""
        return {name: self.of(name) for name in self.names}

    @property
    def names(self) -> tuple[str, ...]:
        """The models that the run has once it is finished, controls first; without those that it did not keep."""
        gone = self.run.not_kept().models
        parts = (part for part in trained_parts(self.config) if part not in gone)
        adapted = (*parts, self.config.method) if adapts(self.config.method) else ()
        return (SOURCE_ONLY, ADABN, *adapted, *([ORACLE] if wants_oracle(self.config) else []))

    def of(self, name: str) -> Path:
        """The weights of one of :attr:`names`."""
        if name == SOURCE_ONLY:
            return self.control
        if name == ADABN:
            return self._final(ADABN)
        if name == ORACLE:
            return self.oracle
        adapted = self.adapted  # a run without it is unfinished; only beside it a missing part is one that was lost
        return adapted if name == self.config.method else self._kept(part_file(name))

    def loaded(self) -> dict[str, Segmenter]:
        """The same models, ready to predict."""
        return {name: load_segmenter(self.config.network, path) for name, path in self.by_name().items()}

    def _kept(self, name: str) -> Path:
        path = self.run.folder / name
        if not path.is_file():
            raise DataError(
                "E_RUN_INCOMPLETE",
                f"the run was stopped before {name} was written; nothing was trained yet.",
                where=self.run.name,
                fix="remove the folder and start the run anew.",
            )
        check(path, fix=self.run.remedy(name))
        return path

    def _final(self, stage: str) -> Path:
        folder = self.run.stage(stage)
        if not (folder / DONE).is_file():
            raise self._unfinished(stage)
        return final_segmenter(folder, again=not self.run.not_kept())

    def _unfinished(self, stage: str) -> DataError:
        if self.run.not_kept():
            return DataError("E_MODEL_NOT_KEPT", f"the model of '{stage}' is gone.", where=self.run.name, fix=PUT_BACK)
        return DataError(
            "E_RUN_UNFINISHED",
            f"stage '{stage}' is not finished.",
            where=self.run.name,
            fix=f"go on with it: `polypda adapt --resume {self.run.name}`.",
        )


@dataclass(frozen=True)
class Snapshots:
    """folder: of the method's stage. target: unlabelled frames, for the statistics that a model is used with."""

    config: AdaptConfig
    folder: Path
    target: CachedFrames
    device: torch.device

    @cached_property
    def files(self) -> dict[int, Path]:
        """Step → segmenter, earliest first; what an interruption left is no candidate, and of a training that collapsed
        only what was kept before, if anything was."""
        kept = planned(list_checkpoints(self.folder), self.config.checkpoint_every)
        return {checkpoint.step: checkpoint.segmenter for checkpoint in self._sound(kept) or kept}

    @property
    def last(self) -> Path:
        """The segmenter of the last of them. Raises: DataError E_FILE_CHANGED."""
        segmenter = self.files[max(self.files)]
        check(segmenter)
        return segmenter

    @property
    def all_collapsed(self) -> bool:
        """Whether the training collapsed before a checkpoint was kept."""
        return not self._sound(planned(list_checkpoints(self.folder), self.config.checkpoint_every))

    def _sound(self, kept: list[Checkpoint]) -> list[Checkpoint]:
        last = sound_steps(self.folder)
        return kept if last is None else [one for one in kept if one.step <= last]

    def as_used(self, step: int) -> Segmenter:
        """A snapshot with the batch-norm statistics that the run uses it with, on the device.

        Raises: DataError E_FILE_CHANGED.
        """
        check(self.files[step])
        segmenter = load_segmenter(self.config.network, self.files[step]).to(self.device)
        if self.config.final_statistics is FinalStatistics.TARGET:
            batches = statistics_batches(self.target, self.config.data.augmentation)
            recompute_statistics(segmenter, (batch.images.to(self.device) for batch in batches))
        return segmenter

    def dice(
        self, frames: Sequence[Frame], progress: Progress, known: Mapping[int, Sequence[float]] | None = None
    ) -> tuple[dict[int, float], int]:
        """Mean Dice of every snapshot over the frames with a polyp and a mask, at native resolution; and their number.

        One network at a time: a long run keeps many. Without such a frame the means are NaN. known: step → Dice of
        these frames, of a snapshot that was scored before.
        """
        known = known or {}
        means, n = {}, 0
        left = [step for step in self.files if step not in known]
        if left:
            progress.begin("scoring snapshots", 0, len(left))
        try:
            for step in self.files:
                values = known[step] if step in known else self._dice_of(step, frames)
                means[step], n = float(np.mean(values)) if len(values) else float("nan"), len(values)
                if step in left:
                    progress.advance(left.index(step) + 1)
        finally:
            if left:
                progress.end()
        return means, n

    def _dice_of(self, step: int, frames: Sequence[Frame]) -> list[float]:
        values = []
        for seen in predict_native({"": self.as_used(step)}, frames, self.config.asked(self.device)):
            if seen.reference is None:  # boxes allow no Dice
                continue
            reference = (seen.reference > 0) & seen.valid
            if reference.any():
                marked = (seen.probabilities[""] >= DEFAULT_THRESHOLD) & seen.valid
                values.append(2 * np.count_nonzero(marked & reference) / (marked.sum() + reference.sum()))
        return values


FUSED = "fused"
"""The fusion's name among the models."""


def fused_model(first: RunFolder, others: Sequence[Path]) -> FusedSegmenter:
    """The mean of the adapted models' probabilities, of the first run and the others.

    FCAN fuses models trained on sources restyled in several directions (``-O stylize=false`` is one of them).
    Raises: UsageError E_FUSION_RUNS where a run is named twice, adapted nothing, or differs in its cohorts, its split
        seed or its geometry; DataError E_RUN_MISSING, E_RUN_UNFINISHED.
    """
    runs = [first, *(RunFolder.open(folder) for folder in others)]
    paths = [run.folder.resolve() for run in runs]
    if len(set(paths)) < len(paths):
        raise _not_fusible(first.name, "a run is named twice.")
    own = first.config()
    members = []
    for run in runs:
        config = run.config()
        if different := _difference(own, config):
            raise _not_fusible(run.name, f"its {different} differs from that of {first.name}.")
        if not adapts(config.method):
            raise _not_fusible(run.name, f"'{config.method}' adapts nothing.")
        members.append(load_segmenter(config.network, RunModels(run, config).adapted))
    return FusedSegmenter(members)


def fusion_note(first: RunFolder, others: Sequence[Path]) -> str:
    """What must be said of it."""
    names = ", ".join([first.name, *(RunFolder.open(folder).name for folder in others)])
    return (
        f"{FUSED} is the mean probability of the adapted models of {names}: an ensemble. Part of its "
        "gain would come to any ensemble; compare it with its members."
    )


def _difference(one: AdaptConfig, other: AdaptConfig) -> str:
    facts = {
        "source": (one.source, other.source),
        "target": (one.target, other.target),
        "phantom": (one.phantom, other.phantom),
        "input size or crop": (one.data.grid, other.data.grid),
        "inference": (one.inference, other.inference),
    }
    return next((name for name, (here, there) in facts.items() if here != there), "")


def _not_fusible(run: str, what: str) -> UsageError:
    return UsageError("E_FUSION_RUNS", what, where=run, fix="fuse runs of the same source, target and input size.")


NOT_HERE = ("E_COHORT_ABSENT", "E_COHORT_EMPTY", "E_COHORT_BOXES", "E_COHORT_VIDEO")


def learnt_frames(run: RunFolder, config: AdaptConfig, paths: Paths) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """Frames of the run's training and validation parts as they were recorded, without labels; and what was not found.

    The target's are among them: the methods saw them, without labels. Nothing is found of rendered cohorts.
    """
    if config.phantom:
        return (), ()
    frames: list[Frame] = []
    notes = []
    for cohort in (config.source, config.target):
        text = run.split_text(cohort)
        if not text:
            continue  # a run from a source package never saw source frames
        split = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).set_index("frame")["split"]
        try:
            opened = open_cohort(cohort, paths.data_root, labels=False, allow_leakage=True)
        except DataError as error:
            if error.code not in NOT_HERE:
                raise
            notes.append(f"{cohort} is not here: whether scored frames resemble its training frames was not checked.")
            continue
        known = ((frame, split.get(frame.frame)) for frame in opened.frames)
        frames += [replace(frame, split=Split(part)) for frame, part in known if part and part != Split.TEST.value]
    return tuple(frames), tuple(notes)
