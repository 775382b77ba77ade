"""Frames without their polyps, and in a target's colours: what is changed, how far, and nothing else."""

import cv2
import numpy as np
import pytest
import torch

from polypda.data.batches import IGNORED
from polypda.data.frame_changes import (
    FADE,
    MARGIN,
    PolypRemoval,
    TargetColours,
    with_colour_statistics,
    with_low_frequencies,
    without_polyps,
)
from polypda.methods.fda import exchange_low_frequencies

SIDE = 96


def painted(at=(30, 30), radius=8):
    """Textured mucosa with a bright polyp; the corners lie outside the field of view."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image = (110 + 25 * np.sin(rows / 5)[..., None] * np.sin(columns / 7)[..., None] + np.array([40, 0, -20])).astype(
        np.uint8
    )
    mask = ((rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= radius**2).astype(np.uint8)
    image[mask > 0] = (250, 240, 230)
    valid = ((rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2 <= (0.62 * SIDE) ** 2).astype(np.uint8)
    image[valid == 0] = 0
    return image, valid, mask


@pytest.mark.parametrize("seed", range(5))
def test_the_polyp_is_covered_and_nothing_beyond_its_seam_changes(seed):
    image, valid, mask = painted()
    bare = without_polyps(image, valid, mask, np.random.default_rng(seed))
    assert bare[mask > 0].max() < 200, "mucosa lies where the polyp was"
    reach = 2 * round((MARGIN + FADE) * SIDE) + 3
    near = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) > 0
    assert np.array_equal(bare[~near], image[~near])
    assert np.array_equal(bare[valid == 0], image[valid == 0])


def test_what_is_ignored_is_covered_with_it():
    image, valid, mask = painted()
    labels = np.where(cv2.dilate(mask, np.ones((3, 3), np.uint8)) > mask, 255, mask)
    _, free = PolypRemoval(1.0)(image, valid, labels, 0)
    assert not free.any()


def test_without_mucosa_to_cover_with_a_frame_stays_as_it_is():
    for image, valid, mask in (painted((48, 48), 30), painted((48, 48), 12)):  # too large; every turn maps it on itself
        same, labels = PolypRemoval(1.0)(image, valid, mask, 3)
        assert np.array_equal(same, image) and np.array_equal(labels, mask)
    image, valid, _ = painted()
    nothing = np.zeros_like(valid)
    assert without_polyps(image, valid, nothing, np.random.default_rng(0)) is None


def test_it_happens_by_chance_and_the_same_seed_gives_the_same_frame():
    image, valid, mask = painted()
    removal = PolypRemoval(0.3)
    free = [not removal(image, valid, mask, seed)[1].any() for seed in range(400)]
    assert np.mean(free) == pytest.approx(0.3, abs=0.07)
    seed = free.index(True)
    assert np.array_equal(removal(image, valid, mask, seed)[0], removal(image, valid, mask, seed)[0])


@pytest.mark.parametrize(("wanted", "free", "share"), [(0.3, 0, 0.3), (0.3, 2, 0.125), (0.2, 2, None), (0.0, 0, None)])
def test_frames_that_are_polyp_free_by_nature_count(wanted, free, share):
    """Of ten frames; what remains of the wanted share is spread over those with a polyp."""
    labels = np.stack([painted()[2] * (number >= free) for number in range(10)])
    removal = PolypRemoval.up_to(wanted, labels, 10)
    assert removal is None if share is None else removal.fraction == pytest.approx(share)
    assert PolypRemoval.up_to(wanted, None, 10) is None


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


def test_what_is_ignored_is_no_polyp():
    """Pseudo-labels are ignored outside the field of view, and where the teacher is not sure."""
    labels = np.stack([painted()[2] * (number >= 5) for number in range(10)])
    labels[:, :4] = IGNORED
    assert PolypRemoval.up_to(0.5, labels, 10) is None
