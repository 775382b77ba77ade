"""The patch discriminator: published counts, geometry and figures."""

import pytest
import torch
from support.sines import fill_with_sines, sine_maps
from torch.nn import functional as F

from polypda.errors import UsageError
from polypda.networks.discriminators import PatchDiscriminator
from polypda.networks.weights import load_module, save_module


@pytest.mark.parametrize(("channels", "count"), [(1, 2_762_689), (2, 2_763_713), (19, 2_781_121)])
def test_published_parameter_counts(channels, count):
    assert sum(p.numel() for p in PatchDiscriminator(channels).parameters()) == count


@pytest.mark.parametrize(("channels", "count"), [(1024, 3_810_241), (2048, 4_858_817)])
def test_parameter_counts_of_the_feature_space_baseline(channels, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in PatchDiscriminator(channels).parameters()) == count


@pytest.mark.parametrize(("layers", "field"), [(3, 22), (4, 46), (5, 94)])
def test_one_logit_sees_exactly_the_receptive_field(layers, field):
    discriminator = PatchDiscriminator(1, width=2, layers=layers).double()
    assert discriminator.receptive_field_px == field
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.fill_(0.1)  # all positive: no leaky unit may hide a pixel
    maps = torch.ones(1, 1, 256, 256, dtype=torch.float64, requires_grad=True)
    logits = discriminator(maps)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    seen = maps.grad[0, 0].nonzero()
    extent = seen.max(0).values - seen.min(0).values + 1
    assert extent.tolist() == [field, field]


@pytest.mark.parametrize(
    ("size", "grid"), [((256, 256), (8, 8)), ((320, 320), (10, 10)), ((352, 352), (11, 11)), ((288, 384), (9, 12)),
                       ((512, 1024), (16, 32)), ((720, 1280), (22, 40)), ((32, 32), (1, 1)), ((97, 131), (3, 4))],
)  # fmt: skip
def test_grid_is_a_thirty_second(size, grid):
    with torch.device("meta"):
        assert PatchDiscriminator()(torch.empty(1, 2, *size)).shape[2:] == grid


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 6])
def test_least_input_works_and_one_pixel_less_is_an_error_with_a_code(layers):
    discriminator = PatchDiscriminator(2, width=4, layers=layers)
    least = discriminator.least_input_px
    assert discriminator(torch.zeros(1, 2, least, least)).shape == (1, 1, 1, 1)
    with pytest.raises(UsageError, match="E_DISCRIMINATOR_INPUT") as caught:
        discriminator(torch.zeros(1, 2, least, least - 1))
    assert str(least) in str(caught.value)


def test_deeper_ones_stay_at_eight_times_the_width():
    widths = [m.out_channels for m in PatchDiscriminator(2, width=4, layers=7).stack if hasattr(m, "out_channels")]
    assert widths == [4, 8, 16, 32, 32, 32, 1]


def test_wrong_settings_and_channels_have_codes():
    with pytest.raises(UsageError, match="E_DISCRIMINATOR:"):
        PatchDiscriminator(layers=0)
    with pytest.raises(UsageError, match="E_DISCRIMINATOR_INPUT"):
        PatchDiscriminator(2)(torch.zeros(1, 3, 64, 64))


def test_published_figures_in_float64():
    discriminator = fill_with_sines(PatchDiscriminator().double())
    source, target = sine_maps(2), sine_maps(2, 0.7).requires_grad_()
    on_source, on_target = discriminator(source.softmax(1)), discriminator(target.softmax(1))
    published = torch.tensor([0.0041400482, 0.00410119, 0.0041363366, 0.0041623241], dtype=torch.float64)
    torch.testing.assert_close(on_target.flatten(), published, rtol=0, atol=5e-11)

    zeros, ones = torch.zeros_like(on_target), torch.ones_like(on_target)
    bce, mse = F.binary_cross_entropy_with_logits, F.mse_loss
    for loss, value, gradient in ((bce, 0.695216805229, 2.745879519e-6), (mse, 1.7098495e-5, 4.517909769e-8)):
        adversarial = loss(on_target, zeros)
        (slope,) = torch.autograd.grad(adversarial, target, retain_graph=True)
        assert adversarial.item() == pytest.approx(value, rel=1e-8)
        assert slope.norm().item() == pytest.approx(gradient, rel=1e-9)

    assert (0.5 * (mse(on_source, zeros) + mse(on_target, ones))).item() == pytest.approx(0.495882122622, rel=1e-11)
    own = 0.5 * (bce(on_source, zeros) + bce(on_target, ones))
    slopes = torch.autograd.grad(own, list(discriminator.parameters()))
    assert own.item() == pytest.approx(0.693149247636, rel=1e-11)
    assert torch.cat([s.flatten() for s in slopes]).norm().item() == pytest.approx(1.725863680e-3, rel=1e-9)


def test_safetensors_out_and_in(tmp_path):
    torch.manual_seed(3)
    first, second = PatchDiscriminator(2, 8, 3), PatchDiscriminator(2, 8, 3)
    save_module(first, tmp_path / "d.safetensors")
    load_module(second, tmp_path / "d.safetensors")
    maps = torch.rand(2, 2, 40, 48)
    assert torch.equal(first(maps), second(maps))
