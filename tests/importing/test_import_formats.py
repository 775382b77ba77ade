"""Real commands on painted exports of every tool: the cohort that comes of them opens, and is pixel for pixel right."""

from __future__ import annotations

import io
import json
import sys
from itertools import chain

import numpy as np
import pytest
from PIL import Image
from reader_fixtures import EXPORTS, coco_counts

from polypda.cli.main import main
from polypda.cohorts.frames import LabelState, Split
from polypda.cohorts.images import read_image, read_mask
from polypda.cohorts.opening import open_cohort

AS = {"sun": "sun", "polypsset": "polypsset", "polydeep": "polydeep"}
PAINTED = list(chain.from_iterable(((name, paint) for paint in paints) for name, paints in EXPORTS.items()))


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["polypda", *map(str, words)])
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.mark.parametrize(("name", "paint"), PAINTED, ids=[paint.__name__ for _, paint in PAINTED])
def test_imported_cohort_is_what_was_painted(name, paint, tmp_path, monkeypatch, capsys):
    export, cohort_id = paint(), AS.get(name, "haining")
    source = export.write(tmp_path / "source" / export.name)
    assert run(monkeypatch, "cohorts", "import", source, "--as", cohort_id, "--out", tmp_path / "root") == 0
    assert f"read as {name}" in capsys.readouterr().out
    frames = {frame.frame: frame for frame in open_cohort(cohort_id, tmp_path / "root").frames}
    assert set(frames) == export.frames()
    originals = {path.rsplit("/", 1)[-1].rsplit(".", 1)[0]: data for path, data in export.files.items()}
    for frame_id, frame in frames.items():
        state = frame.label_state
        if frame_id in export.masks:
            assert state is LabelState.MASK
            np.testing.assert_array_equal(read_mask(frame.mask), export.masks[frame_id], err_msg=frame_id)
        elif frame_id in export.boxes:
            assert state is LabelState.BOX
            np.testing.assert_allclose([box[:4] for box in frame.boxes], export.boxes[frame_id], err_msg=frame_id)
        else:
            assert state is (LabelState.NEGATIVE if frame_id in export.negatives else LabelState.NONE), frame_id
        assert read_image(frame.image).ndim == 3
        if frame_id in originals and originals[frame_id].startswith(b"\x89PNG"):
            assert frame.image.read_bytes() == originals[frame_id]  # not encoded anew
    unlabelled = open_cohort(cohort_id, tmp_path / "root", labels=False)
    assert all(frame.mask is None and not frame.boxes for frame in unlabelled.frames)


def test_groups_splits_and_modes_reach_the_cohort(tmp_path, monkeypatch):
    def frames(name, number=0):
        paint, cohort_id = EXPORTS[name][number], AS.get(name, "haining")
        source, root = paint().write(tmp_path / paint.__name__), tmp_path / f"{paint.__name__}-root"
        assert run(monkeypatch, "cohorts", "import", source, "--as", cohort_id, "--format", name, "--out", root) == 0
        return {frame.frame: frame for frame in open_cohort(cohort_id, root).frames}

    polypsset = frames("polypsset")
    assert polypsset["train2019_1"].split is Split.TRAIN
    assert polypsset["val2019_7_12"].split is Split.VALIDATION
    assert polypsset["test2019_3_1"].split is Split.TEST
    assert polypsset["test2019_3_1"].sequence == "test2019-3"
    assert polypsset["train2019_2"].boxes[0].label == "hyperplastic"
    sun = frames("sun")
    assert sun["case1_a_0001"].patient == "case1"
    assert sun["negative-case1_b_0001"].patient == "negative-case1"
    polydeep = frames("polydeep")
    assert {frame: found.mode for frame, found in polydeep.items()} == {"101": "NBI", "202": "WL", "303": "WL"}
    cvat = frames("cvat")
    assert (cvat["polygon"].patient, cvat["polygon"].mode) == ("p7", "NBI")
    assert cvat["polygon"].split is Split.TEST
    assert frames("cvat", 1)["frame_000000"].sequence == "case 4"
    assert frames("labelme")["clean"].mode == "NBI"
    brush = frames("labelstudio")["brush"]
    assert (brush.patient, brush.mode) == ("p3", "WL")


def test_what_is_left_out_ends_in_status_3_and_the_rest_is_taken(tmp_path, monkeypatch, capsys):
    export = EXPORTS["coco"][0]()
    del export.files["images/polygon.png"]
    source = export.write(tmp_path / "source")
    assert run(monkeypatch, "cohorts", "import", source, "--as", "haining", "--out", tmp_path / "root") == 3
    assert "E_IMAGE_MISSING" in capsys.readouterr().out
    assert len(open_cohort("haining", tmp_path / "root").frames) == len(export.frames()) - 1


def test_options_reach_the_reader(tmp_path, monkeypatch, capsys):
    source = EXPORTS["coco"][0]().write(tmp_path / "source")
    words = ("cohorts", "import", source, "--as", "haining", "--out", tmp_path / "root")
    assert run(monkeypatch, *words, "-O", "unannotated=negative") == 0
    states = {frame.frame: frame.label_state for frame in open_cohort("haining", tmp_path / "root").frames}
    assert states["nothing"] is states["forceps"] is LabelState.NEGATIVE
    assert run(monkeypatch, *words[:-1], tmp_path / "other", "-O", "classes=polypp") == 2
    assert "E_CLASS" in capsys.readouterr().err
    assert not (tmp_path / "other" / "haining").exists()


@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
def test_image_with_an_orientation_takes_its_label_along(drawn_on, tmp_path, monkeypatch):
    upright = np.zeros((53, 37), np.uint8)
    upright[5:40, 3:9] = upright[30:40, 3:30] = 1
    stored = np.rot90(upright)  # orientation 6: to be turned clockwise by 90°
    mask = stored if drawn_on == "stored" else upright
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    shaded = np.repeat(stored[..., None] * 200, 3, axis=2) + (np.arange(53) // 3).astype(np.uint8)[:, None]
    Image.fromarray(shaded).save(stream, "JPEG", exif=exif, quality=100)
    segmentation = {"size": list(mask.shape), "counts": coco_counts(mask)}
    value = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": mask.shape[1], "height": mask.shape[0]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}],
        "categories": [{"id": 1, "name": "polyp"}],
    }
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.jpg").write_bytes(stream.getvalue())
    (tmp_path / "source" / "a.json").write_text(json.dumps(value))
    words = ("cohorts", "import", tmp_path / "source", "--as", "haining", "--out", tmp_path / "root")
    assert run(monkeypatch, *words) == 0
    (frame,) = open_cohort("haining", tmp_path / "root").frames
    np.testing.assert_array_equal(read_mask(frame.mask), upright)
    assert ((read_image(frame.image)[..., 0] > 100) == upright).all()
