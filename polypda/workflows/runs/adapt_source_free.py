"""Adapting where no source frame is: from a source package and unlabelled target frames alone.

source-only  the package's start; it cannot be trained further here, and the report says so
adabn        the same with the target's batch-norm statistics
METHOD       the start adapted: adda from the package's features, or tent
"""

from __future__ import annotations

import shutil
from pathlib import Path
from time import monotonic

import pandas as pd
import torch

from polypda.cohorts.frames import OpenedCohort, Split
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.splits import require_split
from polypda.data.cache import CachedFrames, FrameCache
from polypda.files import require_writable
from polypda.methods.registry import method_class
from polypda.methods.source_features import load_source_features
from polypda.networks.input_size import check_input_size
from polypda.networks.registry import load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.networks.weights import save_module
from polypda.training.config import AdaptConfig, StageConfig
from polypda.training.devices import open_fabric
from polypda.training.progress import Progress
from polypda.training.rehearsal import rehearse
from polypda.training.run_folder import RunFolder
from polypda.training.stage import Stage, run_stage
from polypda.workflows.runs.adaptation import keep_chosen
from polypda.workflows.runs.cohort_pair import check_pair, data_roots, require_polyps
from polypda.workflows.runs.leakage import leaks_among, record_leakage, require_allowed
from polypda.workflows.runs.places import Places
from polypda.workflows.runs.recorded_data import data_table, record_data, require_recorded
from polypda.workflows.runs.run_states import told_states
from polypda.workflows.runs.snapshots import Snapshots
from polypda.workflows.runs.source_package import FACTS, FEATURES, MODEL, PackageFacts, SourcePackage
from polypda.workflows.runs.stages import ADABN
from polypda.workflows.runs.trained_models import REUSED_CONTROL, REUSED_START, trained_models
from polypda.workflows.scoring.evaluate import EvaluatedRun, labelled_target, report_on
from polypda.workflows.scoring.score_memory import ScoreMemory


def open_target(config: AdaptConfig, places: Places, run: RunFolder | None = None) -> OpenedCohort:
    """The target without labels. run: an existing one, which must have learnt the same frames.

    Raises: DataError E_DATA_CHANGED; what :func:`~.cohort_pair.check_pair` and opening raise.
    """
    check_pair(config.source, config.target, allow_leakage=config.allow_leakage)
    target = _open(config, places, labels=False)
    require_polyps(target)
    if run is not None:
        require_recorded(run, _table(target))
    if not config.phantom:
        require_allowed(leaks_among((target,), places.cache), allowed=config.allow_leakage)
    for part in (Split.TRAIN, Split.TEST):
        require_split(target, part)
    return target


def check_source_free(folder: Path, config: AdaptConfig, package: SourcePackage, places: Places) -> Segmenter:
    """Check all that needs no frame, before any is looked at; returns the package's model.

    Args: config: as :func:`~.source_package.from_package` makes it.
    Raises: UsageError E_RUN_EXISTS, E_DEVICE, E_INPUT_SIZE; DataError E_WRITE_FAILED, E_WEIGHTS…, E_SOURCE_FEATURES.
    """
    RunFolder.require_free(folder)
    require_writable(places.cache)
    open_fabric(config.compute)
    model = load_segmenter(config.network, package.folder / MODEL)
    check_input_size(torch.empty(1, 3, config.data.size, config.data.size), model.stride)
    if method_class(config.method).reads_source_features:  # what would stop it later is told before a run exists
        load_source_features(package.folder / FEATURES, model, package.facts.tap)
    return model


def start_source_free(
    folder: Path, config: AdaptConfig, package: SourcePackage, model: Segmenter, target: OpenedCohort, places: Places
) -> RunFolder:
    """Create a run that holds all it needs of the package, with a record of the target's frames.

    Args: model: what :func:`check_source_free` returned.
    Raises: UsageError E_RUN_EXISTS.
    """
    table = _table(target)
    run = RunFolder.create(folder, config)
    record_data(run, table)
    if config.allow_leakage:
        told = () if config.phantom else require_allowed(leaks_among((target,), places.cache), allowed=True)
        record_leakage(run.folder, told)
    for name in (REUSED_START, REUSED_CONTROL):
        save_module(model, run.folder / name)
    shutil.copyfile(package.folder / FEATURES, run.folder / FEATURES)
    shutil.copyfile(package.folder / FACTS, run.folder / FACTS)
    return run


def adapt_source_free(run: RunFolder, places: Places, target: OpenedCohort, progress: Progress) -> Path:
    """Run, or go on with, an adaptation from a source package; returns the report's page.

    Raises: Interrupted after a checkpoint; DataError E_DATA_CHANGED where the frames are not what the run learnt;
        PolypdaError otherwise. STATUS.json tells how it ended.
    """
    config, began = run.config(), monotonic()
    require_recorded(run, _table(target))
    with told_states(run) as complete:
        frames = FrameCache(places.cache / "frames", config.data.grid).unlabelled(target.split(Split.TRAIN))
        stage = _stage(run, config, frames, config.method, config.adapt_steps)
        if not stage.folder.exists():
            rehearse(stage, config.compute)
        run_stage(_stage(run, config, frames, ADABN, 0), config.compute, progress)
        run_stage(stage, config.compute, progress)
        snapshots = Snapshots(config, stage.folder, frames, open_fabric(config.compute, one_process=True).device)
        facts = PackageFacts.model_validate_json((run.folder / FACTS).read_text(encoding="utf-8"))
        choice = keep_chosen(run, snapshots, stage.initial, run.folder / REUSED_CONTROL, facts.source_foreground)
        run.set_status("evaluating")
        models = {name: load_segmenter(config.network, path) for name, path in trained_models(run, config).items()}
        memory = ScoreMemory(places.cache / "scores", config.data.grid, config.inference)
        duration_s = monotonic() - began
        evaluated = EvaluatedRun(run, config, target.phantom, models, choice, duration_s, snapshots, memory)
        labelled = labelled_target(evaluated, lambda: _open(config, places, labels=True))
        return complete(report_on(evaluated, {"target": labelled}, places.overlays, progress))


def _table(target: OpenedCohort) -> dict[str, pd.DataFrame]:
    return {target.id: data_table(target, (), None)}


def _open(config: AdaptConfig, places: Places, *, labels: bool) -> OpenedCohort:
    return open_cohort(
        config.target,
        data_roots((config.target,), config, places)[config.target],
        labels=labels,
        allow_leakage=config.allow_leakage,
    )


def _stage(run: RunFolder, config: AdaptConfig, target: CachedFrames, method: str, steps: int) -> Stage:
    options = {**config.supervised, **config.options} if method == config.method else {}
    if method_class(method).reads_source_features:
        options["source_features"] = run.folder / FEATURES
    settings = StageConfig(
        method=method,
        options=options,
        steps=steps,
        batch_norm=config.batch_norm,
        settle_statistics=False,
        clip_norm=config.clip_norm,
        checkpoint_every=config.checkpoint_every,
        snapshots=method == config.method,
    )
    return Stage(
        name=method,
        folder=run.stage(method),
        config=settings,
        network=config.network,
        data=config.data,
        seed=config.seed,
        labelled=None,
        target=target,
        initial=run.folder / REUSED_START,
    )
