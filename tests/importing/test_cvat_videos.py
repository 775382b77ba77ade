"""A CVAT file for video beside the film itself, as it is exported without images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from importing.painted_sources import lines, run_import, snapshot
from importing.rendered_videos import HEIGHT, WIDTH, progressive, write_video

from polypda.cohorts.images import read_image, read_mask

FRAMES = 8


def track(*numbers: int) -> str:
    shapes = "".join(
        f'<polygon frame="{number}" keyframe="1" outside="0" points="20,{20 + number};60,20;60,{50 + number};20,50"/>'
        for number in numbers
    )
    return f'<track id="0" label="polyp">{shapes}</track>'


def export(
    folder: Path, tracks: str, head: str = "<source>case9.mp4</source>", videos: tuple[str, ...] = ("case9.mp4",)
):
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    text = f"<annotations><version>1.1</version><meta><task><name>case 9</name>{head}{size}</task></meta>{tracks}"
    folder.mkdir()
    (folder / "annotations.xml").write_text(f"{text}</annotations>", encoding="utf-8")
    for video in videos:
        write_video(folder / video, progressive(FRAMES))
    return folder


def test_annotated_frames_are_decoded_from_the_video(tmp_path):
    source = export(tmp_path / "src", track(1, 4, 7), videos=("case9.mp4", "another.mp4"))
    before = snapshot(source)
    result = run_import(source, tmp_path / "root")
    assert snapshot(source) == before
    assert result.summary.format == "cvat" and result.summary.everything_taken
    assert [record.frame for record in result.records] == ["case9_000001", "case9_000004", "case9_000007"]
    assert {record.sequence for record in result.records} == {"case 9"}
    for number in (1, 4, 7):
        image = read_image(result.folder / "images" / f"case9_{number:06d}.png")
        errors = [np.abs(image.astype(int) - moment).mean() for moment in progressive(FRAMES)]
        assert int(np.argmin(errors)) == number and errors[number] < 6
        drawn = read_mask(result.folder / "masks" / f"case9_{number:06d}.png")
        assert drawn[:20].sum() == 0 and drawn[30, 40] == 1 and drawn.shape == (HEIGHT, WIDTH)


def test_a_frame_that_the_video_does_not_have_is_told(tmp_path):
    result = run_import(export(tmp_path / "src", track(2, FRAMES + 3)), tmp_path / "root")
    assert lines(result) == {"E_VIDEO_FRAME": ["case9.mp4"], "N_PATIENTS": ["src"]}
    assert [record.frame for record in result.records] == ["case9_000002"]


@pytest.mark.parametrize(
    ("head", "videos"),
    [
        ("<source>lost.mp4</source>", ("a.mp4", "b.mp4")),
        ("<source>case9.mp4</source><frame_filter>step=5</frame_filter>", ("case9.mp4",)),
    ],
)
def test_no_video_is_guessed(tmp_path, head, videos):
    result = run_import(export(tmp_path / "src", track(1), head, videos), tmp_path / "root")
    assert result.folder is None and "E_IMAGE_MISSING" in lines(result)
