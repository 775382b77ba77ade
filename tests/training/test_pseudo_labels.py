"""What a model says of the target, and what of it is learnt."""

import json

import numpy as np
import pytest
import torch
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter

from polypda.data.cache import FrameCache, NetworkGrid, write_images
from polypda.data.inference import Inference
from polypda.methods.contract import PseudoLabelRule
from polypda.networks.averaged_prediction import Asked
from polypda.networks.segmenter import Prediction
from polypda.training.progress import Silent
from polypda.training.pseudo_labels import FACTS, LABELS, agreement, decide, pseudo_labelled, read_facts, teaches

RULE = PseudoLabelRule(rounds=2, polyp_from=0.6, background_to=0.35, negative_to=0.2)
ASKED = Asked(NetworkGrid(64), Inference(scales=(1, 1.5), flips=True), torch.device("cpu"))


class Bright(TinySegmenter):
    """Says polyp where the painted frames are light, which is where their polyps are."""

    offset = 0.54

    def forward(self, images):
        light = images.mean(dim=1, keepdim=True)
        return Prediction({"main": torch.cat([torch.zeros_like(light), 60 * (light - self.offset)], dim=1)}, {})


@pytest.fixture
def target(tmp_path):
    frames = write_frames(tmp_path / "target", 5, cohort="target")
    return FrameCache(tmp_path / "cache", NetworkGrid(64)).unlabelled(frames)


def test_a_pixel_is_polyp_background_or_left_out():
    probability = np.array([[0.61, 0.6, 0.36], [0.35, 0.0, 1.0]])
    valid = np.array([[True, True, True], [True, True, False]])
    assert decide([probability], valid, RULE).tolist() == [[1, 255, 255], [0, 0, 255]]


def test_what_two_labellers_do_not_agree_on_is_left_out():
    one = np.array([[0.95, 0.95, 0.1, 0.1]])
    other = np.array([[0.7, 0.95, 0.5, 0.2]])
    rule = PseudoLabelRule(rounds=1, polyp_from=0.6, background_to=0.35, negative_to=0.2, peak_from=0.9)
    everywhere = np.ones(one.shape, bool)
    assert decide([one, other], everywhere, rule).tolist() == [[1, 1, 255, 0]]
    other[0, 1] = 0.7  # one of them is never sure
    assert decide([one, other], everywhere, rule).tolist() == [[255, 255, 255, 0]]


def test_a_region_is_a_polyp_by_its_peak_and_the_others_are_left_out():
    probability = np.array([[0.7, 0.95, 0.1, 0.8], [0.65, 0.5, 0.1, 0.85]])
    rule = PseudoLabelRule(rounds=1, polyp_from=0.6, background_to=0.35, negative_to=0.2, peak_from=0.9)
    everywhere = np.ones(probability.shape, bool)
    assert decide([probability], everywhere, rule).tolist() == [[1, 1, 0, 255], [1, 255, 0, 255]]
    outside = everywhere.copy()
    outside[0, 1] = False  # the peak lies outside the field of view
    assert decide([probability], outside, rule).tolist() == [[255, 255, 0, 255], [255, 255, 0, 255]]


@pytest.mark.parametrize(
    ("labels", "highest", "learnt"),
    [([1, 0, 255], 0.9, True), ([0, 0, 0], 0.1, True), ([0, 0, 255], 0.5, False), ([0, 0, 0], 0.34, False)],
)
def test_a_frame_teaches_with_a_polyp_or_where_there_clearly_is_none(labels, highest, learnt):
    probability = np.array([highest, 0.0, 0.0])
    assert teaches(np.array(labels, np.uint8), probability, RULE) is learnt


def test_nothing_inside_the_field_of_view_teaches_nothing():
    assert not teaches(np.full(3, 255, np.uint8), np.zeros(3), RULE)


def test_labels_of_a_model_that_knows_are_the_truth_and_are_made_once(target, tmp_path, monkeypatch):
    folder = tmp_path / "round"
    labelled = pseudo_labelled(folder, [Bright()], target, RULE, ASKED, Silent())
    facts = read_facts(folder)
    assert facts.frames == len(target) == len(labelled) and facts.with_polyp == 5
    assert 0 < facts.polyp_share < 0.5 and facts.words.startswith("5 of 5 frames teach")
    masks = FrameCache(tmp_path / "masks", NetworkGrid(64)).labelled(write_frames(tmp_path / "same", 5)).masks
    for index in range(5):
        pseudo, mask = labelled.pseudo[index], masks[index]
        counted = pseudo != 255
        assert (pseudo == 1).any() and np.mean(pseudo[counted] == mask[counted]) > 0.98
        assert (pseudo[target.valid[index] == 0] == 255).all()
    monkeypatch.setattr(Bright, "forward", lambda *_: pytest.fail("it was asked again"))
    again = pseudo_labelled(folder, [Bright()], target, RULE, ASKED, Silent())
    assert all(np.array_equal(again.pseudo[index], labelled.pseudo[index]) for index in range(5))


def test_labels_that_were_not_finished_are_made_again_alike(target, tmp_path):
    folder = tmp_path / "round"
    pseudo_labelled(folder, [Bright()], target, RULE, ASKED, Silent())
    whole = (folder / LABELS).read_bytes()
    (folder / FACTS).unlink()
    (folder / LABELS).write_bytes(whole[:500])
    pseudo_labelled(folder, [Bright()], target, RULE, ASKED, Silent())
    assert (folder / LABELS).read_bytes() == whole


def test_frames_that_do_not_teach_are_left_out_with_their_pixels(target, tmp_path):
    class OnlyOne(Bright):
        def forward(self, images):
            seen = super().forward(images).logits["main"]
            dull = torch.zeros_like(seen)  # probability one half: neither polyp nor background
            mine = images.mean(dim=(1, 2, 3)) < between
            return Prediction({"main": torch.where(mine[:, None, None, None], seen, dull)}, {})

    means = [float(target.images[index].mean()) / 255 for index in range(5)]
    between, index = sum(sorted(means)[:2]) / 2, means.index(min(means))
    labelled = pseudo_labelled(
        tmp_path / "round", [OnlyOne()], target, RULE, Asked(ASKED.grid, Inference(), ASKED.device), Silent()
    )
    assert read_facts(tmp_path / "round").indices == (index,)
    assert labelled.name(0) == target.name(index) and np.array_equal(labelled.images[0], target.images[index])


def test_agreement_is_the_dice_of_what_both_rounds_decide(tmp_path):
    def write(name, indices, labels):
        folder = tmp_path / name
        folder.mkdir()
        images = np.array(labels, np.uint8)
        write_images(folder / LABELS, images.shape, images)
        facts = {"frames": 3, "indices": indices, "with_polyp": 1, "polyp_share": 0.1, "ignored_share": 0.1}
        (folder / FACTS).write_text(json.dumps(facts))
        return folder

    one = write("one", [0, 2], [[[1, 1], [0, 255]], [[0, 0], [0, 0]]])
    other = write("other", [2, 0], [[[0, 0], [0, 0]], [[1, 0], [0, 1]]])
    assert agreement(one, other) == pytest.approx((2 / 3 + 1) / 2)  # frame 0: one common pixel of 2 and 1
    assert agreement(one, one) == 1
    assert np.isnan(agreement(one, write("none", [1], [[[1, 1], [1, 1]]])))
