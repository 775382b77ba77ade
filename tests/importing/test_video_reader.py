"""Films of the phantom become cohorts: many at once, one of them broken, interrupted, beside tables and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from importing.painted_sources import frame, lines, put, run_import, snapshot
from importing.rendered_videos import cut, interlaced, progressive, turned, write_pal, write_video

from polypda.cohorts.images import read_image
from polypda.cohorts.tables import read_frames_csv
from polypda.errors import DataError
from polypda.importing.images import videos
from polypda.importing.readers.annotated import shortest_names
from polypda.quality.interlacing import measure_comb


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films that tests copy from, each encoded once."""
    folder = tmp_path_factory.mktemp("shelf")
    write_video(folder / "plain.mp4", progressive(10))
    write_pal(folder / "pal.mpg", interlaced(10))
    return folder


def shelved(shelf: Path, source: Path, **copies: str) -> Path:
    for target, name in copies.items():
        path = source / target.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((shelf / name).read_bytes())
    return source


def rows(folder: Path) -> dict:
    return read_frames_csv(folder / "frames.csv")


def test_a_folder_of_videos_becomes_a_cohort(shelf: Path, tmp_path: Path) -> None:
    source = shelved(shelf, tmp_path / "src", a_dot_mp4="plain.mp4", case07__b_dot_mpg="pal.mpg")
    before = snapshot(source)
    result = run_import(source, tmp_path / "root", options={"every-s": "0.2"})
    assert snapshot(source) == before
    found = rows(result.folder)
    assert list(found) == ["a_000000", "a_000005", "b_000000", "b_000005"]
    assert [row.t_s for row in found.values()] == pytest.approx([0.0, 0.2, 0.0, 0.2])
    assert [row.sequence for row in found.values()] == ["a", "a", "b", "b"]
    assert [row.patient for row in found.values()] == [None, None, "case07", "case07"]
    assert result.summary.format == "video"
    assert result.summary.everything_taken
    told = {"N_VIDEO_SCAN", "N_VIDEO_PIXEL_ASPECT", "N_PATIENTS", "W_PATIENT_PARTLY"}
    assert set(lines(result)) == told
    images = [read_image(result.folder / "images" / f"{name}.png") for name in found]
    assert not any(measure_comb(image).combed for image in images)
    assert np.abs(images[1].astype(int) - progressive(10)[5]).mean() < 6


def test_interlaced_frames_are_kept_where_asked(shelf: Path, tmp_path: Path) -> None:
    source = shelved(shelf, tmp_path / "src", b_dot_mpg="pal.mpg")
    kept = run_import(source, tmp_path / "one", options={"every-s": "0", "deinterlace": "off"}).folder
    field = run_import(source, tmp_path / "two", options={"every-s": "0", "deinterlace": "field"}).folder
    combed = [measure_comb(read_image(path)).combed for path in sorted((kept / "images").iterdir())]
    assert len(combed) == 10
    assert sum(combed) >= 8
    singles = [read_image(path) for path in sorted((field / "images").iterdir())]
    assert singles[0].shape == read_image(kept / "images/b_000000.png").shape
    assert not any(measure_comb(single).combed for single in singles)


def test_two_hundred_videos_survive_those_that_are_broken(shelf: Path, tmp_path: Path) -> None:
    copies = {f"v{index:03d}_dot_mp4": "plain.mp4" for index in range(200)}
    source = shelved(shelf, tmp_path / "src", **copies)
    cut(shelf / "plain.mp4", 0.5, source / "v003.mp4")
    put(source / "v005.mp4", b"a text that somebody renamed")
    put(source / "v007.mp4", b"")
    cut(write_video(tmp_path / "w.mkv", progressive(10), times_s=[0.2 * i for i in range(10)]), 0.6, source / "w.mkv")
    result = run_import(source, tmp_path / "root", options={"every-s": "0.3", "deinterlace": "off"})
    left = {code: origins for code, origins in lines(result).items() if code.startswith("E_")}
    assert left == {
        "E_VIDEO_UNREADABLE": ["v003.mp4", "v005.mp4"],
        "E_VIDEO_EMPTY_FILE": ["v007.mp4"],
        "E_VIDEO_BROKEN": ["w.mkv"],
    }
    assert not result.summary.everything_taken
    found = rows(result.folder)
    assert sum(name.startswith("v") for name in found) == 197 * 2
    assert any(name.startswith("w_") for name in found)


def test_an_interrupted_import_goes_on_without_decoding_again(shelf: Path, tmp_path: Path, monkeypatch) -> None:
    source = shelved(shelf, tmp_path / "src", a_dot_mp4="plain.mp4", b_dot_mpg="pal.mpg", c_dot_mp4="plain.mp4")
    options = {"every-s": "0.1"}
    whole = run_import(source, tmp_path / "whole", options=options)
    opened: list[str] = []
    plain = videos.Video.frames

    def watched(video: videos.Video):
        opened.append(video.where)
        for found in plain(video):
            if stop and video.where == "c.mp4" and found.index == 4:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(videos.Video, "frames", watched)
    stop = True
    with pytest.raises(KeyboardInterrupt):
        run_import(source, tmp_path / "root", options=options)
    assert [path.name for path in (tmp_path / "root").iterdir()] == [".ward-7.importing"]
    opened.clear()
    stop = False
    resumed = run_import(source, tmp_path / "root", options=options)
    assert set(opened) == {"c.mp4"}
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["ward-7"]
    same = {name: told[0] for name, told in snapshot(whole.folder).items()}
    assert {name: told[0] for name, told in snapshot(resumed.folder).items()} == same


def test_tables_tell_patient_sequence_and_mode_of_videos(shelf: Path, tmp_path: Path) -> None:
    source = shelved(shelf, tmp_path / "src", x__a_dot_mp4="plain.mp4", x__b_dot_mp4="plain.mp4")
    (source / "list.csv").write_text(
        "视频,患者,序列,模式\na.mp4,P-1,left colon,白光\nb,P-2,,NBI\nmissing.mp4,P-3,,\n", "gbk"
    )
    result = run_import(source, tmp_path / "root", options={"every-s": "9", "deinterlace": "off"})
    found = rows(result.folder)
    assert [(row.patient, row.sequence) for row in found.values()] == [("P-1", "left colon"), ("P-2", "b")]
    assert lines(result)["E_TABLE_NO_FRAME"] == ["list.csv line 4: missing.mp4"]


def test_the_patient_may_be_a_folder_at_any_depth(shelf: Path, tmp_path: Path) -> None:
    source = shelved(shelf, tmp_path / "src", zhang__day1__a_dot_mp4="plain.mp4", li__day1__a_dot_mp4="plain.mp4")
    result = run_import(source, tmp_path / "root", options={"every-s": "9", "patient-folder": "2"})
    assert {name: row.patient for name, row in rows(result.folder).items()} == {
        "li-day1-a_000000": "li",
        "zhang-day1-a_000000": "zhang",
    }


def test_frames_beside_videos_join_the_same_cohort(shelf: Path, tmp_path: Path) -> None:
    source = shelved(shelf, tmp_path / "src", a_dot_mp4="plain.mp4")
    put(source / "stills/one.jpg", frame(1))
    first = run_import(source, tmp_path / "root", format="video", options={"every-s": "9"})
    assert "N_VIDEO_PICTURES" in lines(first)
    second = run_import(source, tmp_path / "root", format="folders", update=True)
    assert list(rows(second.folder)) == ["a_000000", "one"]
    assert json.loads((second.folder / "import.json").read_text())["former"][0]["format"] == "video"


def test_turned_named_by_time_and_written_as_jpeg(shelf: Path, tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    turned(shelf / "plain.mp4", 90, source / "a.mp4")
    options = {"every-s": "0.2", "names": "time", "jpeg": "95"}
    result = run_import(source, tmp_path / "root", options=options)
    assert sorted(path.name for path in (result.folder / "images").iterdir()) == [
        "a_00000000ms.jpg",
        "a_00000200ms.jpg",
    ]
    height, width = progressive(1)[0].shape[:2]
    assert read_image(result.folder / "images/a_00000000ms.jpg").shape == (width, height, 3)
    assert "N_VIDEO_ROTATED" in lines(result)


def test_a_single_video_and_a_dry_run(shelf: Path, tmp_path: Path) -> None:
    result = run_import(shelf / "plain.mp4", tmp_path / "root", options={"every-s": "0.1"}, dry_run=True)
    assert result.folder is None
    assert result.summary.taken == 4
    assert not (tmp_path / "root").exists()


def test_without_a_video_there_is_nothing_to_import(tmp_path: Path) -> None:
    put(tmp_path / "src/a.jpg", frame())
    with pytest.raises(DataError, match="E_SOURCE_EMPTY"):
        run_import(tmp_path / "src", tmp_path / "root", format="video")


def test_names_are_as_short_as_they_can_be() -> None:
    assert shortest_names(["x/a.mp4", "y/b.mp4"]) == {"x/a.mp4": "a", "y/b.mp4": "b"}
    assert shortest_names(["x/1/a.mp4", "y/1/A.mp4"]) == {"x/1/a.mp4": "x-1-a", "y/1/A.mp4": "y-1-A"}
    assert shortest_names(["v.mp4", "v.avi"]) == {"v.mp4": "v-mp4", "v.avi": "v-avi"}
