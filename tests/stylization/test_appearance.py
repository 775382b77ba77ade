"""The appearance optimisation: what is best already stays, styles come nearer, and the published formula's traps."""

import pytest
import torch
from torch import nn

from polypda.errors import DataError, UsageError
from polypda.stylization.appearance import (
    PUBLISHED,
    AppearanceLoss,
    MeanGram,
    StylizationSettings,
    gram,
    inside_at,
    mean_gram,
    smoothed,
    stylization_settings,
    stylize,
)

SIDE = 32


class TwoLayers(nn.Module):
    """A tiny fixed encoder with maps at half and quarter size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.double().requires_grad_(False)

    def forward(self, images):
        one = self.first(images).relu()
        return one, self.second(one).relu()


@pytest.fixture(scope="module")
def features():
    return TwoLayers()


def tinted(tint: float, count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, SIDE, SIDE, generator=generator, dtype=torch.float64) * 0.4 + 0.2
    images[:, 0] += tint
    return images


def everywhere(images: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(images), 1, SIDE, SIDE, dtype=torch.bool)


def style_of(images, features, settings):
    mean = mean_gram(settings)
    mean.add(features(images), everywhere(images))
    return mean.value(torch.float64)


def settings(**values) -> StylizationSettings:
    return StylizationSettings.model_validate({"aan_steps": 30, "aan_rate": 4.0} | values)


@pytest.mark.parametrize("normalisation", ["relative", "published"])
def test_f4_without_style_the_source_is_already_best_and_stays(features, normalisation):
    chosen = settings(aan_alpha=0, aan_normalisation=normalisation)
    source = tinted(0.0, 2, 0)
    result = stylize(source, everywhere(source), style_of(tinted(0.3, 3, 1), features, chosen), features, chosen)
    assert torch.equal(result.images, source)
    assert not result.first.any() and not result.last.any()


def test_f4_the_mean_gram_is_that_of_all_frames_however_they_are_batched(features):
    images = tinted(0.1, 7, 2)
    whole = [gram(layer).mean(dim=0) for layer in features(images)]
    streamed = MeanGram(mean=False)
    for part in (images[:1], images[1:5], images[5:]):
        streamed.add(features(part), everywhere(part))
    for one, other in zip(whole, streamed.value(torch.float64), strict=True):
        assert (one - other).abs().max() <= 1e-10 * one.abs().max()
    assert streamed.frames == 7


def from_noise(features, step_norm: str):
    chosen = settings(aan_steps=120, aan_rate=6.0, aan_step_norm=step_norm, aan_start="noise", aan_alpha=0.1)
    source = tinted(0.0, 1, 0)
    noise = torch.rand(source.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    style = style_of(tinted(0.3, 3, 1), features, chosen)
    result = stylize(source, everywhere(source), style, features, chosen, noise)
    return noise, result


def test_f4_from_noise_the_loss_falls_with_the_mean_norm(features):
    noise, result = from_noise(features, "mean")
    assert result.last.sum() < 0.05 * result.first.sum()
    assert (result.images - noise).abs().mean() * 255 > 10


def test_f4_the_literal_l1_norm_leaves_the_noise_where_it_is(features):
    noise, result = from_noise(features, "l1")
    assert result.last.sum() > 0.8 * result.first.sum()
    assert (result.images - noise).abs().mean() * 255 < 0.2


def test_the_style_comes_nearer_and_each_image_is_optimised_for_itself(features):
    chosen = settings()
    source = tinted(0.0, 3, 0)
    style = style_of(tinted(0.3, 5, 1), features, chosen)
    result = stylize(source, everywhere(source), style, features, chosen)
    assert (result.last.sum(dim=1) < 0.7 * result.first.sum(dim=1)).all()
    assert (result.last[:, 1] < 0.5 * result.first[:, 1]).all()
    alone = stylize(source[1:2], everywhere(source[1:2]), style, features, chosen)
    assert torch.allclose(alone.images[0], result.images[1], atol=1e-9)


def test_the_smoothed_gradient_has_no_chequered_pattern():
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    chequered = (1 - 2 * ((rows + columns) % 2)).double().expand(1, 3, 16, 16)
    assert smoothed(chequered)[..., 2:-2, 2:-2].abs().max() < 1e-12
    flat = torch.ones(1, 3, 16, 16, dtype=torch.float64)
    assert torch.allclose(smoothed(flat)[..., 2:-2, 2:-2], flat[..., 2:-2, 2:-2])
    assert settings().smooths and not settings(aan_start="noise").smooths and not PUBLISHED.smooths
    assert not settings(aan_smooth=False).smooths


def test_more_style_weight_keeps_less_content(features):
    source = tinted(0.0, 1, 0)
    parts = {}
    for alpha in (0.01, 10.0):
        chosen = settings(aan_alpha=alpha, aan_steps=60)
        style = style_of(tinted(0.3, 5, 1), features, chosen)
        last = stylize(source, everywhere(source), style, features, chosen).last[0]
        parts[alpha] = float(last[0]), float(last[1]) / alpha
    assert parts[10.0][0] > parts[0.01][0] and parts[10.0][1] < parts[0.01][1]


def test_nothing_moves_or_counts_outside_the_field_of_view(features):
    chosen = settings()
    source = tinted(0.0, 1, 0)
    valid = everywhere(source)
    valid[..., :16] = False
    style = style_of(tinted(0.3, 5, 1), features, chosen)
    result = stylize(source, valid, style, features, chosen)
    assert torch.equal(result.images[..., :16], source[..., :16])
    assert not torch.equal(result.images[..., 16:], source[..., 16:])
    noise = torch.rand_like(source)
    assert torch.equal(stylize(source, valid, style, features, chosen, noise).images[..., :16], source[..., :16])
    inside = inside_at(valid, torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    layer = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    assert torch.allclose(gram(layer, inside, mean=True), gram(layer[..., 4:], mean=True))


def test_a_frame_without_a_field_of_view_counts_everywhere():
    assert inside_at(torch.zeros(1, 1, 8, 8, dtype=torch.bool), torch.zeros(1, 1, 2, 2)).all()


def test_relative_distances_do_not_know_the_networks_scale(features):
    source, chosen = tinted(0.0, 1, 0), settings()
    target = tinted(0.3, 2, 1)

    def scaled(images):
        return [1000 * layer for layer in features(images)]

    losses = [
        AppearanceLoss(maps(source), everywhere(source), style_of(target, maps, chosen), chosen)(
            maps(tinted(0.1, 1, 4))
        )
        for maps in (features, scaled)
    ]
    assert torch.allclose(*losses, rtol=1e-9)


def test_the_published_alpha_is_carried_to_other_sizes():
    """Squared Gram sums grow with the square of the pixels: at 256² α is about 944 times as large, at 352² 264."""
    for side, factor in ((256, 944), (352, 264)):
        loss = AppearanceLoss([torch.zeros(1, 2, 4, 4)], torch.ones(1, 1, side, side), [torch.zeros(2, 2)], PUBLISHED)
        assert loss.alpha == pytest.approx(1e-14 * factor, rel=1e-3)


def test_settings_come_from_texts_and_alone_name_the_cache():
    chosen = StylizationSettings.model_validate({"aan_style_weights": "1, 0.5,0", "aan_steps": "7"})
    assert chosen.aan_style_weights == (1.0, 0.5, 0.0)
    from polypda.methods.fcan import FCANOptions

    options = FCANOptions.model_validate({"aan_steps": "7", "aan_style_weights": "1,0.5,0", "learning_rate": "0.1"})
    assert stylization_settings(options) == chosen


def test_weights_and_grams_must_fit_the_encoder(features):
    source = tinted(0.0, 1, 0)
    style = style_of(source, features, settings())
    with pytest.raises(UsageError, match=r"E_STYLE_LAYERS.*aan_content_weights has 1"):
        stylize(source, everywhere(source), style, features, settings(aan_content_weights="1"))
    with pytest.raises(UsageError, match="E_STYLE_LAYERS: 1 mean Grams"):
        stylize(source, everywhere(source), style[:1], features, settings())
    with pytest.raises(DataError, match="E_STYLE_EMPTY"):
        mean_gram(settings()).value(torch.float64)
