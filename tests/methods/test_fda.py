"""Fourier adaptation: symmetric band, real result, amplitudes exchanged in the band and nowhere else."""

import pytest
import torch

from polypda.data.batches import LabelledBatch, UnlabelledBatch
from polypda.errors import UsageError
from polypda.methods.fda import FDAOptions, FDATerm, exchange_low_frequencies, half_width, robust_entropy_loss
from polypda.methods.registry import method_options

SHAPES = [(32, 48), (33, 47), (40, 33)]


def images(shape: tuple[int, int], seed: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, *shape, generator=generator, dtype=torch.float64)


def band_of(shape: tuple[int, int], b: int) -> torch.Tensor:
    """The centred band on the full, shifted spectrum: rows and columns within b cells of the constant one."""
    band = torch.zeros(shape, dtype=torch.bool)
    row, column = shape[0] // 2, shape[1] // 2
    band[row - b : row + b + 1, column - b : column + b + 1] = True
    return torch.fft.ifftshift(band)


@pytest.mark.parametrize(("side", "share", "cells"), [(256, 0.01, 2), (512, 0.01, 5), (192, 0.01, 1), (64, 0.01, 0)])
def test_the_bands_half_width_is_a_floored_fraction_of_the_shorter_side(side, share, cells):
    assert half_width(side, 2 * side, share) == half_width(2 * side, side, share) == cells


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.49])
def test_an_image_with_itself_is_itself(shape, share):
    image = images(shape, 0)
    assert torch.allclose(exchange_low_frequencies(image, image, share), image, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_equals_the_full_complex_transform_whose_result_is_real(shape, share):
    content, style = images(shape, 1), images(shape, 2)
    band = band_of(shape, half_width(*shape, share))
    f, g = torch.fft.fft2(content), torch.fft.fft2(style)
    full = torch.fft.ifft2(torch.polar(torch.where(band, g.abs(), f.abs()), f.angle()))
    assert full.imag.abs().max() < 1e-12
    assert torch.allclose(exchange_low_frequencies(content, style, share), full.real, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_amplitudes_change_exactly_in_the_band_and_phases_nowhere(shape):
    content, style = images(shape, 3), images(shape, 4)
    band = band_of(shape, half_width(*shape, 0.15))
    mixed, f, g = (torch.fft.fft2(x) for x in (exchange_low_frequencies(content, style, 0.15), content, style))
    assert torch.allclose(mixed.abs()[..., band], g.abs()[..., band], rtol=1e-9)
    assert torch.allclose(mixed.abs()[..., ~band], f.abs()[..., ~band], rtol=1e-9)
    assert torch.allclose(mixed / mixed.abs(), f / f.abs(), atol=1e-8)


def test_the_narrowest_band_exchanges_the_mean_colour():
    content, style = images((32, 32), 5), images((32, 32), 6)
    mixed = exchange_low_frequencies(content, style, 0.0)
    assert torch.allclose(mixed.mean(dim=(2, 3)), style.mean(dim=(2, 3)))
    shift = style.mean(dim=(2, 3), keepdim=True) - content.mean(dim=(2, 3), keepdim=True)
    assert torch.allclose(mixed, content + shift)


def stylized(valid: torch.Tensor, targets: int = 2) -> tuple[LabelledBatch, torch.Tensor, torch.Tensor]:
    source, target = images((32, 32), 7), images((32, 32), 8, targets)
    masks = torch.zeros(2, 32, 32, dtype=torch.long)
    batch = LabelledBatch(source, valid, ("a", "b"), masks)
    term = FDATerm(FDAOptions(fda_fraction=0.1), None)
    return term.stylize(batch, UnlabelledBatch(target, valid[:targets], ("t",) * targets)), source, target


def test_borders_keep_the_sources_pixels_and_masks_stay():
    valid = torch.ones(2, 1, 32, 32, dtype=torch.bool)
    valid[..., :5] = False
    batch, source, target = stylized(valid)
    expected = exchange_low_frequencies(source, target, 0.1)
    assert torch.equal(batch.images[..., :5], source[..., :5])
    assert torch.equal(batch.images[..., 5:], expected[..., 5:])
    assert not batch.masks.any() and batch.frames == ("a", "b")


def test_a_smaller_target_batch_lends_its_styles_in_turn():
    batch, source, target = stylized(torch.ones(2, 1, 32, 32, dtype=torch.bool), targets=1)
    assert torch.allclose(batch.images, exchange_low_frequencies(source, target.expand_as(source), 0.1))


def test_robust_entropy_weighs_uncertain_pixels_more():
    logits = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    valid = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    assert robust_entropy_loss(logits, valid, 2.0).item() == pytest.approx((1 + 1e-8) ** 2)
    logits[:, 1] = 3.0
    p = logits[0, :, 0, 0].softmax(0)
    entropy = float(-(p * p.log2()).sum())
    assert robust_entropy_loss(logits, valid, 2.0).item() == pytest.approx((entropy**2 + 1e-8) ** 2, rel=1e-9)


def test_robust_entropy_begins_when_asked():
    term = FDATerm(FDAOptions(robust_entropy_from=3), None)
    assert [term.reads_prediction(step) for step in range(5)] == [False, False, False, True, True]
    assert not FDATerm(FDAOptions(robust_entropy_from=0, robust_entropy_weight=0), None).reads_prediction(9)


@pytest.mark.parametrize("share", [-0.1, 0.5])
def test_a_fraction_beyond_the_spectrum_is_refused(share):
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*fda_fraction"):
        method_options("fda", {"fda_fraction": share})
