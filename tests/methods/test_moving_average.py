"""The moving average as the model: the mean of the weights so far, then of the last ones; training does not see it."""

import pytest
import torch
from support.tiny_segmenter import TinySegmenter

from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions
from polypda.methods.moving_average import AVERAGE, ema_decay, ema_update, make_teacher, with_moving_average
from polypda.methods.registry import method_class, method_options


def weights_of(network):
    return torch.cat([value.detach().flatten() for value in network.parameters()])


def moved(method, steps):
    """The segmenter's weights after each of some steps of random size, made by hand."""
    seen = []
    for step in range(steps):
        with torch.no_grad():
            for parameter in method.segmenter.parameters():
                parameter.add_(torch.randn_like(parameter))
        seen.append(weights_of(method.segmenter))
        method.after_step(step)
    return torch.stack(seen)


def built(name, decay):
    torch.manual_seed(1)
    return with_moving_average(method_class(name), decay)(TinySegmenter(), method_options(name, {}), steps=30)


def test_without_a_decay_a_method_is_itself():
    assert with_moving_average(AdaptSegNet, 0.0) is AdaptSegNet
    method = AdaptSegNet(TinySegmenter(), AdaptSegNetOptions(), steps=1)
    assert method.adapted() is method.segmenter and AVERAGE not in method.modules()


def test_the_first_steps_average_is_their_plain_mean_from_the_start_on():
    method = built("source-only", 0.99)
    start = weights_of(method.segmenter)
    seen = moved(method, 9)
    torch.testing.assert_close(weights_of(method.adapted()), torch.stack([start, *seen]).mean(0), atol=1e-5, rtol=1e-5)


def test_later_it_forgets_at_the_rate_that_was_asked():
    method, decay = built("source-only", 0.8), 0.8
    start = weights_of(method.segmenter)
    seen = [start, *moved(method, 40)]
    wanted = seen[0]
    for step, now in enumerate(seen[1:], 1):
        keeps = min(step / (step + 1), decay)
        wanted = keeps * wanted + (1 - keeps) * now
    torch.testing.assert_close(weights_of(method.adapted()), wanted, atol=1e-4, rtol=1e-4)


def test_statistics_are_averaged_and_counters_are_taken():
    student = torch.nn.BatchNorm2d(2)
    teacher = make_teacher(student)
    student.running_mean.fill_(4.0)
    student.num_batches_tracked.fill_(7)
    ema_update(teacher, student, 0.75)
    assert teacher.running_mean.tolist() == [1.0, 1.0] and int(teacher.num_batches_tracked) == 7
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_the_average_is_used_and_no_player_moves_it():
    method = built("adaptsegnet", 0.9)
    assert method.modules()[AVERAGE] is method.adapted() is not method.segmenter
    learning = {id(parameter) for player in method.players() for parameter in player.parameters}
    assert not learning & {id(parameter) for parameter in method.adapted().parameters()}
    assert (type(method).name, type(method).chance_accuracy) == (AdaptSegNet.name, AdaptSegNet.chance_accuracy)


def test_a_model_that_is_an_average_already_stays_it():
    method = built("mean-teacher", 0.9)
    assert AVERAGE not in method.modules() and method.adapted() is method.modules()["teacher"]


@pytest.mark.parametrize("steps", [1, 5, 1000])
def test_never_more_is_kept_than_the_past_holds(steps):
    assert ema_decay(steps, 0.9) == min(steps / (steps + 1), 0.9)
