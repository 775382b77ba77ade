"""Polyp mixing: one polyp with its margin, from the source, labelled by the source; nothing else is pasted."""

import pytest
import torch
from support.tiny_segmenter import TinySegmenter

from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.methods import mean_teacher
from polypda.methods.mean_teacher import PolypMixOptions, PolypMixTerm, pasted_regions
from polypda.methods.target_terms import TargetView, make_teacher

SIDE = 32


def disc(row: int, column: int, radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def batch_of(*masks: torch.Tensor) -> LabelledBatch:
    count = len(masks)
    valid = torch.ones(count, 1, SIDE, SIDE, dtype=torch.bool)
    images = torch.full((count, 3, SIDE, SIDE), 0.9)
    return LabelledBatch(images, valid, ("s",) * count, torch.stack(masks).long())


def test_one_of_two_polyps_is_taken_and_either_can_be():
    left, right = disc(8, 8, 3), disc(22, 22, 4)
    taken = set()
    for seed in range(20):
        torch.manual_seed(seed)
        (region,) = pasted_regions(batch_of(left | right), 0.0)[:, 0]
        taken.add("left" if torch.equal(region, left) else "right" if torch.equal(region, right) else "other")
    assert taken == {"left", "right"}


def test_the_margin_is_a_fraction_of_the_polyps_size():
    polyp = disc(16, 16, 5)
    (region,) = pasted_regions(batch_of(polyp), 0.3)[:, 0]
    margin = 0.3 * float(polyp.sum()) ** 0.5
    assert torch.equal(region & polyp, polyp)
    y, x = torch.nonzero(region & ~polyp, as_tuple=True)
    inside = torch.nonzero(polyp).float()
    distances = torch.cdist(torch.stack([y, x], 1).float(), inside).min(dim=1).values
    assert len(y) and distances.max() <= margin
    outside = torch.cdist(torch.nonzero(~region).float(), inside).min(dim=1).values
    assert outside.min() > margin


def test_nothing_is_pasted_without_a_polyp_or_from_pixels_that_do_not_count():
    empty, polyp = torch.zeros(SIDE, SIDE), disc(16, 16, 6).long()
    assert not pasted_regions(batch_of(empty), 0.5).any()
    batch = batch_of(polyp)
    batch.masks[:, :12] = IGNORED
    batch.valid[..., 20:] = False
    region = pasted_regions(batch, 0.5)
    assert region.any() and not region[..., :12, :].any() and not region[..., 20:].any()


@pytest.mark.parametrize("teacher_says", [0, 1])
def test_mixed_frames_have_the_sources_pixels_and_labels_inside_and_the_targets_outside(monkeypatch, teacher_says):
    seen = {}
    monkeypatch.setattr(mean_teacher, "student_view", lambda images: seen.setdefault("images", images))
    original = mean_teacher.weighted_cross_entropy

    def record(logits, labels, weights):
        seen.update(labels=labels, weights=weights)
        return original(logits, labels, weights)

    monkeypatch.setattr(mean_teacher, "weighted_cross_entropy", record)
    torch.manual_seed(0)
    segmenter = TinySegmenter()
    teacher = make_teacher(segmenter)
    with torch.no_grad():  # of a known opinion, not sure enough to count: every frame's weight is 0
        teacher.main.weight.zero_()
        teacher.main.bias.copy_(torch.tensor([0.0, 1.0 if teacher_says else -1.0]))
    polyp = disc(16, 16, 5)
    source = batch_of(polyp, torch.zeros(SIDE, SIDE))
    target = UnlabelledBatch(torch.full((2, 3, SIDE, SIDE), 0.2), torch.ones(2, 1, SIDE, SIDE).bool(), ("a", "b"))
    target.valid[..., :2] = False
    options = PolypMixOptions(mix_margin=0.2)
    (term,) = PolypMixTerm(options, segmenter).on_own_forward(TargetView(source, target, segmenter, teacher, 0))
    region = pasted_regions(source, 0.2)[:, 0]
    assert torch.equal(seen["images"][0, 0] > 0.5, region[0]) and not (seen["images"][1] > 0.5).any()
    inside = region[0]
    assert torch.equal(seen["labels"][0][inside], polyp.long()[inside])
    outside = ~inside
    outside[:, :2] = False
    assert (seen["labels"][0][outside] == teacher_says).all() and (seen["labels"][:, :, :2] == IGNORED).all()
    assert (seen["weights"][0][inside] == 1).all() and not seen["weights"][0][~inside].any()
    assert not seen["weights"][1].any()
    assert term.value.requires_grad and term.value > 0
