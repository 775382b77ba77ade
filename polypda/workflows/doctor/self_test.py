"""A rendered frame, a network with the offline weights, one training step and the metrics, against stored figures.

``python -m polypda.workflows.doctor.self_test`` writes the figures that lie beside this file anew, after something that
they come from was changed on purpose. Weights that are trained here are set by a formula, not by a random generator:
figures hold for every version of the libraries, within the tolerance that another processor needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from polypda.cohorts.catalogue import manifest
from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.methods.registry import method_class, method_options
from polypda.metrics import dice, hd95, iou
from polypda.networks.encoder_weights import PACKAGES
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.phantom.renderer import cohort_seed, render_frame
from polypda.training.config import Compute
from polypda.training.engine import Engine, open_fabric

if TYPE_CHECKING:
    from polypda.networks.segmenter import Segmenter
    from polypda.workflows.doctor.checks import Check

FILE = Path(__file__).with_name("figures.json")
TOLERANCE = 0.01
"""Relative, and 0.001 at least: processors round differently, a wrong library or wrong weights are far off."""
LEAST = 0.001
SIZE = 64
COHORTS = ("zju2", "haining")
SPEC = SegmenterSpec(
    architecture="fpn",
    encoder=next(iter(PACKAGES)),
    encoder_weights="bundled",
    levels=1,
    decoder={"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32, "decoder_dropout": 0.0},
)


@cache
def _frame(cohort: str) -> tuple[np.ndarray, np.ndarray]:
    look = manifest(cohort).phantom
    assert look is not None
    return render_frame(look, seed=cohort_seed(cohort, 0), index=0)


def rendering() -> dict[str, float]:
    """A phantom of each cohort: mean grey value (0–255), fraction of the frame that the polyp takes."""
    told: dict[str, float] = {}
    for cohort in COHORTS:
        image, mask = _frame(cohort)
        told |= {f"{cohort} mean": float(image.mean()), f"{cohort} polyp": float((mask > 0).mean())}
    return told


def forward() -> dict[str, float]:
    """What the network says of a frame: mean and spread of its logits."""
    images, _ = _batch("zju2")
    with torch.inference_mode():
        logits = _network().eval()(images).logits["main"]
    return {"mean logit": float(logits.mean()), "spread of logits": float(logits.std())}


def training() -> dict[str, float]:
    """One step of an adversarial adaptation: its losses, and the gradients' norms."""
    options = {"discriminator_width": 8, "discriminator_layers": 3}
    method = method_class("adaptsegnet")(_network().train(), method_options("adaptsegnet", options), steps=10)
    for name, module in method.modules().items():
        if name != "segmenter":
            _by_formula(module)
    (images, masks), (others, _) = _batch("zju2"), _batch("haining")
    valid = torch.ones(len(images), 1, SIZE, SIZE, dtype=torch.bool)
    source, target = LabelledBatch(images, valid, ("a", "b"), masks), UnlabelledBatch(others, valid, ("c", "d"))
    report = Engine(open_fabric(Compute(device="cpu")), method).step(source, target, 0)
    told = {name: value for terms in report.losses.values() for name, value in terms.items()}
    return told | {f"gradient of {name}": value for name, value in report.gradient_norms.items()}


def metrics() -> dict[str, float]:
    """A square of 32 px against itself moved by 8 px: Dice 3/4, IoU 3/5, 8 px."""
    reference = np.zeros((SIZE, SIZE), np.uint8)
    reference[16:48, 16:48] = 1
    moved = np.roll(reference, 8, axis=1)
    return {name: float(score(moved, reference)) for name, score in (("Dice", dice), ("IoU", iou), ("HD95 px", hd95))}


FIGURES: dict[str, Callable[[], dict[str, float]]] = {
    "rendering": rendering,
    "network": forward,
    "training step": training,
    "metrics": metrics,
}


def compared(name: str) -> Check:
    """Compute the figures of one part and hold them against the stored ones."""
    from polypda.workflows.doctor.checks import Check

    stored: dict[str, float] = json.loads(FILE.read_text(encoding="utf-8"))[name]
    found = FIGURES[name]()
    values: dict[str, Any] = {key: {"found": found.get(key), "stored": stored.get(key)} for key in {**stored, **found}}
    wrong = [key for key, value in stored.items() if not _alike(found.get(key), value)]
    if wrong:
        worst = f"{wrong[0]} is {found.get(wrong[0], float('nan')):.4g}, not {stored[wrong[0]]:.4g}"
        fix = "install the versions of constraints.txt; if it stays, the processor or its memory is at fault."
        return Check(f"self-test: {name}", "fails", worst, fix, values)
    return Check(f"self-test: {name}", "works", f"{len(stored)} of {len(stored)} figures as stored", values=values)


def _alike(found: float | None, stored: float) -> bool:
    return found is not None and abs(found - stored) <= max(LEAST, TOLERANCE * abs(stored))


TESTS: dict[str, Callable[[], Check]] = {name: lambda name=name: compared(name) for name in FIGURES}  # type: ignore[misc]


def _batch(cohort: str) -> tuple[Tensor, Tensor]:
    """A frame and its mirror image, reduced without a library's interpolation."""
    image, mask = _frame(cohort)
    rows, columns = (np.linspace(0, side - 1, SIZE).round().astype(int) for side in image.shape[:2])
    small = torch.from_numpy(image[np.ix_(rows, columns)].copy()).permute(2, 0, 1).float() / 255
    labels = torch.from_numpy((mask[np.ix_(rows, columns)] > 0).astype(np.int64))
    return torch.stack([small, small.flip(-1)]), torch.stack([labels, labels.flip(-1)])


def _network() -> Segmenter:
    """Its encoder has the offline weights, what follows has weights by a formula."""
    network = build_segmenter(SPEC)
    for name, part in network.named_children():
        if name != "encoder":
            _by_formula(part)
    return network


def _by_formula(module: nn.Module) -> None:
    """Waves instead of random weights; biases and the weights of norms start at zeros and ones anyway."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                wave = torch.arange(parameter.numel(), dtype=torch.float64).mul(0.7).sin()
                parameter.copy_(wave.reshape(parameter.shape) / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(parameter.mean().round().expand_as(parameter))


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: figure() for name, figure in FIGURES.items()}, indent=1) + "\n", encoding="utf-8")
