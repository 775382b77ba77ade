"""Label Studio exports: who counts, where pictures are, what is damaged."""

from __future__ import annotations

import json

import pytest
from reader_fixtures import HEIGHT, WIDTH, MemoryTree, brush_stream, codes, png, read_all, spots

from polypda.errors import DataError
from polypda.importing.contract import MaskLabel, NegativeLabel, UnknownLabel
from polypda.importing.readers.labelstudio import LabelStudioReader
from polypda.importing.registry import AUTO, reader_for

SIZE = (HEIGHT, WIDTH)


def result(kind="rectangle", value=None, **more):
    told = {"x": 10, "y": 10, "width": 50, "height": 50, "rectanglelabels": ["polyp"]} if value is None else value
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": "r", "type": f"{kind}labels", "value": told, **size, **more}


def annotation(*results, **more):
    return {"result": list(results), "was_cancelled": False, "updated_at": "2024-01-01", **more}


def one(*annotations, address="/data/upload/1/0a1b2c3d-a.png", file="a.png", **more):
    task = {"id": 7, "annotations": annotations, "data": {"image": address}, **more}
    frames, ledger = read_all(
        LabelStudioReader(), MemoryTree({"export.json": json.dumps([task]).encode(), file: png()})
    )
    return next(iter(frames.values()), None), ledger


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/0a1b2c3d-a.png", "images/0a1b2c3d-a.png"),
        ("/data/upload/1/0a1b2c3d-a.png", "images/a.png"),
        ("/data/local-files/?d=colon%2Fcase%201/a.png", "colon/case 1/a.png"),
        ("https://example.com/x/a%20b.png?token=1", "a b.png"),
        ("s3://bucket/colon/a.png", "a.png"),
        ("D:\\colon\\息肉.png", "息肉.png"),
        ("gone.png", None),
        ("http://[broken", None),
        ("no picture", None),
    ],
)
def test_addresses_are_found_in_the_export_and_never_fetched(address, file):
    frame, ledger = one(annotation(), address=address, file=file or "other.png")
    if file is None:
        assert codes(ledger) == ["E_IMAGE_MISSING"]
    else:
        assert frame.origin == file


def test_the_annotation_that_counts():
    box, other = result(), result(value={"x": 0, "y": 0, "width": 10, "height": 10, "rectanglelabels": ["polyp"]})
    newer = annotation(other, updated_at="2024-05-01")
    frame, ledger = one(newer, annotation(box))
    assert frame.label.boxes[0].x0 == 0
    assert codes(ledger) == ["N_ANNOTATORS"]
    frame, _ = one(newer, annotation(box, ground_truth=True))
    assert frame.label.boxes[0].x0 == pytest.approx(WIDTH / 10)
    frame, ledger = one(annotation(other, updated_at="2025", was_cancelled=True), annotation(box))
    assert frame.label.boxes[0].x0 == pytest.approx(WIDTH / 10)
    assert codes(ledger) == []


def test_who_looked_and_who_did_not():
    assert one(annotation())[0].label == NegativeLabel()
    assert one()[0].label == UnknownLabel()
    assert one(annotation(was_cancelled=True))[0].label == UnknownLabel()
    frame, ledger = one(predictions=[annotation(result())])
    assert frame.label == UnknownLabel()
    assert codes(ledger) == ["W_PREDICTION_ONLY"]
    choice = {"type": "choices", "value": {"choices": ["no polyp"]}}
    assert one(annotation(choice))[0].label == NegativeLabel()
    assert codes(one(annotation(choice, result()))[1]) == ["W_CHOICE_CONTRADICTED"]


def test_class_may_stand_in_a_result_of_its_own():
    painted = spots()
    shape = result("brush", {"format": "rle", "rle": brush_stream(painted)}) | {"type": "brush"}
    label = {"id": "r", "type": "labels", "value": {"labels": ["息肉"]}}
    frame, _ = one(annotation(shape, label))
    assert (frame.label.read(SIZE) == painted).all()


def test_turned_rectangle_becomes_the_upright_box_around_it():
    value = {"x": 50, "y": 20, "width": 20, "height": 40, "rotation": 90, "rectanglelabels": ["polyp"]}
    frame, _ = one(annotation(result(value=value)))
    box = frame.label.boxes[0]  # about its upper left corner: it now reaches to the left
    x, y, across, down = WIDTH * 0.5, HEIGHT * 0.2, WIDTH * 0.2, HEIGHT * 0.4
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((x - down, y, x, y + across))


@pytest.mark.parametrize(
    "damaged",
    [
        result(value={"x": "left", "y": 1, "width": 2, "height": 3, "rectanglelabels": ["polyp"]}),
        result(original_width=None),
        result("polygon", {"points": [[1, 2], [3]], "polygonlabels": ["polyp"]}),
        result("keypoint", {"x": 1, "y": 2, "keypointlabels": ["polyp"]}),
        result("brush", {"format": "png", "brushlabels": ["polyp"]}),
    ],
)
def test_polyp_that_cannot_be_read_leaves_the_frame_without_a_label(damaged):
    frame, ledger = one(annotation(damaged))
    assert frame.label == UnknownLabel()
    assert codes(ledger) == ["W_SHAPE_BROKEN"]


def test_damaged_brush_is_told_when_it_is_drawn():
    stream = brush_stream(spots())
    frame, _ = one(annotation(result("brush", {"format": "rle", "rle": stream[:-9], "brushlabels": ["polyp"]})))
    assert isinstance(frame.label, MaskLabel)
    with pytest.raises(DataError, match="E_RLE"):
        frame.label.read(SIZE)


def test_turned_image_and_other_sizes_are_told():
    frame, ledger = one(annotation(result(image_rotation=90)))
    assert frame.label == UnknownLabel()
    assert codes(ledger) == ["W_ANNOTATION_TURNED"]
    frame, ledger = one(annotation(result(), result(original_width=9)))
    assert codes(ledger) == ["E_ANNOTATION_SIZE"]


def chose(*told):
    return {"type": "choices", "from_name": "image-level", "to_name": "image", "value": {"choices": list(told)}}


@pytest.mark.parametrize("told", ["Polyp", "Adenoma", "Poor quality", "Polyp present"])
def test_a_choice_alone_makes_no_negative(told):
    frame, _ = one(annotation(chose(told)))
    assert isinstance(frame.label, UnknownLabel) and [remark.code for remark in frame.remarks] == ["W_CHOICE_ALONE"]


@pytest.mark.parametrize("told", ["No polyp", "polyp-free", "normal"])
def test_a_choice_that_says_so_makes_a_negative(told):
    frame, _ = one(annotation(chose(told)))
    assert isinstance(frame.label, NegativeLabel) and not frame.remarks


def test_the_short_export_is_named_and_never_passed_over():
    drawn = {"x": 1, "y": 1, "width": 9, "height": 9, "original_width": WIDTH, "original_height": HEIGHT}
    short = [{"image": "/data/upload/1/a.png", "id": 1, "label": [drawn], "annotator": 1, "annotation_id": 3}]
    tree = MemoryTree({"export.json": json.dumps(short).encode(), "images/a.png": png()})
    with pytest.raises(DataError, match="E_ANNOTATION_SHORT"):
        read_all(reader_for(AUTO, tree, {}), tree)
