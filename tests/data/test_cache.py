import dataclasses

import cv2
import numpy as np
import pytest
from support.painted import paint, write_frames

from polypda.cohorts.frames import LabelState
from polypda.data.batches import IGNORED
from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.geometry import Fit
from polypda.errors import DataError


@pytest.fixture
def frames(tmp_path):
    return write_frames(tmp_path / "cohort", 5)


def test_frames_come_back_cropped_and_resized(frames, tmp_path):
    cached = FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled(frames)
    assert len(cached) == 5
    assert cached.images[3].shape == (64, 64, 3)
    assert set(np.unique(cached.masks[3])) == {0, 1}
    assert cached.valid[3].mean() > 0.95  # the black border was cropped away
    _, mask = paint(3)
    assert cached.masks[3].mean() == pytest.approx((mask[:, 6:] > 0).mean(), abs=0.02)


def test_the_second_time_nothing_is_decoded(frames, tmp_path, monkeypatch):
    FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled(frames)
    monkeypatch.setattr("polypda.data.cache.read_image", lambda path: pytest.fail("decoded again"))
    again = FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled(frames)
    assert again.images[0].any()


def test_changed_content_or_geometry_makes_a_new_entry(frames, tmp_path):
    cache = tmp_path / "cache"
    FrameCache(cache, NetworkGrid(64)).unlabelled(frames)
    for grid in (NetworkGrid(96), NetworkGrid(64, Fit.LETTERBOX), NetworkGrid(64, crop_to_field_of_view=False)):
        FrameCache(cache, grid).unlabelled(frames)
    assert len(list(cache.glob("*-images.npy"))) == 4
    image, _ = paint(99)
    cv2.imwrite(str(frames[0].image), image)
    FrameCache(cache, NetworkGrid(64)).unlabelled(frames)
    assert len(list(cache.glob("*-images.npy"))) == 5


def test_unlabelled_frames_know_no_mask(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("polypda.data.labels.read_mask", lambda path: pytest.fail("a mask was opened"))
    cached = FrameCache(tmp_path / "cache", NetworkGrid(64)).unlabelled(frames)
    assert cached.masks is None
    assert all(frame.mask is None for frame in cached.frames)


def test_a_mask_of_another_size_is_named(frames, tmp_path):
    cv2.imwrite(str(frames[2].mask), np.zeros((70, 96), np.uint8))
    with pytest.raises(DataError, match=r"E_MASK_SIZE painted/002: mask 96×70 but image 96×72"):
        FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled(frames)


def test_nothing_half_written_stays(frames, tmp_path):
    frames[4].image.write_bytes(b"no picture")
    with pytest.raises(DataError, match="E_IMAGE_UNREADABLE"):
        FrameCache(tmp_path / "cache", NetworkGrid(64)).unlabelled(frames)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_declared_negative_needs_no_mask_file(frames, tmp_path):
    negative = dataclasses.replace(frames[0], mask=None, label_state=LabelState.NEGATIVE)
    cached = FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled([negative, *frames[1:]])
    assert not cached.masks[0].any() and cached.masks[1].any()


def test_an_unlabelled_frame_does_not_pass_for_a_negative(frames, tmp_path):
    with pytest.raises(DataError, match="E_NO_LABEL painted/000"):
        FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled([frames[0].without_label()])


def test_what_is_said_of_a_frame_without_a_mask_is_not_remembered_beyond_its_day(frames, tmp_path):
    """Frames that were declared negative, and no longer are, must not go on teaching that there is no polyp."""
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    for state, value in ((LabelState.NEGATIVE, 0), (LabelState.NONE, IGNORED), (LabelState.NEGATIVE, 0)):
        said = dataclasses.replace(frames[0], mask=None, label_state=state)
        assert set(np.unique(cache.partly_labelled([said, *frames[1:]]).masks[0])) == {value}
