"""Opening and decoding rendered films: times, damage, what is no film at all."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from importing.rendered_videos import (
    HEIGHT,
    WIDTH,
    cut,
    interlaced,
    progressive,
    turned,
    write_pal,
    write_video,
    write_voice,
)

from polypda.errors import DataError
from polypda.importing.images.videos import Video, VideoFrame, open_video, rgb, upright


def decoded(path: Path) -> tuple[Video, list[VideoFrame]]:
    with open_video(path, path.name) as video:
        return video, list(video.frames())


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


def test_every_frame_comes_in_order_with_its_colours(tmp_path: Path) -> None:
    frames = progressive(6)
    video, found = decoded(write_video(tmp_path / "a.mp4", frames))
    assert [frame.index for frame in found] == list(range(6))
    assert [frame.t_s for frame in found] == pytest.approx([0.04 * index for index in range(6)])
    images = [rgb(frame.image) for frame in found]
    assert images[0].shape == (HEIGHT, WIDTH, 3)
    for index, image in enumerate(images):
        assert np.argmin([distance(image, frame) for frame in frames]) == index
        assert np.abs(image.mean((0, 1)) - frames[index].mean((0, 1))).max() < 3
    assert video.broken is None


def test_times_of_a_varying_rate_are_the_videos_own(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.5, 1.2, 1.3]
    _, found = decoded(write_video(tmp_path / "v.mkv", progressive(6), times_s=times))
    assert [frame.t_s for frame in found] == pytest.approx(times, abs=2e-3)


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    _, found = decoded(write_video(tmp_path / "v.mkv", progressive(3), times_s=[7.0, 7.4, 7.5]))
    assert [frame.t_s for frame in found] == pytest.approx([0.0, 0.4, 0.5], abs=2e-3)


def test_where_recordings_were_joined_time_goes_on(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{name}.ts", progressive(4), codec="mpeg2video", options={}) for name in "ab"]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    video, found = decoded(joined)
    assert video.clock_set_back
    assert len(found) >= 7
    assert all(earlier.t_s < later.t_s for earlier, later in pairwise(found))
    assert found[-1].t_s == pytest.approx(0.04 * found[-1].index)


def test_audio_is_ignored_and_the_image_found(tmp_path: Path) -> None:
    path = write_video(tmp_path / "two.mp4", progressive(4), audio_streams=2)
    with open_video(path, "two.mp4") as video:
        assert [stream.type for stream in video.container.streams] == ["video", "audio", "audio"]
        assert len(list(video.frames())) == 4


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_told_and_turned_back(tmp_path: Path, degrees: int) -> None:
    frames = progressive(2)
    plain = write_video(tmp_path / "a.mp4", frames)
    video, found = decoded(turned(plain, degrees, tmp_path / "t.mp4"))
    seen = upright(rgb(found[0].image), found[0].quarter_turns)
    wanted = np.rot90(frames[0], -degrees // 90)  # players turn clockwise
    assert video.turned_degrees == degrees
    assert seen.shape == wanted.shape
    assert distance(seen, wanted) < 6


def test_a_video_that_was_cut_gives_what_is_there_and_says_where_it_ends(tmp_path: Path) -> None:
    times = [0.1 * index for index in range(12)]
    whole = write_video(tmp_path / "a.mkv", progressive(12), times_s=times)
    video, found = decoded(cut(whole, 0.6, tmp_path / "cut.mkv"))
    assert 4 <= len(found) < 12
    assert video.broken is not None
    assert f"{found[-1].t_s:.2f} s" in video.broken


def test_damaged_bytes_in_the_middle_are_passed_over(tmp_path: Path) -> None:
    path = write_pal(tmp_path / "pal.mpg", interlaced(12))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(range(256)) * 11 + bytes(184)
    path.write_bytes(bytes(data))
    video, found = decoded(path)
    assert video.broken is not None
    assert 4 <= len(found) < 12
    assert all(earlier.t_s < later.t_s for earlier, later in pairwise(found))


def test_what_is_no_video_has_a_code_each(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", progressive(2)).read_bytes()
    voice = write_voice(tmp_path / "voice.mp4").read_bytes()
    files = {
        "E_VIDEO_UNREADABLE": b"no film, but a text",
        "E_VIDEO_EMPTY_FILE": b"",
        "E_VIDEO_LFS_POINTER": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "E_VIDEO_ENCRYPTED": whole.replace(b"avc1", b"encv"),
        "E_VIDEO_CODEC": whole.replace(b"avc1", b"zzzz"),
        "E_VIDEO_NO_STREAM": voice,
    }
    for code, data in files.items():
        path = tmp_path / f"{code}.mp4"
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            decoded(path)
        assert caught.value.code == code
        assert str(tmp_path) not in str(caught.value)


def test_an_mp4_without_its_index_says_why(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", progressive(4))
    with pytest.raises(DataError, match=r"E_VIDEO_UNREADABLE.*cut off may lack its index"):
        decoded(cut(whole, 0.7, tmp_path / "b.mp4"))
