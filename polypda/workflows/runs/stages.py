"""Which trainings an adaptation consists of.

start        source-only from the encoder's weights: where every model begins
source-only  the start trained on for the method's budget, without the target: the equal-budget control
adabn        the control with the target's batch-norm statistics: what statistics alone achieve
METHOD       the start trained on with the method; with pseudo-labels in rounds, each from the start again
oracle       fresh, on the target's labels, for the whole budget (only with permission)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polypda.cohorts.frames import LabelState, Split
from polypda.data.cache import CachedFrames, FrameCache
from polypda.data.degenerate import require_learnable
from polypda.data.labels import BoxSupervision
from polypda.methods.contract import LabelsFrom, PseudoLabelRule
from polypda.methods.registry import method_class
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.training.config import AdaptConfig, StageConfig
from polypda.training.run_folder import ROUND, RunFolder
from polypda.training.run_loggers import NOT_TRACKED, Tracking
from polypda.training.selectors import foreground_fraction
from polypda.training.stage import Stage
from polypda.workflows.runs.cohort_pair import CohortPair
from polypda.workflows.runs.source_labels import teaching_frames

START, SOURCE_ONLY, ADABN, ORACLE = "start", "source-only", "adabn", "oracle"
FEATURES = "features.safetensors"
"""Of the source, in a run from a source package (and in the package)."""


def round_name(method: str, number: int | None) -> str:
    """The stage of a round that is not the last."""
    return f"{method}{ROUND}{number}"


def adapts(method: str) -> bool:
    """True when a method is an adaptation, not one of the controls that run anyway."""
    wanted = method_class(method)
    return wanted.plays_on_target and wanted.labels_from is LabelsFrom.SOURCE


@dataclass(frozen=True)
class TrainingData:
    """Cached frames at network size. The target's hold no masks."""

    validation_note: str
    """What must be said of the validation frames; empty when there is nothing."""

    source: CachedFrames | None
    """None, as source_validation, where a source package stands for the source."""

    source_validation: CachedFrames | None
    target: CachedFrames
    packaged_foreground: float = 0.0

    @cached_property
    def source_foreground(self) -> float:
        """The source's mean share of polyp pixels, 0–1; as its package says where it is not here."""
        return self.packaged_foreground if self.source is None else foreground_fraction(self.source)

    @classmethod
    def of(
        cls,
        pair: CohortPair,
        cache: FrameCache,
        boxes: BoxSupervision | None = None,
        packaged_foreground: float = 0.0,
    ) -> TrainingData:
        target = cache.unlabelled(pair.target.split(Split.TRAIN))
        require_learnable(target, "target")
        if pair.source is None:
            return cls("", None, None, target, packaged_foreground)
        training = teaching_frames(pair.source, Split.TRAIN, boxes)
        validation = teaching_frames(pair.source, Split.VALIDATION, boxes)
        notes = [] if validation else ["on training frames, since the source has none for validation"]
        if any(frame.label_state is LabelState.BOX for frame in validation or training):
            notes.append("by filled boxes, the band around them left out")
        source = cache.labelled(training, boxes)
        require_learnable(source, "source")
        return cls(
            validation_note="; ".join(notes),
            source=source,
            source_validation=cache.labelled(validation or training, boxes),
            target=target,
        )


class StagePlan:
    """Builds the stages of one configuration."""

    def __init__(
        self,
        config: AdaptConfig,
        run: RunFolder,
        data: TrainingData,
        initial: Path,
        tracking: Tracking = NOT_TRACKED,
    ) -> None:
        """Args: initial: the segmenter before any training; the start and the oracle begin from it."""
        self.config = config
        self.run = run
        self.data = data
        self.initial = initial
        self.tracking = tracking

    def start(self) -> Stage:
        options = {**self.config.supervised, **self.config.start}
        return self._stage(START, SOURCE_ONLY, options, self.config.start_steps, self.initial, whole=True)

    def control(self, start: Path) -> Stage:
        """Source-only with the same further steps and rates as the method's, and the same that learns."""
        return self._stage(SOURCE_ONLY, SOURCE_ONLY, dict(self.config.supervised), self.config.adapt_steps, start)

    def adabn(self, control: Path) -> Stage:
        return self._stage(ADABN, ADABN, {}, 0, control)

    @cached_property
    def pseudo_labels(self) -> PseudoLabelRule | None:
        """How the method has the target labelled between its trainings; None where it has one training."""
        config = self.config
        return config.of_method.pseudo_labels

    @property
    def first_of_method(self) -> str:
        """Name of the stage that the method begins with."""
        return self.config.method if self.rounds == 1 else round_name(self.config.method, 1)

    @property
    def rounds(self) -> int:
        """How many trainings the method consists of; they share its steps."""
        return self.pseudo_labels.rounds if self.pseudo_labels is not None else 1

    def method(
        self,
        start: Path,
        labelled: CachedFrames | None = None,
        target: CachedFrames | None = None,
        number: int | None = None,
    ) -> Stage:
        """Args: labelled: the source as the method is to learn it. target: the target with what is known of its labels
        (pseudo-labels, or labels that the user permitted). None: as they are. number: of the round, from 1; None: the
        last, which has the method's name."""
        config = self.config
        options = {**config.supervised, **config.options}
        last = number is None or number == self.rounds
        return self._stage(
            config.method if last else round_name(config.method, number),
            config.method,
            options,
            max(1, config.adapt_steps // self.rounds),
            start,
            labelled=labelled,
            target=target,
            snapshots=True,
        )

    def oracle(self, labelled_target: CachedFrames) -> Stage:
        options = {**self.config.supervised, **self.config.start}
        steps = self.config.start_steps + self.config.adapt_steps
        return self._stage(ORACLE, ORACLE, options, steps, self.initial, labelled=labelled_target, whole=True)

    @property
    def adapts(self) -> bool:
        return adapts(self.config.method)

    def _stage(
        self,
        name: str,
        method: str,
        options: dict[str, Any],
        steps: int,
        initial: Path,
        *,
        labelled: CachedFrames | None = None,
        target: CachedFrames | None = None,
        snapshots: bool = False,
        whole: bool = False,
    ) -> Stage:
        """whole: everything learns, batch norm as well, whatever the run says of what follows the start."""
        policy = BatchNormPolicy.TRAIN if whole else self.config.batch_norm
        if self.config.source_package is not None and method_class(method).reads_source_features:
            options = {**options, "source_features": self.run.folder / FEATURES}
        config = StageConfig(
            method=method,
            options=options,
            steps=steps,
            batch_norm=policy,
            frozen_stages=0 if whole else self.config.frozen_stages,
            recompute_batch_norm=self.config.recompute_batch_norm
            and method in (SOURCE_ONLY, ORACLE)
            and policy.moves_statistics,
            clip_norm=self.config.clip_norm,
            ema_decay=self.config.ema_decay,
            checkpoint_every=self.config.checkpoint_every,
            snapshots=snapshots,
        )
        return Stage(
            name=name,
            folder=self.run.stage(name),
            config=config,
            network=self.config.network,
            data=self.config.data,
            seed=self.config.seed,
            labelled=labelled or self.data.source,
            target=target or self.data.target,
            initial=initial,
            tracking=self.tracking,
        )
