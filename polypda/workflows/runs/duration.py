"""How long a run will train, estimated by timing a few of its steps on random frames on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from polypda.data.batches import LabelledBatch, PseudoLabelledBatch, UnlabelledBatch
from polypda.methods.registry import method_class, method_options
from polypda.networks.batch_norm import apply_policy
from polypda.networks.memory_layout import channels_last
from polypda.networks.registry import build_segmenter
from polypda.training.config import AdaptConfig
from polypda.training.devices import open_fabric
from polypda.training.engine import Engine
from polypda.workflows.matrix.matrix_plan import PlannedRun
from polypda.workflows.runs.stages import SOURCE_ONLY, adapts

TIMED_STEPS = 3


def estimated_seconds(runs: Iterable[PlannedRun], time_step: Callable[[AdaptConfig, str], float]) -> dict[str, float]:
    """Run name → seconds of training. Scoring and decoding come on top.

    Args: time_step: seconds of one step of a method under a configuration (:func:`timed_step`).
    """
    known: dict[str, float] = {}

    def step_s(config: AdaptConfig, method: str) -> float:
        if method not in known:
            known[method] = time_step(config, method)
        return known[method]

    totals = {}
    for run in runs:
        config, total = run.config, 0.0
        if run.start is None:
            total += (config.start_steps + config.adapt_steps) * step_s(config, SOURCE_ONLY)
        if adapts(config.method):
            total += config.adapt_steps * step_s(config, config.method)
        totals[run.name] = total
    return totals


@dataclass(frozen=True)
class RandomFrames:
    """What a method may look at before its first step; here one batch of each domain."""

    of_source: LabelledBatch
    of_target: UnlabelledBatch

    def source(self) -> Iterator[LabelledBatch]:
        yield self.of_source

    def target(self) -> Iterator[UnlabelledBatch]:
        yield self.of_target

    def statistics(self) -> Iterator[UnlabelledBatch]:
        yield self.of_target

    def target_names(self) -> tuple[str, ...]:
        return self.of_target.frames


def timed_step(config: AdaptConfig, method: str) -> float:
    """Median seconds of a step of a method, on random frames, after one that is not counted."""
    fabric = open_fabric(config.compute, one_process=True)
    segmenter = build_segmenter(config.network).to(fabric.device).train()
    apply_policy(segmenter, config.batch_norm)
    shared = {**config.supervised, **(config.options if method == config.method else {})}
    options = method_options(method, shared)
    player = method_class(method)(segmenter, options, steps=TIMED_STEPS + 1)
    for module in player.modules().values():
        channels_last(module.to(fabric.device))
    size, batch = config.data.size, config.data.batch_size
    images = torch.rand(2, batch, size, size, 3).permute(0, 1, 4, 2, 3)  # channels last, as batches come
    valid = torch.ones(batch, 1, size, size, dtype=torch.bool)
    frames = tuple(
        LabelledBatch(part, valid, ("",) * batch, (part[:, 0] > 0.5).long()).to(fabric.device, torch.float32)
        for part in images
    )
    source, labelled = frames
    plain = (labelled.images, labelled.valid, labelled.frames)
    without = UnlabelledBatch(*plain)
    if options.pseudo_labels is not None:
        without = PseudoLabelledBatch(*plain, labelled.masks)
    target = labelled if options.learns_target_labels else without
    player.prepare(RandomFrames(source, target))
    engine = Engine(fabric, player)
    seconds = []
    for step in range(TIMED_STEPS + 1):
        began = time.perf_counter()
        engine.step(source, target if player.plays_on_target else None, step)
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
