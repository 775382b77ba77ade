"""What the models of a run say of themselves, put together from what the run recorded."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.frames import Split
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.data.inference import Inference
from polypda.errors import DataError, PolypdaError, UsageError, nearest
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.networks.registry import build_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.prediction.facts import EncoderOrigin, LearntCohort, ModelFacts, NetworkInput, Normalisation, Training
from polypda.prediction.model import LoadedModel, read_model
from polypda.training.config import AdaptConfig
from polypda.training.criteria import ORACLE as ORACLE_RULE
from polypda.training.run_folder import RunFolder, environment
from polypda.training.selectors import set_aside
from polypda.workflows.runs.configure import RECORD
from polypda.workflows.runs.source_labels import LearntLabels
from polypda.workflows.runs.stages import ADABN, ORACLE, SOURCE_ONLY, adapts
from polypda.workflows.runs.trained_models import RunModels, learns_target_labels

NOT_OF_A_MODEL = {"python", "system", "machine"}
"""What a run records of where it was made, and a model does not need."""


def model_facts(run: RunFolder, config: AdaptConfig, model: str, network: Segmenter) -> ModelFacts:
    """What one model of a run says of itself. model: its name in the run's tables. network: as it is used."""
    data = config.data
    return ModelFacts(
        network=config.network.for_checkpoint(),
        input=NetworkInput(
            size=data.size,
            fit=data.fit,
            stride=network.stride,
            crop_to_field_of_view=data.crop_to_field_of_view,
            normalisation=Normalisation.of(network),
        ),
        inference=config.inference,
        threshold=DEFAULT_THRESHOLD,
        training=_training(run, config, model),
        encoder_weights=_encoder_origin(run, config),
        versions={name: version for name, version in environment().items() if name not in NOT_OF_A_MODEL},
    )


def load_model(
    path: Path,
    model: str | None = None,
    *,
    inference: Inference | None = None,
    threshold: float | None = None,
    device: torch.device | None = None,
) -> LoadedModel:
    """Load a model from its file, or from the run folder that holds it.

    Args:
        path: a .safetensors file with its facts, or a run folder of `polypda adapt`.
        model: of a run, one of the names in its tables; by default what the run hands out: its adapted model, or the
            control where it adapted nothing. inference, threshold, device: see
            :func:`polypda.prediction.model.read_model`.

    Raises: UsageError E_MODEL_NAME; DataError E_RUN_MISSING, E_RUN_UNFINISHED, E_RUN_INCOMPLETE; what
        :func:`polypda.prediction.model.read_model` raises.
    """
    if not path.is_dir():
        if model is not None:
            what = f"'{model}' names a model of a run, and this is one model's file."
            raise UsageError("E_MODEL_NAME", what, where=path.name, fix="leave --model out, or give the run folder.")
        return read_model(path, inference=inference, threshold=threshold, device=device)
    run = RunFolder.open(path)
    config = run.config()
    models = RunModels(run, config)
    if model is None:
        model = config.method if adapts(config.method) or config.method in (ADABN, ORACLE) else SOURCE_ONLY
    if model in run.not_kept().models:
        what = f"the model of '{model}', a part of {config.method}, was not kept when the run was finished."
        fix = f"`polypda adapt --method {model} --start {path} …` trains it again; --keep all keeps such models."
        raise DataError("E_MODEL_NOT_KEPT", what, where=run.name, fix=fix)
    if model not in models.names:
        what = f"this run has no model '{model}'.{nearest(model, models.names)}"
        raise UsageError("E_MODEL_NAME", what, where=run.name, fix=f"choose one of {', '.join(models.names)}.")
    facts = model_facts(run, config, model, build_segmenter(config.network.for_checkpoint()))
    found = read_model(models.of(model), facts=facts, inference=inference, threshold=threshold, device=device)
    # the normalisation is part of the weights: told of the network that holds them
    own = found.facts.input.model_copy(update={"normalisation": Normalisation.of(found.network)})
    return LoadedModel(
        found.network, found.facts.model_copy(update={"input": own}), found.inference, found.threshold, found.device
    )


def _training(run: RunFolder, config: AdaptConfig, model: str) -> Training:
    adapted = model not in (SOURCE_ONLY, ORACLE)
    learnt_target = model == ORACLE or (adapted and learns_target_labels(config))
    by_target_labels = learnt_target or (adapted and model != ADABN and config.selector == ORACLE_RULE)
    cohorts = []
    if model != ORACLE:
        cohorts.append(_learnt(run, config, config.source, "labelled source"))
    if model != SOURCE_ONLY:
        cohorts.append(_learnt(run, config, config.target, f"{'' if learnt_target else 'un'}labelled target"))
    settings: dict[str, Any] = {
        "preset": config.preset,
        "seed": config.seed,
        "start_steps": config.start_steps,
        "adapt_steps": config.adapt_steps,
        "batch_norm": config.batch_norm.value,
        **({"frozen_stages": config.frozen_stages} if config.frozen_stages and model != ORACLE else {}),
        "augmentation": config.data.augmentation.value,
    }
    if adapted and model != ADABN:
        settings |= {
            "selector": config.selector,
            "options": config.options if model == config.method else {},
            "final_statistics": config.final_statistics.value,
        }
    aside = set_aside(run.folder) if model == config.method and adapts(model) else ()
    return Training(
        model=model,
        cohorts=tuple(cohorts),
        labels=_labels(run, config, learnt_target),
        target_labels_used=by_target_labels,
        set_aside=aside,
        settings=settings,
    )


def _labels(run: RunFolder, config: AdaptConfig, learnt_target: bool) -> str:
    learnt = LearntLabels.recorded(run)
    counts = ((learnt.masks, "with masks"), (learnt.boxed, "with boxes"), (learnt.negatives, "without a polyp"))
    told = ", ".join(f"{count} {what}" for count, what in counts if count) or "not recorded"
    words = f"source training frames: {told}"
    if learnt.words:
        words += f"; {learnt.words}"
    return f"{words}; target labels were learnt" if learnt_target else f"{words}; no target label was learnt"


def _learnt(run: RunFolder, config: AdaptConfig, cohort: str, role: Any) -> LearntCohort:
    text = run.split_text(cohort)
    parts = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)["split"] if text else pd.Series(dtype=str)
    licence = None
    with suppress(PolypdaError):  # a cohort whose manifest lies in a data root that is not named now
        licence = manifest(whole_cohort(cohort)).access.licence if not config.phantom else None
    return LearntCohort(
        cohort=cohort,
        role=role,
        frames=int((parts == Split.TRAIN.value).sum()),
        licence=licence,
        rendered=config.phantom,
    )


def _encoder_origin(run: RunFolder, config: AdaptConfig) -> EncoderOrigin:
    try:
        record = json.loads((run.folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:  # a run from a source package
        record = {}
    return EncoderOrigin(
        source=config.encoder_weights, licence=record.get("licence") or None, sha256=str(record.get("sha256", ""))
    )
