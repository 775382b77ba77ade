"""De-interlaced films of the phantom against what a progressive camera would have seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from importing.painted_sources import encoded, lines, mask, put, run_import
from importing.rendered_videos import interlaced, progressive, write_pal, write_video

from polypda.cohorts.images import read_image
from polypda.errors import UsageError
from polypda.importing.images.deinterlacing import VideoScan, bwdif, one_field, probe_scan
from polypda.importing.images.videos import open_video, rgb
from polypda.quality.interlacing import Scan, decide, measure_comb


def scan_of(path: Path) -> VideoScan:
    with open_video(path, path.name) as video:
        return probe_scan(video)


def images(path: Path, steady: bool, top_first: bool | None = None) -> list[np.ndarray]:
    with open_video(path, path.name) as video:
        frames = bwdif(video, video.frames(), top_first=top_first) if steady else video.frames()
        return [rgb(frame.image) for frame in frames]


def psnr(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    errors = [np.square(a.astype(float) - b.astype(float)).mean() for a, b in zip(found, wanted, strict=True)]
    return float(10 * np.log10(255**2 / np.mean(errors)))


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_an_interlaced_pal_video_comes_nearer_to_the_progressive_one(tmp_path: Path, codec: str) -> None:
    path = write_pal(tmp_path / ("a.mpg" if codec == "mpeg2video" else "a.mp4"), interlaced(), codec)
    scan = scan_of(path)
    assert scan.decision.scan is Scan.INTERLACED
    assert scan.coded_interlaced
    assert scan.top_first is True
    as_woven, steady = images(path, False), images(path, True, scan.top_first)
    assert decide([measure_comb(frame) for frame in as_woven]).scan is Scan.INTERLACED
    assert not any(measure_comb(frame).combed for frame in steady)
    assert decide([measure_comb(frame) for frame in steady]).scan is Scan.PROGRESSIVE
    fields = [one_field(frame) for frame in as_woven]
    truth = progressive()
    assert psnr(steady, truth) > psnr(as_woven, truth) + 1.0
    assert psnr(fields, truth) > psnr(as_woven, truth) + 1.0


def test_fields_in_the_other_order_without_any_flag(tmp_path: Path) -> None:
    path = write_video(tmp_path / "bff.mp4", interlaced(top_first=False))
    scan = scan_of(path)
    assert not scan.coded_interlaced
    assert scan.interlaced
    assert scan.top_first is False
    steady = images(path, True, False)
    assert not any(measure_comb(frame).combed for frame in steady)
    assert psnr(steady, progressive()) > psnr(images(path, False), progressive()) + 1.0


def test_a_progressive_video_is_left_alone(tmp_path: Path) -> None:
    scan = scan_of(write_video(tmp_path / "a.mp4", progressive()))
    assert not scan.interlaced
    assert scan.decision.combed == 0


def test_bwdif_keeps_number_and_time(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.5, 1.2]
    path = write_video(tmp_path / "v.mkv", interlaced(5), times_s=times)
    with open_video(path, "v.mkv") as video:
        found = [(frame.index, frame.t_s) for frame in bwdif(video, video.frames(), top_first=None)]
    assert [index for index, _ in found] == list(range(5))
    assert [moment for _, moment in found] == pytest.approx(times, abs=2e-3)


@pytest.mark.parametrize("height", [2, 3, 7, 8])
@pytest.mark.parametrize("top", [True, False])
def test_one_field_keeps_its_lines_and_fills_straight_slopes_exactly(height: int, top: bool) -> None:
    slope = np.arange(height, dtype=np.uint8)[:, None, None] * 10 + np.zeros((1, 4, 3), np.uint8)
    result = one_field(slope, top=top)
    start = 0 if top else 1
    assert result.shape == slope.shape
    assert np.array_equal(result[start::2], slope[start::2])
    inner = slice(3, height - 3)  # at the border the last line stands for what is beyond it
    assert np.array_equal(result[inner], slope[inner])
    assert slope[0, 0, 0] == 0  # the input is not touched


def test_one_field_drops_the_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (16, 8, 3), dtype=np.uint8)
    other = frame.copy()
    other[1::2] = 0
    assert np.array_equal(one_field(frame), one_field(other))


def test_combed_images_are_imported_as_one_moment_where_asked(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for number, (woven, still) in enumerate(zip(interlaced(4), progressive(4), strict=True)):
        put(source / "images" / f"woven{number}.png", woven)
        put(source / "images" / f"still{number}.jpg", encoded(still, quality=97, subsampling=0))
        for kind in ("woven", "still"):
            put(source / "masks" / f"{kind}{number}.png", mask(woven.shape[:2]))
    as_it_is = run_import(source, tmp_path / "one").folder
    result = run_import(source, tmp_path / "two", deinterlace=True)
    treated = lines(result)["N_DEINTERLACED"]
    assert {Path(origin).stem for origin in treated} == {f"woven{number}" for number in range(4)}
    for number, woven in enumerate(interlaced(4)):
        kept = read_image(result.folder / "images" / f"woven{number}.png")
        assert np.array_equal(kept, one_field(woven)) and not measure_comb(kept).combed
        name = f"images/still{number}.jpg"
        assert (result.folder / name).read_bytes() == (source / name).read_bytes()
        name = f"masks/woven{number}.png"
        assert (result.folder / name).read_bytes() == (as_it_is / name).read_bytes()


def test_videos_have_an_option_of_their_own(tmp_path: Path) -> None:
    write_video(tmp_path / "src" / "v.mp4", progressive(3))
    with pytest.raises(UsageError, match="E_OPTION") as raised:
        run_import(tmp_path / "src", tmp_path / "root", deinterlace=True)
    assert "-O deinterlace=auto" in raised.value.fix
    assert not (tmp_path / "root" / "ward-7").exists()
