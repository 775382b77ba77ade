"""The collapse watch: what it warns of, when it stops a training, and that noise is no collapse."""

import json
import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from polypda.training import collapse_limits
from polypda.training.collapse import CollapseWatch, alarms_of
from polypda.workflows.runs.trained_models import Snapshots

STEPS, BEGINS = 200, 60


def events(change=lambda event, step: None, steps=STEPS, seed=0):
    """A training that goes as such games go, in whose events something is changed."""
    chance = random.Random(seed)
    for step in range(steps):
        event = {
            "step": step,
            "losses": {
                "segmenter": {"seg_main": 0.4 * chance.uniform(0.6, 1.5), "adv_main": chance.uniform(0.5, 0.9)},
                "d_main": {"d_main_source": chance.uniform(0.5, 0.7), "d_main_target": chance.uniform(0.5, 0.7)},
            },
            "grad": {"segmenter": chance.uniform(0.5, 5), "d_main": chance.uniform(0.01, 0.5)},
            "accuracy": {"d_main": chance.uniform(0.5, 0.97)},
            "target": {"foreground": 0.05 * chance.uniform(0.2, 3), "entropy": chance.uniform(0.02, 0.2)},
        }
        if step >= BEGINS:
            change(event, step)
        yield event


COLLAPSES = {
    "foreground": lambda event, step: event["target"].update(foreground=0.0),
    "foreground of all": lambda event, step: event["target"].update(foreground=0.97),
    "entropy": lambda event, step: event["target"].update(entropy=1e-7),
    "source": lambda event, step: event["losses"]["segmenter"].update(seg_main=2.5),
    "gradient of segmenter": lambda event, step: event["grad"].update(segmenter=1e-9),
    "loss of d_main": lambda event, step: event["losses"].update(d_main={"d_main_source": 0.693, "d_main_target": 0.7}),
    "accuracy of d_main": lambda event, step: event["accuracy"].update(d_main=1.0),
    "pseudo-labels": lambda event, step: event["target"].update(pseudo=0.0),
    "pseudo-labels of all": lambda event, step: event["target"].update(pseudo=0.99),
}


@pytest.mark.parametrize("kind", COLLAPSES)
def test_every_collapse_is_warned_of_and_then_stops_the_training(kind):
    warned, stopped = alarms_of(events(COLLAPSES[kind]), STEPS)[:2]
    rule = kind.removesuffix(" of all")
    assert warned.rule == stopped.rule == rule and (warned.stops, stopped.stops) == (False, True)
    window = CollapseWatch(STEPS).window
    assert BEGINS < warned.step < stopped.step == warned.step + 2 * window < BEGINS + 5 * window + 1
    assert stopped.words.startswith(f"stopped at step {stopped.step + 1}: ")


def test_healthy_trainings_are_left_alone():
    assert sum(bool(alarms_of(events(seed=seed), STEPS)) for seed in range(20)) == 0


def test_what_passes_again_stops_nothing():
    def passing(event, step):
        if step < BEGINS + 20:
            event["target"]["foreground"] = 0.0

    assert not any(alarm.stops for alarm in alarms_of(events(passing), STEPS))


def test_a_model_that_marks_nothing_from_the_start_has_not_collapsed():
    def blind(event, step):
        event["target"]["foreground"] = 0.0

    told = [event for event in events() if blind(event, 0) is None]
    assert not alarms_of(told, STEPS)


def test_short_trainings_are_not_judged():
    assert not alarms_of(events(COLLAPSES["entropy"], steps=30), 30)


def test_events_of_earlier_versions_say_less():
    old = [{key: value for key, value in event.items() if key != "target"} for event in events()]
    assert not alarms_of(old, STEPS)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    import collapses

    return collapses, collapses.Bench(tmp_path_factory.mktemp("bench"), 60)


@pytest.mark.parametrize("number", [0, 5], ids=["foreground", "generator"])
def test_a_training_that_collapses_is_stopped_and_says_so(bench, number):
    """`python benchmarks/collapses.py` goes through all, and healthy ones."""
    collapses, made = bench
    one = collapses.COLLAPSES[number]
    told = made.collapsed(one)
    assert told.startswith("stopped at step ")
    folder = made.folder / one.name.replace(" ", "-")
    done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    assert done["steps"] < made.steps and done["collapse"] == told and 0 <= done["sound_steps"] < done["steps"] - 20
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == done["steps"], "the watch read the log, and the log says the same"
    assert told == next(alarm.words for alarm in alarms_of(lines, made.steps) if alarm.stops)
    if number == 0:  # killed between its last checkpoint and what says that it is done: not a step more is made
        whole = (folder / "events.jsonl").read_bytes()
        (folder / "done.json").unlink()
        (folder / "checksums.sha256").unlink(missing_ok=True)
        assert made.collapsed(one) == told and (folder / "events.jsonl").read_bytes() == whole


def test_a_healthy_training_goes_to_its_end(bench):
    _, made = bench
    assert made.healthy("adaptsegnet", 1) == ""
    event = json.loads((made.folder / "adaptsegnet-1" / "events.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert 0 <= event["target"]["foreground"] <= 1 and 0 < event["target"]["entropy"] < 0.7


def test_every_limit_is_documented_with_its_value():
    text = (Path(__file__).parents[2] / "docs" / "collapse.md").read_text(encoding="utf-8")
    documented = {}
    for names, values in re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", text, flags=re.MULTILINE):
        documented |= dict(zip(re.findall(r"`(\w+)`", names), map(float, values.split(",")), strict=True))
    assert documented == {name: value for name, value in vars(collapse_limits).items() if name.isupper()}


def test_a_warning_beside_it_does_not_hide_a_stop_and_what_was_sound_is_told():
    """The vanished foreground stops the training at the step at which the gradient's rule warns."""
    watch, raised = CollapseWatch(STEPS), []

    def both(event, step):
        event["target"].update(foreground=0.0)
        if step >= BEGINS + 2 * watch.window:
            event["grad"].update(segmenter=1e-9)

    raised = [alarm for event in events(both) if (alarm := watch.see(event))]
    stop = next(alarm for alarm in raised if alarm.stops)
    beside = [alarm for alarm in watch.alarms if alarm.step == stop.step]
    assert stop.rule == "foreground" and len(beside) == 2 and not beside[1].stops, (
        "the case must be the one that is meant"
    )
    assert stop == watch.stopping and BEGINS - watch.window <= stop.sound <= BEGINS


def test_the_checkpoint_is_chosen_among_those_before_a_collapse(tmp_path):
    folder = tmp_path / "adaptsegnet"
    config = SimpleNamespace(checkpoint_every=20)
    for step in (20, 40, 60, 67):
        (folder / f"step-{step:06d}").mkdir(parents=True)

    def snapshots():
        return Snapshots(config, folder, None, None)

    assert list(snapshots().files) == [20, 40, 60, 67] and not snapshots().all_collapsed
    (folder / "done.json").write_text(json.dumps({"steps": 67, "collapse": "stopped at step 67: …", "sound_steps": 41}))
    assert list(snapshots().files) == [20, 40] and not snapshots().all_collapsed
    assert snapshots().last.parent.name == "step-000040", "which labels the target for a next round"
    (folder / "done.json").write_text(json.dumps({"steps": 67, "collapse": "stopped at step 67: …", "sound_steps": 5}))
    assert list(snapshots().files) == [20, 40, 60, 67] and snapshots().all_collapsed
