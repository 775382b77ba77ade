"""What every method must keep, whatever it does. A new method needs one line here: its name in METHODS does it."""

import copy
from dataclasses import fields

import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import TrainingError, UsageError
from polypda.methods.contract import SEGMENTER, StepNow
from polypda.methods.registry import METHODS, TERMS, method_class, method_options
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
        method_options("adaptsegnet", {"learning_rate": "fast"})


# --- the facts of a method on its class


class NoBatches:
    """A source that must not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"the source's {name} was read")


@pytest.mark.parametrize("name", [name for name in NAMES if not METHODS.get(name, METHODS["adaptsegnet"]).reads_source])
def test_a_method_that_says_so_reads_no_source_frame(name):
    method = build(name)
    assert not method.plays_on_source
    _, target = random_batches(0)
    for losses in method.play(NoBatches(), target if method.plays_on_target else None, 0):
        assert losses


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_adapts_from_a_package_needs_nothing_else_of_the_source(name):
    kind = METHODS[name]
    assert {"tap", "source_features"} <= set(kind.Options.model_fields) or not kind.reads_source_features
    assert kind.source_free or not kind.reads_source_features
    if kind.source_free and not kind.reads_source_features:
        assert not kind.reads_source


@pytest.mark.parametrize("name", METHODS)
def test_terms_are_refused_exactly_where_a_method_takes_none(name):
    term = "minent" if name != "minent" else "fda"
    if METHODS[name].takes_terms:
        assert TERMS[term] in method_class(f"{name}+{term}").term_kinds
    else:
        with pytest.raises(UsageError, match="E_METHOD_COMBINATION"):
            method_class(f"{name}+{term}")


def test_a_sum_has_its_bases_facts():
    assert method_class("lsd+minent").chance_accuracy == method_class("lsd").chance_accuracy == 0.25
    assert method_class("advent").preset_family == method_class("adaptsegnet-feature").preset_family == "adaptsegnet"
    assert not method_class("adda+minent").source_free
    stylized = method_options("fcan+minent", {"stylize": "true", "aan_steps": 3}).stylizing
    assert stylized is not None and stylized.aan_steps == 3
    assert method_options("fcan", {}).stylizing is None and method_options("adaptsegnet", {}).stylizing is None


@pytest.mark.parametrize("name", METHODS)
def test_a_discriminator_that_only_guesses_is_right_by_the_stated_chance(name):
    """Constant logits put the stated share of evenly mixed cells right; the first class wins ties, so over domains."""
    method = build(name)
    networks = {key: module for key, module in method.modules().items() if key.startswith("discriminator")}
    if not networks:
        assert METHODS[name].chance_accuracy == 0.5
        return
    for network in networks.values():
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
    shares = [
        float(term.accuracy)
        for losses in method.play(*random_batches(0), 0)
        if not isinstance(losses, StepNow)
        for player, terms in losses.items()
        if player.startswith("discriminator")
        for term in terms
        if term.accuracy is not None
    ]
    assert shares and sum(shares) / len(shares) == pytest.approx(METHODS[name].chance_accuracy)
