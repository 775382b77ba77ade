"""LabelMe files with what hospitals' disks do to them."""

from __future__ import annotations

import base64
import json

import pytest
from reader_fixtures import HEIGHT, WIDTH, MemoryTree, angle, codes, png, read_all

from polypda.errors import DataError
from polypda.importing.contract import BoxLabel, MaskLabel, NegativeLabel, UnknownLabel
from polypda.importing.readers.labelme import LabelMeReader

OUTLINE = angle()[1]
SIZE = (HEIGHT, WIDTH)


def shape(kind="polygon", points=OUTLINE, label="polyp", **more):
    return {"label": label, "points": points, "shape_type": kind, **more}


def one(*shapes, reader=None, files=None, **more):
    value = {"shapes": shapes, "imagePath": "a.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}
    tree = MemoryTree({"a.json": json.dumps(value).encode(), **({"a.png": png()} if files is None else files)})
    frames, ledger = read_all(reader or LabelMeReader(), tree)
    return frames.get("a"), ledger


def test_embedded_image_is_used_only_where_no_file_is():
    other = base64.b64encode(png(seed=5)).decode()
    frame, _ = one(imageData=other)
    assert frame.read().encoded == png()
    frame, _ = one(imageData=other, files={})
    assert frame.read().encoded == png(seed=5)
    frame, _ = one(imageData="no base64!", files={})
    with pytest.raises(DataError, match="E_IMAGE_UNREADABLE"):
        frame.read()
    frame, ledger = one(imageData=None, files={})
    assert frame is None
    assert codes(ledger) == ["E_IMAGE_MISSING"]


def test_frame_without_shapes_is_negative_and_without_a_file_unknown():
    frame, _ = one()
    assert frame.label == NegativeLabel()
    frames, ledger = read_all(
        LabelMeReader(),
        MemoryTree({"a.json": b'{"shapes": [], "imagePath": "a.png"}', "a.png": png(), "b.png": png()}),
    )
    assert frames["b"].label == UnknownLabel()
    assert codes(ledger) == ["W_ANNOTATION_MISSING"]


def test_two_files_for_one_image_are_told():
    value = json.dumps({"shapes": [], "imagePath": "a.png"}).encode()
    frames, ledger = read_all(LabelMeReader(), MemoryTree({"a.json": value, "b.json": value, "a.png": png()}))
    assert set(frames) == {"a"}
    assert codes(ledger) == ["E_IMAGE_TWICE"]


@pytest.mark.parametrize(
    "drawn",
    [
        shape("point", [[4, 4]]),
        shape("line", [[4, 4], [9, 9]]),
        shape("linestrip", [[4, 4], [9, 9], [4, 9]]),
        shape("polygon", []),
        shape("polygon", [[1, 2], [3], [4, 5]]),
        shape("polygon", [[1, 2], ["x", 3], [4, 5]]),
        shape("polygon", {"x": 1}),
        shape("rectangle", [[1, 2]]),
        shape("circle", [[5, 5]]),
        shape("circle", [[5, 5], [float("nan"), 5]]),
        shape("mask", [[5, 5]]),
        shape("spline"),
        shape(17),
    ],
)
def test_shapes_that_enclose_nothing_leave_the_frame_without_a_label(drawn):
    frame, ledger = one(drawn, shape())
    assert frame.label == UnknownLabel()
    assert codes(ledger) == ["W_SHAPE_BROKEN"]


def test_holes_are_cut_out_of_their_group():
    inner = [[6, 6], [10, 6], [10, 11], [6, 11]]
    frame, _ = one(shape(group_id=1), shape("polygon", inner, "Hole", group_id=2))
    assert frame.label.read(SIZE).sum() == angle()[0].sum()  # another group's hole
    frame, _ = one(shape(group_id=1), shape("polygon", inner, "hole", group_id=1))
    assert frame.label.read(SIZE).sum() == angle()[0].sum() - 20
    frame, _ = one(shape(group_id=1), shape("line", [[1, 2], [3, 4]], "hole", group_id=1))
    assert frame.label == UnknownLabel()


def test_painted_mask_that_leaves_the_frame_is_told():
    stamp = base64.b64encode(png(10, 10)).decode()
    frame, _ = one(shape("mask", [[WIDTH - 5, 3], [WIDTH + 4, 12]], mask=stamp))
    with pytest.raises(DataError, match="E_ANNOTATION_SIZE"):
        frame.label.read(SIZE)
    frame, _ = one(shape("mask", [[1, 3], [2, 12]], mask="*"))
    with pytest.raises(DataError, match="E_MASK_UNREADABLE"):
        frame.label.read(SIZE)


def test_rectangle_is_a_box_whichever_corner_came_first():
    for points in ([[4, 20], [14, 5]], [[14, 5], [4, 20]], [[4, 5], [14, 5], [14, 20], [4, 20]]):
        frame, _ = one(shape("rectangle", points))
        assert isinstance(frame.label, BoxLabel)
        assert [(box.x0, box.y0, box.x1, box.y1) for box in frame.label.boxes] == [(4, 5, 14, 20)]


@pytest.mark.parametrize("told", [{}, {"imageHeight": None, "imageWidth": None}, {"imageHeight": 0, "imageWidth": 0}])
def test_size_may_be_missing(told):
    value = {"shapes": [shape()], "imagePath": "a.png", **told}
    tree = MemoryTree({"a.json": json.dumps(value).encode(), "a.png": png()})
    frames, _ = read_all(LabelMeReader(), tree)
    assert isinstance(frames["a"].label, MaskLabel)
    assert frames["a"].label.read(SIZE).sum() == angle()[0].sum()


def test_chinese_labels_in_gbk():
    value = {"shapes": [shape(label="息肉"), shape(label="器械")], "imagePath": "图 1.png"}
    data = json.dumps(value, ensure_ascii=False).encode("gbk")
    frames, ledger = read_all(LabelMeReader(), MemoryTree({"甲/图 1.json": data, "甲/图 1.png": png()}))
    assert isinstance(frames["图 1"].label, MaskLabel)
    assert codes(ledger) == []


def test_a_turned_rectangle_is_the_upright_box_around_it():
    frame, _ = one(shape("oriented_rectangle", [[10, 5], [20, 10], [18, 14], [8, 9]]))
    assert isinstance(frame.label, BoxLabel)
    (box,) = frame.label.boxes
    assert (box.x0, box.y0, box.x1, box.y1) == (8, 5, 20, 14)
