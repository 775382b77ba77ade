"""`polypda predict` as a user meets it: what it writes, goes on with, refuses, and says of what is broken."""

import csv
import json
import os
import re
import signal
import zipfile
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from importing.dicom_objects import colour
from importing.dicom_objects import save as save_dicom
from importing.rendered_videos import interlaced, progressive, turned, write_video
from PIL import Image as PilImage
from support.models import network, write_model, write_run
from support.painted import HEIGHT, WIDTH, paint, write_cohort

from polypda.data.inference import Inference
from polypda.evaluation.scoring.mask_geometry import find_lesions
from polypda.importing.contract import Ledger
from polypda.importing.readers.coco import CocoReader
from polypda.importing.readers.labelme import LabelMeReader
from polypda.importing.source_tree import FolderTree
from polypda.integrity import sha256_of
from polypda.networks.weights import save_module
from polypda.prediction import inputs as inputs_module
from polypda.prediction import video_progress
from polypda.prediction.inputs import find_inputs
from polypda.prediction.job import PredictOptions, _Job, predict_inputs
from polypda.prediction.model import read_model
from polypda.processes import host_mark

FAST = ("--inference", "scales=1,flips=no")


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model.safetensors")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        PilImage.fromarray(paint(number)[0]).save(folder / f"{number}.png")
    return folder


def table(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def mask_of(path: Path) -> np.ndarray:
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert mask.ndim == 2 and set(np.unique(mask)) <= {0, 255}
    return mask > 0


def test_images_become_masks_maps_overlays_and_a_table(polypda, model, images, tmp_path):
    status, out, err = polypda("predict", model, images, "--out", "out", "--probabilities", "png16")
    assert status == 0, err
    assert out.splitlines()[-1] == "out" and "3 frames predicted" in err
    rows = table(tmp_path / "out")
    assert [row["input"] for row in rows] == ["images/0.png", "images/1.png", "images/2.png"]
    loaded = read_model(model)
    for number, row in enumerate(rows):
        image = paint(number)[0]
        (own,) = loaded.predict(image)
        mask = mask_of(tmp_path / "out" / row["mask"])
        stored = cv2.imread(str(tmp_path / "out" / "probabilities" / f"{number}.png"), cv2.IMREAD_UNCHANGED)
        assert stored.dtype == np.uint16 and np.abs(stored / 65535 - own.probability).max() < 1e-4
        assert (mask != own.mask).mean() < 1e-3, "batches may round otherwise at the threshold"
        assert int(row["area_px"]) == mask.sum() and (int(row["width"]), int(row["height"])) == (WIDTH, HEIGHT)
        assert float(row["max_probability"]) == pytest.approx(own.probability[own.view.mask].max(), abs=1e-3)
        assert row["field_of_view"] == "found" and int(row["field_px"]) == own.view.area_px
        left, top, right, bottom = (int(row[side]) for side in ("left", "top", "right", "bottom"))
        assert mask[top:bottom, left:right].any() and f"{left} {top} {right} {bottom}" in row["boxes"]
        overlay = np.asarray(PilImage.open(tmp_path / "out" / "overlays" / f"{number}.png"))
        assert overlay.shape[1] > 2 * 600, "the frame beside a copy without lines"
    for path in (tmp_path / "out").rglob("*.[cj]s*"):
        assert str(tmp_path) not in path.read_text(), f"{path.name} names a place on this machine"


def test_a_run_its_control_and_another_threshold_can_be_used(polypda, images, tmp_path):
    write_run(tmp_path / "run")
    areas = {}
    for name, more in (("adapted", ()), ("control", ("--model", "source-only")), ("low", ("--threshold", "0.1"))):
        status, _, err = polypda("predict", "run", images / "0.png", "--out", name, "--no-overlays", *FAST, *more)
        assert status == 0, err
        (row,) = table(tmp_path / name)
        areas[name] = int(row["area_px"])
        assert not (tmp_path / name / "overlays").exists()
    assert areas["low"] > areas["adapted"] != areas["control"]


def test_a_video_becomes_an_overlay_video_of_the_same_times(polypda, model, tmp_path):
    times = [0.0, 0.04, 0.08, 0.2, 0.24, 0.6]  # the rate varies
    frames = progressive(6)
    write_video(tmp_path / "v.mp4", frames, times_s=times)
    status, _, err = polypda("predict", model, "v.mp4", "--out", "out")
    assert status == 0, err
    rows = table(tmp_path / "out")
    assert [float(row["t_s"]) for row in rows] == pytest.approx(times, abs=1e-3)
    with av.open(str(tmp_path / "out" / "overlays" / "v.mp4")) as container:
        assert "Not a medical device" in container.metadata["comment"]
        shown = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert [moment for moment, _ in shown] == pytest.approx(times, abs=1e-3)
    for (_, drawn), row, frame in zip(shown, rows, frames, strict=True):
        assert drawn.shape == frame.shape
        mask = mask_of(tmp_path / "out" / row["mask"])
        assert mask.shape == frame.shape[:2] and mask.any()
        edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
        far = cv2.dilate(edge.astype(np.uint8), np.ones((15, 15))) == 0
        change = np.abs(drawn.astype(int) - frame).sum(axis=2)
        assert change[edge].mean() > 60 > 30 > change[far].mean(), "lines on the outline, the frame elsewhere"
        blue = drawn[edge].astype(int)
        assert (blue[:, 2] - blue[:, 0]).mean() > (frame[edge].astype(int)[:, 2] - frame[edge][:, 0]).mean() + 20
    (video,) = csv.DictReader((tmp_path / "out" / "videos.csv").open())
    assert video["frames"] == "6" and video["overlay"] == "overlays/v.mp4"


def test_turned_and_interlaced_videos_are_predicted_upright_and_of_one_moment(polypda, model, tmp_path):
    write_video(tmp_path / "v.mp4", progressive(3))
    turned(tmp_path / "v.mp4", 90, tmp_path / "turned.mp4")
    write_video(tmp_path / "fields.mkv", interlaced(12), options={"crf": "4", "preset": "veryfast"})
    status, _, err = polypda("predict", model, "turned.mp4", "fields.mkv", "--out", "out", "--max-frames", 3, *FAST)
    assert status == 0, err
    rows = table(tmp_path / "out")
    assert {(row["width"], row["height"]) for row in rows if row["input"] == "turned.mp4"} == {("160", "192")}
    with av.open(str(tmp_path / "out" / "overlays" / "turned.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (160, 192)
    assert "N_VIDEO_ROTATED" in err and "de-interlaced by bwdif" in err
    assert len([row for row in rows if row["input"] == "fields.mkv"]) == 3


def test_the_command_given_again_goes_on(polypda, model, images, tmp_path):
    write_video(tmp_path / "v.mp4", progressive(4))
    words = ("predict", model, images, "v.mp4", "--out", "out", *FAST)
    assert polypda(*words)[0] == 0
    whole = (tmp_path / "out" / "predictions.csv").read_text()
    marks = (tmp_path / "out" / ".finished").read_text().splitlines(keepends=True)
    finished = [number for number, mark in enumerate(marks, 1) if " finished  " in mark]
    names = [marks[number - 1].split(" finished  ")[1].strip() for number in finished]
    assert names == ["images/0.png", "images/1.png", "images/2.png", "v.mp4"]
    # as a killed command leaves it: an image and half of the video are missing, the last line is cut off
    (tmp_path / "out" / ".finished").write_text("".join(marks[: finished[1] + 1])[:-3])
    (tmp_path / "out" / "masks" / f".2.png.{host_mark()}-1-1.abc.part").touch()
    (tmp_path / "out" / "predictions.csv").write_text("".join(whole.splitlines(keepends=True)[:6])[:-9])
    (tmp_path / "out" / "masks" / "2.png").unlink()
    untouched = (tmp_path / "out" / "masks" / "0.png").stat().st_mtime_ns
    status, _, err = polypda(*words)
    assert status == 0, err
    assert "2 inputs were done before" in err and "5 frames predicted" in err
    assert (tmp_path / "out" / "predictions.csv").read_text() == whole
    assert {path.name for path in (tmp_path / "out" / "masks").iterdir()} == {"0.png", "1.png", "2.png", "v"}
    assert (tmp_path / "out" / "masks" / "0.png").stat().st_mtime_ns == untouched
    status, _, err = polypda(*words)
    assert status == 0 and "0 frames predicted" in err and "4 inputs were done before" in err
    status, _, err = polypda(*words, "--threshold", "0.3")
    assert status == 3 and "E_PREDICTIONS_DIFFER" in err and "threshold" in err


def shown(path: Path) -> list[tuple[int, bytes]]:
    """Time and pixels of every frame of a video."""
    with av.open(str(path)) as container:
        return [(frame.pts, frame.to_ndarray(format="rgb24").tobytes()) for frame in container.decode(video=0)]


def stop_after(patch, *frames):
    """Ctrl-C after so many frames of the next commands, one after another."""
    written, left = _Job._written, list(frames)

    def stopped(job, one, seen, folder=""):
        if left and job.summary.frames == left[0]:
            left.pop(0)
            raise KeyboardInterrupt
        return written(job, one, seen, folder)

    patch.setattr(_Job, "_written", stopped)


def test_a_video_is_gone_on_with_where_it_was_stopped(polypda, model, tmp_path, monkeypatch):
    times = [0.0, 0.04, 0.08, 0.2, 0.24, 0.28, 0.32, 0.36, 0.4, 0.46, 0.5]  # the rate varies
    write_video(tmp_path / "v.mp4", progressive(11), times_s=times)
    monkeypatch.setattr(video_progress, "SEGMENT_FRAMES", 3)  # of batches of two: four
    words = ("predict", model, "v.mp4", "--batch-size", 2, "--temporal-smoothing", 0.1, *FAST)
    assert polypda(*words, "--out", "whole")[0] == 0
    stop_after(monkeypatch, 7, 2, 1)  # the third command is stopped before a further segment is whole
    for _ in range(3):
        status, _, err = polypda(*words, "--out", "out")
        assert status == 130 and "Traceback" not in err
        assert len(table(tmp_path / "out")) >= 4 and not list((tmp_path / "out").rglob("*.part"))
    status, _, err = polypda(*words, "--out", "out")
    assert status == 0 and "7 frames predicted" in err, err
    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (tmp_path / "whole", tmp_path / "out")
    )
    assert one.keys() == other.keys() and Path("overlays/v.mp4") in one
    assert not [name for name in one if one[name] != other[name] and name.suffix in (".csv", ".png", ".json")]
    frames = shown(tmp_path / "whole" / "overlays" / "v.mp4")
    assert len(frames) == 11 and frames == shown(tmp_path / "out" / "overlays" / "v.mp4")


def test_a_video_whose_written_masks_are_not_all_there_is_begun_anew(polypda, model, tmp_path, monkeypatch):
    write_video(tmp_path / "v.mp4", progressive(6))
    monkeypatch.setattr(video_progress, "SEGMENT_FRAMES", 2)
    words = ("predict", model, "v.mp4", "--out", "out", "--batch-size", 2, *FAST)
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert polypda(*words)[0] == 130
    (tmp_path / "out" / "masks" / "v" / "v_000001.png").unlink()  # lost: what is left is not all that is said
    status, _, err = polypda(*words)
    assert status == 0 and "6 frames predicted" in err and len(table(tmp_path / "out")) == 6, err
    assert not (tmp_path / "out" / ".videos").exists()


class Camera:
    """PyAV on a machine with one camera, which gives the frames of a video; fails after so many."""

    def __init__(self, video, after=None, error=None):
        self.video, self.after, self.error, self.asked = video, after, error, []

    def __getattr__(self, name):
        return getattr(av, name)

    def open(self, device, format=None):
        assert format in ("v4l2", "avfoundation")
        self.asked.append(device)
        if not device.endswith("0"):
            raise av.error.FileNotFoundError(2, "No such file or directory", device)
        return CameraContainer(av.open(str(self.video)), self)


class CameraContainer:
    def __init__(self, container, camera):
        self.container, self.camera = container, camera

    def __getattr__(self, name):
        return getattr(self.container, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.close()

    def demux(self, *streams):
        for number, packet in enumerate(self.container.demux(*streams)):
            if number == self.camera.after:
                raise self.camera.error
            yield packet


@pytest.mark.parametrize(
    ("camera", "words", "status", "frames", "told"),
    [
        ({}, ("--max-frames", 2), 0, 2, "2 frames predicted"),
        ({}, (), 0, 3, "3 frames predicted"),
        ({"after": 4, "error": av.error.OSError(19, "No such device")}, (), 3, 4, "E_VIDEO_BROKEN"),
    ],
    ids=["so many", "Ctrl-C", "unplugged"],
)
def test_a_camera_is_predicted_as_it_comes(polypda, model, tmp_path, monkeypatch, camera, words, status, frames, told):
    video = write_video(tmp_path / "seen.avi", progressive(6), codec="rawvideo", options={"threads": "1"})
    capture = Camera(video, **camera)
    monkeypatch.setattr(inputs_module, "pyav", lambda: capture)
    written = _Job._written

    def stopped(job, one, seen, folder=""):
        if job.summary.frames == 2 and not words and not camera:
            os.kill(os.getpid(), signal.SIGINT)  # wherever it comes, the frame under way is written whole
        return written(job, one, seen, folder)

    monkeypatch.setattr(_Job, "_written", stopped)
    ended, _, err = polypda("predict", model, "0", "--out", "live", "--batch-size", 1, *FAST, *words)
    assert ended == status and told in err, err
    assert [device[-1] for device in capture.asked] == ["0"]
    rows = table(tmp_path / "live")
    assert len(rows) == frames and {row["kind"] for row in rows} == {"camera"}
    assert all((tmp_path / "live" / row["mask"]).is_file() for row in rows)
    assert len(shown(tmp_path / "live" / "overlays" / "camera-0.mp4")) == frames
    if words:
        ended, _, err = polypda("predict", model, "1", "--out", "other", *FAST)
        assert ended == 3 and "E_CAMERA 1: camera 1 cannot be opened (No such file or directory)" in err


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_what_was_changed_since_it_was_predicted_is_made_anew_or_refused(polypda, model, images, tmp_path):
    write_video(tmp_path / "v.mp4", progressive(2))
    words = ("predict", model, images, "v.mp4", "--out", "out", *FAST, "--probabilities", "npy")
    assert polypda(*words)[0] == 0
    out = tmp_path / "out"
    whole = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    row = whole[out / "predictions.csv"].index(b"images/2.png") + 20
    for path, at, frames in (
        (out / "masks" / "0.png", -1, 1),
        (out / "probabilities" / "1.npy", -1, 1),
        (out / "overlays" / "2.png", 40, 1),
        (out / "overlays" / "v.mp4", 40, 2),
        (out / "predictions.csv", row, 1),
        (out / ".finished", 80, 1),
    ):
        flip(path, at)
        status, _, err = polypda(*words)
        assert status == 0 and f"{frames} frames predicted" in err, (path, err)
    rows = {row["name"]: row for row in table(out)}
    assert {one["name"]: one for one in csv.DictReader(whole[out / "predictions.csv"].decode().splitlines())} == rows
    remade = ("predictions.csv", ".finished", "checksums.sha256", "v.mp4")  # and maps, by their last bits
    kept = {path for path in whole if path.name not in remade and path.suffix != ".npy"}
    assert [path.name for path in kept if path.read_bytes() != whole[path]] == []
    assert polypda("runs", "verify", "out")[0] == 0
    for name in ("prediction.json", "videos.csv"):
        flip(out / name)
        status, _, err = polypda(*words)
        assert status == 3 and f"E_FILE_CHANGED out/{name}" in err
        flip(out / name)


def test_another_file_under_the_name_of_one_that_was_done_is_predicted_anew(polypda, model, images, tmp_path):
    write_video(tmp_path / "v.mp4", progressive(3))
    words = ("predict", model, images, "v.mp4", "--out", "out", *FAST, "--probabilities", "npy")
    more = ("--annotations", "labelme")
    assert polypda(*words, *more)[0] == 0
    out = tmp_path / "out"
    before = {row["input"]: row for row in table(out)}
    assert before["images/0.png"]["input_sha256"] == sha256_of(images / "0.png") and not before["v.mp4"]["input_sha256"]
    masks = {number: mask_of(out / "masks" / f"{number}.png") for number in range(3)}
    assert (masks[0] != masks[1]).any()
    (images / "0.png").rename(images / "first.png")
    (images / "1.png").rename(images / "0.png")
    (images / "first.png").rename(images / "1.png")
    write_video(tmp_path / "v.mp4", progressive(4)[2:])
    status, _, err = polypda(*words, *more)
    assert status == 0 and "3 of the inputs are other files" in err and "1 inputs were done before" in err, err
    assert (mask_of(out / "masks" / "0.png") == masks[1]).all() and (mask_of(out / "masks" / "1.png") == masks[0]).all()
    rows = table(out)
    assert len(rows) == 5 and rows[0] == before["images/2.png"]
    named = {f"{folder}/{row['name']}" for row in rows for folder in ("masks/v", "masks", "probabilities/v")}
    assert not list((out / "masks" / "v").glob("*_000002*")) and not list((out / "probabilities" / "v").glob("*2.npy"))
    assert {path.relative_to(out).with_suffix("").as_posix() for path in (out / "masks").rglob("*.png")} <= named
    # another folder of the same name, with a picture that cannot be read, one without a polyp, and a broken video
    other = tmp_path / "other" / "images"
    other.mkdir(parents=True)
    (other / "0.png").write_bytes((images / "0.png").read_bytes()[:600])
    PilImage.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(other / "1.png")
    (tmp_path / "v.mp4").write_bytes(b"no film")
    status, _, err = polypda("predict", model, other, "v.mp4", *words[4:], *more)
    assert status == 3 and "3 of the inputs are other files" in err, err
    rows = {row["input"]: row for row in table(out)}
    assert len(rows) == 4 and not rows["images/0.png"]["mask"] and not mask_of(out / "masks" / "1.png").any()
    left = {path.name for path in out.rglob("*") if path.is_file() and path.parent.name not in ("out", "annotations")}
    assert left == {"1.png", "1.npy", "2.png", "2.npy"}
    assert [path.name for path in (out / "annotations").iterdir()] == ["2.json"]
    assert not list(csv.DictReader((out / "videos.csv").open())), "of a video that is no longer there"


def test_a_stopped_video_of_which_another_took_the_place_is_begun_anew(polypda, model, tmp_path, monkeypatch):
    raw = {"codec": "rawvideo", "options": {"threads": "1"}}
    write_video(tmp_path / "v.avi", progressive(6), **raw)
    monkeypatch.setattr(video_progress, "SEGMENT_FRAMES", 2)
    words = ("predict", model, "v.avi", "--batch-size", 2, "--no-overlays", *FAST)
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert polypda(*words, "--out", "out")[0] == 130
    size = (tmp_path / "v.avi").stat().st_size
    write_video(tmp_path / "v.avi", progressive(6)[::-1], **raw)
    assert (tmp_path / "v.avi").stat().st_size == size
    status, _, err = polypda(*words, "--out", "out")
    assert status == 0 and "6 frames predicted" in err and "1 of the inputs is another file" in err, err
    assert polypda(*words, "--out", "whole")[0] == 0
    assert table(tmp_path / "out") == table(tmp_path / "whole")


def test_a_later_command_writes_over_no_other_inputs_masks(polypda, model, images, tmp_path):
    (tmp_path / "more").mkdir()
    (images / "1.png").rename(tmp_path / "more" / "0.png")
    loaded, out = read_model(model, inference=Inference(scales=(1,), flips=False)), tmp_path / "out"
    for folder in (images, tmp_path / "more", images):
        found, _ = find_inputs([str(folder)], None, tmp_path / "unpacked", out)
        summary = predict_inputs(loaded, found, out, PredictOptions(overlays=False))
    assert summary.skipped == 2 and not summary.frames and not summary.exchanged
    rows = table(out)
    assert [row["input"] for row in rows] == ["images/0.png", "images/2.png", "more/0.png"]
    assert len({row["mask"] for row in rows}) == 3
    status, _, err = polypda("predict", model, images, images / "0.png", "--out", "out", "--no-overlays", *FAST)
    assert status == 0 and "N_INPUT_TWICE named more than once, predicted once: 0.png" in err


def test_a_broken_frame_costs_a_line_and_not_the_job(polypda, model, images, tmp_path):
    whole = (images / "1.png").read_bytes()
    (images / "1.png").write_bytes(whole[: len(whole) // 2])
    PilImage.fromarray((paint(0)[1] > 0).astype(np.uint8) * 255).save(images / "a mask.png")
    status, out, err = polypda("predict", model, images, "--out", "out", *FAST)
    assert status == 3 and out.splitlines()[-1] == "out"
    assert "E_IMAGE_TRUNCATED images/1.png" in err and "E_IMAGE_DRAWING" in err and "2 frames predicted" in err
    errors = {row["input"]: row["error"] for row in table(tmp_path / "out")}
    assert errors["images/1.png"].startswith("E_IMAGE_TRUNCATED") and not errors["images/0.png"]
    (images / "1.png").write_bytes(whole)  # mended
    (images / "a mask.png").unlink()
    status, _, err = polypda("predict", model, images, "--out", "out", *FAST)
    assert status == 0, err
    assert [row["error"] for row in table(tmp_path / "out") if row["input"] == "images/1.png"] == [""]


def test_a_video_that_is_cut_off_gives_what_it_holds(polypda, model, tmp_path):
    write_video(tmp_path / "v.mkv", progressive(12))
    data = (tmp_path / "v.mkv").read_bytes()
    (tmp_path / "v.mkv").write_bytes(data[: int(0.7 * len(data))])
    (tmp_path / "none.mp4").write_bytes(b"no film")
    status, _, err = polypda("predict", model, "v.mkv", "none.mp4", "--out", "out", *FAST)
    assert status == 3 and "E_VIDEO_UNREADABLE none.mp4" in err, err
    rows = [row for row in table(tmp_path / "out") if row["input"] == "v.mkv"]
    assert 2 < len(rows) < 12 and all(not row["error"] for row in rows)
    assert (tmp_path / "out" / "overlays" / "v.mp4").is_file()


def test_what_would_be_wrong_in_silence_is_said(polypda, model, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    image = paint(0)[0]
    PilImage.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(folder / "flat.png")
    deep = image.astype(np.uint16)
    cv2.imwrite(str(folder / "twelve.png"), deep[..., ::-1] * 16)  # 12 bits or fewer in 16: how many, nobody says
    cv2.imwrite(str(folder / "sixteen.png"), deep[..., ::-1] * 257)
    exif = PilImage.Exif()
    exif[0x0112] = 6
    PilImage.fromarray(np.rot90(image).copy()).save(folder / "turned.jpg", exif=exif, quality=95)
    status, _, err = polypda("predict", model, folder, "--out", "out", *FAST)
    assert status == 3 and "E_IMAGE_DEPTH" in err
    rows = {row["name"]: row for row in table(tmp_path / "out")}
    assert rows["flat"]["area_px"] == "0" and "W_IMAGE_BLANK" in rows["flat"]["notes"]
    assert "N_IMAGE_16_BIT" in rows["sixteen"]["notes"] and int(rows["sixteen"]["area_px"]) > 0
    assert "N_IMAGE_ORIENTATION" in rows["turned"]["notes"] and rows["turned"]["width"] == str(WIDTH)
    assert mask_of(tmp_path / "out" / rows["turned"]["mask"]).shape == (HEIGHT, WIDTH)
    assert rows["twelve"]["error"].startswith("E_IMAGE_DEPTH")


def test_archives_globs_dicom_and_cohorts_are_inputs(polypda, model, images, tmp_path):
    with zipfile.ZipFile(tmp_path / "ward.zip", "w") as archive:
        for number in range(2):
            archive.write(images / f"{number}.png", f"inner/{number}.png")
    save_dicom(colour([paint(7)[0], paint(8)[0]]), tmp_path / "scan.dcm")
    write_cohort(tmp_path / "data", "zju2", count=3)
    status, _, err = polypda(
        "predict",
        model,
        "ward.zip",
        "images/[01].png",
        "scan.dcm",
        "zju2",
        "--data-root",
        "data",
        "--out",
        "out",
        *FAST,
    )
    assert status == 0, err
    rows = table(tmp_path / "out")
    assert [(row["input"], row["kind"]) for row in rows] == [
        ("ward/inner/0.png", "image"),
        ("ward/inner/1.png", "image"),
        ("0.png", "image"),
        ("1.png", "image"),
        ("scan.dcm", "dicom"),
        ("scan.dcm", "dicom"),
        *[(f"zju2/00{number}", "cohort") for number in range(3)],
    ]
    names = [row["name"] for row in rows]
    assert len(set(names)) == 9 and {"scan_000000", "scan_000001"} <= set(names)
    assert all((tmp_path / "out" / row["mask"]).is_file() for row in rows)
    assert rows[0]["area_px"] == rows[2]["area_px"], "the same picture, from the archive and from the folder"


@pytest.mark.parametrize(("kind", "reader"), [("coco", CocoReader), ("labelme", LabelMeReader)])
def test_annotations_are_read_again_as_the_masks_that_they_were(polypda, model, images, tmp_path, kind, reader):
    status, _, err = polypda("predict", model, images, "--out", "out", "--annotations", kind, *FAST)
    assert status == 0, err
    for path in (tmp_path / "out" / "annotations").iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    found = {frame.name: frame for frame in reader().frames(FolderTree(images), Ledger())}
    assert set(found) == {"0", "1", "2"}
    for row in table(tmp_path / "out"):
        mask = mask_of(tmp_path / "out" / row["mask"])
        again = found[row["name"]].label.read(mask.shape) > 0
        found_again = find_lesions(mask, mask.size)  # specks are not kept
        kept = np.zeros_like(mask)
        left, top, width, height = found_again.box
        kept[top : top + height, left : left + width] = found_again.labels > 0
        assert kept.any() and (kept ^ mask).sum() < 0.05 * mask.sum()
        edge = cv2.morphologyEx(kept.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
        assert not ((kept ^ again) & ~edge).any(), "only pixels on the outline are rounded otherwise"
        assert (kept ^ again).sum() <= 0.25 * edge.sum()


def test_smoothing_makes_a_video_steadier(polypda, model, tmp_path):
    rng = np.random.default_rng(0)
    frames = [np.clip(progressive(1)[0] + rng.normal(0, 25, (160, 192, 3)), 0, 255).astype(np.uint8) for _ in range(8)]
    write_video(tmp_path / "v.mp4", frames)
    changes = {}
    for name, more in (("plain", ()), ("smooth", ("--temporal-smoothing", "0.3"))):
        status, _, err = polypda("predict", model, "v.mp4", "--out", name, "--no-overlays", *FAST, *more)
        assert status == 0, err
        masks = [mask_of(path) for path in sorted((tmp_path / name / "masks" / "v").iterdir())]
        changes[name] = sum((one != other).sum() for one, other in zip(masks[1:], masks[:-1], strict=True))
    assert changes["smooth"] < 0.6 * changes["plain"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("nowhere.png",), 3, "E_INPUT_ABSENT nowhere.png"),
        (("no*.png",), 3, r"E_INPUT_ABSENT no\*.png: nothing fits"),
        (("hainin",), 3, "E_INPUT_ABSENT.*Did you mean 'haining'"),
        (("haining",), 3, "E_COHORT_ABSENT"),
        (("empty",), 3, "E_INPUT_EMPTY"),
        (("77",), 3, "E_CAMERA 77: camera 77 cannot be opened"),
        (("images", "--probabilities", "png8"), 2, "E_OPTION.*png8.*png16"),
        (("images", "--annotations", "koko"), 2, "E_OPTION.*Did you mean 'coco'"),
        (("images", "--annotations", "coco", "--no-masks"), 2, "E_OPTION annotations|E_OPTION: annotations"),
        (("images", "--threshold", "2"), 2, "E_THRESHOLD"),
        (("images", "--inference", "scales=9"), 2, "E_INFERENCE"),
        (("images", "--temporal-smoothing", "-1"), 2, "E_OPTION.*temporal-smoothing"),
        (("images", "--device", "abacus"), 2, "E_DEVICE"),
        (("images", "--model", "source-only"), 2, "E_MODEL_NAME"),
    ],
)
def test_wrong_use_is_told_with_code_and_remedy(polypda, model, images, tmp_path, words, status, message):
    (tmp_path / "empty").mkdir()
    found, _, err = polypda("predict", model, *words, "--out", "out")
    assert found == status, err
    assert re.search(message, err), err
    assert "Traceback" not in err


def test_models_without_facts_and_folders_of_others_are_refused(polypda, model, images, tmp_path):
    save_module(network(), tmp_path / "bare.safetensors")
    status, _, err = polypda("predict", "bare.safetensors", images, "--out", "out")
    assert status == 3 and "E_MODEL_NO_FACTS" in err and "polypda export" in err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    status, _, err = polypda("predict", model, images, "--out", "mine")
    assert status == 3 and "E_OUT_EXISTS" in err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_predictions_within_the_input_folder_are_no_inputs(polypda, model, images, tmp_path):
    for _ in range(2):
        status, _, err = polypda("predict", model, images, "--out", images / "predicted", *FAST)
        assert status == 0, err
        assert len(table(images / "predicted")) == 3
    assert json.loads((images / "predicted" / "prediction.json").read_text())["model"]["classes"][1] == "polyp"
