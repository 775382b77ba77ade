import math

import pytest
import torch
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.training.selectors import Selector, SnapshotScore, choose, foreground_share, score_snapshot

CPU = torch.device("cpu")


def score(step, *, entropy=0.3, information=0.2, foreground=0.1, dice=0.5):
    return SnapshotScore(step, entropy, information, foreground, dice)


def test_each_rule_takes_its_own_best():
    scores = [score(10, entropy=0.1), score(20, information=0.4), score(30, dice=0.9), score(40)]
    chosen = {selector: choose(scores, selector, 0.1).step for selector in Selector}
    assert chosen == {Selector.LAST: 40, Selector.SOURCE_DICE: 30, Selector.ENTROPY: 10, Selector.IM: 20}


@pytest.mark.parametrize("selector", [Selector.ENTROPY, Selector.IM, Selector.SOURCE_DICE])
def test_all_background_and_all_polyp_cannot_win(selector):
    """Both are perfectly certain; the area guard must keep them out."""
    scores = [
        score(1, entropy=0.0, information=0.9, foreground=0.001, dice=0.99),
        score(2),
        score(3, entropy=0.0, information=0.9, foreground=0.9, dice=0.99),
    ]
    choice = choose(scores, selector, 0.1)
    assert choice.step == 2
    assert choice.eligible == (2,)


def test_a_source_without_polyps_to_validate_on_cannot_choose():
    scores = [score(1, dice=math.nan), score(2, dice=math.nan)]
    choice = choose(scores, Selector.SOURCE_DICE, 0.1)
    assert choice.step == 2 and "no Dice" in choice.reason
    assert choose([*scores, score(3, dice=0.4), score(4, dice=0.2)], Selector.SOURCE_DICE, 0.1).step == 3


def test_without_an_eligible_snapshot_the_last_is_taken_and_said():
    choice = choose([score(1, foreground=0.0), score(2, foreground=0.0)], Selector.IM, 0.1)
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
    assert result.target_entropy == pytest.approx(-(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75)), abs=1e-6)
    assert result.target_information == pytest.approx(0, abs=1e-6)
    assert result.target_foreground == 0
    assert result.source_dice == 0


def test_everything_polyp_scores_the_dice_of_the_masks_area(cached):
    target, source = cached
    result = score_snapshot(Constant(0.9), 0, target, source, CPU)
    shares = [source.masks[place].mean() for place in range(len(source))]
    assert result.source_dice == pytest.approx(sum(2 * s / (1 + s) for s in shares) / len(shares), abs=1e-6)
    assert foreground_share(source) == pytest.approx(sum(shares) / len(shares))
