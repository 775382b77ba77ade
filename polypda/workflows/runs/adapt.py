"""The main job: adapt one cohort to another and show whether it helped.

Where a source package stands for the source's frames the same is done without them: the package's model is both the
start and the control (it cannot be trained further here, and the report says so), and what was learnt of the source's
features stands in for its frames.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

import torch

from polypda.cache import remove_unfinished
from polypda.cohorts.frames import Split
from polypda.cohorts.pairs import check_pair
from polypda.data.cache import CachedFrames, FrameCache
from polypda.data.sampling import Stream, seed_of
from polypda.errors import Interrupted
from polypda.files import remove_leftovers, require_free, require_writable, whole_folder, write_failed
from polypda.locks import locked
from polypda.methods.registry import method_class
from polypda.methods.source_features import load_source_features
from polypda.networks.registry import build_segmenter, load_segmenter
from polypda.networks.segmenter import Segmenter, check_input_size
from polypda.networks.weights import save_module
from polypda.processes import errors_of_signals
from polypda.training.config import AdaptConfig, Compute
from polypda.training.criteria import ORACLE as ORACLE_RULE
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress, phase
from polypda.training.run_folder import RunFolder
from polypda.training.run_loggers import Tracking
from polypda.training.selectors import Choice, recorded_choice
from polypda.training.stage import Stage, rehearse, run_stage
from polypda.workflows.runs.accepted import read_accepted, require_usable
from polypda.workflows.runs.adaptation import Adaptation, rehearsed
from polypda.workflows.runs.cohort_pair import CohortPair, data_roots, open_pair
from polypda.workflows.runs.configure import record_initial_weights, weights_to_load, with_processes
from polypda.workflows.runs.disk_space import require_space
from polypda.workflows.runs.keeping import adopt, settle
from polypda.workflows.runs.leakage import leaks_among, record_leakage, require_allowed
from polypda.workflows.runs.outline import Outlined, outline_of
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.recorded_data import data_tables, record_data, require_recorded
from polypda.workflows.runs.reuse import flat, has_same_control, oracle_of, require_same_start, source_only_of, start_of
from polypda.workflows.runs.source_labels import LearntLabels, require_teaching
from polypda.workflows.runs.source_package import FACTS, MODEL, SourcePackage, packaged_facts
from polypda.workflows.runs.stages import FEATURES, SOURCE_ONLY, StagePlan, TrainingData, adapts
from polypda.workflows.runs.stylize import device_of, require_stylizing, stylized_source
from polypda.workflows.runs.tracked_results import track_results
from polypda.workflows.runs.trained_models import (
    INITIAL,
    REUSED_CONTROL,
    REUSED_ORACLE,
    REUSED_START,
    RunModels,
    Snapshots,
    learns_target_labels,
    wants_oracle,
)
from polypda.workflows.runs.trainings import Training, train_all
from polypda.workflows.scoring.evaluate import EvaluatedRun, Reported, evaluate_and_report, recorded_regret
from polypda.workflows.scoring.score_memory import ScoreMemory

log = logging.getLogger(__name__)


def open_data(config: AdaptConfig, paths: Paths, run: RunFolder | None = None) -> CohortPair:
    """Find (or render) the cohorts, the target without labels; their held-out frames must be independent.

    Of a run from a source package only the target is opened.

    run: an existing one, which must have learnt the same data.
    Raises: what :func:`open_pair` raises; DataError E_DATA_CHANGED; LeakageError E_ALIKE_LEAK.
    """
    allowed = config.allow_leakage
    pair = open_both(config, paths)
    if run is not None:
        require_recorded(run, data_tables(config, pair))
    if config.phantom:  # scenes of the renderer are independent by construction
        return pair
    leakage = require_allowed(leaks_among(pair.here, paths.cache), allowed=allowed)
    return replace(pair, leakage=leakage if allowed else None)


def open_both(config: AdaptConfig, paths: Paths) -> CohortPair:
    """Likewise, without asking whether held-out frames are independent: no picture is read."""
    allowed = config.allow_leakage
    check_pair(config.source, config.target, allow_leakage=allowed)
    cohorts = (config.target,) if config.source_package is not None else (config.source, config.target)
    roots = data_roots(cohorts, config, paths)
    return open_pair(config.source, config.target, roots, config.data.box_supervision, allow_leakage=allowed)


def check_start(folder: Path, config: AdaptConfig, paths: Paths, package: SourcePackage | None = None) -> Segmenter:
    """Check all that needs no frame, before any is rendered or read; returns the segmenter before training.

    Args: package: in place of source frames; config is then as :func:`~.runs.from_package` makes it.
    Raises: UsageError E_RUN_EXISTS, E_DEVICE, E_INPUT_SIZE, E_FEATURE_TAP, E_STYLE_LAYERS, E_EXTRA_MISSING (of a
        logger), E_LOGGER_UNKNOWN, E_LOGGER_SERVER; DataError E_WRITE_FAILED, E_SOURCE_FEATURES; what building networks
        and :func:`require_same_start` raise.
    """
    Tracking(config.log_to, paths.mlflow_uri).check()
    require_free(folder)
    require_writable(paths.cache)
    open_fabric(config.compute)
    if paths.start:
        require_same_start(paths.start, config)
    torch.manual_seed(seed_of(config.seed, Stream.STEP))
    if package is not None:
        segmenter = load_segmenter(config.network, package.folder / MODEL)
        if method_class(config.method).reads_source_features:
            load_source_features(package.folder / FEATURES, segmenter, package.facts.tap)
    else:
        weights = weights_to_load(config, paths)
        segmenter = build_segmenter(config.network.model_copy(update={"encoder_weights": weights}))
    check_input_size(torch.empty(1, 3, config.data.size, config.data.size), segmenter.stride)
    if adapts(config.method):
        require_stylizing(config, segmenter)
    return segmenter


def start_run(
    folder: Path,
    config: AdaptConfig,
    paths: Paths,
    pair: CohortPair,
    segmenter: Segmenter | None = None,
    package: SourcePackage | None = None,
) -> RunFolder:
    """Check all that can be checked, then create the run with what it learns and the networks it starts from.

    The segmenter before training (with its pretrained encoder), reused models and what is needed of a source package
    are copied into the run: going on with it needs neither the weights file nor the other runs. What the run learns is
    recorded once, here.

    Args: segmenter: what :func:`check_start` returned; None: it is asked here. package: in place of source frames.
    Raises: DataError E_BOX_SUPERVISION (of an oracle); what :func:`check_start`, :func:`start_of` and
        :func:`oracle_of` raise.
    """
    segmenter = segmenter or check_start(folder, config, paths, package)
    reused, names = _reused(config, paths, pair, package)
    accepted = read_accepted(paths.accepted) if paths.accepted is not None else None
    if accepted is not None:
        require_usable(accepted, pair.target, config.method, config.of_method)
        names["accepted"] = accepted.words
    config = config.model_copy(update=names)
    _require_permitted_labels(config, pair)
    tables = data_tables(config, pair)
    require_free(folder)
    weights = sum(value.numel() * value.element_size() for value in segmenter.state_dict().values())
    require_space(folder, paths.cache, config, pair, weights)
    try:
        with whole_folder(folder, sealed=True) as work:  # a run that was not created whole is none
            run = RunFolder.create(work, config)
            record_data(run, tables)
            if accepted is not None:
                accepted.copy_into(run.folder)
            if pair.source is not None:
                LearntLabels.of(pair.source, config.data.box_supervision).record(run)
            if pair.leakage is not None:
                record_leakage(run.folder, pair.leakage)
            for name, path in reused.items():
                save_module(load_segmenter(config.network, path), run.folder / name)
            if package is not None:
                for name in (FEATURES, FACTS):
                    shutil.copyfile(package.folder / name, run.folder / name)
            else:
                record_initial_weights(run, segmenter, paths)
                save_module(segmenter, run.folder / INITIAL)
    except OSError as error:
        require_free(folder)  # another process was quicker
        raise write_failed(folder, error) from error
    return RunFolder(folder)


def _require_permitted_labels(config: AdaptConfig, pair: CohortPair) -> None:
    """Target labels that the user permitted must be there. Raises: DataError E_BOX_SUPERVISION, E_NO_LABELS."""
    boxes = config.data.box_supervision
    if wants_oracle(config) and not config.oracle_from:
        require_teaching(pair.labelled_target(), Split.TRAIN, boxes)
    if learns_target_labels(config):
        require_teaching(pair.labelled_target(), Split.TRAIN, None)
    if config.selector == ORACLE_RULE and adapts(config.method):
        require_teaching(pair.labelled_target(), Split.VALIDATION, boxes)


def _reused(
    config: AdaptConfig, paths: Paths, pair: CohortPair, package: SourcePackage | None
) -> tuple[dict[str, Path], dict[str, str]]:
    """Models made elsewhere: file name here → their file; and what the configuration then says of their origin."""
    reused: dict[str, Path] = {}
    names: dict[str, str] = {}
    if package is not None:
        reused = dict.fromkeys((REUSED_START, REUSED_CONTROL), package.folder / MODEL)
    if paths.start and pair.source is not None:
        reused[REUSED_START] = start_of(paths.start, config, pair.source)
        names["start_from"] = paths.start.resolve().name
        if has_same_control(paths.start, config):
            reused[REUSED_CONTROL] = source_only_of(paths.start)
            names["control_from"] = names["start_from"]
    if paths.oracle:
        reused[REUSED_ORACLE] = oracle_of(paths.oracle, config, pair.labelled_target())
        names["oracle_from"] = paths.oracle.resolve().name
    return reused, names


def adapt(run: RunFolder, paths: Paths, pair: CohortPair, progress: Progress, processes: int | None = None) -> Path:
    """Run, or go on with, an adaptation in its folder; returns the report's page.

    Args: processes: how many share each batch from here on, which the run notes; None: as many as it was begun with.
    Raises: UsageError E_OPTION where they cannot share it evenly; Interrupted after a checkpoint; DataError
        E_RUN_LOCKED where another process works in the folder, E_DATA_CHANGED where the data are not what the run
        learnt; PolypdaError otherwise. STATUS.json tells how it ended.
    """
    config, began = run.config(), monotonic()
    tracking = Tracking(config.log_to, paths.mlflow_uri)
    tracking.check()
    if processes is not None:
        config = with_processes(config, processes)
    require_recorded(run, data_tables(config, pair))
    with locked(run.folder, "adapt"), _taken_up(run, config.compute, paths.cache), _told_states(run) as complete:
        finished = bool(run.not_kept())  # the models are there, but not what they were trained and chosen from
        if not finished:
            require_space(run.folder, paths.cache, config, pair, RunModels(run, config).initial.stat().st_size)
        outline = outline_of(run, config, pair)
        progress.announce(f"to do: {outline}")
        progress = Outlined(progress, outline)
        tracking.begin(run.folder, flat(config))
        if finished:
            choice, snapshots = recorded_choice(run.folder), None
        else:
            choice, snapshots = _train(run, config, paths, pair, progress, tracking)
        run.set_status("evaluating")
        models = RunModels(run, config).loaded()
        memory = ScoreMemory(paths.cache / "scores", config.data.grid, config.inference)
        took = monotonic() - began
        regret = recorded_regret(run.report) if finished else None
        evaluated = EvaluatedRun(run, config, pair.phantom, models, choice, took, snapshots, memory, regret)
        reported = evaluate_and_report(evaluated, pair, overlays=paths.overlays, progress=progress)
        track_results(tracking, run, reported, of_patients=not pair.phantom)
        page = complete(reported)
        if gone := run.not_kept().words:
            progress.announce(gone)
        return page


@contextmanager
def _taken_up(run: RunFolder, compute: Compute, cache: Path) -> Iterator[None]:
    """Clear what a killed process left in a run and in the cache, and say where the run is gone on with otherwise than
    it was begun."""
    for folder in (run.folder, *run.stages()):
        remove_leftovers(folder)
    remove_unfinished(cache)
    if adopt(run):
        log.warning("%s: made by a version without checksums; its files are recorded as they are now", run.name)
    device_of(compute)  # the wanted number of threads
    if different := run.note_resumption(compute.processes):
        log.warning("%s: %s", run.name, different)
    yield


def _train(
    run: RunFolder, config: AdaptConfig, paths: Paths, pair: CohortPair, progress: Progress, tracking: Tracking
) -> tuple[Choice | None, Snapshots | None]:
    """Train what is not there yet, in order; afterwards :class:`RunModels` finds every model."""
    cache = FrameCache(paths.cache / "frames", config.data.grid)
    facts = packaged_facts(run)
    foreground = facts.source_foreground if facts else 0.0
    with phase(progress, "reading frames"):
        data = TrainingData.of(pair, cache, config.data.box_supervision, foreground)
    models = RunModels(run, config)
    plan = StagePlan(config, run, data, models.initial, tracking)

    def trained(stage: Stage) -> Path:
        run.set_status("training", stage=stage.name)
        run_stage(stage, config.compute, progress)
        return stage.final_segmenter

    trained_on = None
    if learns_target_labels(config):
        trained_on = cache.partly_labelled(pair.labelled_target().split(Split.TRAIN))
    if plan.adapts and not run.stage(plan.first_of_method).exists():
        with phase(progress, "trying a step"):
            rehearse(rehearsed(plan, plan.initial, trained_on), config.compute)
    start = models.start if config.start_from else trained(plan.start())
    control = models.control if config.control_from else plan.control(start)
    trainings = [Training(SOURCE_ONLY, partial(_train_controls, plan, control))]
    adaptation = Adaptation(run, config, plan, data, start, control, config.compute, trained_on=trained_on)
    if plan.adapts:
        stylized = stylized_source(run, data.source, data.target, start, paths.cache, progress)
        adaptation = replace(adaptation, stylized=stylized)
        trainings += adaptation.trainings()
    begin = partial(run.set_status, "training")
    results = train_all(trainings, config.compute, progress, lambda names: begin(stage=names), run.folder)
    choice, snapshots = None, None
    if plan.adapts:
        stage, alarms = results[config.method]
        with phase(progress, "choosing the checkpoint"):
            choice, snapshots = adaptation.chosen(stage, alarms, _permitted_labels(config, pair, cache))
    if wants_oracle(config) and not config.oracle_from:
        frames = require_teaching(pair.labelled_target(), Split.TRAIN, config.data.box_supervision)
        trained(plan.oracle(cache.labelled(frames, config.data.box_supervision)))
    return choice, snapshots


def _train_controls(plan: StagePlan, control: Path | Stage, compute: Compute, progress: Progress) -> None:
    """The source-only control, where it is not another run's, and the one with the target's statistics."""
    if isinstance(control, Stage):
        run_stage(control, compute, progress)
        control = control.final_segmenter
    run_stage(plan.adabn(control), compute, progress)


def _permitted_labels(config: AdaptConfig, pair: CohortPair, cache: FrameCache) -> CachedFrames | None:
    """Labelled target validation frames for the selector ``oracle``, whose configuration carries the permission."""
    if config.selector != ORACLE_RULE:
        return None
    boxes = config.data.box_supervision
    return cache.labelled(require_teaching(pair.labelled_target(), Split.VALIDATION, boxes), boxes)


@contextmanager
def _told_states(run: RunFolder) -> Iterator[Callable[[Reported], Path]]:
    """STATUS.json says training from here on; interrupted or failed where the block is left by an error.

    Yields what takes the report, writes that the run is complete and its verdict, removes what only served to train
    on and models that it was not asked to keep, and returns the page.
    """

    def complete(reported: Reported) -> Path:
        page = reported.page.relative_to(run.folder).as_posix()
        run.set_status("complete", report=page, verdict=reported.verdict, scored=reported.scored)
        settle(run)
        return reported.page

    try:
        run.set_status("training")
        with errors_of_signals():
            yield complete
    except (Interrupted, KeyboardInterrupt):
        run.set_status("interrupted")
        raise
    except Exception as error:
        with suppress(OSError):  # a full disk must not hide what went wrong
            run.set_status("failed", error=getattr(error, "code", type(error).__name__))
        raise
