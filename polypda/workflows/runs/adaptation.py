"""The adaptation itself: the method's trainings in their rounds, the checkpoint, and whether it is to be used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

import torch

from polypda.data.batches import IGNORED
from polypda.data.cache import CachedFrames, ConstantPixels
from polypda.errors import DataError
from polypda.files import write_json
from polypda.methods.contract import FirstLabeller, PseudoLabelRule
from polypda.networks.registry import load_segmenter
from polypda.prediction.model import save_model
from polypda.training.collapse_limits import AREA_FACTOR, LEAST_ROUND_AGREEMENT
from polypda.training.config import AdaptConfig, Compute
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress, Silent
from polypda.training.pseudo_labels import agreement, pseudo_labelled, read_facts
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import (
    CONTROL_STEP,
    SELECTION,
    Choice,
    Verdict,
    choose,
    judged,
    score_snapshot,
    score_snapshots,
)
from polypda.training.stage import Stage, run_stage, stopped_by_collapse
from polypda.workflows.runs.accepted import accepted_of
from polypda.workflows.runs.model_facts import model_facts
from polypda.workflows.runs.stages import SOURCE_ONLY, StagePlan, TrainingData
from polypda.workflows.runs.trained_models import ADAPTED, Snapshots, part_config, part_file, trained_parts
from polypda.workflows.runs.trainings import Training

LEAST_TEACHING = 2
"""Fewer pseudo-labelled frames than this are no target to train on."""


@dataclass(frozen=True)
class Adaptation:
    """An adaptation under way.

    start: the segmenter that every training begins from. control: the source-only control: its segmenter or, where this
    run trains it, its stage. restyled: the source as the method is to learn it; None: as it is. taught: the target with
    permitted labels.
    """

    run: RunFolder
    config: AdaptConfig
    plan: StagePlan
    data: TrainingData
    start: Path
    control: Path | Stage
    compute: Compute
    stylized: CachedFrames | None = None
    trained_on: CachedFrames | None = None
    progress: Progress = field(default_factory=Silent)

    def trainings(self) -> list[Training]:
        """The method's and its parts', the longest first; those that the control labels for need its training."""
        whole = Training(self.config.method, partial(_train_whole, self), self._needs)
        parts = [self._of_part(part) for part in trained_parts(self.config)]
        return [whole, *(Training(one.config.method, partial(_keep_part, one), one._needs) for one in parts)]

    @property
    def _needs(self) -> tuple[str, ...]:
        rule = self.plan.pseudo_labels
        return () if rule is None or rule.first is FirstLabeller.START else (SOURCE_ONLY,)

    def trained(self) -> tuple[Stage | None, tuple[str, ...]]:
        """Train every round; the last stage that was trained (None: not even the first), and what stopped it."""
        rule = self.plan.pseudo_labels
        if rule is None:
            stage = self.plan.method(self.start, self.stylized, self.trained_on)
            self._train(stage)
            return stage, ()
        done: Stage | None = None
        labellers = self._first_labellers(rule.first)
        for number in range(1, rule.rounds + 1):
            stage = self.plan.method(self.start, self.stylized, number=number)
            target = self._labelled(stage, labellers, rule)
            if alarms := self._alarms(stage, done):
                return done, alarms
            done = replace(stage, target=target)
            labellers = [self._train(done)]
        return done, ()

    def _of_part(self, part: str) -> Adaptation:
        """The adaptation by a sum that the method grows from."""
        config = part_config(self.config, part)
        return replace(
            self, config=config, plan=StagePlan(config, self.run, self.data, self.plan.initial, self.plan.tracking)
        )

    def keep_part(self) -> None:
        """Train a part of a sum as :meth:`trained` trains the sum, and keep its last model.

        A round whose pseudo-labels raise an alarm ends the training; where it is the first, the start is kept.
        """
        file = self.run.folder / part_file(self.config.method)
        if file.is_file():
            return
        stage, _ = self.trained()
        if stage is None:
            model = load_segmenter(self.config.network, self.start)
        else:
            snapshots = Snapshots(self.config, stage.folder, self.data.target, self._device)
            model = snapshots.as_used(max(snapshots.files))
        save_model(model, file, model_facts(self.run, self.config, self.config.method, model), recorded=True)

    @property
    def _control(self) -> Path:
        return self.control.final_segmenter if isinstance(self.control, Stage) else self.control

    @property
    def _device(self) -> torch.device:
        return open_fabric(self.compute, one_process=True).device

    def _train(self, stage: Stage) -> Path:
        """Train a stage; its last segmenter from before a collapse, if there was one."""
        run_stage(stage, self.compute, self.progress)
        if stopped_by_collapse(stage.folder):
            return Snapshots(self.config, stage.folder, self.data.target, self._device).last
        return stage.final_segmenter

    def _first_labellers(self, first: FirstLabeller) -> list[Path]:
        if first is FirstLabeller.START:
            return [self.start]
        if first is FirstLabeller.CONTROL:
            return [self._control]
        return [self._control, self.plan.adabn(self._control).final_segmenter]

    def _labelled(self, stage: Stage, labellers: list[Path], rule: PseudoLabelRule) -> CachedFrames:
        asked = self.config.asked(self._device)
        segmenters = [load_segmenter(self.config.network, path) for path in labellers]
        accepted = accepted_of(self.run.folder)
        return pseudo_labelled(stage.folder, segmenters, self.data.target, rule, asked, self.progress, accepted)

    def _alarms(self, stage: Stage, before: Stage | None) -> tuple[str, ...]:
        """What speaks against learning these pseudo-labels, in words. The user can do without (``guard``)."""
        facts = read_facts(stage.folder)
        later = "" if before is None else "in a later round "
        if len(facts.indices) < LEAST_TEACHING:
            return (f"{later}too few frames of the target could be labelled: {facts.words}",)
        if not self.config.guard:
            return ()
        found = []
        share = self.data.source_foreground
        low, high = share / AREA_FACTOR, share * AREA_FACTOR
        if not low <= facts.polyp_share <= high:
            found.append(
                f"{later}{facts.polyp_share:.1%} of the target was labelled polyp; by the source's masks "
                f"{low:.1%}–{high:.1%} is plausible"
            )
        if before is not None and agreement(before.folder, stage.folder) < LEAST_ROUND_AGREEMENT:
            found.append(f"{later}the labels do not agree with those of the round before")
        return tuple(found)

    def chosen(
        self,
        stage: Stage | None,
        alarms: tuple[str, ...],
        labelled_target: CachedFrames | None,
    ) -> tuple[Choice | None, Snapshots | None]:
        """Choose the checkpoint without target labels and decide whether it is to be used; write both.

        ``adapted.safetensors`` is the chosen snapshot or, where the guard says so, the source-only control.
        """
        config, run = self.config, self.run
        if stage is None:
            if not config.guard:
                raise DataError(
                    "E_PSEUDO_EMPTY",
                    f"{'; '.join(alarms)}: there is nothing to adapt with.",
                    where=run.name,
                    fix="train the start for longer, or lower polyp_from; the guard would keep the source model.",
                )
            self._keep_control("no round was trained", alarms)
            return None, None
        snapshots = Snapshots(config, stage.folder, self.data.target, self._device)
        if config.guard and snapshots.all_collapsed:
            words = f"the training collapsed before a checkpoint was kept: it was {stopped_by_collapse(stage.folder)}"
            self._keep_control(words, (*alarms, words))
            return None, None
        choice = keep_chosen(
            run,
            snapshots,
            stage.initial,
            self._control,
            self.data.source_foreground,
            source_validation=self.data.source_validation,
            note=self.data.validation_note,
            alarms=alarms,
            labelled_target=labelled_target,
        )
        return choice, snapshots

    def _keep_control(self, reason: str, alarms: tuple[str, ...]) -> None:
        config, run = self.config, self.run
        nothing = Choice(0, config.selector, (), reason, (), verdict=Verdict.SOURCE, alarms=alarms)
        write_json(run.folder / SELECTION, nothing.as_json(), recorded=True)
        kept = load_segmenter(config.network, self._control)
        save_model(kept, run.folder / ADAPTED, model_facts(run, config, config.method, kept), recorded=True)


def _train_whole(adaptation: Adaptation, compute: Compute, progress: Progress) -> tuple[Stage | None, tuple[str, ...]]:
    return replace(adaptation, compute=compute, progress=progress).trained()


def _keep_part(adaptation: Adaptation, compute: Compute, progress: Progress) -> None:
    replace(adaptation, compute=compute, progress=progress).keep_part()


def rehearsed(plan: StagePlan, initial: Path, trained_on: CachedFrames | None) -> Stage:
    """A method's first training as it can be played before there is a model to label the target with.

    Args: initial: the segmenter before any training. taught: the target with permitted labels.
    """
    target = trained_on
    if plan.pseudo_labels is not None:
        size, frames = plan.config.data.size, plan.data.target
        target = frames.with_pseudo_labels(range(len(frames)), ConstantPixels(IGNORED, (size, size)))
    return plan.method(initial, target=target)


def keep_chosen(
    run: RunFolder,
    snapshots: Snapshots,
    initial: Path,
    control: Path,
    foreground: float,
    *,
    source_validation: CachedFrames | None = None,
    note: str = "",
    alarms: tuple[str, ...] = (),
    labelled_target: CachedFrames | None = None,
) -> Choice:
    """Score every snapshot beside the source-only control, choose, judge, and keep what the run hands out.

    Args: initial: what the method began with. foreground: the source's share of polyp pixels. source_validation: None
        where no source frame is here. note, alarms: see :func:`choose` and :func:`judged`.
    """
    config, device, target = snapshots.config, snapshots.device, snapshots.target
    began, rival = (load_segmenter(config.network, path).to(device) for path in (initial, control))
    start = score_snapshot(began, 0, target, source_validation, device)
    candidates = chain(((step, snapshots.as_used(step)) for step in snapshots.files), [(CONTROL_STEP, rival)])
    *scores, own = score_snapshots(candidates, target, source_validation, device, labelled_target)
    choice = choose(scores, config.selector, foreground, note=note, start=start)
    if stopped := stopped_by_collapse(snapshots.folder):
        choice = replace(choice, reason=f"{choice.reason}; the training collapsed and was {stopped}")
    choice = judged(choice, own, foreground, alarms) if config.guard else replace(choice, control=own)
    write_json(run.folder / SELECTION, choice.as_json(), recorded=True)
    used = rival if choice.verdict is Verdict.SOURCE else snapshots.as_used(choice.step)
    save_model(used, run.folder / ADAPTED, model_facts(run, config, config.method, used), recorded=True)
    return choice
