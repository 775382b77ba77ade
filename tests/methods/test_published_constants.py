"""Constants that papers or releases publish, as a run of the defaults or of the preset `published` gets them."""

import pytest
import torch
from support.tiny_segmenter import TinySegmenter, random_batches
from torch import nn

from polypda.methods import mean_teacher
from polypda.methods.registry import method_class, method_options
from polypda.networks.lsd_networks import FourWayDiscriminator
from polypda.networks.segmenter import IMAGENET_MEAN
from polypda.workflows.runs.presets import preset

PUBLISHED = [
    ("adaptsegnet", {"lambda_adv_main": 0.001, "lambda_adv_aux": 0.0002, "lambda_seg_aux": 0.1}),
    ("fcan", {"lambda_seg": 5.0}),
    (
        "fcn-wild",
        {"lambda_adv": 0.1, "presence_fraction": 0.1, "large_fraction": 0.1, "large_factor": 0.1, "lower_slack": 2},
    ),
    ("fda", {"robust_entropy_weight": 0.005, "robust_entropy_power": 2.0, "robust_entropy_from": 50_000}),
    ("mean-teacher", {"pseudo_threshold": 0.968, "pseudo_weight": 1.0}),
    ("mic", {"mask_ratio": 0.7}),
    ("tent", {"tent_learning_rate": 1e-3}),
]


@pytest.mark.parametrize(("method", "constants"), PUBLISHED, ids=[name for name, _ in PUBLISHED])
def test_defaults_are_the_published_constants(method, constants):
    options = method_options(method, {})
    assert {name: getattr(options, name) for name in constants} == pytest.approx(constants)


def test_the_preset_published_stylizes_as_the_paper_does():
    options = method_options("fcan", preset("published")["options"]["fcan"])
    assert (options.aan_alpha, options.aan_steps, options.aan_rate) == (1e-14, 1000, 10)
    assert (options.aan_start.value, options.aan_normalisation.value) == ("noise", "published")


def test_lsds_networks_start_from_narrow_weights_and_drop_half():
    torch.manual_seed(0)
    judge = FourWayDiscriminator(width=64)
    kernels = torch.cat([layer.weight.flatten() for layer in judge.modules() if isinstance(layer, nn.Conv2d)])
    assert kernels.std().item() == pytest.approx(0.02, rel=0.02) and abs(kernels.mean().item()) < 1e-4
    dropped = {layer.p for layer in judge.modules() if isinstance(layer, nn.Dropout)}
    assert dropped == {0.5}


def test_mic_hides_blocks_behind_the_mean_colour(monkeypatch):
    seen = []
    monkeypatch.setattr(mean_teacher, "consistency", lambda view, images, _: seen.append(images) or images.sum() * 0)
    options = method_options("mic", {"mask_block": 8})
    torch.manual_seed(0)
    method = method_class("mic")(TinySegmenter(), options, steps=3)
    source, target = random_batches(0)
    for _ in method.play(source, target, 0):
        pass
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    hidden = (seen[0] == mean).all(dim=1)
    assert 0.5 < hidden.float().mean().item() < 0.9
