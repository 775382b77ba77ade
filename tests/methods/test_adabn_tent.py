"""Tent: batch-norm parameters alone learn, from target frames alone; and its online form."""

import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches
from torch import nn

from polypda.errors import UsageError
from polypda.methods.adabn_tent import adapt_online, shannon_entropy
from polypda.methods.registry import method_class, method_options
from polypda.methods.segmentation import to_image_size
from polypda.networks.batch_norm import BatchNormPolicy, apply_policy, batch_norm_layers
from polypda.training.engine import Engine

FABRIC = Fabric(accelerator="cpu", devices=1)


class TargetOnly:
    """A preparation that offers no source: reading it is an error."""

    def __init__(self, batches):
        self.batches = batches

    def target(self):
        return iter(self.batches)


def targets(count: int = 3):
    return [random_batches(seed)[1] for seed in range(count)]


def build(policy=BatchNormPolicy.TRAIN, **options):
    torch.manual_seed(0)
    segmenter = TinySegmenter(dropout=0.0).train()
    apply_policy(segmenter, policy)
    return method_class("tent")(segmenter, method_options("tent", options), steps=10)


@pytest.mark.parametrize("policy", [BatchNormPolicy.TRAIN, BatchNormPolicy.FROZEN])
def test_only_batch_norm_parameters_move(policy):
    method = build(policy)
    method.prepare(TargetOnly(targets()))
    apply_policy(method.segmenter, policy)  # as a stage does before its first step
    before = {name: value.clone() for name, value in method.segmenter.named_parameters()}
    running = [layer.running_mean.clone() for layer in batch_norm_layers(method.segmenter)]
    engine = Engine(FABRIC, method)
    for step, target in enumerate(targets()):
        engine.step(random_batches(9)[0], target, step)
    affine = {"first.1.weight", "first.1.bias", "second.1.weight", "second.1.bias"}
    moved = {n for n, value in method.segmenter.named_parameters() if not torch.equal(value, before[n])}
    assert moved == affine
    still = all(
        torch.equal(old, layer.running_mean)
        for old, layer in zip(running, batch_norm_layers(method.segmenter), strict=True)
    )
    assert still is (policy is BatchNormPolicy.FROZEN)


def test_the_source_batch_has_no_influence():
    ends = []
    for seed in (1, 2):
        method = build()
        Engine(FABRIC, method).step(random_batches(seed)[0], targets()[0], 0)
        ends.append([p.detach().clone() for p in method.segmenter.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_preparing_takes_the_targets_statistics():
    method = build(BatchNormPolicy.FROZEN)
    batches = targets(4)
    method.prepare(TargetOnly(batches))
    layer = method.segmenter.first[1]
    convolved = [method.segmenter.first[0](batch.images - 0.5) for batch in batches]
    expected = torch.stack([x.mean(dim=(0, 2, 3)) for x in convolved]).mean(0)
    assert torch.allclose(layer.running_mean, expected, atol=1e-5)


def test_entropy_falls_over_the_steps():
    method = build(tent_learning_rate=0.05)
    engine, target = Engine(FABRIC, method), targets()[0]
    values = [engine.step(random_batches(0)[0], target, step).losses["segmenter"]["entropy"] for step in range(8)]
    assert values[-1] < 0.8 * values[0]


def test_entropy_is_torchs():
    logits = torch.randn(2, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.distributions.Categorical(logits=logits.movedim(1, -1)).entropy().mean()
    assert shannon_entropy(logits, torch.ones(2, 1, 5, 5).bool()).item() == pytest.approx(expected.item())


class NoBatchNorm(TinySegmenter):
    def __init__(self):
        super().__init__()
        self.first[1] = self.second[1] = nn.Identity()


def test_a_segmenter_without_batch_norm_is_refused():
    with pytest.raises(UsageError, match="E_METHOD_SEGMENTER"):
        method_class("tent")(NoBatchNorm(), method_options("tent", {}), steps=5)


def test_online_adabn_predicts_with_the_batchs_statistics_and_changes_nothing():
    torch.manual_seed(0)
    segmenter = TinySegmenter(dropout=0.5).eval()
    before = {key: value.clone() for key, value in segmenter.state_dict().items()}
    reference = TinySegmenter(dropout=0.0).train()
    reference.load_state_dict(before)
    for batch, probabilities in adapt_online(segmenter, targets(), learning_rate=0.0):
        logits = to_image_size(reference(batch.images).logits["main"], 64, 64)
        assert torch.allclose(probabilities, logits.softmax(1), atol=1e-5)
    assert all(torch.equal(before[key], value) for key, value in segmenter.state_dict().items())
    assert not segmenter.training


def test_online_tent_goes_on_and_episodic_tent_begins_anew():
    torch.manual_seed(0)
    segmenter = TinySegmenter().eval()
    same = [targets()[0]] * 3
    entropies = {}
    for episodic in (False, True):
        entropies[episodic] = [
            float(-(p * p.log()).sum(1).mean())
            for _, p in adapt_online(segmenter, same, learning_rate=0.05, updates=2, episodic=episodic)
        ]
    going_on, anew = entropies[False], entropies[True]
    assert going_on[0] > going_on[1] > going_on[2]
    assert anew == pytest.approx([anew[0]] * 3, rel=1e-6) and anew[0] == pytest.approx(going_on[0], rel=1e-6)
