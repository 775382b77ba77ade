"""Several scales, mirrored: laws that hold for any network."""

import cv2
import numpy as np
import pytest
import torch
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter, random_batches
from torch import nn

from polypda.data.cache import NetworkGrid, load_native
from polypda.data.inference import Inference
from polypda.errors import UsageError
from polypda.methods.segmentation import to_image_size
from polypda.networks.averaged_prediction import Asked, FusedSegmenter, without_low_regions
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


@pytest.mark.parametrize(
    ("text", "scales", "flips"),
    [
        ("scales=1,1.5,2,flips=yes", (1.0, 1.5, 2.0), True),
        ("flips=no,scales=2,1", (1.0, 2.0), False),
        ("scales=1", (1.0,), False),
        ("flips=true", (1.0,), True),
        (" scales=1 , 2 , flips=1", (1.0, 2.0), True),
    ],
)
def test_what_is_written_is_understood(text, scales, flips):
    assert Inference.model_validate(text) == Inference(scales=scales, flips=flips)


@pytest.mark.parametrize(
    "text", ["", "scale=1", "scales=", "scales=0", "scales=1,9", "scales=a", "flips=perhaps", "scales=1;2"]
)
def test_what_is_not_is_refused(text):
    with pytest.raises(UsageError, match="E_INFERENCE"):
        Inference.model_validate(text)


def test_a_peak_is_read_and_told():
    asked = Inference.model_validate("scales=1,2,flips=yes,peak=0.9")
    assert asked.peak == 0.9 and Inference().peak == 0.5
    assert asked.words == "mean of scales 1, 2, each mirrored as well; regions with a peak above 0.9"
    assert Inference(peak=0.9).key() != Inference().key() != Inference(peak=0.8).key()


@pytest.mark.parametrize("text", ["peak=0.4", "peak=1", "peak=high"])
def test_a_peak_below_the_threshold_or_of_certainty_is_refused(text):
    with pytest.raises(UsageError, match="E_INFERENCE"):
        Inference.model_validate(text)


def test_a_near_name_is_offered():
    with pytest.raises(UsageError, match="'scales'"):
        Inference.model_validate("scale=1")


def test_sizes_fit_the_network_and_come_once():
    assert Inference(scales=(1, 1.5, 2)).sizes(128, 32) == (128, 192, 256)
    assert Inference(scales=(1, 1.01, 0.25)).sizes(96, 32) == (32, 96)
    assert Inference(scales=(0.5,)).sizes(32, 32) == (32,)


def test_keys_and_words_tell_what_differs():
    kinds = [Inference(), Inference(flips=True), Inference(scales=(1, 2)), Inference(scales=(1, 2), flips=True)]
    assert len({kind.key() for kind in kinds}) == len({kind.words for kind in kinds}) == 4
    assert Inference(scales=(1, 1.5), flips=True).words == "mean of scales 1, 1.5, each mirrored as well"


def test_the_fusion_predicts_the_mean_of_its_members():
    torch.manual_seed(0)
    members = [TinySegmenter().eval() for _ in range(3)]
    images = random_batches(0)[1].images
    with torch.no_grad():
        maps = [to_image_size(m(images).logits["main"], 64, 64).softmax(dim=1) for m in members]
        fused = FusedSegmenter(members)(images).logits["main"].softmax(dim=1)
    assert torch.allclose(fused, torch.stack(maps).mean(dim=0), atol=1e-6)
    assert not torch.allclose(fused, maps[0], atol=1e-3)


def test_a_fusion_of_nothing_is_refused():
    with pytest.raises(UsageError, match="E_FUSION"):
        FusedSegmenter([])
