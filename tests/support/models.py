"""Small models with their facts, and runs that hold them, without a training."""

from pathlib import Path

import torch

from polypda.data.inference import Inference
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.weights import save_module
from polypda.prediction.facts import EncoderOrigin, LearntCohort, ModelFacts, NetworkInput, Normalisation, Training
from polypda.prediction.model import save_model
from polypda.training.checkpoints import DONE
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.configure import resolve_config
from polypda.workflows.runs.model_facts import model_facts

SPEC = SegmenterSpec(
    architecture="fpn",
    encoder="tu-mobilenetv3_small_050",
    levels=1,
    decoder={"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32},
)
SIZE = 64


def network(seed: int = 0, spec: SegmenterSpec = SPEC, gain: float = 40):
    """A random segmenter whose maps vary over the frame and cross the threshold; gain: how steeply."""
    torch.manual_seed(seed)
    built = build_segmenter(spec).eval()
    with torch.no_grad():
        heads = [part for part in built.segmentation_head.modules() if isinstance(part, torch.nn.Conv2d)]
        heads[-1].weight *= gain
    return built


def facts_of(built, *, inference: Inference | None = None, **update) -> ModelFacts:
    """Facts of a segmenter of :func:`network`."""
    facts = ModelFacts(
        network=SPEC,
        input=NetworkInput(
            size=SIZE,
            fit="resize",
            stride=built.stride,
            crop_to_field_of_view=True,
            normalisation=Normalisation.of(built),
        ),
        inference=inference or Inference(),
        threshold=0.5,
        training=Training(
            model="adaptsegnet",
            cohorts=(
                LearntCohort(cohort="zju2", role="labelled source", frames=12, rendered=True),
                LearntCohort(cohort="haining", role="unlabelled target", frames=9, rendered=True),
            ),
            labels="source training frames: 12 with masks; no target label was learnt",
            target_labels_used=False,
            settings={"preset": "quick", "seed": 0},
        ),
        encoder_weights=EncoderOrigin(source="none"),
        versions={"polypda": "0.1.0"},
    )
    return facts.model_copy(update=update)


def write_model(path: Path, seed: int = 0, gain: float = 40, **facts) -> Path:
    """A model file with its facts."""
    built = network(seed, gain=gain)
    save_model(built, path, facts_of(built, **facts))
    return path


def write_run(folder: Path, method: str = "adaptsegnet") -> RunFolder:
    """A run folder with a finished source-only control and, for a method that adapts, an adapted model."""
    config = resolve_config(
        source="zju2",
        target="haining",
        method=method,
        preset_name="quick",
        phantom=True,
        top={"encoder_weights": "none"},
        sections={
            "network": {"architecture": SPEC.architecture, "encoder": SPEC.encoder},
            "data": {"size": SIZE},
            "compute": {},
        },
        options={},
    )
    config = config.model_copy(update={"network": SPEC})
    run = RunFolder.create(folder, config)
    stage = run.stage("source-only")
    (stage / "step-000002").mkdir(parents=True)
    (stage / DONE).write_text("{}")
    save_module(network(1), stage / "step-000002" / "segmenter.safetensors")
    (stage / "step-000002" / "checkpoint.json").write_text("{}")
    if method != "source-only":
        built = network(0)
        save_model(built, folder / "adapted.safetensors", model_facts(run, config, method, built), recorded=True)
    return run
