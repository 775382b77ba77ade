"""One training stage: build, resume, play, log, checkpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import active_children
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from polypda.data.batches import UnlabelledBatch
from polypda.data.cache import CachedFrames
from polypda.data.loading import Fraction, step_batches
from polypda.data.sampling import Stream, seed_of
from polypda.errors import Interrupted, PolypdaError, TrainingError, UsageError, error_from_dict
from polypda.files import write_json
from polypda.integrity import record
from polypda.locks import share_lock
from polypda.methods.contract import SEGMENTER, Method, require_several_target_frames
from polypda.methods.moving_average import with_moving_average
from polypda.methods.registry import method_class, method_options, source_free_methods
from polypda.networks.batch_norm import apply_policy, recompute_statistics
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.segmenter import channels_last, compiled, freeze_encoder
from polypda.networks.weights import load_module
from polypda.processes import start_resource_tracker
from polypda.training.checkpoints import (
    DONE,
    LOADER_GONE,
    final_segmenter,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
    thin_out,
)
from polypda.training.collapse import Alarm, CollapseWatch
from polypda.training.config import AdaptConfig, Compute, DataConfig, Precision, StageConfig
from polypda.training.engine import Engine, open_fabric
from polypda.training.local_group import JointBatchNorm
from polypda.training.progress import EVENTS, EventLog, InterruptionWatch, Progress, Silent
from polypda.training.run_loggers import NOT_TRACKED, Tracking
from polypda.training.stage_batches import StagePreparation, batch_changes, statistics_batches, step_dataset

log_of_trainings = logging.getLogger(__name__)
SOUND = "sound_steps"
"""In done.json, beside the collapse that ended a training: the steps before it began to show."""
OTHER_SIDE_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""How gloo says that another process of the group has died."""


@dataclass(frozen=True)
class Stage:
    """Everything one training needs; picklable, so that other processes can take part.

    labelled: the frames whose labels are learnt; None where a method needs none (see ``Method.plays_on_source``).
    tracking: the loggers that follow it; its folder then lies in the run's, two levels down.
    target: frames, with masks only where the user permitted to learn them. initial: the safetensors of the segmenter
    to start from.
    """

    name: str
    folder: Path
    config: StageConfig
    network: SegmenterSpec
    data: DataConfig
    seed: int
    labelled: CachedFrames | None
    target: CachedFrames
    initial: Path
    tracking: Tracking = NOT_TRACKED

    @property
    def done(self) -> bool:
        return (self.folder / DONE).is_file()

    @property
    def final_segmenter(self) -> Path:
        """The segmenter after the last step (the stage must be done). Raises: as :func:`.final_segmenter`."""
        return final_segmenter(self.folder)


def run_stage(stage: Stage, compute: Compute, progress: Progress | None = None) -> None:
    """Train a stage to its end, resuming from its newest checkpoint; does nothing when it is done.

    Raises: Interrupted (after a checkpoint), TrainingError.
    """
    if stage.done:
        return
    if compute.processes == 1:
        _Training(open_fabric(compute), stage, compute).run(progress or Silent())
        return
    with TemporaryDirectory(prefix="polypda-") as folder:
        _train_in_processes(open_fabric(compute, meeting=Path(folder) / "meeting"), stage, compute)


def _train_in_processes(fabric: Fabric, stage: Stage, compute: Compute) -> None:
    error_file = stage.folder / "error.json"
    error_file.unlink(missing_ok=True)
    start_resource_tracker()
    try:
        # Bound, not passed: the launcher walks through its arguments and refuses frozen dataclasses.
        fabric.launch(partial(_train_in_process, stage=stage, compute=compute, error_file=error_file))
    except (KeyboardInterrupt, ProcessRaisedException, ProcessExitedException) as stopped:
        if isinstance(stopped, KeyboardInterrupt):  # Ctrl-C reaches the processes by itself, SIGTERM this one alone
            for process in active_children():
                process.terminate()
                process.join()
        if error_file.is_file():
            raise error_from_dict(json.loads(error_file.read_text(encoding="utf-8"))) from None
        if isinstance(stopped, ProcessExitedException) or any(words in str(stopped) for words in OTHER_SIDE_GONE):
            raise _process_died(stage, stopped) from stopped
        raise


def _process_died(stage: Stage, stopped: BaseException) -> TrainingError:
    signal = getattr(stopped, "signal_name", None)
    return TrainingError(
        "E_TRAINING_PROCESS",
        f"one of the processes that train stage '{stage.name}' was ended from outside{f' by {signal}' * bool(signal)}, "
        "as happens when memory runs out; checkpoints are kept.",
        fix="give the same command again (`polypda adapt --resume RUN` goes on), with fewer --processes or a smaller "
        "batch if memory ran out.",
    )


def _train_in_process(fabric: Fabric, stage: Stage, compute: Compute, error_file: Path) -> None:
    share_lock(stage.folder.parents[1])
    try:
        _Training(fabric, stage, compute).run(Silent())
    except PolypdaError as error:  # only a traceback's text would reach the parent process
        error_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(error_file, error.as_dict())
        if isinstance(error, Interrupted):  # in all processes alike
            _leave_group(fabric)
        raise
    _leave_group(fabric)


def _leave_group(fabric: Fabric) -> None:
    """Leave the process group while Python is whole.

    Left to the interpreter's end, a thread of gloo that still holds a tensor asks for Python's lock then, and the
    process, all its work done, is aborted (pytorch/pytorch issues 179291 and 190489).
    """
    fabric.barrier()
    torch.distributed.destroy_process_group()


def build_method(stage: Stage) -> Method:
    """The stage's method with its networks, the same for the same seed."""
    torch.manual_seed(seed_of(stage.seed, Stream.STEP))
    segmenter = build_segmenter(stage.network)
    load_module(segmenter, stage.initial)
    decide_what_learns(segmenter, stage.config)  # before the optimiser is given its parameters
    options = method_options(stage.config.method, stage.config.options)
    kind = with_moving_average(method_class(stage.config.method), stage.config.ema_decay)
    method = kind(segmenter, options, steps=stage.config.steps)
    if stage.labelled is None and method.plays_on_source:
        what = f"'{stage.config.method}' needs source frames, and there are none."
        fix = f"without them {', '.join(source_free_methods())} adapt (see `polypda source-package`)."
        raise UsageError("E_SOURCE_FRAMES", what, fix=fix)
    return method


def training_mode(method: Method, stage: Stage) -> None:
    """Every network of a method in training mode, batch norm as the stage's policy says."""
    for module in method.modules().values():
        module.train()
    decide_what_learns(method.modules()[SEGMENTER], stage.config)


def decide_what_learns(segmenter: nn.Module, config: StageConfig | AdaptConfig) -> None:
    """Batch norm and the encoder's first stages as the configuration says; call it after every ``.train()``.

    Raises: UsageError E_FROZEN_STAGES.
    """
    apply_policy(segmenter, config.batch_norm)
    freeze_encoder(segmenter, config.frozen_stages)


def stopped_by_collapse(folder: Path) -> str:
    """What ended a finished stage before its last step, in words; "" where it went to its end."""
    return str(_said_at_the_end(folder).get("collapse", ""))


def sound_steps(folder: Path) -> int | None:
    """Of a finished stage that a collapse ended: the steps before it began to show; None of any other."""
    told = _said_at_the_end(folder)
    return int(told.get(SOUND, 0)) if told.get("collapse") else None


def _said_at_the_end(folder: Path) -> dict[str, Any]:
    done = folder / DONE
    return json.loads(done.read_text(encoding="utf-8")) if done.is_file() else {}


class _Training:
    """One process's part of a stage's training."""

    def __init__(self, fabric: Fabric, stage: Stage, compute: Compute) -> None:
        self.fabric, self.stage, self.compute = fabric, stage, compute
        self.collapse: Alarm | None = None
        if compute.threads:
            torch.set_num_threads(compute.threads)
        self.dtype = torch.float64 if compute.precision is Precision.FP64 else torch.float32
        self.method = build_method(stage)
        for module in self.method.modules().values():
            channels_last(module.to(fabric.device, self.dtype))

    def prepare(self, frames: StagePreparation) -> None:
        if self.method.plays_on_target:
            require_several_target_frames(frames)
        self.method.prepare(frames)

    def run(self, progress: Progress) -> None:
        """Train to the end. Raises: Interrupted (after a checkpoint), TrainingError."""
        stage, fabric, steps = self.stage, self.fabric, self.stage.config.steps
        start = self._restore()
        if start == 0:
            augmentation = stage.data.augmentation
            self.prepare(StagePreparation(stage.labelled, stage.target, fabric.device, self.dtype, augmentation))
        training_mode(self.method, stage)
        progress.begin(stage.name, start, steps)
        try:
            with InterruptionWatch() as watch:
                steps = self._play(start, watch, progress)
                if stage.config.recompute_batch_norm and stage.labelled is not None:
                    batches = (batch.to(fabric.device, self.dtype) for batch in statistics_batches(stage.labelled))
                    recompute_statistics(self.method.adapted(), (batch.images for batch in batches))
                self._save(steps)
                if fabric.is_global_zero:
                    record(stage.folder / EVENTS)
                    ended = self.collapse
                    collapse = {"collapse": ended.words, SOUND: ended.sound} if ended else {}
                    done = {"steps": steps, "method": stage.config.method, **collapse}
                    write_json(stage.folder / DONE, done, recorded=True)
                if self._asked_anywhere(watch):
                    raise self._interrupted(steps)
        except RuntimeError as error:
            if LOADER_GONE not in str(error):
                raise
            raise TrainingError(
                "E_LOADER_PROCESS",
                f"a process that prepares batches for stage '{stage.name}' was ended from outside, as happens when "
                "memory runs out; checkpoints are kept.",
                fix="resume the run; if memory ran out, start anew with fewer --workers or a smaller batch.",
            ) from error
        finally:
            progress.end()

    def _play(self, start: int, watch: InterruptionWatch, progress: Progress) -> int:
        """All steps from ``start`` on, with a checkpoint after some, but for the last.

        Returns: how many were made in all, fewer where the collapse watch stopped it.
        """
        stage, fabric, steps = self.stage, self.fabric, self.stage.config.steps
        fraction = Fraction(fabric.global_rank, fabric.world_size)
        engine = Engine(fabric, self.method, clip_norm=stage.config.clip_norm)
        changes = batch_changes(stage, fraction)
        dataset, pinned = step_dataset(stage, self.method, fraction), fabric.device.type == "cuda"
        health = CollapseWatch(steps)
        tracking = stage.tracking if fabric.is_global_zero else NOT_TRACKED
        with (
            EventLog(stage.folder, start, writes=fabric.is_global_zero) as log,
            tracking.of(stage.folder.parents[1], stage.name) as loggers,
            compiled(*self.method.modules().values()) if self.compute.compile else nullcontext(),
        ):
            for event in log.before(start):
                health.see(event)
            loggers.catch_up(start, partial(log.before, start))
            if (ended := health.stopping) and ended.step + 1 == start and fabric.world_size == 1:
                self.collapse = ended  # it was killed before it could say so
                return start
            batches = step_batches(dataset, start, steps, workers=self.compute.workers, pinned=pinned)
            began_s = process_time()
            for step, (source, target) in zip(range(start, steps), batches, strict=True):
                torch.manual_seed(seed_of(stage.seed, Stream.STEP, step, fabric.global_rank))
                source = source.to(fabric.device, self.dtype)
                target = target.to(fabric.device, self.dtype) if target else None
                if changes is not None:
                    source = changes.of(source, step, Stream.SOURCE_AUGMENTATION)
                    target = changes.of(target, step, Stream.TARGET_AUGMENTATION) if target else None
                with JointBatchNorm() if self.compute.joint_batch_norm else nullcontext():
                    report = engine.step(source, target, step)
                event = log.write(step, report, process_time() - began_s)
                loggers.step(event)
                alarm = health.see(event)
                began_s = process_time()
                progress.advance(step + 1, report)
                if alarm is not None:
                    log_of_trainings.warning("stage '%s' %s", stage.name, alarm.words)
                if alarm is not None and alarm.stops and fabric.world_size == 1:
                    self.collapse = alarm
                    return step + 1
                if step + 1 == steps:
                    break
                stop = self._asked_anywhere(watch)
                if stop or (step + 1) % stage.config.checkpoint_every == 0:
                    self._save(step + 1)
                if stop:
                    raise self._interrupted(step + 1)
        return steps

    def _restore(self) -> int:
        """Load the newest whole checkpoint, if any; returns the step to go on with."""
        resumable = [checkpoint for checkpoint in list_checkpoints(self.stage.folder) if checkpoint.resumable]
        if not resumable:
            return 0
        load_checkpoint(resumable[-1], self.method)
        return resumable[-1].step

    def _save(self, step: int) -> None:
        if self.fabric.is_global_zero:
            save_checkpoint(self.stage.folder, self.method, step)
            config = self.stage.config
            thin_out(self.stage.folder, keep_segmenters=config.snapshots, every=config.checkpoint_every)
        self.fabric.barrier()

    def _asked_anywhere(self, watch: InterruptionWatch) -> bool:
        """Whether any process was asked to stop: all must decide alike, or one would wait for the others for ever."""
        if self.fabric.world_size == 1:
            return watch.asked
        asked = torch.tensor(float(watch.asked), device=self.fabric.device)
        return bool(cast(torch.Tensor, self.fabric.all_reduce(asked, reduce_op="sum")) > 0)

    def _interrupted(self, step: int) -> Interrupted:
        what = f"stopped in stage '{self.stage.name}' after step {step} of {self.stage.config.steps}."
        return Interrupted("E_INTERRUPTED", what)


@dataclass(frozen=True)
class _OneBatch(StagePreparation):
    """Of the target one batch: whole passes over it (batch-norm statistics) are for the real preparation."""

    def target(self) -> Iterator[UnlabelledBatch]:
        return islice(super().target(), 1)


def rehearse(stage: Stage, compute: Compute) -> None:
    """Raise what a stage's method would raise before or in its steps: its first and last step are played forward.

    The method works on the segmenter as it is before training and on one batch of the target; nobody steps.
    Raises: DataError E_TARGET_FRAMES, E_PRIOR_EMPTY, E_PRIOR_GROUP…; UsageError E_FEATURE_TAP, E_METHOD_SEGMENTER,
        E_INPUT_SIZE, E_METHOD_OPTION, E_TARGET_LABELS….
    """
    fabric = open_fabric(compute, one_process=True)
    training = _Training(fabric, stage, compute)
    training.prepare(_OneBatch(stage.labelled, stage.target, fabric.device, training.dtype))
    training_mode(training.method, stage)
    batches = step_dataset(stage, training.method, Fraction(0, compute.processes))
    for step in dict.fromkeys((0, stage.config.steps - 1)):
        source, target = batches[step]
        target = target.to(fabric.device, training.dtype) if target else None
        with fabric.autocast():
            for losses in training.method.play(source.to(fabric.device, training.dtype), target, step):
                del losses  # frees its graph
