"""The released optimiser lists each backbone parameter once per ancestor module; by default each is listed once."""

import warnings

import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.errors import UsageError
from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
from polypda.methods.segmentation import segmenter_optimizer
from polypda.networks.batch_norm import BatchNormPolicy, apply_policy
from polypda.networks.deeplab_v2 import DeepLabV2
from polypda.training.engine import Engine


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
