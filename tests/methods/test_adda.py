"""ADDA: published figures, what must stand still, the gate, the placements, and stages without source frames."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches
from torch import nn

from polypda.errors import UsageError
from polypda.methods.adda import DISCRIMINATOR, PLACEMENTS, PUBLISHED, SOURCE
from polypda.methods.adversary import (
    MappingObjective,
    anchor_divergence,
    balanced_accuracy,
    cells_in_view,
    domain_cross_entropy,
    mapping_loss,
)
from polypda.methods.contract import SEGMENTER, Domain
from polypda.methods.registry import method_class, method_options
from polypda.networks.discriminators import TwoLogitDiscriminator
from polypda.networks.smp_segmenter import build_smp_segmenter
from polypda.networks.taps import FrozenCopy, copy_with_own_encoder
from polypda.training.engine import Engine


def build(name: str = "adda", segmenter=None, **options):
    torch.manual_seed(0)
    options = {"discriminator_width": 6, "gate": 0.0} | options
    segmenter = segmenter or TinySegmenter()
    method = method_class(name)(segmenter, method_options(name, options), steps=10)
    for network in method.modules().values():
        network.train()  # as the training loop does, frozen or not
    return method


def play(method, steps: int = 3):
    engine = Engine(Fabric(accelerator="cpu", devices=1), method)
    return [engine.step(*random_batches(step), step) for step in range(steps)]


def values(network: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def changed(before: dict[str, torch.Tensor], network: nn.Module) -> set[str]:
    return {key for key, value in network.state_dict().items() if not torch.equal(before[key], value)}


def objective_rows(phase: float) -> torch.Tensor:
    """Two logits of eight cells: 2·sin(0.2w + c + φ)."""
    c, w = torch.meshgrid(torch.arange(2.0).double(), torch.arange(8.0).double(), indexing="ij")
    return (2 * torch.sin(0.2 * w + c + phase)).view(1, 2, 1, 8)


ALL = torch.ones(1, 1, 8, dtype=torch.bool)


def test_d1_published_parameter_counts():
    counts = [sum(p.numel() for p in TwoLogitDiscriminator(channels).parameters()) for channels in (10, 500)]
    assert counts == [257_002, 502_002]


def test_published_figures_of_the_objectives():
    z_s, z_t = objective_rows(0.0), objective_rows(0.7)
    in_s, in_t = (domain_cross_entropy(z, domain, ALL) for z, domain in ((z_s, Domain.SOURCE), (z_t, Domain.TARGET)))
    assert float(0.5 * (in_s + in_t)) == pytest.approx(1.099533976241, abs=1e-12)
    gan_s = mapping_loss(z_s, Domain.SOURCE, MappingObjective.GAN, ALL)
    gan_t = mapping_loss(z_t, Domain.TARGET, MappingObjective.GAN, ALL)
    assert float(0.5 * (gan_s + gan_t)) == pytest.approx(0.509032737678, abs=1e-12)
    assert float(gan_t) == pytest.approx(0.522486266760, abs=1e-12)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (MappingObjective.MINIMAX, lambda sigma: 1 - sigma),
        (MappingObjective.CONFUSION, lambda sigma: sigma - 0.5),
        (MappingObjective.GAN, lambda sigma: sigma),
    ],
)
def test_a_target_cells_gradient_on_the_logit_difference(objective, expected):
    z = objective_rows(0.7).requires_grad_()
    (gradient,) = torch.autograd.grad(mapping_loss(z, Domain.TARGET, objective, ALL), z)
    sigma = z.softmax(1)[:, 1].detach()
    assert torch.allclose(gradient[:, 1] * 8, expected(sigma), atol=1e-14)
    assert torch.allclose(gradient[:, 0], -gradient[:, 1], atol=1e-15)


def test_d4_two_logit_cross_entropy_is_binary_cross_entropy_of_their_difference():
    z = objective_rows(0.3)
    for domain in Domain:
        binary = F.binary_cross_entropy_with_logits(z[:, 1] - z[:, 0], torch.full((1, 1, 8), float(domain)).double())
        assert float(domain_cross_entropy(z, domain, ALL)) == pytest.approx(float(binary), abs=4e-16)


def test_d4_but_two_logits_learn_otherwise_than_one():
    """Same loss, same start: after one plain gradient step the difference has moved twice as far."""
    two = torch.zeros(2, requires_grad=True)
    one = torch.zeros(1, requires_grad=True)
    domain_cross_entropy(two.view(1, 2, 1, 1), Domain.TARGET, torch.ones(1, 1, 1, dtype=torch.bool)).backward()
    F.binary_cross_entropy_with_logits(one, torch.ones(1)).backward()
    assert two.grad is not None and one.grad is not None
    assert float(two.grad[1] - two.grad[0]) == pytest.approx(2 * float(one.grad))


def test_d2_the_target_network_begins_as_the_source_bit_for_bit():
    method = build()
    assert not changed(values(method.source.network), method.segmenter)
    assert method.source.network is not method.segmenter


@pytest.mark.parametrize(("trained", "tap"), [("encoder", "bottleneck"), ("encoder", "logits"), ("whole", "logits")])
def test_d2_source_network_and_frozen_classifier_stay_bit_for_bit(trained, tap):
    method = build(trained=trained, tap=tap)
    source, target = values(method.source), values(method.segmenter)
    play(method)
    assert not changed(source, method.source)
    moved = {key.split(".")[0] for key in changed(target, method.segmenter)}
    assert moved == ({"first", "second"} if trained == "encoder" else {"first", "second", "main"})


def test_d2_with_a_decoder_that_has_batch_norm_and_a_real_encoder():
    torch.manual_seed(0)
    segmenter = build_smp_segmenter("deeplabv3plus", "tu-mobilenetv3_small_050")
    method = build(segmenter=segmenter)
    source, target = values(method.source), values(segmenter)
    play(method, 2)
    assert not changed(source, method.source)
    moved = changed(target, segmenter)
    assert {key.split(".")[0] for key in moved} == {"encoder"}
    assert any("running_mean" in key for key in moved)  # its own statistics move under this policy


def test_what_is_used_afterwards_is_the_target_network():
    method = build()
    play(method, 1)
    assert method.adapted() is method.segmenter is method.modules()[SEGMENTER]
    assert set(method.modules()) == {SEGMENTER, SOURCE, DISCRIMINATOR}
    assert changed(values(method.source.network), method.segmenter)


def gradients(method) -> list[torch.Tensor]:
    """The target network's gradient of one step."""
    seen: list[torch.Tensor] = []
    (player,) = (player for player in method.players() if player.name == SEGMENTER)
    player.optimizer.step = lambda: seen.extend(p.grad.clone() for p in player.parameters if p.grad is not None)
    play(method, 1)
    return seen


def test_d3_the_released_mean_halves_the_targets_gradient():
    torch.manual_seed(0)
    one = TinySegmenter(dropout=0.0)
    other = copy.deepcopy(one)
    released = gradients(build(segmenter=one, half_gradient=True))
    target_only = gradients(build(segmenter=other))
    assert released
    for half, whole in zip(released, target_only, strict=True):
        assert torch.equal(half, 0.5 * whole)


def test_d3_the_released_loss_is_the_mean_over_both_domains():
    report = play(build(half_gradient=True), 1)[0].losses[SEGMENTER]
    assert set(report) == {"adv_source", "adv_target"}


def test_d5_the_mapping_rests_while_the_discriminator_is_not_accurate_enough():
    method = build(gate=0.6)
    for parameter in method.discriminator.stack[-1].parameters():
        nn.init.zeros_(parameter)  # says nothing: every cell counts as source, accuracy one half
    before = values(method.segmenter)
    discriminator = values(method.discriminator)
    report = play(method, 1)[0]
    assert report.accuracies == {DISCRIMINATOR: 0.5}
    assert SEGMENTER not in report.losses
    parameters = {key for key in changed(before, method.segmenter) if "running" not in key and "num_b" not in key}
    assert not parameters
    assert changed(discriminator, method.discriminator)


@pytest.mark.parametrize(("accuracy", "moves"), [(0.59, False), (0.6, False), (0.61, True)])
def test_d5_the_gates_edge(monkeypatch, accuracy, moves):
    monkeypatch.setattr("polypda.methods.adda.balanced_accuracy", lambda *_: torch.tensor(accuracy))
    assert (SEGMENTER in play(build(gate=0.6), 1)[0].losses) is moves


def test_accuracy_counts_each_domain_half_and_only_cells_in_view():
    z_s = torch.tensor([[[[3.0, 3.0, -3.0, -3.0]], [[0.0, 0.0, 0.0, 0.0]]]])
    z_t = torch.tensor([[[[0.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 0.0]]]])  # a tie is no answer "target"
    in_s = torch.tensor([[[True, True, True, False]]])
    in_t = torch.tensor([[[True, False, False, True]]])
    assert float(balanced_accuracy(z_s, z_t, in_s, in_t)) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_all_processes_decide_by_one_accuracy(monkeypatch):
    """Another process whose discriminator is right on every cell."""
    dist = torch.distributed
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda accuracy: accuracy.add_(1.0))
    z = torch.zeros(1, 2, 1, 8)
    assert float(balanced_accuracy(z, z, ALL, ALL)) == pytest.approx((0.5 + 1.0) / 2)


def test_the_discriminator_warms_up_alone():
    reports = play(build(discriminator_warmup=2), 3)
    assert [SEGMENTER in report.losses for report in reports] == [False, False, True]
    assert all(DISCRIMINATOR in report.gradient_norms for report in reports)


def test_black_corners_are_no_cells():
    valid = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    valid[..., :9, :] = False
    cells = cells_in_view(valid, torch.zeros(1, 5, 4, 4))
    assert cells[0, :, 0].tolist() == [False, False, True, True]
    z = torch.randn(1, 2, 4, 4)
    other = z.clone()
    other[:, :, :2] = 99.0
    for domain in Domain:
        assert torch.equal(domain_cross_entropy(z, domain, cells), domain_cross_entropy(other, domain, cells))
    assert float(domain_cross_entropy(z, Domain.SOURCE, torch.zeros_like(cells))) == 0.0


def test_gradient_reversal_is_the_tied_minimax_placement():
    """One backward pass through a reversed gradient gives what the two players step with."""

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, gradient):
            return -0.1 * gradient

    torch.manual_seed(0)
    method = build(placement="grl", segmenter=TinySegmenter(dropout=0.0))
    reference = copy.deepcopy(method)
    seen: dict[str, list[torch.Tensor]] = {}
    for player in method.players():

        def step(player=player):
            seen[player.name] = [p.grad.clone() for p in player.parameters]

        player.optimizer.step = step
    play(method, 1)

    source, target = random_batches(0)
    shown_s, shown_t = reference.segmenter(source.images), reference.segmenter(target.images)
    domain = [reference.discriminator(Reverse.apply(shown.encoder[-1])) for shown in (shown_s, shown_t)]
    cells = torch.ones(2, *domain[0].shape[-2:], dtype=torch.bool)
    total = 0.5 * sum(domain_cross_entropy(z, d, cells) for z, d in zip(domain, Domain, strict=True))
    for level, weight in (("main", 1.0), ("aux", 0.1)):
        logits = F.interpolate(shown_s.logits[level], (64, 64), mode="bilinear", align_corners=True)
        total = total + weight * F.cross_entropy(logits, source.masks)
    total.backward()
    for player in reference.players():
        for parameter, played in zip(player.parameters, seen[player.name], strict=True):
            expected = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            assert torch.allclose(expected, played, rtol=1e-4, atol=1e-7), player.name


@pytest.mark.parametrize(("placement", "terms"), [("grl", -1), ("domain-confusion", 1)])
def test_tied_placements_train_one_network_on_the_task_and_both_domains(placement, terms):
    method = build(placement=placement)
    assert set(method.modules()) == {SEGMENTER, DISCRIMINATOR}
    losses = play(method, 1)[0].losses[SEGMENTER]
    assert {"seg_main", "seg_aux", "adv_source", "adv_target"} == set(losses)
    assert math.copysign(1, losses["adv_target"]) == terms


def test_partly_tied_networks_share_everything_behind_their_own_encoders():
    method = build(weights="partly", objective="gan", tap="decoder")
    names = {player.name for player in method.players()}
    assert names == {DISCRIMINATOR, SOURCE, SEGMENTER}
    assert method.source.main is method.segmenter.main and method.source.first is not method.segmenter.first
    before = values(method.segmenter)
    method.players()[[p.name for p in method.players()].index(SOURCE)].optimizer.step = lambda: None
    play(method, 1)
    assert {key.split(".")[0] for key in changed(before, method.segmenter)} == {"first", "second"}

    learning = build(weights="partly", objective="gan", tap="decoder", segmenter=TinySegmenter())
    report = play(learning, 2)[-1]
    assert "seg_main" in report.losses[SOURCE] and set(report.losses[SEGMENTER]) == {"adv_target"}
    assert torch.equal(learning.source.main.weight, learning.segmenter.main.weight)
    assert not torch.equal(learning.source.first[0].weight, learning.segmenter.first[0].weight)
    learning.segmenter.double()
    assert learning.source.main.weight.dtype is torch.float64  # one parameter, wherever it is moved from


def test_partly_tied_networks_keep_one_batch_norm_policy():
    method = build(weights="partly")
    for layer in (method.segmenter.first[1], method.segmenter.second[1]):
        layer.eval()  # the policy `frozen`
    before = values(method.source)
    play(method, 1)
    assert not {key for key in changed(before, method.source) if "running" in key}


def test_partly_on_a_real_segmenter():
    segmenter = build_smp_segmenter("deeplabv3plus", "tu-mobilenetv3_small_050", levels=2)
    twin = copy_with_own_encoder(segmenter)
    own = {id(p) for p in twin.parameters()} - {id(p) for p in segmenter.parameters()}
    assert own == {id(p) for p in twin.encoder.parameters()}


def test_the_anchor_is_the_divergence_from_the_source_models_answer():
    p, q = torch.tensor([0.25, 0.75]), torch.tensor([0.5, 0.5])
    inside = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    logits = [share.log().view(1, 2, 1, 1).expand(1, 2, 4, 4) for share in (p, q)]
    assert float(anchor_divergence(*logits, inside)) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert float(anchor_divergence(logits[0], logits[0], inside)) == pytest.approx(0.0, abs=1e-7)


def test_the_anchor_keeps_the_answers_nearer_to_the_source_models():
    def drift(weight: float) -> float:
        torch.manual_seed(0)
        method = build(
            segmenter=TinySegmenter(dropout=0.0), lambda_consistency=weight, target_learning_rate=1e-2, lambda_adv=0.3
        )
        target = random_batches(0)[1]
        play(method, 8)
        method.segmenter.eval()
        with torch.no_grad():
            answers = [network(target.images).logits["main"] for network in (method.source, method.segmenter)]
        return float(anchor_divergence(*answers, target.valid))

    assert drift(100.0) < 0.5 * drift(0.0)


def test_released_options_are_valid():
    method = build(**{**PUBLISHED, "discriminator_width": 500})
    assert method.discriminator.in_channels == 2
    for player in method.players():
        group = player.optimizer.param_groups[0]
        assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))
        assert player.schedule.factor(9) == 1.0


def test_a_generative_base_is_refused():
    for values in ({"placement": "cogan"}, {"base": "generative"}):
        with pytest.raises(UsageError, match=r"E_ADDA_GENERATIVE.*CoGAN"):
            method_options("adda", values)
    assert method_options("adda", {"placement": "cogan", "base": "discriminative"}).axes.weights == "partly"


@pytest.mark.parametrize(
    "values",
    [
        {"placement": "grl", "half_gradient": True},
        {"placement": "domain-confusion", "lambda_consistency": 1.0},
        {"weights": "partly", "source_features": "features.safetensors"},
        {"objective": "minimax", "half_gradient": True},
    ],
)
def test_options_that_make_no_sense_together_are_refused(values):
    with pytest.raises(UsageError, match="E_ADDA_OPTION"):
        method_options("adda", values)


def test_axes_of_ones_own_override_the_placements():
    assert method_options("adda", {"objective": "confusion"}).axes == PLACEMENTS["adda"]._replace(objective="confusion")


def test_a_segmenter_that_cannot_be_divided_is_refused_unless_the_whole_of_it_is_trained():
    class Undivided(TinySegmenter):
        def encoder_modules(self):
            return ()

    for options in ({}, {"weights": "partly"}):
        with pytest.raises(UsageError, match=r"E_FEATURE_TAP.*Undivided"):
            build(segmenter=Undivided(), **options)
    play(build(segmenter=Undivided(), trained="whole"), 1)


def test_a_frozen_copy_cannot_be_put_into_training():
    frozen = FrozenCopy(TinySegmenter())
    frozen.train(True)
    assert not any(module.training for module in frozen.modules())
    assert not frozen(torch.rand(1, 3, 16, 16)).logits["main"].requires_grad


def test_target_terms_can_be_added():
    report = play(build("adda+minent"), 1)[0]
    assert {"adv_target"} < set(report.losses[SEGMENTER])


def test_mixed_precision_computes_the_losses_in_full():
    method = build(lambda_consistency=1.0)
    report = Engine(Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"), method).step(*random_batches(0), 0)
    found = [*report.losses[DISCRIMINATOR].values(), report.losses[SEGMENTER]["adv_target"]]
    assert any(value != float(torch.tensor(value).bfloat16()) for value in found)
