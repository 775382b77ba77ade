"""Losses by hand and by published constants; boxes by their projections."""

import pytest
import torch
from support.sines import fill_with_sines, sine_maps

from polypda.data.batches import IGNORED, LabelledBatch
from polypda.methods.adversary import Objective, domain_loss
from polypda.methods.contract import Domain
from polypda.methods.segmentation import (
    SegmentationLoss,
    background_outside,
    projection_loss,
    segmentation_loss,
    supervised_loss,
    to_image_size,
)
from polypda.networks.discriminators import PatchDiscriminator


@pytest.fixture
def discriminator():
    return fill_with_sines(PatchDiscriminator(2).double())


@pytest.mark.parametrize(
    ("objective", "adversarial", "gradient", "discriminating"),
    [
        (Objective.VANILLA, 0.695216805229, 2.745879519e-6, 0.693149247636),
        (Objective.LEAST_SQUARES, 1.7098495e-5, 4.517909769e-8, 0.495882122622),
    ],
)
def test_published_discriminator_losses(discriminator, objective, adversarial, gradient, discriminating):
    source, target = sine_maps(2, 0.0), sine_maps(2, 0.7).requires_grad_()
    target_logits = discriminator(target.softmax(1))
    loss = domain_loss(target_logits, Domain.SOURCE, objective)
    assert loss.item() == pytest.approx(adversarial, rel=1e-7)
    (slope,) = torch.autograd.grad(loss, target, retain_graph=True)
    assert slope.norm().item() == pytest.approx(gradient, rel=1e-8)
    both = 0.5 * (
        domain_loss(discriminator(source.softmax(1)), Domain.SOURCE, objective)
        + domain_loss(target_logits, Domain.TARGET, objective)
    )
    assert both.item() == pytest.approx(discriminating, rel=1e-10)
    if objective is Objective.VANILLA:
        gradients = torch.autograd.grad(both, list(discriminator.parameters()))
        assert torch.cat([g.flatten() for g in gradients]).norm().item() == pytest.approx(1.725863680e-3, rel=1e-8)


def test_ignored_pixels_count_nowhere():
    logits = sine_maps(2, 0.3, size=8)
    masks = (sine_maps(2, 1.0, size=8)[:, 0] > 0).long()
    hidden = masks.clone()
    hidden[:, :4] = IGNORED
    for kind in SegmentationLoss:
        half = segmentation_loss(logits[:, :, 4:], masks[:, 4:], kind)
        assert segmentation_loss(logits, hidden, kind).item() == pytest.approx(half.item(), rel=1e-12)


def test_a_batch_without_counted_pixels_teaches_nothing():
    logits = sine_maps(2, 0.3, size=8).requires_grad_()
    loss = segmentation_loss(logits, torch.full((1, 8, 8), IGNORED), SegmentationLoss.CE)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_cross_entropy_is_the_libraries():
    logits, masks = sine_maps(2, 0.3, size=8), (sine_maps(2, 1.0, size=8)[:, 0] > 0).long()
    expected = torch.nn.functional.cross_entropy(logits, masks)
    assert segmentation_loss(logits, masks, SegmentationLoss.CE).item() == pytest.approx(expected.item(), rel=1e-12)


def test_dice_part_falls_to_zero_for_a_perfect_prediction():
    masks = (sine_maps(2, 1.0, size=16)[:, 0] > 0).long()
    logits = torch.stack([1 - masks, masks], dim=1).double() * 60
    assert segmentation_loss(logits, masks, SegmentationLoss.CE_DICE).item() == pytest.approx(0, abs=1e-9)


def test_resizing_aligns_corners():
    logits = sine_maps(2, 0.1, size=9)
    larger = to_image_size(logits, 33, 33)
    assert torch.equal(larger[..., ::32, ::32], logits[..., ::8, ::8])
    assert torch.allclose(larger[..., ::4, ::4], logits, atol=1e-12)


def test_frame_dice_lets_a_small_polyp_count_as_much_as_a_large_one():
    masks = torch.zeros(2, 16, 16, dtype=torch.int64)
    masks[0, :8] = 1  # 128 pixels, found
    masks[1, 0, :2] = 1  # two pixels, missed
    found = torch.full((2, 2, 16, 16), -20.0)
    found[0, 1, :8] = found[0, 0, 8:] = found[1, 0] = 20.0
    cross_entropy = segmentation_loss(found, masks, SegmentationLoss.CE)
    frames = segmentation_loss(found, masks, SegmentationLoss.CE_FRAME_DICE) - cross_entropy
    batch = segmentation_loss(found, masks, SegmentationLoss.CE_DICE) - cross_entropy
    assert frames.item() == pytest.approx((0 + (1 - 1 / 3)) / 2, abs=1e-4)  # smoothing 1: (2·0 + 1) / (0 + 2 + 1)
    assert batch.item() < 0.02
    masks[1] = IGNORED  # a frame without a counted pixel has no part
    assert segmentation_loss(found, masks, SegmentationLoss.CE_FRAME_DICE).item() == pytest.approx(0, abs=1e-4)


SURE = 40.0


def logits_of(probability: torch.Tensor) -> torch.Tensor:
    p = probability.clamp(1e-9, 1 - 1e-9)
    return torch.stack([torch.zeros_like(p), torch.log(p / (1 - p))], dim=1)


def bits_of(*boxes, size=12) -> torch.Tensor:
    bits = torch.zeros(1, size, size, dtype=torch.int64)
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        bits[0, y0:y1, x0:x1] |= 1 << index
    return bits


VALID = torch.ones(1, 1, 12, 12, dtype=torch.bool)


def reference(probability, boxes, size=12):
    """One box after the other, by the paper's words."""
    losses = []
    for x0, y0, x1, y1 in boxes:
        own = torch.zeros(size, size, dtype=torch.bool)
        own[y0:y1, x0:x1] = True
        others = torch.zeros_like(own)
        for u0, v0, u1, v1 in boxes:
            others[v0:v1, u0:u1] = True
        shown = probability[0] * (own | ~others)
        total = 0.0
        for axis in (0, 1):
            a, b = shown.amax(axis), own.any(axis).double()
            total += 1 - 2 * (a * b).sum() / ((a * a).sum() + (b * b).sum())
        losses.append(total)
    return sum(losses) / len(losses)


def test_a_disc_that_touches_its_box_costs_nothing_and_an_empty_map_all():
    box = (2, 3, 9, 10)
    y, x = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    disc = ((x - 5).abs() + (y - 6).abs() <= 3).double()[None]
    assert projection_loss(logits_of(disc), bits_of(box), VALID) == pytest.approx(0, abs=1e-5)
    assert projection_loss(logits_of(disc * 0), bits_of(box), VALID) == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize("boxes", [[(1, 1, 6, 5)], [(1, 1, 6, 5), (7, 6, 12, 12)], [(1, 1, 8, 8), (5, 5, 12, 11)]])
def test_equals_a_loop_over_the_boxes(boxes):
    torch.manual_seed(len(boxes))
    probability = torch.rand(1, 12, 12, dtype=torch.float64)
    found = projection_loss(logits_of(probability), bits_of(*boxes), VALID)
    assert found.item() == pytest.approx(reference(probability, boxes).item(), abs=1e-4)


def test_what_lies_outside_the_field_of_view_counts_nowhere():
    torch.manual_seed(0)
    probability = torch.rand(1, 12, 12, dtype=torch.float64)
    valid = VALID.clone()
    valid[..., 8:] = False
    other = probability.clone()
    other[..., 8:] = torch.rand(1, 12, 4, dtype=torch.float64)
    losses = [projection_loss(logits_of(p), bits_of((2, 2, 10, 9)), valid) for p in (probability, other)]
    assert losses[0] == losses[1]


def test_without_a_box_the_loss_is_zero_and_has_a_gradient():
    logits = torch.randn(2, 2, 12, 12, requires_grad=True)
    loss = projection_loss(logits, torch.zeros(2, 12, 12, dtype=torch.int64), VALID.expand(2, -1, -1, -1))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_the_supervised_loss_takes_boxes_where_there_are_any_and_masks_elsewhere():
    torch.manual_seed(1)
    logits = torch.randn(2, 2, 12, 12)
    masks = torch.zeros(2, 12, 12, dtype=torch.int64)
    masks[1, 2:5, 2:5] = 1
    masks[0, 3:9, 3:9] = IGNORED
    masks[0, 5:7, 5:7] = 1
    boxes = torch.cat([bits_of((3, 3, 9, 9)), torch.zeros(1, 12, 12, dtype=torch.int64)])
    valid = VALID.expand(2, -1, -1, -1)
    batch = LabelledBatch(torch.zeros(2, 3, 12, 12), valid, ("a", "b"), masks, boxes)
    outside = background_outside(batch)
    assert (outside[0, 3:9, 3:9] == IGNORED).all() and not outside[0, :3].any()
    assert torch.equal(outside[1], masks[1]), "a frame with a mask is learnt as ever"
    expected = segmentation_loss(logits, outside, SegmentationLoss.CE) + projection_loss(logits, boxes, valid)
    assert torch.equal(supervised_loss(logits, batch, SegmentationLoss.CE), expected)
    plain = LabelledBatch(batch.images, valid, batch.frames, masks)
    assert torch.equal(
        supervised_loss(logits, plain, SegmentationLoss.CE), segmentation_loss(logits, masks, SegmentationLoss.CE)
    )
    assert plain.to(torch.device("cpu")).boxes is None
