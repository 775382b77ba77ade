"""Three iterations of the published AdaptSegNet loop in float64, reproduced by the real engine and method.

The expected figures were produced by executing the published loop on the small network below; it rounds its binary
cross-entropies to float32, hence their looser tolerance.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
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
