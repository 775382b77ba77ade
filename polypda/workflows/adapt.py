"""The main job: adapt one cohort to another and show whether it helped."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import monotonic

import torch

from polypda.cohorts.catalogue import manifest_hash
from polypda.cohorts.frames import Split
from polypda.data.cache import FrameCache
from polypda.data.sampling import Stream, seed_of
from polypda.errors import DataError, Interrupted
from polypda.networks.batch_norm import recompute_statistics
from polypda.networks.input_size import check_input_size
from polypda.networks.registry import build_segmenter, describe_initial_weights, load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.networks.weights import save_module
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import AdaptConfig, FinalStatistics
from polypda.training.devices import open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder, split_table, write_json
from polypda.training.selectors import Choice, choose, foreground_share, score_snapshot
from polypda.training.stage import Stage, run_stage, statistics_batches
from polypda.workflows.cohort_pair import CohortPair, open_pair, render_pair, require_labels
from polypda.workflows.evaluate import EvaluatedRun, evaluate_and_report
from polypda.workflows.places import Places
from polypda.workflows.reuse import start_of
from polypda.workflows.stages import ADABN, ORACLE, SOURCE_ONLY, StagePlan, TrainingData

INITIAL, REUSED_START = "initial.safetensors", "start.safetensors"


def open_data(config: AdaptConfig, places: Places) -> CohortPair:
    """Find (or render) both cohorts, the target without labels. Raises: what :func:`open_pair` raises."""
    root = places.data_root
    if config.phantom:
        folder = places.cache / "phantoms"
        root = render_pair(config.source, config.target, config.phantom_frames, config.phantom_seed, folder)
    return open_pair(config.source, config.target, root)


def start_run(folder: Path, config: AdaptConfig, places: Places, pair: CohortPair) -> RunFolder:
    """Check all that can be checked, then create the run with the networks it starts from.

    The segmenter before training (with its pretrained encoder) and a reused start are copied into the run: going on
    with it needs neither the weights file nor the other run.

    Raises: UsageError E_RUN_EXISTS, E_DEVICE, E_INPUT_SIZE; what building networks and :func:`start_of` raise.
    """
    open_fabric(config.compute)
    torch.manual_seed(seed_of(config.seed, Stream.STEP))
    segmenter = build_segmenter(config.network.model_copy(update={"encoder_weights": places.encoder_weights}))
    check_input_size(torch.empty(1, 3, config.data.size, config.data.size), segmenter.stride)
    start = start_of(places.start, config, pair.source) if places.start else None
    run = RunFolder.create(folder, config)
    write_json(run.folder / "initial-weights.json", describe_initial_weights(segmenter))
    if start is not None:
        save_module(load_segmenter(config.network, start), run.folder / REUSED_START)
    save_module(segmenter, run.folder / INITIAL)
    return run


def adapt(run: RunFolder, config: AdaptConfig, places: Places, pair: CohortPair, progress: Progress) -> Path:
    """Run, or go on with, an adaptation in its folder; returns the report's page.

    Raises: Interrupted after a checkpoint; PolypdaError otherwise. STATUS.json tells how it ended.
    """
    began = monotonic()
    try:
        _record_data(run, pair)
        run.set_status("training")
        models, choice, oracle = _train(run, config, places, pair, progress)
        run.set_status("evaluating")
        evaluated = EvaluatedRun(run, config, pair, models, choice, oracle, monotonic() - began)
        page = evaluate_and_report(evaluated, overlays=places.overlays, progress=progress)
    except (Interrupted, KeyboardInterrupt):
        run.set_status("interrupted")
        raise
    except Exception as error:
        with suppress(OSError):  # a full disk must not hide what went wrong
            run.set_status("failed", error=getattr(error, "code", type(error).__name__))
        raise
    run.set_status("complete", report=page.relative_to(run.folder).as_posix())
    return page


def _record_data(run: RunFolder, pair: CohortPair) -> None:
    cohorts = (pair.source, pair.target)
    write_json(run.folder / "manifests.json", {cohort.id: manifest_hash(cohort.id) for cohort in cohorts})
    for cohort in cohorts:
        split_table(cohort).to_csv(run.folder / f"split-{cohort.id}.csv", index=False)


def _train(
    run: RunFolder, config: AdaptConfig, places: Places, pair: CohortPair, progress: Progress
) -> tuple[dict[str, Segmenter], Choice | None, bool]:
    cache = FrameCache(places.cache / "frames", config.data.grid)
    data = TrainingData.of(pair, cache)
    plan = StagePlan(config, run, data, _kept(run, INITIAL))

    def trained(stage: Stage) -> Path:
        run.set_status("training", stage=stage.name)
        run_stage(stage, config.compute, progress)
        return stage.final_segmenter

    start = _kept(run, REUSED_START) if config.start_from else trained(plan.start())
    control = trained(plan.control(start))
    weights = {SOURCE_ONLY: control, ADABN: trained(plan.adabn(control))}
    choice = None
    if plan.adapts:
        stage = plan.method(start)
        trained(stage)
        choice, weights[config.method] = _choose(run, config, stage, data)
    wants_oracle = config.oracle or config.method == ORACLE
    if wants_oracle:
        frames = require_labels(pair.labelled_target(), Split.TRAIN)
        weights[ORACLE] = trained(plan.oracle(cache.labelled(frames)))
    return {name: load_segmenter(config.network, path) for name, path in weights.items()}, choice, wants_oracle


def _kept(run: RunFolder, name: str) -> Path:
    """A network that was copied into the run when it was created. Raises: DataError E_RUN_INCOMPLETE."""
    path = run.folder / name
    if not path.is_file():
        raise DataError(
            "E_RUN_INCOMPLETE",
            f"the run was stopped before {name} was written; nothing was trained yet.",
            where=run.name,
            fix="remove the folder and start the run anew.",
        )
    return path


def _choose(run: RunFolder, config: AdaptConfig, stage: Stage, data: TrainingData) -> tuple[Choice, Path]:
    """Score every snapshot without target labels; write all scores, take the selector's choice."""
    device = open_fabric(config.compute, one_process=True).device

    def as_used(path: Path) -> Segmenter:
        segmenter = load_segmenter(config.network, path).to(device)
        if config.final_statistics is FinalStatistics.TARGET:
            recompute_statistics(segmenter, (batch.images.to(device) for batch in statistics_batches(data.target)))
        return segmenter

    snapshots = {checkpoint.step: checkpoint.segmenter for checkpoint in list_checkpoints(stage.folder)}
    scores = [
        score_snapshot(as_used(path), step, data.target, data.source_validation, device)
        for step, path in snapshots.items()
    ]
    choice = choose(scores, config.selector, foreground_share(data.source), note=data.validation_note)
    write_json(run.folder / "selection.json", choice.as_json())
    adapted = run.folder / "adapted.safetensors"
    save_module(as_used(snapshots[choice.step]), adapted)
    return choice, adapted
