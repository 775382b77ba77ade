"""Label files beside pictures: the common forms are read, the others are told, none vanishes."""

import csv
import io
import json

import numpy as np
import pytest
from importing.painted_sources import HEIGHT, WIDTH, frame, lines, mask, put, run_import
from reader_fixtures import voc
from scipy.io import savemat

from polypda.cohorts.images import read_mask
from polypda.errors import DataError, UsageError
from polypda.importing.readers.beside_files import runs_mask, text_image

VIA_COLUMNS = (
    *("filename", "file_size", "file_attributes", "region_count", "region_id"),
    *("region_shape_attributes", "region_attributes"),
)
BOX = (6.0, 4.0, 20.0, 20.0)
"""Around the painted mask."""
YOLO_BOX = f"0 {13 / WIDTH} {12 / HEIGHT} {14 / WIDTH} {16 / HEIGHT}\n"
OUTLINE = ((6, 4), (20, 4), (20, 20), (6, 20))
YOLO_OUTLINE = "0 " + " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in OUTLINE) + "\n"


def states(result):
    return {record.frame: record.label_state for record in result.records}


def boxes(result, name="a"):
    return next(record.boxes for record in result.records if record.frame == name)


def images(folder, *names):
    for number, name in enumerate(names):
        put(folder / name, frame(number))
    return folder


@pytest.mark.parametrize("index", ["labels/{}.txt", "images/{}.txt", "annotations/{}.txt"])
def test_yolo_boxes_beside_frames(tmp_path, index):
    source = images(tmp_path / "src", "images/a.jpg", "images/b.jpg", "images/c.jpg")
    put(source / index.format("a"), YOLO_BOX.encode())
    put(source / index.format("b"), b"")
    put(source / "data.yaml", b"names: [adenoma, grasper]\n")
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "box", "b": "negative", "c": "none"}
    (only,) = boxes(result)
    assert np.allclose(only[:4], BOX) and only[4] == "adenoma"


def test_yolo_outlines_and_classes(tmp_path):
    source = images(tmp_path / "src", "train/images/a.jpg", "val/images/a.jpg", "val/images/b.jpg")
    put(source / "train/labels/a.txt", YOLO_OUTLINE.encode())
    put(source / "val/labels/a.txt", ("1" + YOLO_OUTLINE[1:]).encode())
    put(source / "val/labels/b.txt", (YOLO_OUTLINE + "1" + YOLO_BOX[1:]).encode())
    put(source / "classes.txt", b"polyp\ninstrument\n")
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"train-a": "mask", "val-a": "negative", "val-b": "mask"}
    for name in ("train-a", "val-b"):
        assert np.array_equal(read_mask(result.folder / f"masks/{name}.png"), (mask() > 0).astype(np.uint8))
    assert {record.split for record in result.records} == {"train", "validation"}


def test_classes_without_names_are_asked_for(tmp_path):
    source = images(tmp_path / "src", "a.jpg", "b.jpg")
    put(source / "a.txt", YOLO_BOX.encode())
    put(source / "b.txt", ("1" + YOLO_BOX[1:]).encode())
    assert lines(run_import(source, tmp_path / "root"))["W_CLASS_UNKNOWN"] == ["a.jpg", "b.jpg"]
    named = run_import(source, tmp_path / "named", options={"classes": "class 0"})
    assert states(named) == {"a": "box", "b": "negative"}
    with pytest.raises(UsageError, match="E_CLASS"):
        run_import(source, tmp_path / "other", options={"classes": "class 7"})


def test_what_a_yolo_model_predicted_is_no_label(tmp_path):
    source = images(tmp_path / "src", "a.jpg")
    put(source / "a.txt", YOLO_BOX.strip().encode() + b" 0.83\n")
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "none"} and "W_PREDICTION" in lines(result)


def test_polypgens_box_texts_and_its_images_with_boxes_drawn_in(tmp_path):
    source = images(tmp_path / "src", "data_C1/images_C1/a.jpg", "data_C1/images_C1/b.jpg")
    images(source, "data_C1/bbox_image_C1/a.jpg")
    put(source / "data_C1/bbox_C1/a.txt", b"polyp 6 4 20 20\n")
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "box", "b": "none"} and boxes(result) == ((*BOX, "polyp"),)
    assert lines(result) == {"N_DRAWINGS": ["data_C1/bbox_image_C1"]}
    put(source / "data_C1/masks_C1/a_mask.jpg", mask())
    put(source / "data_C1/masks_C1/b_mask.jpg", mask() * 0)
    masked = run_import(source, tmp_path / "masked")
    assert states(masked) == {"a": "mask", "b": "mask"}
    assert lines(masked)["W_ANNOTATION_UNREAD"] == ["data_C1/bbox_C1"]


def test_ldpolypvideo(tmp_path):
    source = images(
        tmp_path / "src", *(f"TrainValid/Images/{video}/{number:04d}.jpg" for video in (1, 2) for number in (1, 2))
    )
    for video in (1, 2):
        put(source / f"TrainValid/Annotations/{video}/0001.txt", b"1\n6 4 20 20\n")
        put(source / f"TrainValid/Annotations/{video}/0002.txt", b"0\n")
    result = run_import(source, tmp_path / "root")
    assert [(record.frame, record.label_state, record.sequence) for record in result.records] == [
        ("1-0001", "box", "1"),
        ("1-0002", "negative", "1"),
        ("2-0001", "box", "2"),
        ("2-0002", "negative", "2"),
    ]
    assert boxes(result, "1-0001") == ((*BOX, "polyp"),)


def test_voc_files_and_real_colons_folders(tmp_path):
    source = images(tmp_path / "src", "001-001_frames/001-001_1.jpg", "001-001_frames/001-001_2.jpg")
    size = {"width": WIDTH, "height": HEIGHT}
    put(source / "001-001_annotations/001-001_1.xml", voc(("lesion", 7, 5, 20, 20), **size))
    put(source / "001-001_annotations/001-001_2.xml", voc(**size))
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"001-001_1": "box", "001-001_2": "negative"}
    assert boxes(result, "001-001_1")[0][:4] == BOX
    assert {record.sequence for record in result.records} == {"001-001"}


def test_voc_segmentation_goes_before_voc_boxes(tmp_path):
    source = images(tmp_path / "src", "JPEGImages/a.jpg", "JPEGImages/b.jpg")
    for name in "ab":
        put(source / f"Annotations/{name}.xml", voc(("polyp", 7, 5, 20, 20), width=WIDTH, height=HEIGHT))
    put(source / "SegmentationClass/a.png", np.dstack([mask() // 2 + mask() % 2, mask() * 0, mask() * 0]))
    assert states(run_import(source, tmp_path / "root")) == {"a": "mask", "b": "box"}


RUNS = " ".join(f"{x * HEIGHT + 5} 16" for x in range(6, 20))


def test_a_table_of_run_lengths(tmp_path):
    source = images(tmp_path / "src", "train/a.jpg", "train/b.jpg", "train/c.jpg")
    put(source / "train.csv", f"ImageId,EncodedPixels\na.jpg,{RUNS}\nb,\n".encode())
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "mask", "b": "negative", "c": "none"} and "N_RLE_ORDER" in lines(result)
    assert np.array_equal(read_mask(result.folder / "masks/a.png"), (mask() > 0).astype(np.uint8))
    rows = " ".join(f"{y * WIDTH + 7} 14" for y in range(4, 20))
    put(source / "train.csv", f"id,rle\na,{rows}\n".encode())
    along = run_import(source, tmp_path / "along", options={"rle": "rows"})
    assert np.array_equal(read_mask(along.folder / "masks/a.png"), (mask() > 0).astype(np.uint8))


@pytest.mark.parametrize(("runs", "code"), [("1 2 3", "E_RLE"), ("1 x", "E_RLE"), ("0 3", "E_RLE_LENGTH")])
def test_wrong_run_lengths_are_told(runs, code):
    with pytest.raises(DataError, match=code):
        runs_mask(runs, False, "t.csv", (4, 5))
    with pytest.raises(DataError, match="E_RLE_LENGTH"):
        runs_mask("18 4", False, "t.csv", (4, 5))
    assert runs_mask("18 3", False, "t.csv", (4, 5)).sum() == 3


@pytest.mark.parametrize("wrapped", [True, False])
def test_vias_projects(tmp_path, wrapped):
    source = images(tmp_path / "src", "a.jpg", "b.jpg", "c.jpg")
    xs, ys = zip(*OUTLINE, strict=True)
    outline = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
    rectangle = {"name": "rect", "x": 6, "y": 4, "width": 14, "height": 16}
    entries = {
        "a.jpg1": {"filename": "a.jpg", "regions": [{"shape_attributes": outline, "region_attributes": {}}]},
        "b.jpg1": {"filename": "b.jpg", "regions": {"0": {"shape_attributes": rectangle, "region_attributes": {}}}},
        "c.jpg1": {"filename": "c.jpg", "regions": []},
    }
    value = {"_via_settings": {}, "_via_img_metadata": entries} if wrapped else entries
    put(source / "via.json", json.dumps(value).encode())
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "mask", "b": "box", "c": "none"} and boxes(result, "b")[0][:4] == BOX
    assert np.array_equal(read_mask(result.folder / "masks/a.png"), (mask() > 0).astype(np.uint8))


def test_nnunets_raw_folders(tmp_path):
    for number, name in enumerate(("x", "y")):
        put(tmp_path / f"src/imagesTr/{name}_0000.png", frame(number))
        put(tmp_path / f"src/labelsTr/{name}.png", mask(value=1))
    put(tmp_path / "src/imagesTs/z_0000.png", frame(5))
    put(tmp_path / "src/dataset.json", json.dumps({"labels": {"background": 0, "polyp": 1}}).encode())
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert states(result) == {"x": "mask", "y": "mask", "z": "none"}
    for channel in (0, 1):
        put(tmp_path / f"src/imagesTs/w_000{channel}.png", frame(6 + channel))
    again = run_import(tmp_path / "src", tmp_path / "again")
    assert lines(again)["E_IMAGE_CHANNELS"] == ["imagesTs/w_0000.png", "imagesTs/w_0001.png"]


def test_sun_seg(tmp_path):
    """Edges, scribbles and polygons are drawings; the clips case1_1 and case1_3 are of one patient."""
    for part, clip in (("TrainDataset", "case1_1"), ("TrainDataset", "case1_3"), ("TestEasyDataset", "case2_1")):
        for number in range(2):
            put(tmp_path / f"src/{part}/Frame/{clip}/image_{number}.jpg", frame(number))
            put(tmp_path / f"src/{part}/GT/{clip}/image_{number}.png", mask())
            for drawn in ("Edge", "Scribble", "Polygon"):
                put(tmp_path / f"src/{part}/{drawn}/{clip}/image_{number}.png", mask())
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert len(result.records) == 6 and set(states(result).values()) == {"mask"}
    assert {(record.patient, record.split) for record in result.records} == {("case1", "train"), ("case2", "test")}


def test_polypdbs_folders_of_modes(tmp_path):
    for mode in ("WLI", "NBI", "BLI", "LCI", "FICE"):
        put(tmp_path / f"src/PolypDB_modality_wise/{mode}/images/1.jpg", frame())
        put(tmp_path / f"src/PolypDB_modality_wise/{mode}/masks/1.jpg", mask())
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert {record.mode for record in result.records} == {"WL", "NBI", "BLI", "LCI", "FICE"}
    assert result.summary.labels == {"mask": 5}


@pytest.mark.parametrize("suffix", [".npy", ".mat", ".json", ".xml", ".txt", ".csv", ".pkl"])
def test_label_files_that_nothing_understands_are_told(tmp_path, suffix):
    source = images(tmp_path / "src", "images/a.jpg", "images/b.jpg")
    for index in ("images", "labels"):
        put(source / index / f"a{suffix}", b'{"a": [1]}' if suffix != ".xml" else b"<thing/>")
        alone = run_import(source, tmp_path / index)
        assert lines(alone) == {"E_ANNOTATION_UNKNOWN": [f"{index}/a{suffix}"]}
        assert not alone.summary.everything_taken
        (source / index / f"a{suffix}").unlink()
    for name in "ab":
        put(source / "masks" / f"{name}.png", mask())
    put(source / "labels" / f"a{suffix}", b'{"a": [1]}' if suffix != ".xml" else b"<thing/>")
    masked = run_import(source, tmp_path / "masked")
    assert lines(masked) == {"W_ANNOTATION_UNREAD": ["labels"]} and masked.summary.everything_taken


def test_texts_that_are_no_labels():
    for content in ("a report", "polyp seen at 12 o'clock", "0 5 5 5 5", "3\n1 2 3 4\n", "0 0.1 0.2 0.3"):
        assert text_image(content, "a.txt", {}) is None
    assert text_image("\n", "a.txt", {}).listed and not text_image("0\n", "a.txt", {}).listed


def via_table(*rows):
    """VIA's CSV of (picture, shape attributes, region attributes)."""
    text = io.StringIO()
    csv.writer(text).writerows([VIA_COLUMNS, *([name, 100, "{}", 1, 0, *map(json.dumps, own)] for name, *own in rows)])
    return text.getvalue().encode()


def test_vias_table_of_regions(tmp_path):
    source = images(tmp_path / "src", "a.jpg", "b.jpg", "c.jpg")
    xs, ys = zip(*OUTLINE, strict=True)
    polygon = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
    rectangle = {"name": "rect", "x": 6, "y": 4, "width": 14, "height": 16}
    rows = [
        ("a.jpg", polygon, {"kind": "polyp"}),
        ("a.jpg", rectangle, {"kind": "forceps"}),
        ("b.jpg", rectangle, {"kind": "polyp"}),
        ("c.jpg", {}, {}),
    ]
    put(source / "via_export_csv.csv", via_table(*rows))
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "mask", "b": "box", "c": "none"}
    assert np.array_equal(read_mask(result.folder / "masks/a.png"), (mask() > 0).astype(np.uint8))
    assert np.allclose(boxes(result, "b")[0][:4], BOX) and boxes(result, "b")[0][4] == "polyp"


def test_a_damaged_table_of_via_is_told(tmp_path):
    source = images(tmp_path / "src", "a.jpg")
    put(source / "via.csv", via_table(("a.jpg", {"name": "rect"}, {})).replace(b'""name""', b"name"))
    assert "E_JSON" in run_import(source, tmp_path / "root").summary.left_out


ARRAYS = {
    "truth.npy": lambda drawn: npy(drawn > 0),
    "numbers.npy": lambda drawn: npy((drawn > 0).astype(np.int64)),
    "white.npy": lambda drawn: npy(drawn),
    "float.npy": lambda drawn: npy((drawn > 0).astype(np.float64)),
    "matlab.mat": lambda drawn: mat(mask=drawn > 0, note="drawn by two"),
    "doubles.mat": lambda drawn: mat(GT=(drawn > 0).astype(np.float64), scale=np.array([[2.0]])),
}


def npy(array):
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def mat(**arrays):
    held = io.BytesIO()
    savemat(held, arrays)
    return held.getvalue()


@pytest.mark.parametrize("index", ["masks/a{}", "a{}", "a_mask{}"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_the_frames_size_are_masks(tmp_path, kind, index):
    source = images(tmp_path / "src", "images/a.jpg" if "masks" in index else "a.jpg")
    put(source / index.format(kind[-4:]), ARRAYS[kind](mask()))
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "mask"} and result.summary.everything_taken
    assert np.array_equal(read_mask(result.folder / "masks/a.png"), (mask() > 0).astype(np.uint8))


@pytest.mark.parametrize("content", [npy(np.zeros((3, 4, 5))), npy(np.zeros((7, 9))), mat(a=np.eye(9)), b"\x93NUMPY\1"])
def test_other_arrays_are_told_and_no_masks(tmp_path, content):
    source = images(tmp_path / "src", "a.jpg", "b.jpg")
    put(source / ("a.npy" if content[:1] == b"\x93" else "a.mat"), content)
    result = run_import(source, tmp_path / "root")
    assert states(result) == {"a": "none", "b": "none"} and result.summary.left_out == {"E_ANNOTATION_UNKNOWN": 1}


def test_an_array_beside_a_drawn_mask_is_not_joined_with_it(tmp_path):
    source = images(tmp_path / "src", "images/a.jpg")
    put(source / "masks/a.png", mask())
    put(source / "features/a.npy", npy(np.ones((HEIGHT, WIDTH))))
    result = run_import(source, tmp_path / "root")
    assert np.array_equal(read_mask(result.folder / "masks/a.png"), (mask() > 0).astype(np.uint8))


def test_a_map_of_probabilities_is_no_mask(tmp_path):
    source = images(tmp_path / "src", "a.jpg", "b.jpg")
    put(source / "a.npy", npy(np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)))
    assert run_import(source, tmp_path / "root").summary.left_out == {"E_MASK_FLOAT": 1}
