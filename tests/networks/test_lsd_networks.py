"""LSD-seg's networks: published counts, geometry and figures; the generator for any encoder; FCN-8s."""

import pytest
import torch
import torch.nn.functional as F
from support.sines import fill_with_sines, sine_maps
from support.tiny_segmenter import TinySegmenter
from torch import nn

from polypda.errors import UsageError
from polypda.networks.lsd_networks import (
    EncoderGenerator,
    FCN8sVGG16,
    FourWayDiscriminator,
    PublishedGenerator,
    generator_for,
)
from polypda.networks.segmenter import Prediction
from polypda.networks.smp_segmenter import build_smp_segmenter
from polypda.networks.taps import EncoderTap, FeatureTap, encoder_taps, read_tap, tap_width


def count(network: nn.Module, *, trained: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trained)


def skeleton(build, *arguments, **options) -> nn.Module:
    """A network without memory (meta tensors), for counts and shapes."""
    with torch.device("meta"):
        return build(*arguments, **options)


def test_l1_published_parameter_counts():
    assert count(skeleton(PublishedGenerator)) == 64_221_187
    assert count(skeleton(FourWayDiscriminator, 19)) == 1_361_047
    assert count(skeleton(FourWayDiscriminator)) == 1_341_446
    segmenter = skeleton(FCN8sVGG16)
    assert (count(segmenter), count(segmenter, trained=True)) == (134_271_430, 134_270_278)
    assert sum(p.numel() for p in (*segmenter.backbone_parameters(), *segmenter.head_parameters())) == 134_270_278
    assert count(skeleton(FCN8sVGG16, 19)) == 134_456_985


@pytest.mark.parametrize(("height", "width"), [(224, 224), (256, 256), (288, 384), (320, 640), (352, 352)])
def test_l2_generated_frames_have_the_images_size_and_the_judges_grid_an_eighth(height, width):
    segmenter, generator, judge = skeleton(FCN8sVGG16), skeleton(PublishedGenerator), skeleton(FourWayDiscriminator)
    prediction = segmenter(torch.empty(1, 3, height, width, device="meta"))
    assert prediction.logits["main"].shape == (1, 2, height, width)
    painted = generator(prediction.encoder, height, width)
    assert painted.shape == (1, 3, height, width)
    domain, classes = judge(painted)
    assert domain.shape == (1, 4, height // 8, width // 8)
    assert classes.shape == (1, 2, height // 8, width // 8)


def test_published_trace_at_320_by_640():
    pool3, pool4, fc7 = skeleton(FCN8sVGG16)(torch.empty(1, 3, 320, 640, device="meta")).encoder
    assert [tuple(m.shape[1:]) for m in (pool3, pool4, fc7)] == [(256, 65, 105), (512, 33, 53), (4096, 11, 21)]
    generator = skeleton(PublishedGenerator)
    shapes = []
    for part in (generator.from_fc7[1], generator.from_pool4, generator.from_pool3[1]):
        part.register_forward_hook(lambda *call: shapes.append(tuple(call[2].shape[-2:])))
    generator((pool3, pool4, fc7), 320, 640)
    assert shapes == [(33, 53), (65, 105), (257, 417)]


@pytest.mark.parametrize(("height", "width"), [(240, 240), (250, 250), (264, 264), (336, 336), (300, 400)])
def test_sizes_that_the_published_generator_cannot_fit_are_refused(height, width):
    generator = PublishedGenerator(2, (2, 2, 2))
    with pytest.raises(UsageError, match=r"E_INPUT_SIZE.*multiples of 32"):
        generator((torch.rand(1, 2, 9, 9),) * 3, height, width)


def test_l5_published_figures_of_the_discriminator():
    judge = fill_with_sines(FourWayDiscriminator().double()).eval()
    with torch.no_grad():
        domain, classes = judge(sine_maps(3) / 4 + 0.5)
    assert float(domain.sum()) == pytest.approx(8.4953173540, abs=1e-9)
    assert float(domain.abs().sum()) == pytest.approx(40.2395084680, abs=1e-9)
    assert float(classes.sum()) == pytest.approx(-9.1961057211, abs=1e-9)
    sums = [F.cross_entropy(domain, torch.full((1, 8, 8), label), reduction="sum").item() for label in range(4)]
    assert sums == pytest.approx([82.6370592515, 97.0938778920, 95.1744106645, 84.0949815986], abs=1e-9)


@pytest.mark.slow  # 64 million parameters in float64
def test_published_figure_of_the_generator():
    def paint(channels: int, side: int) -> torch.Tensor:
        c, h, w = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (channels, side, side)), indexing="ij")
        return (2 * torch.sin(0.1 * h + 0.2 * w + c)).unsqueeze(0) / 8

    generator = fill_with_sines(skeleton(PublishedGenerator).double().to_empty(device="cpu")).eval()
    with torch.no_grad():
        image = generator((paint(256, 53), paint(512, 27), paint(4096, 8)), 224, 224)
    assert image.shape == (1, 3, 224, 224)
    assert float(image.mean()) == pytest.approx(0.496303165399, abs=1e-11)


def test_fresh_fcn8s_answers_every_class_alike_and_its_upsampling_is_bilinear():
    torch.manual_seed(0)
    segmenter = FCN8sVGG16(3, width=2, fc_width=8).eval()
    with torch.no_grad():
        assert torch.equal(segmenter(torch.rand(1, 3, 64, 32)).logits["main"], torch.zeros(1, 3, 64, 32))
        segmenter.score_fc7.bias.copy_(torch.tensor([1.0, -2.0, 0.5]))
        middle = segmenter(torch.rand(1, 3, 128, 128)).logits["main"][..., 60:68, 60:68]
    # Away from the border interpolating a constant gives the constant: weights sum to one and keep classes apart.
    assert torch.allclose(middle, torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1).expand(1, 3, 8, 8), atol=1e-5)


def test_fcn8s_upsampled_scores_lie_over_the_pixels_they_were_computed_from():
    """A bright square moves the answer where it lies, which a wrong crop would shift (convolutions only average)."""
    segmenter = FCN8sVGG16(2, width=4, fc_width=8).eval()
    with torch.no_grad():
        for parameter in segmenter.blocks.parameters():
            parameter.fill_(1 / parameter[0].numel() if parameter.dim() > 1 else 500.0)  # never below the ReLU
        for layer in (segmenter.score_pool3, segmenter.score_pool4, segmenter.score_fc7):
            layer.weight.zero_()
        segmenter.score_pool3.weight[1].fill_(1.0)
        black, square = torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 128, 128)
        square[..., 64:96, 32:64] = 1.0
        change = (segmenter(square).logits["main"] - segmenter(black).logits["main"])[0, 1].abs()
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    centre = [float((change * axis).sum() / change.sum()) for axis in (rows, columns)]
    assert centre == pytest.approx([79.5, 47.5], abs=2)


@pytest.mark.parametrize(
    ("architecture", "encoder", "size"),
    [
        ("unet", "tu-resnet10t", (64, 96)),
        ("deeplabv3plus", "mobilenet_v2", (64, 64)),  # dilated: two maps of stride 16
        ("segformer", "mit_b0", (64, 64)),  # no map finer than stride 4
    ],
)
def test_the_generator_for_any_encoder_paints_frames(architecture, encoder, size):
    torch.manual_seed(0)
    segmenter = build_smp_segmenter(architecture, encoder)
    generator = generator_for(segmenter.eval(), width=2)
    with torch.no_grad():
        painted = generator(segmenter(torch.rand(2, 3, *size)).encoder, *size)
    assert painted.shape == (2, 3, *size)
    assert 0 <= float(painted.min()) < float(painted.max()) <= 1


def test_the_generator_for_any_encoder_has_the_published_stages():
    taps = (EncoderTap(16, 2), EncoderTap(24, 4), EncoderTap(256, 8), EncoderTap(512, 16), EncoderTap(4096, 32))
    generator = skeleton(EncoderGenerator, taps)
    assert generator.skips == [3, 2, None, None]  # after the first doubling stride 16, then 8, as pool4 and pool3
    widths = [doubling[0].out_channels for doubling in generator.doublings]
    assert (generator.stem[0].out_channels, widths) == (256, [512, 256, 128, 64])
    published = skeleton(PublishedGenerator)
    residual = [sum(isinstance(m, nn.InstanceNorm2d) for m in network.modules()) for network in (generator, published)]
    assert residual[0] == residual[1]


def test_the_generator_follows_grids_that_are_no_exact_powers_of_two():
    generator = EncoderGenerator((EncoderTap(3, 4), EncoderTap(5, 8)), width=2).eval()  # deeplab-v2's H/8 + 1
    maps = (torch.rand(1, 3, 17, 17), torch.rand(1, 5, 9, 9))
    assert generator(maps, 64, 64).shape == (1, 3, 64, 64)


def test_too_small_frames_are_refused():
    generator = EncoderGenerator((EncoderTap(8, 2), EncoderTap(8, 32)), width=2)
    with pytest.raises(UsageError, match=r"E_INPUT_SIZE.*single pixel"):
        generator((torch.rand(1, 8, 16, 16), torch.rand(1, 8, 1, 1)), 32, 32)
    with pytest.raises(UsageError, match=r"E_DISCRIMINATOR_INPUT.*too small"):
        FourWayDiscriminator(width=2)(torch.rand(1, 3, 8, 8))


def test_encoder_taps_tell_channels_and_strides_and_leave_the_segmenter_as_it_was():
    segmenter = TinySegmenter().train()
    segmenter.second[1].eval()  # a frozen batch-norm
    before = {key: value.clone() for key, value in segmenter.state_dict().items()}
    drawn = torch.get_rng_state()
    assert encoder_taps(segmenter) == (EncoderTap(8, 2), EncoderTap(12, 4))
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in segmenter.state_dict().items())
    assert segmenter.training and segmenter.first[1].training and not segmenter.second[1].training


def test_taps_agree_with_their_widths():
    segmenter = TinySegmenter().eval()
    prediction = segmenter(torch.rand(1, 3, 32, 32))
    for tap in FeatureTap:
        assert read_tap(prediction, tap).shape[1] == tap_width(segmenter, tap)


def test_a_segmenter_without_encoder_maps_is_refused():
    class Closed(TinySegmenter):
        def forward(self, images):
            shown = super().forward(images)
            return Prediction(shown.logits, shown.features)

    with pytest.raises(UsageError, match=r"E_FEATURE_TAP.*Closed"):
        generator_for(Closed(), width=2)
    with pytest.raises(UsageError, match="E_FEATURE_TAP"):
        read_tap(Closed()(torch.rand(1, 3, 32, 32)), FeatureTap.BOTTLENECK)
