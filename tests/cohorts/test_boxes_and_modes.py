"""Frames annotated with boxes, imaging modes and ignored regions in an ordinary cohort folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.painted_cohorts import save, write_ordinary

from polypda.cohorts.frames import LabelState, PolypBox
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.tables import read_boxes_csv
from polypda.errors import DataError
from polypda.quality.checking.check_cohorts import check_cohort

BOXES = "frame,x0,y0,x1,y1,label\nf1,3,4,20,30,adenoma\nf1,30.5,1,60,10,\nf3,0,0,64,48,hyperplastic\n"
TABLE = "frame,label_state,mode\nf1,box,WL\nf2,negative,nbi\nf3,,NBI\n"


def write_boxed(root: Path, *, cohort: str = "sun", boxes: str = BOXES, table: str | None = TABLE) -> Path:
    folder = write_ordinary(root, cohort, table=table)
    shutil.rmtree(folder / "masks")
    (folder / "boxes.csv").write_text(boxes, encoding="utf-8")
    return folder


def test_states_boxes_and_modes_are_read(tmp_path):
    write_boxed(tmp_path)
    one, two, three = open_cohort("sun", tmp_path).frames
    assert one.boxes == (PolypBox(3, 4, 20, 30, "adenoma"), PolypBox(30.5, 1, 60, 10, None))
    assert [frame.label_state for frame in (one, two, three)] == [LabelState.BOX, LabelState.NEGATIVE, LabelState.BOX]
    assert [frame.mode for frame in (one, two, three)] == ["WL", "NBI", "NBI"]
    assert two.boxes == () and all(frame.mask is None for frame in (one, two, three))
    table = open_cohort("sun", tmp_path).table()
    assert list(table["boxes"]) == [2, 0, 1] and list(table["mode"]) == ["WL", "NBI", "NBI"]


@pytest.mark.parametrize("cohort", ["sun", "polydeep", "polypsset", "zju2-2021-jiefang"])
def test_imported_folders_of_cohorts_that_come_as_boxes_or_videos_open(tmp_path, cohort):
    write_boxed(tmp_path, cohort=cohort)
    assert len(open_cohort(cohort, tmp_path).frames) == 3


def test_boxes_alone_tell_the_state_and_a_frame_without_any_is_no_negative(tmp_path):
    write_boxed(tmp_path, table=None)
    with pytest.raises(DataError, match="E_MASK_MISSING") as caught:
        open_cohort("sun", tmp_path)
    assert "f2" in caught.value.what and "label_state negative" in caught.value.fix
    assert [f.code for f in check_cohort("sun", tmp_path).findings if f.frames == ("f2",)] == ["E_MASK_MISSING"]


def test_masks_boxes_negatives_and_unlabelled_frames_live_in_one_cohort(tmp_path):
    table = "frame,label_state\nf1,box\nf2,mask\nf3,negative\nf4,none\n"
    folder = write_ordinary(tmp_path, stems=["f1", "f2", "f3", "f4"], table=table)
    (folder / "masks" / "f3.png").unlink()
    (folder / "boxes.csv").write_text("frame,x0,y0,x1,y1\nf1,1,1,9,9\nf2,1,1,9,9\nf4,1,1,9,9\n")
    one, two, three, four = open_cohort("zju2", tmp_path).frames
    assert one.mask is None and one.boxes, "a frame that is declared boxed is not scored by pixels"
    assert two.mask is not None and two.boxes, "a mask may have boxes beside it"
    assert three.mask is None and not three.boxes
    assert four.mask is None and not four.boxes and four.label_state is LabelState.NONE


def test_without_labels_nothing_of_a_box_is_left(tmp_path):
    write_boxed(tmp_path)
    (tmp_path / "sun" / "boxes.csv").write_text("no table at all")
    opened = open_cohort("sun", tmp_path, labels=False)
    assert all(frame.boxes == () and frame.label_state is LabelState.NONE for frame in opened.frames)
    assert [frame.mode for frame in opened.frames] == ["WL", "NBI", "NBI"], "a mode is no label"


def test_ignored_regions_are_found_with_and_without_labels(tmp_path):
    folder = write_boxed(tmp_path)
    save(folder / "ignore" / "f2.png", np.zeros((48, 64), np.uint8))
    for labels in (True, False):
        found = [frame.ignore for frame in open_cohort("sun", tmp_path, labels=labels).frames]
        assert found == [None, folder / "ignore" / "f2.png", None]


@pytest.mark.parametrize(
    ("boxes", "code", "named"),
    [
        ("frame,x0,y0,x1\nf1,1,2,3\n", "E_BOXES_CSV", "'y1'"),
        ("frame,x0,y0,x1,y1,width\n", "E_BOXES_CSV", "'width'"),
        ("frame,x0,y0,x1,y1\nf1,1,2,3\n", "E_BOXES_CSV_ROW", "not as many"),
        ("frame,x0,y0,x1,y1\nf1,10,2,3,9\n", "E_BOXES_CSV_ROW", "10, 2, 3, 9"),
        ("frame,x0,y0,x1,y1\nf1,-1,2,3,9\n", "E_BOXES_CSV_ROW", "-1, 2, 3, 9"),
        ("frame,x0,y0,x1,y1\nf1,1,2,nan,9\n", "E_BOXES_CSV_ROW", "1, 2, nan, 9"),
        ("frame,x0,y0,x1,y1\nf1,1,2,inf,9\n", "E_BOXES_CSV_ROW", "1, 2, inf, 9"),
        ("frame,x0,y0,x1,y1\nf1,1,2,,9\n", "E_BOXES_CSV_ROW", "nothing"),
        ("frame,x0,y0,x1,y1\n,1,2,3,9\n", "E_BOXES_CSV_ROW", "empty"),
        ("frame,x0,y0,x1,y1\nF1,1,2,3,9\n", "E_BOXES_CSV_ROW", "without an image: F1. Did you mean 'f1'?"),
        ("frame,x0,y0,x1,y1\nf2,1,2,3,9\n", "E_BOX_NEGATIVE", "f2"),
        ("frame,x0,y0,x1,y1\nf3,1,2,3,9\n", "E_BOX_MISSING", "f1"),
    ],
)
def test_wrong_boxes_are_refused_by_name(tmp_path, boxes, code, named):
    write_boxed(tmp_path, boxes=boxes)
    with pytest.raises(DataError) as caught:
        open_cohort("sun", tmp_path)
    assert caught.value.code == code and named in caught.value.what
    assert caught.value.fix and "boxes.csv" in caught.value.where


def test_boxes_as_spreadsheets_save_them(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_bytes("\ufeffframe,x0,y0,x1,y1\r\n宁波 1,1,2,3,4\r\n".encode())
    assert read_boxes_csv(path) == {"宁波 1": (PolypBox(1, 2, 3, 4),)}
    path.write_bytes("frame,x0,y0,x1,y1\n宁波,1,2,3,4\n".encode("gbk"))
    with pytest.raises(DataError, match=r"(?s)E_BOXES_CSV .*UTF-8"):
        read_boxes_csv(path)


@pytest.mark.parametrize("mode", ["test", "ALL", "W:L", "N B I", "x" * 40])
def test_a_mode_must_be_able_to_name_a_sub_cohort(tmp_path, mode):
    write_boxed(tmp_path, table=f"frame,label_state,mode\nf1,box,{mode}\nf2,negative,\nf3,box,\n")
    with pytest.raises(DataError, match="E_FRAMES_CSV_ROW") as caught:
        open_cohort("sun", tmp_path)
    assert mode in caught.value.what and "line 2" in caught.value.where
