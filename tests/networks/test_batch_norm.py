"""Batch-norm policies, and AdaBN against statistics computed by hand."""

import copy

import pytest
import torch
from torch import nn

from polypda.errors import DataError
from polypda.networks.batch_norm import (
    BatchNormPolicy,
    apply_policy,
    batch_norm_layers,
    recompute_statistics,
    statistics_kept,
)
from polypda.networks.smp_segmenter import build_smp_segmenter


def _small(dropout=0.5):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.Dropout(dropout), nn.Conv2d(4, 2, 1))
    return layers.double()


def _statistics(module):
    return [b.clone() for layer in batch_norm_layers(module) for b in layer.buffers()]


@pytest.mark.parametrize(
    ("policy", "moves", "learns"),
    [("train", True, True), ("frozen", False, False), ("folded", False, False), ("affine-frozen", True, False)],
)
def test_what_each_policy_moves_and_trains(policy, moves, learns):
    network = _small().train()
    apply_policy(network, BatchNormPolicy(policy))
    before = _statistics(network)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    network(images).sum().backward()
    unchanged = all(torch.equal(a, b) for a, b in zip(before, _statistics(network), strict=True))
    assert unchanged is not moves
    assert (network[1].weight.grad is not None) is learns
    assert network[0].weight.grad is not None


def test_statistics_that_are_kept_still_leave_the_batch_its_own():
    network, other = _small(dropout=0.0).train(), _small(dropout=0.0).train()
    images = 3 + torch.randn(2, 3, 8, 8, dtype=torch.float64)
    before = _statistics(network)  # how many batches were seen included
    with statistics_kept(network):
        kept = network(images)
    assert torch.equal(kept, other(images))  # normalised by the batch alike
    assert all(torch.equal(a, b) for a, b in zip(before, _statistics(network), strict=True))
    network(images)
    assert all(torch.equal(a, b) for a, b in zip(_statistics(other), _statistics(network), strict=True))


def test_statistics_are_kept_of_an_encoders_own_layers_and_of_frozen_ones():
    network = build_smp_segmenter("fpn", "tu-tf_efficientnet_lite0").double().train()
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    before = _statistics(network)
    with statistics_kept(network):
        network(images)
    assert all(torch.equal(a, b) for a, b in zip(before, _statistics(network), strict=True))
    apply_policy(network, BatchNormPolicy.FROZEN)
    torch.manual_seed(0)  # of the decoder's dropout
    expected = network(images).logits["main"]
    torch.manual_seed(0)
    with statistics_kept(network):
        assert torch.equal(network(images).logits["main"], expected)


def test_frozen_treats_every_frame_alone():
    network = _small(dropout=0.0).train()
    apply_policy(network, BatchNormPolicy.FROZEN)
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    alone = torch.cat([network(images[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(network(images), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("architecture", "encoder", "left"),
    [
        ("fpn", "tu-tf_efficientnet_lite0", 5),  # its strided convolutions pad as TensorFlow does
        ("deeplabv3plus", "mobilenet_v2", 0),
        ("unet", "resnet18", 0),
        ("fpn", "tu-mobilenetv3_small_050", None),
    ],
)
def test_folded_is_frozen_but_for_rounding_and_can_be_copied_and_undone(architecture, encoder, left):
    torch.manual_seed(0)
    frozen = build_smp_segmenter(architecture, encoder).double().train()
    for layer in batch_norm_layers(frozen):
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2.0)
    folded = copy.deepcopy(frozen)
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    answers = []
    apply_policy(frozen, BatchNormPolicy.FROZEN)
    apply_policy(folded, BatchNormPolicy.FOLDED)
    passing = sum("forward" in layer.__dict__ for layer in batch_norm_layers(folded))
    if left is not None:
        assert passing == len(batch_norm_layers(folded)) - left
    copied = copy.deepcopy(folded)
    for network in (frozen, folded, copied):
        torch.manual_seed(1)
        answer = network(images).logits["main"]
        answer.square().mean().backward()
        answers.append([answer, *(p.grad for p in network.parameters() if p.grad is not None)])
    for other in answers[1:]:
        torch.testing.assert_close(other, answers[0], rtol=1e-8, atol=1e-10)
    assert list(folded.state_dict()) == list(frozen.state_dict())
    with torch.no_grad():  # a copy is folded into its own layers
        batch_norm_layers(copied)[3].running_mean += 1
        assert not torch.allclose(copied(images).logits["main"], folded(images).logits["main"])
    apply_policy(folded, BatchNormPolicy.TRAIN)
    assert not any("forward" in layer.__dict__ for layer in folded.modules())


class Shared(nn.Module):
    """One convolution before two batch norms, and one batch norm after two convolutions."""

    def __init__(self):
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, images):
        once = self.conv(images)
        two = self.norms[0](once) + self.norms[1](once)
        return self.norms[2](self.other(two)) + self.norms[2](two)


def test_a_layer_that_branches_share_is_not_folded():
    torch.manual_seed(0)
    network = Shared().double().train()
    for layer in batch_norm_layers(network):
        layer.running_mean.normal_()
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    apply_policy(network, BatchNormPolicy.FROZEN)
    frozen = network(images)
    apply_policy(network, BatchNormPolicy.FOLDED)
    torch.testing.assert_close(network(images), frozen, rtol=1e-12, atol=1e-12)


def test_what_is_folded_still_learns_its_statistics_when_asked_to():
    torch.manual_seed(0)
    frozen = build_smp_segmenter("fpn", "mobilenet_v2").double()
    folded = copy.deepcopy(frozen)
    apply_policy(folded, BatchNormPolicy.FOLDED)
    batches = [torch.rand(2, 3, 64, 64, dtype=torch.float64) for _ in range(2)]
    for network in (frozen, folded):
        recompute_statistics(network, batches)
    for ours, theirs in zip(_statistics(folded), _statistics(frozen), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_policy_can_be_changed_back():
    network = _small().train()
    apply_policy(network, BatchNormPolicy.FROZEN)
    apply_policy(network, BatchNormPolicy.TRAIN)
    assert network[1].training and network[1].weight.requires_grad and network[1].bias.requires_grad


def test_adabn_is_the_average_of_the_batches_statistics():
    network = _small().train()
    apply_policy(network, BatchNormPolicy.FROZEN)
    modes = [part.training for part in network.modules()]
    parameters = copy.deepcopy(list(network.parameters()))
    batches = [torch.randn(4, 3, 9, 9, dtype=torch.float64) * (k + 1) + k for k in range(3)]

    assert recompute_statistics(network, iter(batches)) == 3

    seen = [network[0](batch).transpose(0, 1).flatten(1) for batch in batches]
    mean = torch.stack([values.mean(1) for values in seen]).mean(0)
    variance = torch.stack([values.var(1, unbiased=True) for values in seen]).mean(0)
    torch.testing.assert_close(network[1].running_mean, mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network[1].running_var, variance, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(parameters, network.parameters(), strict=True))
    assert [part.training for part in network.modules()] == modes
    assert network[1].momentum == 0.3 and not network[1].weight.requires_grad


def test_adabn_forgets_what_was_there_before():
    first, second = _small(), _small()
    second[1].running_mean.fill_(1e3)
    second[1].running_var.fill_(1e6)
    batches = [torch.randn(2, 3, 8, 8, dtype=torch.float64)]
    recompute_statistics(first, batches)
    recompute_statistics(second, batches)
    assert all(torch.equal(a, b) for a, b in zip(_statistics(first), _statistics(second), strict=True))


def test_adabn_without_images_is_an_error_and_keeps_the_old_statistics():
    network = _small().train()
    network(torch.randn(2, 3, 8, 8, dtype=torch.float64))
    before = _statistics(network)
    with pytest.raises(DataError, match="E_ADABN_EMPTY"):
        recompute_statistics(network, [])
    with pytest.raises(RuntimeError, match="expected input"):
        recompute_statistics(network, [torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.zeros(2, 5, 8, 8).double()])
    assert all(torch.equal(a, b) for a, b in zip(before, _statistics(network), strict=True))
    assert network.training and network[1].momentum == 0.3


def test_all_layers_of_a_timm_encoder_are_reached():
    torch.manual_seed(0)
    segmenter = build_smp_segmenter("deeplabv3plus", "tu-mobilenetv3_small_050").train()
    layers = batch_norm_layers(segmenter)
    assert any(type(layer) is not nn.BatchNorm2d for layer in layers)  # timm's own subclass is among them
    before = [layer.running_mean.clone() for layer in layers]
    recompute_statistics(segmenter, [torch.rand(2, 3, 64, 64)])
    assert not any(torch.equal(a, layer.running_mean) for a, layer in zip(before, layers, strict=True))
    assert segmenter.training and all(layer.momentum is not None for layer in layers)

    apply_policy(segmenter, BatchNormPolicy.FROZEN)
    before = _statistics(segmenter)
    assert segmenter(torch.rand(1, 3, 64, 64)).logits["main"].shape == (
        1,
        2,
        16,
        16,
    )  # a single frame works when frozen
    assert all(torch.equal(a, b) for a, b in zip(before, _statistics(segmenter), strict=True))
