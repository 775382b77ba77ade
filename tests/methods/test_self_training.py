import pytest
import torch
from lightning_fabric import Fabric
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.data.batches import IGNORED, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.contract import FirstLabeller, PseudoLabelRule
from polypda.methods.registry import method_class, method_options, parts_of
from polypda.methods.segmentation import SegmentationLoss, segmentation_loss, to_image_size
from polypda.training.engine import Engine

FABRIC = Fabric(accelerator="cpu", devices=1)


def build(name: str, **options):
    torch.manual_seed(0)
    return method_class(name)(TinySegmenter(dropout=0.0).train(), method_options(name, options), steps=10)


@pytest.mark.parametrize("name", ["self-training", "adaptsegnet+self-training"])
def test_the_student_learns_the_labels_of_its_own_changed_frame(name):
    method = build(name, self_training_weight=0.5)
    source, target = random_batches(1)
    report = Engine(FABRIC, method).step(source, target, 0)
    again = build(name)
    again.segmenter(source.images)  # moves the statistics as the step did
    logits = to_image_size(again.segmenter(target.images).logits["main"], 64, 64)
    expected = segmentation_loss(logits, target.pseudo, SegmentationLoss.CE_FRAME_DICE)
    assert report.losses["segmenter"]["self_training"] == pytest.approx(expected.item(), rel=1e-5)


def test_what_the_model_before_was_not_sure_of_has_no_gradient():
    method = build("self-training")
    target = random_batches(1)[1]
    logits = torch.zeros(2, 2, 64, 64, requires_grad=True)
    target.pseudo[:, :, 32:] = IGNORED
    from polypda.methods.target_terms import TargetView

    view = TargetView(random_batches(1)[0], target, method.segmenter, None, 0)
    method.terms[0].on_prediction(view, {"main": logits})[0].value.backward()
    assert logits.grad[..., :32].any() and not logits.grad[..., 32:].any()


def test_frames_without_pseudo_labels_are_a_mistake():
    source, target = random_batches(0)
    bare = UnlabelledBatch(target.images, target.valid, target.frames)
    with pytest.raises(LookupError, match="pseudo-labels"):
        Engine(FABRIC, build("self-training")).step(source, bare, 0)


def test_options_tell_the_rounds_and_the_colours_of_every_sum():
    options = method_options("adaptsegnet+target-colours+self-training", {"rounds": 3, "colour_probability": 0.4})
    assert options.pseudo_labels == PseudoLabelRule(3, 0.6, 0.35, 0.2, 0.9, FirstLabeller.CONTROL)
    assert options.target_colours.probability == 0.4
    plain = method_options("adaptsegnet", {})
    assert plain.pseudo_labels is None and plain.target_colours is None


def test_a_band_the_wrong_way_round_is_refused():
    with pytest.raises(UsageError, match="background_to must not lie above"):
        method_options("self-training", {"polyp_from": 0.3, "background_to": 0.4})


def test_a_sum_grows_part_by_part():
    assert parts_of("a+b+c") == ("a", "a+b") and parts_of("a") == ()
