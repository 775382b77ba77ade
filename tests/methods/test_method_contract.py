"""What every method must keep, whatever it does. A new method needs one line here: its name in METHODS does it."""

import copy
from dataclasses import fields

import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import TrainingError, UsageError
from polypda.methods.contract import SEGMENTER
from polypda.methods.registry import METHODS, method_class, method_options
from polypda.training.checkpoints import list_checkpoints, load_checkpoint, save_checkpoint
from polypda.training.engine import Engine

SMALL = {"discriminator_width": 4, "discriminator_layers": 3}
SMALL_OF = {
    "lsd": {"generator_width": 2, "discriminator_width": 4},
    "adda": {"discriminator_width": 4, "gate": 0.0},
    "fcan": {"discriminator_width": 4},
    # sizes are constrained from the second step, with the polyps that random frames have
    "fcn-wild": {"discriminator_width": 4, "size_start": 1, "upper_slack": 1.0},
}
COMBINED = ["adaptsegnet+minent", "adaptsegnet+fda+mean-teacher+mic"]
NAMES = [*METHODS, *COMBINED]
STANDS_STILL = {("adda", "source")}  # the fixed source network
TRAINED = [name for name in NAMES if name != "adabn"]
ADVERSARIAL = [name for name in NAMES if name.startswith(("adaptsegnet", "advent"))]


def build(name: str, *, seed: int = 0, **options):
    torch.manual_seed(seed)
    if name in ADVERSARIAL:
        options = SMALL | options
    options = SMALL_OF.get(name, {}) | options
    method = method_class(name)(TinySegmenter().train(), method_options(name, options), steps=10)
    if name in ("fcn-wild", "size-constraint"):  # its priors are learnt beforehand
        method.prepare(RandomFrames())
    return method


class RandomFrames:
    """What a method may look at before its first step."""

    def source(self):
        return (random_batches(seed)[0] for seed in range(3))

    def target(self):
        return (random_batches(seed)[1] for seed in range(3))

    statistics = target


def play(method, steps: int, *, start: int = 0):
    engine = Engine(Fabric(accelerator="cpu", devices=1), method)
    reports = []
    for step in range(start, start + steps):
        torch.manual_seed(step)
        source, target = random_batches(step)
        reports.append(engine.step(source, target if method.plays_on_target else None, step))
    return reports


def state(method) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": v.clone() for n, m in method.modules().items() for k, v in m.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_finite_and_reported(name):
    for report in play(build(name), 3):
        values = [value for terms in report.losses.values() for value in terms.values()]
        assert all(value == value and abs(value) < 1e4 for value in values)
        assert set(report.losses) == {player.name for player in build(name).players()}


@pytest.mark.parametrize("name", TRAINED)
def test_every_network_learns(name):
    method = build(name)
    before = state(method)
    play(method, 2)
    after = state(method)
    for network, module in method.modules().items():
        if not list(module.parameters()):  # remembered statistics, which do not learn
            continue
        changed = [key for key in before if key.startswith(network) and not torch.equal(before[key], after[key])]
        assert bool(changed) is not ((name, network) in STANDS_STILL), network


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_is_stepped_twice_or_shared_between_players(name):
    players = build(name).players()
    listed = [id(p) for player in players for group in player.optimizer.param_groups for p in group["params"]]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("name", [*ADVERSARIAL, "fcan"])
def test_each_player_gets_only_its_own_losses_gradients(name):
    """Differentiating one player's terms by hand gives exactly the gradient that the engine steps with."""
    method = build(name)
    source, target = random_batches(0)
    gradients: dict[str, list[torch.Tensor]] = {}

    def remember(player):
        def step():
            gradients[player.name] = [p.grad.clone() for p in player.parameters]

        return step

    for player in method.players():
        player.optimizer.step = remember(player)
    reference = copy.deepcopy(method)
    torch.manual_seed(0)
    Engine(Fabric(accelerator="cpu", devices=1), method).step(source, target, 5)

    torch.manual_seed(0)
    totals: dict[str, torch.Tensor] = {}
    for losses in reference.play(source, target, 5):
        for player, terms in losses.items():
            totals[player] = totals.get(player, 0) + sum(term.weight * term.value for term in terms)
    for player in reference.players():
        by_hand = torch.autograd.grad(totals[player.name], player.parameters, retain_graph=True)
        for mine, theirs in zip(gradients[player.name], by_hand, strict=True):
            assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-7), player.name


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_networks(name):
    one, other, third = build(name), build(name), build(name, seed=1)
    for method in (one, other, third):
        play(method, 3)
    assert all(torch.equal(value, state(other)[key]) for key, value in state(one).items())
    assert any(not torch.equal(value, state(third)[key]) for key, value in state(one).items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("interrupted_after", [1, 3])
def test_resuming_is_bit_exact(name, interrupted_after, tmp_path):
    whole = build(name)
    play(whole, 5)
    first = build(name)
    play(first, interrupted_after)
    save_checkpoint(tmp_path, first, interrupted_after)
    resumed = build(name, seed=7)
    load_checkpoint(list_checkpoints(tmp_path)[-1], resumed)
    play(resumed, 5 - interrupted_after, start=interrupted_after)
    for key, value in state(whole).items():
        assert torch.equal(value, state(resumed)[key]), key


def test_the_targets_batch_has_no_place_for_a_mask():
    assert {field.name for field in fields(UnlabelledBatch)} == {"images", "valid", "frames"}
    labelled, unlabelled = ({field.name for field in fields(kind)} for kind in (LabelledBatch, UnlabelledBatch))
    assert labelled - unlabelled == {"masks", "boxes"}


@pytest.mark.parametrize("name", TRAINED)
def test_a_non_finite_loss_stops_before_anything_is_stepped(name):
    method = build(name)
    before = state(method)
    source, target = random_batches(0)
    for batch in (source, target):  # a method may be source-free
        batch.images[0, 0, 0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"E_NONFINITE.*frame-0-0"):
        Engine(Fabric(accelerator="cpu", devices=1), method).step(source, target if method.plays_on_target else None, 0)
    parameters = dict(method.segmenter.named_parameters())
    assert all(torch.equal(before[f"{SEGMENTER}.{key}"], value) for key, value in parameters.items())


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UsageError, match=r"E_METHOD_UNKNOWN.*'adaptsegnet'"):
        method_class("adaptsegnt")
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*'lambda_adv_main'"):
        method_options("adaptsegnet", {"lamda_adv_main": 1})
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*rate"):
        method_options("adaptsegnet", {"rate": "fast"})
