"""Sampling on hand-made frame lists: only times and the measures matter, no film is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from polypda.errors import UsageError
from polypda.importing.images.deinterlacing import Deinterlace
from polypda.importing.images.videos import (
    VideoFrame,
    first_of_each,
    new_scenes,
    sharpest_of_each,
    sharpness,
    unlikeness,
)
from polypda.importing.readers.video import FrameNaming, VideoOptions, interval_s, sampled


def at(times: Sequence[float]) -> list[VideoFrame]:
    return [VideoFrame(index, moment, None) for index, moment in enumerate(times)]  # type: ignore[arg-type]


def taken(frames: Sequence[VideoFrame]) -> list[int]:
    return [frame.index for frame in frames]


def test_by_rate_the_first_frame_of_each_interval_is_taken() -> None:
    pal = at([index / 25 for index in range(101)])
    assert taken(list(first_of_each(iter(pal), 1.0))) == [0, 25, 50, 75, 100]
    assert taken(list(first_of_each(iter(pal), 0.1)))[:5] == [0, 3, 5, 8, 10]  # at or after 0, .1, .2, .3, .4 s
    assert len(list(first_of_each(iter(pal), 0.0))) == 101


def test_with_a_varying_rate_gaps_give_one_frame_and_bursts_no_more() -> None:
    times = [0.0, 0.2, 0.4, 5.3, 5.4, 6.1, 6.2]
    assert taken(list(first_of_each(iter(at(times)), 1.0))) == [0, 3, 5]


def test_the_sharpest_of_each_interval() -> None:
    values = [1, 5, 2, 9, 9, 0, 7]
    frames = at([0.0, 0.3, 0.9, 1.0, 1.5, 3.2, 3.9])
    chosen = sharpest_of_each(iter(frames), 1.0, lambda frame: values[frame.index])
    assert taken(list(chosen)) == [1, 3, 6]


def test_new_scenes_are_compared_with_the_last_frame_taken() -> None:
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 255, (30, 40), dtype=np.uint8) for _ in range(3)]
    looks = [scenes[0], scenes[0] // 2 + 40, scenes[1], scenes[1], scenes[0], scenes[2]]
    frames = at([0.0, 1.0, 2.0, 3.0, 4.0, 4.1])
    chosen = list(new_scenes(iter(frames), 0.3, 0.0, lambda frame: looks[frame.index]))
    assert taken(chosen) == [0, 2, 4, 5]  # another exposure is no new scene
    slower = list(new_scenes(iter(frames), 0.3, 1.0, lambda frame: looks[frame.index]))
    assert taken(slower) == [0, 2, 4]


def test_most_frames_are_spread_over_a_video_whose_length_is_known() -> None:
    frames = at([index / 10 for index in range(1000)])
    options = VideoOptions(every_s=0.5, most_frames=4)
    assert interval_s(options, 100.0) == 25.0
    assert taken(list(sampled(iter(frames), options, 100.0))) == [0, 250, 500, 750]
    assert taken(list(sampled(iter(frames), options, None))) == [0, 5, 10, 15]
    assert interval_s(VideoOptions(every_s=2.0, most_frames=1000), 100.0) == 2.0


def test_sharpness_falls_with_blur_and_is_blind_to_border_and_highlights() -> None:
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.integers(40, 220, (120, 160), dtype=np.uint8), (0, 0), 1.0)
    blurred = cv2.GaussianBlur(image, (0, 0), 2.5)
    lit = blurred.copy()
    lit[30:40, 50:90] = 255
    lit[:, :20] = 0
    assert sharpness(image) > 5 * sharpness(blurred)
    assert sharpness(lit) < 2 * sharpness(blurred)
    assert sharpness(np.zeros((50, 50), np.uint8)) == 0.0


def test_unlikeness_is_half_of_one_minus_the_correlation() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.integers(0, 255, (2, 30, 40), dtype=np.uint8)
    expected = (1 - np.corrcoef(one.ravel(), other.ravel())[0, 1]) / 2
    assert unlikeness(one, other) == pytest.approx(expected)
    assert unlikeness(one, one) == pytest.approx(0.0)
    assert unlikeness(one, 255 - one) == pytest.approx(1.0)
    assert unlikeness(one, np.full_like(one, 9)) == 0.5
    assert unlikeness(one, one[:20]) == 1.0


def test_options_are_read() -> None:
    options = VideoOptions.parse(
        {"per-second": "4", "sharpest": "yes", "deinterlace": "field", "names": "time", "jpeg": "92"}
    )
    assert options == VideoOptions(0.25, True, deinterlace=Deinterlace.FIELD, names=FrameNaming.TIME, jpeg=92)
    assert VideoOptions.parse({}) == VideoOptions()
    assert VideoOptions.parse({"scenes": "0.3"}).every_s == 0.0  # unless said otherwise, every change counts


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"every": "1"}, "Did you mean 'every-s'"),
        ({"every-s": "-1"}, "every-s is '-1'"),
        ({"every-s": "nan"}, "every-s is 'nan'"),
        ({"every-s": "1", "per-second": "1"}, "both given"),
        ({"jpeg": "20"}, "jpeg is '20'"),
        ({"jpeg": "90.5"}, "jpeg is '90.5'"),
        ({"deinterlace": "yadif"}, "deinterlace is 'yadif'"),
        ({"sharpest": "maybe"}, "sharpest is 'maybe'"),
        ({"sharpest": "yes", "scenes": "0.3"}, "within intervals"),
        ({"max-frames-per-video": "0"}, "max-frames-per-video is '0'"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match="E_OPTION") as caught:
        VideoOptions.parse(given)
    assert told in str(caught.value)
