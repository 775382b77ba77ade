"""Restyled frames in the cache: same masks, resumable, and never taken for those of other weights or settings."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.errors import DataError, UsageError
from polypda.networks.segmenter import Prediction
from polypda.stylization.appearance import StylizationSettings
from polypda.stylization.stylized_frames import GROUP, RECORD, EncoderMaps, Stylization

CPU = torch.device("cpu")
FRAMES = GROUP + 3


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohorts")
    cache = FrameCache(folder / "cache", NetworkGrid(32))
    source = cache.labelled(write_frames(folder / "source", FRAMES, cohort="source"))
    return source, cache.unlabelled(write_frames(folder / "target", 5, cohort="target", tint=(90, 130, 160)))


def tiny(seed: int = 0) -> TinySegmenter:
    torch.manual_seed(seed)
    return TinySegmenter()


@pytest.fixture
def make(cohorts, tmp_path):
    def stylization(segmenter=None, folder=tmp_path, target=cohorts[1], **settings):
        chosen = StylizationSettings.model_validate({"aan_steps": 3} | settings)
        return Stylization(cohorts[0], target, EncoderMaps(segmenter or tiny()), chosen, folder, CPU)

    return stylization


def pixels(cached) -> np.ndarray:
    return np.stack([cached.images[index] for index in range(len(cached))])


def test_stylized_frames_keep_their_masks_and_change_their_looks(make, cohorts):
    source, target = cohorts
    told = []
    stylized = make(aan_steps=40, aan_alpha=5).frames(lambda done, every: told.append((done, every)))
    assert told == [(GROUP, FRAMES), (FRAMES, FRAMES)]
    assert stylized.frames == source.frames and stylized.masks is source.masks and stylized.valid is source.valid
    before, after, wanted = (pixels(cached).astype(float).mean(axis=(0, 1, 2)) for cached in (source, stylized, target))
    assert np.abs(after - wanted).sum() < np.abs(before - wanted).sum()
    assert pixels(stylized).dtype == np.uint8 and stylized.images[0].shape == (32, 32, 3)
    assert np.array_equal(pickle.loads(pickle.dumps(stylized)).images[FRAMES - 1], stylized.images[FRAMES - 1])


def test_an_interrupted_stylization_goes_on_to_the_same_bytes(make, tmp_path):
    whole = pixels(make(folder=tmp_path / "whole").frames())
    interrupted = make(folder=tmp_path / "interrupted")

    class Stop(Exception):  # noqa: N818 - stands for Ctrl-C
        pass

    def stop(done, every):
        raise Stop

    with pytest.raises(Stop):
        interrupted.frames(stop)
    first = sorted((tmp_path / "interrupted" / interrupted.key).glob("*.npy"))
    assert len(first) == 1
    made = first[0].stat().st_mtime_ns
    assert np.array_equal(pixels(make(folder=tmp_path / "interrupted").frames()), whole)
    assert first[0].stat().st_mtime_ns == made
    assert not list((tmp_path / "interrupted").rglob("*.part"))


def test_what_is_cached_is_not_computed_again(make, monkeypatch):
    kept = pixels(make().frames())
    monkeypatch.setattr(Stylization, "stylized", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(pixels(make().frames()), kept)


def test_other_weights_settings_or_targets_are_kept_apart(make, cohorts):
    _, target = cohorts
    fewer = dataclasses.replace(target, frames=target.frames[:3])
    kinds = [make(), make(tiny(1)), make(aan_alpha=2), make(aan_start="noise"), make(target=fewer)]
    kinds.append(make(aan_target_frames=3))
    assert len({kind.key for kind in kinds}) == len(kinds)
    assert make().key == make().key


def test_the_decoders_weights_do_not_matter(make):
    other = tiny()
    with torch.no_grad():
        other.main.weight += 1
    assert make(other).key == make().key


def test_a_folder_of_something_else_is_refused(make, tmp_path):
    stylization = make()
    stylization.frames()
    (tmp_path / stylization.key / RECORD).write_text('{"encoder": "another"}')
    with pytest.raises(DataError, match="E_STYLISATION_CACHE"):
        make().frames()


def test_noise_is_each_frames_own(make):
    one, other = (make(aan_start="noise") for _ in range(2))
    assert np.array_equal(pixels(one.frames()), pixels(other.frames()))
    assert not np.array_equal(one.frames().images[0], one.frames().images[1])


def test_an_encoder_without_maps_is_refused(make):
    class Closed(TinySegmenter):
        def forward(self, images):
            return Prediction(super().forward(images).logits, {})

    with pytest.raises(UsageError, match="E_FEATURE_TAP"):
        make(Closed()).frames()
