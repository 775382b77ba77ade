"""Three iterations of the published AdaptSegNet loop in float64, reproduced by the real engine and method.

The expected figures were produced by executing the published loop on the small network below; it rounds its binary
cross-entropies to float32, hence their looser tolerance."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches
from torch import nn

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
from polypda.methods.segmentation import segmenter_optimizer
from polypda.networks.batch_norm import BatchNormPolicy, apply_policy
from polypda.networks.deeplab_v2 import DeepLabV2
from polypda.networks.segmenter import Prediction, Segmenter
from polypda.training.engine import Engine

EXPECTED = json.loads((Path(__file__).parents[1] / "fixtures" / "adaptsegnet_steps.json").read_text())
HEIGHT, WIDTH = 96, 128
TERM_OF_FIGURE = {
    "seg_aux": ("segmenter", "seg_aux"),
    "seg_main": ("segmenter", "seg_main"),
    "adv_aux": ("segmenter", "adv_aux"),
    "adv_main": ("segmenter", "adv_main"),
}
PLAYER_OF_NORM = {"grad_norm_segmenter": "segmenter", "grad_norm_d_aux": "d_aux", "grad_norm_d_main": "d_main"}


class ThreeConvolutions(Segmenter):
    """The fixture's network: three strided convolutions, an aux classifier on the second, the main one on the third."""

    levels = ("aux", "main")
    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.feature_channels = {"aux": 16, "main": 16}
        self.c1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.c2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.c3 = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.aux = nn.Conv2d(16, 2, 1)
        self.main = nn.Conv2d(16, 2, 1)

    def forward(self, images):
        second = self.c2(self.c1(images).relu()).relu()
        third = self.c3(second).relu()
        return Prediction({"aux": self.aux(second), "main": self.main(third)}, {"aux": second, "main": third})

    def backbone_parameters(self):
        for layer in (self.c1, self.c2, self.c3):
            yield from layer.parameters()

    def head_parameters(self):
        yield from self.aux.parameters()
        yield from self.main.parameters()


def fill(network: nn.Module) -> None:
    parameters = list(network.parameters())
    for k, parameter in enumerate(parameters):
        wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) + k).view(parameter.shape)
        scale = 0.01 if parameter.dim() == 1 else 1 / np.sqrt(parameter[0].numel())
        parameter.data.copy_(scale * wave)


def frame(phase: float) -> torch.Tensor:
    c, h, w = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (3, HEIGHT, WIDTH)), indexing="ij")
    return (60 * torch.sin(0.07 * h + 0.11 * w + c + phase)).unsqueeze(0)


def mask(iteration: int) -> torch.Tensor:
    h, w = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (HEIGHT, WIDTH)), indexing="ij")
    masks = (torch.sin(0.09 * h) + torch.cos(0.05 * w + iteration) > 0.8).long()
    masks[:5] = IGNORED
    return masks.unsqueeze(0)


def batches(iteration: int) -> tuple[LabelledBatch, UnlabelledBatch]:
    valid = torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.bool)
    source = LabelledBatch(frame(0.3 * iteration), valid, ("s",), mask(iteration))
    return source, UnlabelledBatch(frame(2 + 0.3 * iteration), valid, ("t",))


@pytest.mark.parametrize(("name", "objective"), [("vanilla-multi", "vanilla"), ("ls-single", "ls")])
def test_three_published_iterations(name, objective):
    expected = EXPECTED[name]
    segmenter = ThreeConvolutions().double()
    options = AdaptSegNetOptions(
        objective=objective,
        lambda_seg_aux=expected["lambda_seg_aux"],
        lambda_adv_aux=expected["lambda_adv_aux"],
        lambda_adv_main=expected["lambda_adv_main"],
    )
    method = AdaptSegNet(segmenter, options, steps=3)
    for network in (segmenter, *method.discriminators.values()):
        fill(network.double())
    engine = Engine(Fabric(accelerator="cpu", devices=1, precision="64-true"), method)

    # The published loop rounds its cross-entropies (not its squared errors) to float32.
    adversarial = 2e-7 if objective == "vanilla" else 1e-9
    for iteration, figures in enumerate(expected["iterations"]):
        report = engine.step(*batches(iteration), iteration)
        for figure, (player, term) in TERM_OF_FIGURE.items():
            tolerance = 1e-9 if figure.startswith("seg") else adversarial
            assert report.losses[player][term] == pytest.approx(figures[figure], rel=tolerance), (iteration, figure)
        for level in ("aux", "main"):
            halves = report.losses[f"d_{level}"]
            total = 0.5 * (halves[f"d_{level}_source"] + halves[f"d_{level}_target"])
            assert total == pytest.approx(figures[f"d_{level}"], rel=adversarial), (iteration, level)
        for figure, player in PLAYER_OF_NORM.items():
            assert report.gradient_norms[player] == pytest.approx(figures[figure], rel=1e-9), (iteration, figure)

    networks = {"segmenter": segmenter, **{f"d_{level}": d for level, d in method.discriminators.items()}}
    for player, after in expected["after"].items():
        flat = torch.cat([parameter.detach().flatten() for parameter in networks[player].parameters()])
        assert float(flat.norm()) == pytest.approx(after["l2"], rel=1e-9), player
        assert float(flat.sum()) == pytest.approx(after["sum"], rel=1e-9), player


def test_the_reference_would_notice_another_learning_rate():
    """The tolerance is tight enough to tell: a head that learns 3 % slower already misses the figures."""
    segmenter = ThreeConvolutions().double()
    method = AdaptSegNet(segmenter, AdaptSegNetOptions(head_factor=9.7), steps=3)
    for network in (segmenter, *method.discriminators.values()):
        fill(network.double())
    engine = Engine(Fabric(accelerator="cpu", devices=1, precision="64-true"), method)
    losses = [engine.step(*batches(i), i).losses["segmenter"]["seg_main"] for i in range(3)]
    expected = [figures["seg_main"] for figures in EXPECTED["vanilla-multi"]["iterations"]]
    assert losses[2] != pytest.approx(expected[2], rel=1e-6)


def test_a_shrunk_discriminator_sees_means_over_squares_and_one_px_changes_nothing():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 100, 96)
    found = {}
    for side in (1, 4):
        torch.manual_seed(0)
        options = AdaptSegNetOptions(discriminator_shrink=side, discriminator_layers=3, discriminator_width=4)
        method = AdaptSegNet(TinySegmenter(dropout=0).eval(), options, steps=3)
        seen = []
        method.discriminators["main"].register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        prediction = method.segmenter(images)
        logits = {level: torch.nn.functional.interpolate(z, (100, 98)) for level, z in prediction.logits.items()}
        method.domain_logits(prediction, logits)
        assert method.options.discriminator_shrink == side
        found[side] = seen[0]
    whole, small = found[1], found[4]
    assert torch.equal(whole, logits["main"].softmax(dim=1)) and small.shape == (1, 2, 25, 25)
    torch.testing.assert_close(small[0, 1, 3, 5], whole[0, 1, 12:16, 20:24].mean())
    torch.testing.assert_close(small[0, 1, 3, 24], whole[0, 1, 12:16, 96:].mean())  # two columns are left there
    torch.testing.assert_close(small.sum(dim=1), torch.ones(1, 25, 25))


def deeplab():
    network = DeepLabV2(2).train()
    apply_policy(network, BatchNormPolicy.AFFINE_FROZEN)
    return network


def test_deduplicated_by_default_and_as_released_on_demand():
    network = deeplab()
    clean = AdaptSegNet(network, AdaptSegNetOptions(), steps=1).players()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of duplicates; the quirk is asked for, so it stays quiet
        quirky = AdaptSegNet(network, AdaptSegNetOptions(duplicate_params=True), steps=1).players()[0]
    clean_backbone, quirky_backbone = (player.optimizer.param_groups[0]["params"] for player in (clean, quirky))
    assert len(clean_backbone) == len(set(map(id, clean_backbone))) == 104
    assert len(quirky_backbone) == 314
    assert set(map(id, quirky_backbone)) == set(map(id, clean_backbone))
    assert len(quirky.parameters) == len(clean.parameters)


def test_a_triple_entry_moves_as_far_as_was_measured():
    """The entries share one momentum buffer: per iteration 1+1+1, then 1.9+2.71+3.439, then 4.0951+4.68559+5.217031."""
    segmenter = TinySegmenter().double()
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    options = AdaptSegNetOptions(learning_rate=1.0, momentum=0.9, weight_decay=0.0)
    sgd = segmenter_optimizer(segmenter, options, backbone=[weight, weight, weight])
    moves = []
    for _ in range(3):
        before = float(weight)
        weight.grad = torch.ones_like(weight)
        sgd.step()
        moves.append(before - float(weight))
    assert moves == pytest.approx([3.0, 8.049, 13.997721], rel=1e-9)


def test_the_quirk_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*duplicate_params"):
        AdaptSegNet(TinySegmenter(), AdaptSegNetOptions(duplicate_params=True), steps=1)


def test_an_engine_steps_a_deduplicated_parameter_once():
    method = AdaptSegNet(
        TinySegmenter(dropout=0.0).train(),
        AdaptSegNetOptions(learning_rate=0.5, momentum=0.0, weight_decay=0.0),
        steps=10,
    )
    before = method.segmenter.first[0].weight.detach().clone()
    gradients = []
    method.segmenter.first[0].weight.register_post_accumulate_grad_hook(lambda p: gradients.append(p.grad.clone()))
    Engine(Fabric(accelerator="cpu", devices=1), method).step(*random_batches(0), 0)
    moved = before - method.segmenter.first[0].weight.detach()
    assert torch.allclose(moved, 0.5 * gradients[-1], rtol=1e-4, atol=1e-7)
