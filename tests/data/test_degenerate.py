"""Frames of which nothing can be learnt are refused, or told by name, without reading a pixel again."""

import cv2
import numpy as np
import pytest
from support.painted import HEIGHT, WIDTH, write_frames

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.degenerate import require_learnable
from polypda.errors import DataError

COUNT = 5
CASES = {
    "black frames": ("image", np.zeros((HEIGHT, WIDTH, 3), np.uint8), "E_FRAMES_BLANK", "W_FRAMES_BLANK"),
    "white frames": ("image", np.full((HEIGHT, WIDTH, 3), 255, np.uint8), "E_FRAMES_BLANK", "W_FRAMES_BLANK"),
    "full masks": ("mask", np.full((HEIGHT, WIDTH), 255, np.uint8), "E_MASKS_FULL", "W_MASKS_FULL"),
    "empty masks": ("mask", np.zeros((HEIGHT, WIDTH), np.uint8), "E_MASKS_EMPTY", ""),
}


def cached(tmp_path, kind, count):
    place, pixels, *codes = CASES[kind]
    frames = write_frames(tmp_path / "data", COUNT)
    for frame in frames[:count]:
        cv2.imwrite(str(getattr(frame, place)), pixels)
    return FrameCache(tmp_path / "cache", NetworkGrid(64)), frames, codes


@pytest.mark.parametrize("kind", CASES)
def test_where_all_are_so_it_is_an_error(tmp_path, kind):
    cache, frames, (code, _) = cached(tmp_path, kind, COUNT)
    with pytest.raises(DataError, match=f"{code} painted"):
        require_learnable(cache.labelled(frames), "source")
    if code == "E_FRAMES_BLANK":
        with pytest.raises(DataError, match=r"E_FRAMES_BLANK(.|\n)*all 5 target"):
            require_learnable(cache.unlabelled(frames), "target")


@pytest.mark.parametrize("kind", CASES)
def test_where_some_are_so_these_are_named(tmp_path, kind, caplog):
    cache, frames, (_, code) = cached(tmp_path, kind, 2)
    require_learnable(cache.labelled(frames), "source")
    said = f"{code} painted: 2 of 5 source"
    assert (said in caplog.text and "000, 001" in caplog.text) or kind == "empty masks"  # are frames without a polyp


def test_it_is_known_again_without_a_look_at_the_frames(tmp_path, monkeypatch):
    cache, frames, _ = cached(tmp_path, "black frames", COUNT)
    cache.unlabelled(frames)
    monkeypatch.setattr("polypda.data.cache._seen", lambda pixels: pytest.fail("looked at again"))
    with pytest.raises(DataError, match="E_FRAMES_BLANK"):
        require_learnable(cache.unlabelled(frames), "target")


def test_an_entry_of_an_earlier_version_is_looked_at_once(tmp_path):
    cache, frames, _ = cached(tmp_path, "full masks", 2)
    before = cache.labelled(frames).facts
    for path in (tmp_path / "cache").glob("*facts.npy"):
        path.write_bytes(b"damaged")
    after = cache.labelled(frames).facts
    assert np.array_equal(before.full, after.full) and np.array_equal(before.polyp, after.polyp)


def test_sound_frames_pass_in_silence(tmp_path, caplog):
    cache, frames, _ = cached(tmp_path, "black frames", 0)
    require_learnable(cache.labelled(frames), "source")
    assert not caplog.text
