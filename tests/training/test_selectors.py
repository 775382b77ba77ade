import json
import math
from dataclasses import replace

import pytest
import torch
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.training.criteria import CRITERIA, SeenSnapshot, SnapshotScore, soft_neighbourhood_density
from polypda.training.selectors import (
    CONTROL_STEP,
    Choice,
    Verdict,
    choose,
    foreground_fraction,
    judged,
    score_snapshot,
    score_snapshots,
    set_aside,
)

CPU = torch.device("cpu")


def score(step, *, entropy=0.3, information=0.2, foreground=0.1, dice=0.5, density=5.0, agreement=0.5, ensemble=0.5):
    criteria = {
        "source_dice": dice,
        "target_entropy": entropy,
        "target_information": information,
        "target_density": density,
        "teacher_agreement": agreement,
        "ensemble_agreement": ensemble,
    }
    return SnapshotScore(step, foreground, criteria=criteria)


def with_target_dice(scored, dice):
    return replace(scored, criteria=scored.criteria | {"target_dice": dice})


def test_each_rule_takes_its_own_best():
    scores = [
        score(5, density=7.0),
        score(10, entropy=0.1),
        score(20, information=0.4),
        score(25, agreement=0.8),
        score(30, dice=0.9),
        score(40, ensemble=0.9),
    ]
    free = [name for name in CRITERIA if name != "oracle"]
    chosen = {selector: choose(scores, selector, 0.1).step for selector in free}
    assert chosen == {
        "last": 40,
        "source-dice": 30,
        "entropy": 10,
        "im": 20,
        "snd": 5,
        "teacher-agreement": 25,
        "ensemble": 40,
    }
    for selector in free:  # whichever is asked for, all that need no target label are told
        assert choose(scores, selector, 0.1).choices == chosen


def test_the_oracle_follows_target_labels_past_the_guard_and_is_told_only_when_asked_for():
    scores = [with_target_dice(score(10, foreground=0.0), 0.9), with_target_dice(score(20), 0.4)]
    choice = choose(scores, "oracle", 0.1)
    assert choice.step == 10 and "TARGET" in choice.reason and choice.choices["oracle"] == 10
    assert "oracle" not in choose(scores, "last", 0.1).choices


def test_a_choice_is_written_as_strict_json_and_read_back():
    began = score(0, density=math.nan)
    choice = choose([score(10, agreement=math.nan, dice=math.nan), score(20)], "teacher-agreement", 0.1, start=began)
    text = json.dumps(choice.as_json(), allow_nan=False)
    read = Choice.from_json(text)
    assert read.step == 20 and read.choices == choice.choices and repr(read.scores[1]) == repr(choice.scores[1])
    assert read.start is not None and read.start.step == 0 and math.isnan(read.start["target_density"])
    assert math.isnan(read.scores[0]["teacher_agreement"]) and math.isnan(read.scores[0]["source_dice"])


def test_a_choice_of_an_earlier_version_is_read():
    scores = [{"step": 5, "target_entropy": 0.1, "target_information": 0.2, "target_foreground": 0.1}]
    old = {"step": 5, "selector": "last", "eligible": [5], "reason": "the last checkpoint"}
    choice = Choice.from_json(json.dumps(old | {"scores": [scores[0] | {"source_dice": 0.4}]}))
    assert (
        choice.choices == {}
        and choice.scores[0]["source_dice"] == 0.4
        and math.isnan(choice.scores[0]["target_density"])
    )


@pytest.mark.parametrize("selector", [name for name in CRITERIA if name not in ("last", "oracle")])
def test_all_background_and_all_polyp_cannot_win(selector):
    """Both are perfectly certain; the area guard must keep them out."""
    scores = [
        score(1, entropy=0.0, information=0.9, foreground=0.001, dice=0.99, density=7.6, agreement=1.0, ensemble=1.0),
        score(2),
        score(3, entropy=0.0, information=0.9, foreground=0.9, dice=0.99, density=7.6, agreement=1.0, ensemble=1.0),
    ]
    choice = choose(scores, selector, 0.1)
    assert choice.step == 2
    assert choice.eligible == (2,)


def test_a_source_without_polyps_to_validate_on_cannot_choose():
    scores = [score(1, dice=math.nan), score(2, dice=math.nan)]
    choice = choose(scores, "source-dice", 0.1)
    assert choice.step == 2 and "no Dice" in choice.reason
    assert choose([*scores, score(3, dice=0.4), score(4, dice=0.2)], "source-dice", 0.1).step == 3


def test_without_an_eligible_snapshot_the_last_is_taken_and_said():
    choice = choose([score(1, foreground=0.0), score(2, foreground=0.0)], "im", 0.1)
    assert choice.step == 2
    assert "foreground share" in choice.reason


@pytest.fixture
def cached(tmp_path):
    frames = write_frames(tmp_path / "cohort", 6)
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    return cache.unlabelled(frames), cache.labelled(frames)


class Constant(TinySegmenter):
    """Says the same probability everywhere."""

    def __init__(self, probability):
        super().__init__()
        self.logit = math.log(probability / (1 - probability))

    def forward(self, images):
        prediction = super().forward(images)
        logits = torch.zeros_like(prediction.logits["main"])
        logits[:, 1] = self.logit
        prediction.logits["main"] = logits
        return prediction


def test_a_constant_prediction_carries_no_information(cached):
    target, source = cached
    result = score_snapshot(Constant(0.25), 7, target, source, CPU)
    assert result.step == 7
    assert result["target_entropy"] == pytest.approx(-(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75)), abs=1e-6)
    assert result["target_information"] == pytest.approx(0, abs=1e-6)
    assert result.target_foreground == 0
    assert result["source_dice"] == 0


def test_everything_polyp_scores_the_dice_of_the_masks_area(cached):
    target, source = cached
    result = score_snapshot(Constant(0.9), 0, target, source, CPU)
    shares = [source.masks[index].mean() for index in range(len(source))]
    assert result["source_dice"] == pytest.approx(sum(2 * s / (1 + s) for s in shares) / len(shares), abs=1e-6)
    assert foreground_fraction(source) == pytest.approx(sum(shares) / len(shares))


def test_density_is_largest_for_equal_pixels_and_falls_with_every_group():
    equal = soft_neighbourhood_density(torch.full((64,), 0.3))
    assert equal == pytest.approx(math.log(63))
    # Two groups of equal size, far apart: each pixel has only the 31 others of its own group (e^-20 of the rest).
    groups = soft_neighbourhood_density(torch.tensor([0.0, 1.0]).repeat_interleave(32))
    assert groups == pytest.approx(math.log(31), abs=1e-6)
    spread = soft_neighbourhood_density(torch.linspace(0, 1, 64))
    assert spread < groups


def test_density_by_hand():
    p = torch.tensor([0.1, 0.2, 0.9], dtype=torch.float64)
    vectors = [(1 - x, x) for x in p.tolist()]
    total = 0.0
    for i, (a, b) in enumerate(vectors):
        weights = [
            math.exp((a * c + b * d) / math.hypot(a, b) / math.hypot(c, d) / 0.05)
            for j, (c, d) in enumerate(vectors)
            if j != i
        ]
        total -= sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights)
    assert soft_neighbourhood_density(p) == pytest.approx(total / 3)


def test_agreement_is_with_the_average_of_earlier_snapshots(cached):
    target, source = cached
    run = [Constant(0.9), Constant(0.9), Constant(0.2), Constant(0.9)]
    scores = score_snapshots(enumerate(run), target, source, CPU)
    assert math.isnan(scores[0]["teacher_agreement"])
    # The average: .9; .9; .6 · .9 + .4 · .2 = .62, still polyp everywhere
    assert [score["teacher_agreement"] for score in scores[1:]] == pytest.approx([1.0, 0.0, 1.0])
    alone = score_snapshot(run[2], 2, target, source, CPU)
    assert (alone["target_entropy"], alone["source_dice"]) == (scores[2]["target_entropy"], scores[2]["source_dice"])


@pytest.mark.parametrize("rule", [rule for rule in CRITERIA.values() if rule.function], ids=lambda rule: rule.name)
def test_every_criterion_says_what_it_is_and_has_a_value_of_a_plain_snapshot(rule):
    """The contract of a criterion: a finite value where all is there, never an error where something is missing."""
    maps, insides = [torch.rand(2, 8, 8)], [torch.ones(2, 8, 8, dtype=torch.bool)]
    before = maps[0].clone()
    whole = SeenSnapshot(maps, insides, maps, maps, 0.5, 0.5)
    assert math.isfinite(rule.function(whole)) and isinstance(rule.function(SeenSnapshot(maps, insides)), float)
    assert torch.equal(maps[0], before)  # the others look at them as well
    assert rule.direction in (1, -1) and rule.doc and rule.key.isidentifier() and rule.title
    assert f"{rule.doc} (0.500" in rule.reason(0.5)


def test_the_only_snapshot_has_nobody_to_agree_with():
    choice = choose([score(7, agreement=math.nan)], "teacher-agreement", 0.1)
    assert choice.step == 7 and "no earlier" in choice.reason


def test_the_ensemble_is_the_mean_of_all_and_the_control_is_one_of_them(tmp_path):
    torch.manual_seed(0)
    frames = write_frames(tmp_path / "frames", 3)
    cached = FrameCache(tmp_path / "cache", NetworkGrid(64)).unlabelled(frames)
    networks = [TinySegmenter() for _ in range(2)]
    twins = score_snapshots([(1, networks[0]), (CONTROL_STEP, networks[0])], cached, None, CPU)
    assert [round(score["ensemble_agreement"], 6) for score in twins] == [1, 1] and twins[0].control_agreement == 1
    three = score_snapshots([(1, networks[0]), (2, networks[0]), (CONTROL_STEP, networks[1])], cached, None, CPU)
    assert three[0]["ensemble_agreement"] == three[1]["ensemble_agreement"] >= three[2]["ensemble_agreement"]
    assert three[2].control_agreement == 1 and three[0].control_agreement == three[1].control_agreement
    alone = score_snapshots([(1, networks[0])], cached, None, CPU)[0]
    assert alone["ensemble_agreement"] == pytest.approx(1) and math.isnan(alone.control_agreement)


def judge(chosen, control, *alarms):
    chosen = replace(chosen, control_agreement=0.8) if math.isnan(chosen.control_agreement) else chosen
    return judged(choose([chosen], "last", 0.1), control, 0.1, alarms)


def test_the_adapted_model_is_kept_where_one_criterion_prefers_it_and_nothing_speaks_against_it():
    better = judge(score(9, entropy=0.2), score(CONTROL_STEP))
    assert better.verdict is Verdict.ADAPTED and not better.alarms and better.control.step == CONTROL_STEP
    none = judge(score(9, entropy=0.4, information=0.1, density=4.0), score(CONTROL_STEP))
    assert none.verdict is Verdict.SOURCE and "no label-free criterion prefers it" in none.alarms[0]


@pytest.mark.parametrize(
    ("chosen", "alarm"),
    [
        (score(9, entropy=0.0, foreground=0.0), "it marks 0.0% of the target, outside 2.5%–40.0%"),
        (score(9, entropy=0.0, foreground=0.9), "it marks 90.0%"),
        (
            replace(score(9, entropy=0.0), control_agreement=0.1),
            "agrees with the source-only control by a Dice of only",
        ),
    ],
)
def test_a_collapse_keeps_the_source_model_however_certain_it_is(chosen, alarm):
    choice = judge(chosen, score(CONTROL_STEP))
    assert choice.verdict is Verdict.SOURCE and alarm in "; ".join(choice.alarms)


def test_alarms_of_earlier_trainings_count_and_the_verdict_is_read_back(tmp_path):
    choice = judge(score(9, entropy=0.2), score(CONTROL_STEP), "a round flooded")
    assert choice.verdict is Verdict.SOURCE
    (tmp_path / "selection.json").write_text(json.dumps(choice.as_json(), allow_nan=False))
    assert repr(Choice.from_json((tmp_path / "selection.json").read_text())) == repr(choice)
    assert set_aside(tmp_path) == ("a round flooded",) and set_aside(tmp_path / "elsewhere") == ()
