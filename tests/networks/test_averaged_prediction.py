"""Several scales, mirrored: laws that hold for any network."""

import cv2
import numpy as np
import pytest
import torch
from support.painted import write_frames
from torch import nn

from polypda.data.cache import NetworkGrid, load_native
from polypda.networks.averaged_prediction import Asked, Inference, without_low_regions
from polypda.networks.segmenter import Prediction, Segmenter

CPU = torch.device("cpu")


class LeansRight(Segmenter):
    """Says how bright a pixel is, and a little more polyp the further right it lies."""

    seen: list[tuple[int, ...]]

    def __init__(self):
        super().__init__()
        self.seen = []
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        slope = torch.linspace(-1, 1, images.shape[-1]).expand_as(images[:, :1])
        logit = 4 * (images.mean(dim=1, keepdim=True) - 0.5) + slope
        return Prediction({"main": torch.cat([torch.zeros_like(logit), logit], dim=1)}, {})

    def backbone_parameters(self):
        yield from ()

    def head_parameters(self):
        yield from ()


@pytest.fixture
def native(tmp_path):
    frame = write_frames(tmp_path, 1)[0]
    return load_native(frame, NetworkGrid(64))


def asked(**inference):
    return Asked(NetworkGrid(64), Inference(**inference), CPU)


def test_one_scale_is_the_plain_answer(native):
    model = LeansRight()
    plain = asked().native_probability(model, native)
    image = torch.from_numpy(native.geometry.image_to_network(native.image)).permute(2, 0, 1)[None] / 255
    expected = native.geometry.to_native(model(image).logits["main"].softmax(1)[0, 1].detach().numpy())
    assert plain.shape == native.image.shape[:2] and plain.dtype == np.float32
    assert np.abs(plain - expected).max() < 1e-6


def test_every_scale_is_asked_once_and_mirrored_in_one_batch(native):
    model = LeansRight()
    asked(scales=(1, 1.5, 2), flips=True).native_probability(model, native)
    assert model.seen == [(2, 3, 64, 64), (2, 3, 96, 96), (2, 3, 128, 128)]


def test_scales_are_averaged_on_the_frames_own_grid(native):
    model = LeansRight()
    singles = [asked(scales=(scale,)).native_probability(model, native) for scale in (1, 2)]
    both = asked(scales=(1, 2)).native_probability(model, native)
    assert np.abs(both - np.mean(singles, axis=0)).max() < 1e-6


def test_mirroring_takes_out_what_leans_to_one_side(native):
    """A network that mirrored frames would answer mirrored is not changed; one that leans is straightened."""
    level = np.full_like(native.image, 128)
    flat = type(native)(level, native.view, native.geometry)
    leaning, straight = (asked(flips=flips).grid_probability(LeansRight(), flat) for flips in (False, True))
    assert np.abs(leaning - leaning[:, ::-1]).max() > 0.2
    assert np.abs(straight - straight[:, ::-1]).max() < 1e-6


def test_the_grid_has_the_mean_of_the_scales_brought_there_by_area(native):
    model = LeansRight()
    small, large = (asked(scales=(scale,)).grid_probability(model, native) for scale in (1, 2))
    assert small.shape == large.shape == (64, 64)
    image = native.image
    geometry = asked(scales=(2,)).geometry(native, 128)
    rgb = torch.from_numpy(geometry.image_to_network(image)).permute(2, 0, 1)[None] / 255
    full = model(rgb).logits["main"].softmax(1)[0, 1].detach().numpy()
    assert np.abs(large - cv2.resize(full, (64, 64), interpolation=cv2.INTER_AREA)).max() < 1e-6
    both = asked(scales=(1, 2)).grid_probability(model, native)
    assert np.abs(both - (small + large) / 2).max() < 1e-6


def test_a_region_without_a_peak_ends_below_the_threshold_and_nothing_else_changes():
    probability = np.full((12, 20), 0.1, np.float32)
    probability[2:5, 2:5], probability[3, 3] = 0.6, 0.95  # a polyp
    probability[6:9, 10:14], probability[7, 11] = 0.55, 0.8  # a fold
    probability[9, 14] = 0.7  # touches the fold at a corner
    before = probability.copy()
    after = without_low_regions(probability, 0.9)
    assert np.array_equal(after >= 0.5, np.pad(np.ones((3, 3), bool), ((2, 7), (2, 15))))
    low = np.zeros_like(before, bool)
    low[6:9, 10:14], low[9, 14] = True, True
    assert np.array_equal(after[~low], before[~low]) and np.array_equal(probability, before)
    assert np.array_equal(np.argsort(after[low], kind="stable"), np.argsort(before[low], kind="stable"))
    assert 0.499 < after[low].max() < 0.5


def test_every_region_counts_at_half_and_a_higher_peak_leaves_fewer():
    probability = np.random.default_rng(0).random((40, 40)).astype(np.float32) ** 2
    smooth = cv2.GaussianBlur(probability, (0, 0), 2) * 1.4
    counts = [
        cv2.connectedComponents((without_low_regions(smooth, peak) >= 0.5).astype(np.uint8))[0]
        for peak in (0.5, 0.52, 0.55, 0.99)
    ]
    assert without_low_regions(smooth, 0.5) is smooth
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1] == 1


def test_an_inference_with_a_peak_asks_for_it(native):
    plain, strict = (asked(peak=peak).native_probability(LeansRight(), native) for peak in (0.5, 0.99))
    assert plain.max() >= 0.5 > strict.max()
