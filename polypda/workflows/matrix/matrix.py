"""Running a planned matrix: what is missing is run, what was interrupted goes on, what is complete is left alone.

How long a run will train, estimated by timing a few of its steps on random frames on this machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.named_root import use_data_root
from polypda.cohorts.opening import find_cohort
from polypda.data.batches import LabelledBatch, PseudoLabelledBatch, UnlabelledBatch
from polypda.errors import PolypdaError, UsageError
from polypda.evaluation.cases.evaluation_file import read_evaluation
from polypda.methods.registry import method_class, method_options
from polypda.networks.registry import build_segmenter
from polypda.networks.segmenter import channels_last
from polypda.training.config import AdaptConfig, Precision
from polypda.training.engine import Engine, open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.training.stage import decide_what_learns
from polypda.workflows.matrix.launchers import Launcher, Outcome, Sequential
from polypda.workflows.matrix.matrix_plan import PlannedRun
from polypda.workflows.runs.adapt import adapt, check_start, open_both, open_data, start_run
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.recorded_data import data_tables, require_recorded
from polypda.workflows.runs.reports import was_scored
from polypda.workflows.runs.reuse import RUN_MAY_DIFFER, differing
from polypda.workflows.runs.stages import SOURCE_ONLY, adapts
from polypda.workflows.scoring.evaluate import UNSCORED
from polypda.workflows.scoring.unscored import EVIDENCE


class RunState(StrEnum):
    """Where a planned run stands."""

    MISSING = "to run"
    INTERRUPTED = "to go on"
    UNSCORED = "to score"  # trained, but its evaluation is missing or of an older version
    COMPLETE = "complete"


def state_of(run: PlannedRun, folder: Path) -> RunState:
    """Where a run stands. Raises: UsageError E_MATRIX_DIFFERS when another experiment lies in its folder."""
    index = folder / run.name
    if not (index / "config.json").is_file():
        return RunState.MISSING
    found = RunFolder.open(index)
    different = differing(found.config(), run.config, RUN_MAY_DIFFER)
    if different:
        raise UsageError(
            "E_MATRIX_DIFFERS",
            f"the run that lies there differs from the plan in {', '.join(different)}.",
            where=index,
            fix="give the options it was made with, or another --out.",
        )
    try:
        complete = found.status().get("state") == "complete"
    except PolypdaError:  # damaged: going on with the run writes it anew
        complete = False
    if not complete:
        return RunState.INTERRUPTED
    if not was_scored(index):  # the target has no labels: its page and figures are the run's end
        return RunState.COMPLETE if (index / UNSCORED / EVIDENCE).is_file() else RunState.UNSCORED
    try:
        read_evaluation(found.report)
    except PolypdaError:
        return RunState.UNSCORED
    return RunState.COMPLETE


def run_matrix(
    runs: Sequence[PlannedRun],
    folder: Path,
    paths: Paths,
    progress: Progress,
    launcher: Launcher | None = None,
    *,
    here: bool = True,
    announce: Callable[[PlannedRun, RunState], None] = lambda run, state: None,
) -> Iterator[Outcome]:
    """Bring every run to its end, in ``folder``; yields outcomes as they come.

    Args:
        progress: told of each training; with a launcher of processes it must be picklable (:class:`Silent` is).
        here: whether runs are computed on this machine, which must then have their device.
        announce: told of each run before it begins, with where it stands.
    Raises: before anything is run UsageError E_MATRIX_DIFFERS, DataError E_DATA_CHANGED, and what :func:`check_matrix`
        raises; Interrupted.
    """
    check_matrix(runs, folder, paths, here=here)
    _require_recorded(runs, folder, paths)
    folder.mkdir(parents=True, exist_ok=True)

    def begin(run: PlannedRun) -> None:
        announce(run, state_of(run, folder))

    bring = partial(_bring_to_end, folder=folder, paths=paths, progress=progress)
    open_runs = []
    for run in runs:
        if state_of(run, folder) is RunState.COMPLETE:
            begin(run)
            yield Outcome(run)
        else:
            open_runs.append(run)
    yield from (launcher or Sequential()).launch(open_runs, bring, begin)


def check_matrix(runs: Sequence[PlannedRun], folder: Path, paths: Paths, *, here: bool = True) -> None:
    """Check all that needs no frame, for every run that is still to be begun; its device where it runs here.

    Raises: UsageError E_MATRIX_DIFFERS; DataError E_COHORT_ABSENT, E_COHORT_EMPTY, E_COHORT_BOXES, E_COHORT_VIDEO;
        what :func:`check_start` raises.
    """
    missing = [run for run in runs if state_of(run, folder) is RunState.MISSING]
    known: list[tuple[object, ...]] = []
    for run in missing:
        config = run.config
        one = (config.method, config.network, config.data, config.compute, config.supervised, config.options)
        if one not in known:  # else it was checked with another seed or pair
            known.append(one)
            check_start(folder / run.name, config if here else _on_processor(config), paths)
    for cohort in dict.fromkeys(name for run in missing for name in (run.config.source, run.config.target)):
        if not missing[0].config.phantom:
            find_cohort(manifest(cohort), paths.data_root)


def _on_processor(config: AdaptConfig) -> AdaptConfig:
    """As a login node can build it."""
    compute = config.compute.model_copy(update={"device": "cpu", "precision": Precision.FP32})
    return config.model_copy(update={"compute": compute})


def _require_recorded(runs: Sequence[PlannedRun], folder: Path, paths: Paths) -> None:
    """Runs that are there must have learnt the data that the others will learn. Raises: DataError E_DATA_CHANGED."""
    for run in runs:
        if state_of(run, folder) is not RunState.MISSING:
            found = RunFolder.open(folder / run.name)
            require_recorded(found, data_tables(run.config, open_both(run.config, paths)))


def _bring_to_end(run: PlannedRun, folder: Path, paths: Paths, progress: Progress) -> None:
    use_data_root(paths.data_root)  # a process of its own knows nothing of the manifests that lie there
    state = state_of(run, folder)
    if state is RunState.COMPLETE:
        return
    config = run.config
    if state is RunState.MISSING:
        start, oracle = (folder / name if name else None for name in (run.start, run.oracle))
        taking = replace(paths, start=start, oracle=oracle)
        segmenter = check_start(folder / run.name, config, taking)
        pair = open_data(config, paths)
        here = start_run(folder / run.name, config, taking, pair, segmenter)
    else:
        here = RunFolder.open(folder / run.name)
        pair = open_data(config, paths, here)
    adapt(here, paths, pair, progress)


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
    target_batch: UnlabelledBatch

    def source(self) -> Iterator[LabelledBatch]:
        yield self.of_source

    def target(self) -> Iterator[UnlabelledBatch]:
        yield self.target_batch

    def statistics(self) -> Iterator[UnlabelledBatch]:
        yield self.target_batch

    def target_names(self) -> tuple[str, ...]:
        return self.target_batch.frames


def timed_step(config: AdaptConfig, method: str) -> float:
    """Median seconds of a step of a method, on random frames, after one that is not counted."""
    fabric = open_fabric(config.compute, one_process=True)
    segmenter = build_segmenter(config.network).to(fabric.device).train()
    decide_what_learns(segmenter, config)
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
