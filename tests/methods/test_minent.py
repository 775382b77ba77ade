"""Entropy on the target: published constants, and AdvEnt as AdaptSegNet's game on another representation."""

import math

import pytest
import torch
from lightning_fabric import Fabric
from support.sines import sine_maps
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
from polypda.methods.minent import AdvEnt, MinEntOptions, entropy_loss, self_information
from polypda.methods.registry import method_class, method_options
from polypda.methods.segmentation import SourceOnly
from polypda.training.engine import Engine


def everywhere(logits: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(logits[:, :1], dtype=torch.bool)


def test_published_constants_of_the_entropy_maps():
    logits = sine_maps(2, 0.7)
    assert self_information(logits.softmax(1)).mean().item() == pytest.approx(0.376877904707, rel=1e-11)
    assert entropy_loss(logits, everywhere(logits)).item() == pytest.approx(0.753755809414, rel=1e-11)


def test_entropy_is_one_for_indifference_and_none_for_certainty():
    for value, expected in ((0.0, 1.0), (60.0, 0.0)):
        logits = torch.tensor([[-value, value]], dtype=torch.float64)[..., None, None].expand(1, 2, 4, 4)
        assert entropy_loss(logits, everywhere(logits)).item() == pytest.approx(expected, abs=1e-12)


def test_the_gradient_of_a_certain_pixel_is_finite_in_float32():
    logits = torch.tensor([[-200.0, 200.0]])[..., None, None].requires_grad_()
    entropy_loss(logits, everywhere(logits)).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_pixels_outside_the_field_of_view_do_not_count():
    logits = sine_maps(2, 0.2, size=8)
    valid = everywhere(logits).clone()
    valid[..., :3, :] = False
    inside = entropy_loss(logits[:, :, 3:], valid[:, :, 3:])
    assert entropy_loss(logits, valid).item() == pytest.approx(inside.item(), rel=1e-12)
    assert entropy_loss(logits, torch.zeros_like(valid)).item() == 0


def test_weights_are_the_released_ones():
    assert MinEntOptions().entropy_weight == 1e-3 and MinEntOptions().entropy_weight_aux == 2e-4


def test_minent_is_source_only_with_the_entropys_gradient_added():
    source, target = random_batches(1)
    gradients = {}
    for name, options in (("source-only", {}), ("minent", {"entropy_weight": 0.5, "entropy_weight_aux": 0.25})):
        torch.manual_seed(0)
        segmenter = TinySegmenter(dropout=0.0).double().train()
        method = method_class(name)(segmenter, method_options(name, options), steps=5)
        given = [batch.to(torch.device("cpu"), torch.float64) for batch in (source, target)]
        players = {player.name: player for player in method.players()}
        parameters = players["segmenter"].parameters
        total = sum(
            term.weight * term.value for losses in method.play(*given, 0) for terms in losses.values() for term in terms
        )
        gradients[name] = torch.autograd.grad(total, parameters)
        if name == "source-only":
            logits = segmenter(given[1].images).logits
            levels = {
                level: torch.nn.functional.interpolate(z, size=(64, 64), mode="bilinear", align_corners=True).softmax(1)
                for level, z in logits.items()
            }
            entropy = {level: -(p * p.log()).sum(1).mean() / math.log(2) for level, p in levels.items()}
            by_hand = torch.autograd.grad(0.5 * entropy["main"] + 0.25 * entropy["aux"], parameters)
    for with_term, without, added in zip(gradients["minent"], gradients["source-only"], by_hand, strict=True):
        assert torch.allclose(with_term, without + added, rtol=1e-9, atol=1e-12)


def test_advent_is_adaptsegnet_on_self_information():
    """Its discriminators see I; with I computed outside, AdaptSegNet's own losses come out."""
    options = AdaptSegNetOptions(discriminator_width=4, discriminator_layers=3)
    torch.manual_seed(0)
    advent = AdvEnt(TinySegmenter(dropout=0.0), options, steps=5)
    torch.manual_seed(0)

    class OnInformation(AdaptSegNet):
        def representation(self, prediction, logits, level):
            p = logits[level].softmax(1)
            return -p * p.log() / math.log(2)

    other = OnInformation(TinySegmenter(dropout=0.0), options, steps=5)
    batches = random_batches(0)
    fabric = Fabric(accelerator="cpu", devices=1)
    reports = [Engine(fabric, method).step(*batches, 0) for method in (advent, other)]
    for player, terms in reports[0].losses.items():
        assert terms == pytest.approx(reports[1].losses[player], rel=1e-5)
    plain = Engine(fabric, AdaptSegNet(TinySegmenter(dropout=0.0), options, steps=5)).step(*batches, 0)
    assert plain.losses["d_main"] != pytest.approx(reports[0].losses["d_main"], rel=1e-5)


def test_a_method_of_its_own_is_source_only_with_the_term():
    kind = method_class("minent")
    assert kind.base_kind is SourceOnly and kind.name == "minent" and kind.plays_on_target
