"""The outline of a run: its parts are numbered in turn, and the time left follows what they cost."""

import pytest

from polypda.training.progress import Silent
from polypda.workflows.runs import outline as module
from polypda.workflows.runs.outline import Outline, Outlined, Part


class Shown(Silent):
    def __init__(self):
        self.stages, self.left = [], []

    def begin(self, stage, start, steps):
        self.stages.append(stage)

    def remaining(self, seconds):
        self.left.append(seconds)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_the_time_left_is_of_all_parts_by_what_they_cost(clock):
    shown = Shown()
    progress = Outlined(shown, Outline([Part("start", 100), Part("method", 300)], began=0.0))
    progress.begin("start", 0, 10)
    progress.advance(0)
    assert shown.left == []  # nothing is done: nothing can be said
    clock[0] = 50.0
    progress.advance(5)
    assert shown.left[-1] == pytest.approx(350)  # 50 of 400 took 50 s
    clock[0] = 100.0
    progress.advance(10)
    progress.end()
    progress.begin("method", 0, 4)
    assert shown.left[-1] == pytest.approx(300)
    assert shown.stages == ["1/2 start", "2/2 method"]


def test_what_an_earlier_process_did_earns_no_time(clock):
    shown = Shown()
    progress = Outlined(shown, Outline([Part("start", 100)], began=0.0))
    progress.begin("start", 80, 100)
    clock[0] = 10.0
    progress.advance(90)
    assert shown.left[-1] == pytest.approx(10)


def test_parts_at_once_share_the_outline_and_names_that_come_twice_are_two_parts(clock):
    shown = Shown()
    outline = Outline([Part("label", 10), Part("one", 10), Part("label", 10)], began=0.0)
    first, second = Outlined(shown, outline), Outlined(shown, outline)
    first.begin("label", 0, 1)
    second.begin("one", 0, 1)
    second.begin("label", 0, 1)
    second.begin("unexpected", 0, 1)
    assert shown.stages == ["1/3 label", "2/3 one", "3/3 label", "unexpected"]
    clock[0] = 6.0
    first.advance(1)
    assert shown.left[-1] == pytest.approx(12)


def test_a_training_that_was_left_out_is_not_waited_for(clock):
    shown = Shown()
    progress = Outlined(
        shown, Outline([Part("start", 10), Part("round 2", 90), Part("report", 10, alone=True)], began=0.0)
    )
    progress.begin("start", 0, 1)
    clock[0] = 5.0
    progress.advance(1)
    assert shown.left[-1] == pytest.approx(50)
    progress.begin("report", 0, 1)
    assert shown.left[-1] == pytest.approx(5)
