import cv2
import numpy as np
import pytest
import torch

from polypda.data.frame_changes import TargetColours, with_colour_statistics, with_low_frequencies
from polypda.methods.fda import exchange_low_frequencies


def images(size: int = 48):
    chance = np.random.default_rng(0)
    base = cv2.GaussianBlur(chance.integers(60, 160, (size, size, 3)).astype(np.uint8), (0, 0), 2)
    style = np.clip(base[::-1].astype(int) * (1.2, 0.8, 0.5) + (20, 0, 0), 0, 255).astype(np.uint8)
    valid = np.zeros((size, size), np.uint8)
    valid[4:-4, 6:-6] = 1
    return base, valid, style


def lab(image):
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def test_low_frequencies_are_those_of_fda():
    image, _, style = images()
    content, other = (torch.from_numpy(p).permute(2, 0, 1)[None].double() for p in (image, style))
    expected = exchange_low_frequencies(content, other, 0.05)[0].permute(1, 2, 0).clamp(0, 255).round().numpy()
    assert np.abs(with_low_frequencies(image, style, 0.05).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("share", [0.0, 0.03, 0.2])
def test_a_frames_own_style_changes_nothing(share):
    image, valid, _ = images()
    assert np.abs(with_low_frequencies(image, image, share).astype(int) - image).max() <= 1
    same = with_colour_statistics(image, valid > 0, image, valid > 0, 1.0)
    assert np.abs(same.astype(int) - image).max() <= 1


def test_colour_statistics_come_half_or_all_of_the_way():
    image, valid, style = images()
    inside = valid > 0
    own, wanted = lab(image)[inside].mean(axis=0), lab(style)[inside].mean(axis=0)
    for mix in (0.5, 1.0):
        changed = with_colour_statistics(image, inside, style, inside, mix)
        assert lab(changed)[inside].mean(axis=0) == pytest.approx(own + mix * (wanted - own), abs=1.0)


def test_outside_the_field_of_view_nothing_changes_and_the_seed_decides():
    image, valid, style = images()
    colours = TargetColours(probability=1.0)
    for seed in range(8):
        one, other = (colours.apply(image, valid, style, valid, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(one, other)
        assert np.array_equal(one[valid == 0], image[valid == 0])
        assert not np.array_equal(one[valid > 0], image[valid > 0])


def test_the_probability_is_kept():
    image, valid, style = images(16)
    chance = np.random.default_rng(1)
    changed = [TargetColours(0.7).apply(image, valid, style, valid, chance) is not image for _ in range(400)]
    assert np.mean(changed) == pytest.approx(0.7, abs=0.08)


def test_a_frame_of_one_colour_stays_smooth():
    flat, valid, style = np.full((32, 32, 3), 120, np.uint8), np.ones((32, 32), np.uint8), images(32)[2]
    changed = with_colour_statistics(flat, valid > 0, style, valid > 0, 1.0)
    assert changed.reshape(-1, 3).std(axis=0).max() < 1
