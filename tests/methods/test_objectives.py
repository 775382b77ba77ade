"""Golden constants of the discriminator and the objectives, in float64 (deterministic sine fill)."""

import math

import pytest
import torch

from polypda.data.batches import IGNORED
from polypda.methods.adversary import Objective, domain_loss
from polypda.methods.contract import Domain
from polypda.methods.segmentation import SegmentationLoss, segmentation_loss, to_image_size
from polypda.networks.discriminators import PatchDiscriminator


def wave(classes: int, phase: float, size: int = 64) -> torch.Tensor:
    c, h, w = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (classes, size, size)), indexing="ij")
    return (2 * torch.sin(0.1 * h + 0.2 * w + c + phase)).unsqueeze(0)


@pytest.fixture
def discriminator():
    network = PatchDiscriminator(2).double()
    for k, parameter in enumerate(network.parameters()):
        sine = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) + k).view(parameter.shape)
        scale = 0.01 if parameter.dim() == 1 else 1 / math.sqrt(parameter[0].numel())
        parameter.data.copy_(scale * sine)
    return network


@pytest.mark.parametrize(
    ("objective", "adversarial", "gradient", "discriminating"),
    [
        (Objective.VANILLA, 0.695216805229, 2.745879519e-6, 0.693149247636),
        (Objective.LEAST_SQUARES, 1.7098495e-5, 4.517909769e-8, 0.495882122622),
    ],
)
def test_published_discriminator_losses(discriminator, objective, adversarial, gradient, discriminating):
    source, target = wave(2, 0.0), wave(2, 0.7).requires_grad_()
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
    logits = wave(2, 0.3, size=8)
    masks = (wave(2, 1.0, size=8)[:, 0] > 0).long()
    hidden = masks.clone()
    hidden[:, :4] = IGNORED
    for kind in SegmentationLoss:
        half = segmentation_loss(logits[:, :, 4:], masks[:, 4:], kind)
        assert segmentation_loss(logits, hidden, kind).item() == pytest.approx(half.item(), rel=1e-12)


def test_a_batch_without_counted_pixels_teaches_nothing():
    logits = wave(2, 0.3, size=8).requires_grad_()
    loss = segmentation_loss(logits, torch.full((1, 8, 8), IGNORED), SegmentationLoss.CE)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_cross_entropy_is_the_libraries():
    logits, masks = wave(2, 0.3, size=8), (wave(2, 1.0, size=8)[:, 0] > 0).long()
    expected = torch.nn.functional.cross_entropy(logits, masks)
    assert segmentation_loss(logits, masks, SegmentationLoss.CE).item() == pytest.approx(expected.item(), rel=1e-12)


def test_dice_part_falls_to_zero_for_a_perfect_prediction():
    masks = (wave(2, 1.0, size=16)[:, 0] > 0).long()
    logits = torch.stack([1 - masks, masks], dim=1).double() * 60
    assert segmentation_loss(logits, masks, SegmentationLoss.CE_DICE).item() == pytest.approx(0, abs=1e-9)


def test_resizing_aligns_corners():
    logits = wave(2, 0.1, size=9)
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
