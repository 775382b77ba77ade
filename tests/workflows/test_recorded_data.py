"""What a run records of its data, and every way in which they may have changed since."""

import shutil
from dataclasses import replace

import cv2
import pytest
from support.painted import paint, write_cohort
from support.runs import write_run

from polypda.cohorts.frames import LabelState, OpenedCohort, PolypBox, Split
from polypda.cohorts.opening import open_cohort
from polypda.data.labels import BoxSupervision
from polypda.errors import DataError
from polypda.workflows.runs.recorded_data import (
    LEARNT_OF_SOURCE,
    changes_since,
    data_table,
    record_data,
    require_recorded,
    trained_target_parts,
)


@pytest.fixture
def root(tmp_path):
    write_cohort(tmp_path / "data", "zju2")
    return tmp_path / "data"


@pytest.fixture
def run(tmp_path, root):
    run = write_run(tmp_path / "run", 1)
    record_data(run, {"zju2": now(root)})
    return run


def now(root):
    return data_table(open_cohort("zju2", root), LEARNT_OF_SOURCE, None)


def in_table(root, old, new):
    table = root / "zju2" / "frames.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def add_frame(root):
    for kind in ("images", "masks"):
        shutil.copy(root / "zju2" / kind / "000.png", root / "zju2" / kind / "new.png")
    in_table(root, "000,train\n", "000,train\nnew,train\n")


def remove_frame(root):
    for kind in ("images", "masks"):
        (root / "zju2" / kind / "004.png").unlink()
    in_table(root, "004,train\n", "")


def repaint(kind, stem):
    def change(root):
        cv2.imwrite(str(root / "zju2" / kind / f"{stem}.png"), paint(999)[kind == "masks"])

    return change


def empty_into_negative(root):
    lines = (root / "zju2" / "frames.csv").read_text().splitlines()
    told = [f"{line},{'negative' if line.startswith('002') else ''}" for line in lines[1:]]
    (root / "zju2" / "frames.csv").write_text("\n".join([lines[0] + ",label_state", *told]))
    (root / "zju2" / "masks" / "002.png").unlink()


def name_patients(root):
    lines = (root / "zju2" / "frames.csv").read_text().splitlines()
    told = [f"{line},p{line.split(',')[1]}" for line in lines[1:]]
    (root / "zju2" / "frames.csv").write_text("\n".join([lines[0] + ",patient", *told]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (add_frame, "1 frame added: new"),
        (remove_frame, "1 frame removed: 004"),
        (lambda root: in_table(root, "003,train", "003,test"), r"1 frame moved .*split: 003 \(train → test\)"),
        (repaint("images", "005"), "1 frame with another picture: 005"),
        (repaint("images", "011"), "1 frame with another picture: 011"),
        (repaint("masks", "006"), "1 frame with another label: 006"),
        (repaint("masks", "008"), "1 frame with another label: 008"),
        (empty_into_negative, "1 frame with another label: 002"),
        (name_patients, r"12 frames with another patient or sequence: 000, 001, 002, 003, 004 and 7 more"),
    ],
)
def test_what_differs_is_named_and_the_record_stays(root, run, change, told):
    before = (run.folder / "split-zju2.csv").read_bytes()
    require_recorded(run, {"zju2": now(root)})
    change(root)
    with pytest.raises(DataError, match=f"E_DATA_CHANGED run: zju2 is not what this run learnt: {told}"):
        require_recorded(run, {"zju2": now(root)})
    assert (run.folder / "split-zju2.csv").read_bytes() == before


def test_only_the_label_of_a_held_out_frame_may_change(root, run):
    repaint("masks", "011")(root)
    assert changes_since(run, "zju2", now(root)) == ""
    repaint("masks", "000")(root)
    assert changes_since(run, "zju2", now(root)) == "1 frame with another label: 000"


def test_the_same_bytes_written_again_are_the_same_data(root, run):
    for path in (root / "zju2").rglob("*.png"):
        path.write_bytes(path.read_bytes())
    assert changes_since(run, "zju2", now(root)) == ""


def test_moved_boxes_are_another_label(tmp_path, root):
    opened = open_cohort("zju2", root)
    frames = tuple(
        replace(frame, mask=None, boxes=(PolypBox(1, 1, 9, 9),), label_state=LabelState.BOX) for frame in opened.frames
    )
    boxed = OpenedCohort("zju2", opened.root, frames)
    run = write_run(tmp_path / "boxed", 1)
    record_data(run, {"zju2": data_table(boxed, LEARNT_OF_SOURCE, BoxSupervision.FILLED)})
    moved = replace(boxed, frames=(replace(frames[0], boxes=(PolypBox(2, 1, 9, 9),)), *frames[1:]))
    told = changes_since(run, "zju2", data_table(moved, LEARNT_OF_SOURCE, BoxSupervision.FILLED))
    assert told == "1 frame with another label: 000"


def test_no_mask_is_opened_of_frames_whose_labels_are_not_learnt(root):
    for mask in (root / "zju2" / "masks").iterdir():
        if mask.stem >= "008":
            mask.chmod(0)
            mask.unlink()
            mask.mkdir()  # opening it would be an error
    opened = open_cohort("zju2", root, labels=False)
    assert set(data_table(opened, (), None)["label_sha256"]) == {""}
    frames = tuple(replace(frame, mask=root / "zju2" / "masks" / f"{frame.frame}.png") for frame in opened.frames)
    labelled = replace(opened, frames=tuple(replace(frame, label_state=LabelState.MASK) for frame in frames))
    table = data_table(labelled, (Split.TRAIN,), None).set_index("frame")["label_sha256"]
    assert table["007"] and not table["008"]
    with pytest.raises(DataError, match=r"E_FILE_UNREADABLE 008\.png"):
        data_table(labelled, LEARNT_OF_SOURCE, None)


def test_of_the_target_only_permitted_labels_count(run):
    config = run.config()
    assert trained_target_parts(config) == frozenset()
    assert trained_target_parts(config.model_copy(update={"oracle": True})) == {Split.TRAIN}
    assert trained_target_parts(config.model_copy(update={"selector": "oracle"})) == {Split.VALIDATION}


def test_a_record_of_an_earlier_version_is_compared_as_far_as_it_goes(root, run, caplog):
    path = run.folder / "split-zju2.csv"
    path.write_text("\n".join(",".join(line.split(",")[:5]) for line in path.read_text().splitlines()) + "\n")
    require_recorded(run, {"zju2": now(root)})
    assert "without the content" in caplog.text
    remove_frame(root)
    with pytest.raises(DataError, match="1 frame removed: 004"):
        require_recorded(run, {"zju2": now(root)})


def test_a_run_without_a_record_cannot_go_on(root, run):
    (run.folder / "split-zju2.csv").unlink()
    with pytest.raises(DataError, match="E_RUN_INCOMPLETE"):
        require_recorded(run, {"zju2": now(root)})
