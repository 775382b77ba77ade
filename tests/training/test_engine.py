"""The engine against games that can be played by hand."""

import resource
import weakref
from itertools import pairwise

import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches
from torch import nn

from polypda.errors import TrainingError
from polypda.methods.contract import Decay, LossTerm, Method, MethodOptions, Player, Schedule, StepNow
from polypda.methods.registry import method_class, method_options
from polypda.processes import keep_freed_memory
from polypda.training.config import Compute
from polypda.training.engine import Engine, open_fabric


class Duel(Method):
    """x minimises x·y + x²/2, y minimises −x·y: a step is known in closed form. ``sequential``: x moves first."""

    name = title = paper = "duel"
    plays_on_target = False

    def __init__(self, *, sequential=False, x=1.0, y=2.0):
        super().__init__(TinySegmenter(), MethodOptions(), steps=10)
        self.x, self.y = (nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (x, y))
        self.sequential = sequential
        still = Schedule(horizon=10, power=0.0)
        self._players = [
            Player(name, torch.optim.SGD([parameter], lr=0.1), still)
            for name, parameter in (("x", self.x), ("y", self.y))
        ]

    def players(self):
        return self._players

    def play(self, source, target, step):
        of_x = [LossTerm("product", self.x * self.y), LossTerm("square", self.x**2, 0.5)]
        if not self.sequential:
            yield {"x": of_x, "y": [LossTerm("product", self.x * self.y, -1.0)]}
            return
        yield {"x": of_x}
        yield StepNow(("x",))
        yield {"y": [LossTerm("product", self.x * self.y, -1.0)]}


def engine(method, **options):
    return Engine(Fabric(accelerator="cpu", devices=1, precision="64-true"), method, **options)


def test_simultaneous_players_see_the_same_weights():
    duel = Duel()
    report = engine(duel).step(random_batches(0)[0], None, 0)
    # ∂/∂x (xy + x²/2) = y + x = 3; ∂/∂y (−xy) = −x = −1, both at (1, 2).
    assert duel.x.item() == pytest.approx(1 - 0.1 * 3)
    assert duel.y.item() == pytest.approx(2 + 0.1 * 1)
    assert report.losses == {"x": {"product": 2.0, "square": 1.0}, "y": {"product": 2.0}}
    assert report.gradient_norms == {"x": pytest.approx(3), "y": pytest.approx(1)}


def test_sequential_players_see_the_step_before():
    duel = Duel(sequential=True)
    engine(duel).step(random_batches(0)[0], None, 0)
    assert duel.x.item() == pytest.approx(0.7)
    assert duel.y.item() == pytest.approx(2 + 0.1 * 0.7)


def test_clipping_is_per_player():
    duel = Duel()
    report = engine(duel, clip_norm=0.5).step(random_batches(0)[0], None, 0)
    assert duel.x.item() == pytest.approx(1 - 0.1 * 0.5, abs=1e-6)
    assert duel.y.item() == pytest.approx(2 + 0.1 * 0.5, abs=1e-6)
    assert report.gradient_norms["x"] == pytest.approx(3)


def test_rates_follow_the_schedule():
    duel = Duel()
    for player in duel.players():
        player.schedule = Schedule(horizon=10, power=0.9, warmup=2)
    played = engine(duel)
    rates = [played.step(random_batches(0)[0], None, step).learning_rates["x"] for step in range(10)]
    assert rates[:2] == pytest.approx([0.1 / 3, 0.2 / 3])
    assert rates[2:] == pytest.approx([0.1 * (1 - step / 10) ** 0.9 for step in range(2, 10)])


@pytest.mark.parametrize("y", [float("nan"), float("inf")])
def test_nobody_steps_after_a_non_finite_loss(y):
    duel = Duel(y=y)
    with pytest.raises(TrainingError, match=r"E_NONFINITE.*'product' of player 'x'"):
        engine(duel).step(random_batches(0)[0], None, 0)
    assert duel.x.item() == 1.0


@pytest.mark.parametrize("rate", [1e38, 1e300, float("inf")])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_a_learning_rate_beyond_all_numbers_is_named_within_two_steps(kind, rate):
    """The optimiser itself may not know such a number, or the weights are not finite afterwards."""
    duel = Duel()
    duel.x = nn.Parameter(torch.tensor(1.0))
    of_player = {"x": (duel.x, rate), "y": (duel.y, 0.1)}
    duel._players = [
        Player(name, kind([one], lr=speed), Schedule(horizon=10, power=0.0)) for name, (one, speed) in of_player.items()
    ]
    played = engine(duel)
    with pytest.raises(TrainingError, match=rf"E_NONFINITE(.|\n)*learning rates: x {rate:g}".replace("+", r"\+")):
        for step in range(2):
            played.step(random_batches(step)[0], None, step)


def test_broken_weights_are_named_and_no_frame_is_blamed():
    duel = Duel()
    duel.segmenter.second[0].weight.data[0, 0, 0, 0] = float("nan")
    duel.y.data.fill_(float("inf"))
    with pytest.raises(
        TrainingError,
        match=r"E_NONFINITE.*'product'.*already: segmenter\.second\.0\.weight, y; learning rates: x 0.1, y 0.1\.",
    ) as caught:
        engine(duel).step(random_batches(0)[0], None, 0)
    assert "frame-0" not in str(caught.value) and "frames are not at fault" in caught.value.fix


@pytest.mark.parametrize("size", [1e30, float("nan")])
def test_weights_that_a_step_has_thrown_away_stop_the_next_step_whatever_the_loss(size):
    """Batch norm forgives any size of the weights before it: the loss alone would stay finite."""
    duel = Duel()
    idle = nn.Parameter(torch.tensor(1.0))
    duel._players[0] = Player("x", torch.optim.SGD([duel.x, idle], lr=0.1), Schedule(horizon=10, power=0.0))
    played = engine(duel)
    real = duel._players[0].optimizer.step

    def thrown_away(*_):
        real()
        idle.data.fill_(size)

    duel._players[0].optimizer.step = thrown_away
    played.step(random_batches(0)[0], None, 0)
    before = duel.y.item()
    with pytest.raises(TrainingError, match=r"E_NONFINITE(.|\n)*last step of player 'x'(.|\n)*learning rates: x 0.1"):
        played.step(random_batches(1)[0], None, 1)
    assert duel.y.item() == before


def test_values_that_overflow_on_sound_weights_and_frames_are_told_of_the_rates():
    duel = Duel()
    duel.play = lambda *_: iter([{"x": [LossTerm("product", (1000 * duel.x).exp())]}])
    with pytest.raises(TrainingError, match=r"E_NONFINITE.*weights and frames are finite.*learning rates: x 0.1"):
        engine(duel).step(random_batches(0)[0], None, 0)


def test_statistics_that_these_frames_have_spoilt_do_not_excuse_the_frames():
    from polypda.methods.segmentation import SourceOnly, SupervisedOptions

    method = SourceOnly(TinySegmenter(), SupervisedOptions(), steps=2)
    source = random_batches(0)[0]
    source.images[0, 0, 0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"E_NONFINITE.*Frames that hold no numbers: frame-0-0\."):
        Engine(Fabric(accelerator="cpu", devices=1), method).step(source, None, 0)
    assert not method.segmenter.first[1].running_mean.isfinite().all()


@pytest.mark.parametrize("count", [1, 4])
def test_a_step_waits_for_the_device_once_however_many_losses_it_has(count, monkeypatch):
    from polypda.training import engine as room

    duel, readings, read = Duel(), [], room._read
    monkeypatch.setattr(room, "_read", lambda scalars: readings.append(len(scalars)) or read(scalars))
    for name in ("item", "__float__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("the step waits for one number"))
    duel.play = lambda *_: iter(
        [{"x": [LossTerm(f"t{k}", duel.x * duel.y, 1.0, torch.tensor(0.5)) for k in range(count)]}]
    )
    report = engine(duel).step(random_batches(0)[0], None, 0)
    assert readings == [2 * count + 1]  # each loss, each accuracy, and the one player's gradient norm
    assert report.losses == {"x": {f"t{k}": 2.0 for k in range(count)}} and report.accuracies == {"x": 0.5}


@pytest.mark.parametrize("name", ["adaptsegnet", "fcan", "adaptsegnet+minent", "minent", "adaptsegnet+mic"])
def test_the_graph_of_a_differentiated_loss_is_gone_before_the_next_forward(name):
    """Else a step would hold the activations of both domains at once."""

    class Watched(TinySegmenter):
        maps, alive = [], []

        def forward(self, images):
            self.alive.append(sum(seen() is not None for seen in self.maps))
            prediction = super().forward(images)
            self.maps.extend(weakref.ref(found) for found in prediction.encoder if found.requires_grad)
            return prediction

    kind = method_class(name)
    method = kind(Watched(), method_options(name, {}), steps=4)
    Engine(Fabric(accelerator="cpu", devices=1), method).step(*random_batches(0), 3)
    assert len(Watched.alive) >= 2 and not any(Watched.alive)


def test_mixed_precision_computes_in_bfloat16_and_keeps_weights_in_float32():
    class Seen(TinySegmenter):
        def forward(self, images):
            prediction = super().forward(images)
            self.seen = prediction.logits["main"].dtype
            return prediction

    from polypda.methods.segmentation import SourceOnly, SupervisedOptions

    segmenter = Seen()
    method = SourceOnly(segmenter, SupervisedOptions(), steps=2)
    Engine(Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"), method).step(random_batches(0)[0], None, 0)
    assert segmenter.seen is torch.bfloat16
    assert all(parameter.dtype is torch.float32 for parameter in segmenter.parameters())


def test_one_cycle_rises_straight_and_falls_as_half_a_cosine():
    schedule = Schedule(horizon=100, warmup=10, decay=Decay.COSINE)
    factors = [schedule.factor(step) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factors[10] == 1 and factors[55] == pytest.approx(0.5) and factors[100] == pytest.approx(0)
    assert all(a > b for a, b in pairwise(factors[10:]))
    options = method_options("source-only", {"warmup": 2, "warmup_fraction": 0.1, "decay": "cosine"})
    assert options.schedule(50) == Schedule(horizon=50, warmup=7, decay=Decay.COSINE)


@pytest.mark.skipif(not keep_freed_memory(), reason="another C library than glibc")
def test_memory_that_was_freed_is_not_asked_for_again():
    """Without it each of these tensors is mapped anew, and each of its pages is a fault."""
    open_fabric(Compute(device="cpu"))
    tensor = torch.ones(5_000_000)
    del tensor
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(5_000_000)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 10 * 20_000_000 / resource.getpagesize() / 3  # the heap may have to grow once
