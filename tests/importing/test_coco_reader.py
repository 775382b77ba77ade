"""COCO exports with everything that can be wrong with them: each its own coded line, the rest goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from reader_fixtures import HEIGHT, WIDTH, MemoryTree, angle, coco_counts, codes, flat, png, read_all, spots

from polypda.cohorts.frames import Split
from polypda.errors import DataError, UsageError
from polypda.importing.contract import BoxLabel, MaskLabel, NegativeLabel, UnknownLabel
from polypda.importing.readers.coco import CocoReader
from polypda.importing.registry import AUTO, reader_for

L_SHAPE = flat(angle()[1])
SIZE = (HEIGHT, WIDTH)


def coco(*images, annotations=(), categories=("polyp",), path="labels.json", more=()):
    value = {
        "images": [{"width": WIDTH, "height": HEIGHT, **image} for image in images],
        "annotations": [{"id": index, "category_id": 1, **each} for index, each in enumerate(annotations)],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(categories)],
    }
    files = {path: json.dumps(value).encode(), **dict(more)}
    for image in images:
        if "gone" not in image["file_name"]:
            files.setdefault(f"images/{image['file_name']}", png())
    return MemoryTree(files)


def one(annotation=None, image=None, reader=None, **more):
    """The frame of an export of one picture with one annotation, and the ledger."""
    annotations = [] if annotation is None else [{"image_id": 1, **annotation}]
    tree = coco({"id": 1, "file_name": "a.png", **(image or {})}, annotations=annotations, **more)
    frames, ledger = read_all(reader or CocoReader(), tree)
    return frames["a"], ledger


def test_annotation_of_a_missing_image_is_left_out_and_the_rest_goes_on():
    tree = coco({"id": 1, "file_name": "gone.png"}, {"id": 2, "file_name": "a.png"})
    frames, ledger = read_all(CocoReader(), tree)
    assert set(frames) == {"a"}
    assert codes(ledger) == ["E_IMAGE_MISSING"]
    assert "gone.png" in ledger.lines[0].what


def test_ids_that_are_used_twice_and_annotations_of_no_image_are_told():
    tree = coco(
        {"id": 1, "file_name": "a.png"},
        {"id": 1, "file_name": "b.png"},
        {"id": 3, "file_name": "a.png"},
        annotations=[{"image_id": 9, "bbox": [1, 1, 2, 2]}],
    )
    frames, ledger = read_all(CocoReader(), tree)
    assert set(frames) == {"a", "b"}  # b.png is there, but its entry does not count
    assert codes(ledger) == ["E_ANNOTATION_ORPHAN", "E_ID_TWICE", "E_IMAGE_TWICE", "W_ANNOTATION_MISSING"]


def test_size_that_is_not_the_images_is_told_when_the_mask_is_drawn():
    frame, _ = one({"segmentation": [L_SHAPE]}, {"width": WIDTH + 1})
    with pytest.raises(DataError, match=f"E_ANNOTATION_SIZE.*{WIDTH + 1}×{HEIGHT}.*{WIDTH}×{HEIGHT}"):
        frame.label.read(SIZE)
    frame, _ = one({"bbox": [1, 2, 3, 4]}, {"width": WIDTH + 1})
    assert frame.label.size == (HEIGHT, WIDTH + 1)  # the writer holds it against the picture


def test_run_lengths_of_another_size_are_told():
    runs = {"size": [WIDTH, HEIGHT], "counts": coco_counts(spots().T)}
    frame, _ = one({"segmentation": runs})
    with pytest.raises(DataError, match="E_ANNOTATION_SIZE"):
        frame.label.read(SIZE)
    frame, _ = one({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [5]}})
    with pytest.raises(DataError, match="E_RLE_LENGTH"):
        frame.label.read(SIZE)


@pytest.mark.parametrize(
    "annotation",
    [
        {"segmentation": [[1, 2, float("nan"), 4, 5, 6]]},
        {"segmentation": [[1, 2, float("inf"), 4, 5, 6]]},
        {"segmentation": [[1, 2, 1e300, 4, 5, 6]]},
        {"segmentation": [["x", 2, 3, 4, 5, 6]]},
        {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]},
        {"segmentation": {"counts": [1]}},
        {"segmentation": {"counts": [1], "size": ["a", None]}},
        {"segmentation": "text"},
        {"segmentation": [], "bbox": [1, 2, None, 4]},
        {"bbox": [1, 2, 3]},
        {},
    ],
)
def test_polyp_that_cannot_be_read_leaves_the_frame_without_a_label(annotation):
    frame, ledger = one(annotation)
    assert frame.label == UnknownLabel()
    assert codes(ledger) == ["W_SHAPE_BROKEN"]


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        ({"segmentation": [[4, 4, 9, 9, 4, 4]]}, "W_SHAPE_FLAT"),
        ({"segmentation": [[4, 4]]}, "W_SHAPE_FLAT"),
        ({"bbox": [4, 4, 0, 9]}, "W_SHAPE_FLAT"),
        ({"bbox": [-20, 4, 10, 9]}, "W_SHAPE_OUTSIDE"),
        ({"segmentation": [[100, 1, 110, 1, 110, 10]]}, "W_SHAPE_OUTSIDE"),
    ],
)
def test_shapes_that_show_nothing_are_passed_over(annotation, code):
    frame, ledger = one(annotation)
    assert frame.label == UnknownLabel()  # somebody saw a polyp: not a negative
    assert codes(ledger) == [code]


def test_shapes_are_cut_at_the_frame():
    frame, ledger = one({"bbox": [-5, -0.5, 20, 500]})
    box = frame.label.boxes[0]
    assert (box.x0, box.y0, box.x1, box.y1) == (0, 0, 15, HEIGHT)
    assert codes(ledger) == ["N_SHAPE_CUT"]
    frame, ledger = one({"segmentation": [[-9, -9, 20, -9, 20, 10, -9, 10.4]]})
    assert frame.label.read(SIZE).sum() == 200
    frame, ledger = one({"bbox": [-0.5, 0, 10, HEIGHT + 0.5]})
    assert codes(ledger) == []  # rounding is no remark


def test_polygon_too_small_for_any_pixel_is_told():
    frame, _ = one({"segmentation": [[4.6, 4.6, 4.9, 4.6, 4.9, 4.9]]})
    with pytest.raises(DataError, match="E_SHAPE_NO_PIXEL"):
        frame.label.read(SIZE)


def test_frame_with_a_mask_and_a_box_has_boxes():
    tree = coco(
        {"id": 1, "file_name": "a.png"},
        annotations=[
            {"image_id": 1, "segmentation": [L_SHAPE]},
            {"image_id": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": coco_counts(angle(at=2)[0])}},
            {"image_id": 1, "bbox": [40, 1, 5, 6]},
        ],
    )
    frames, ledger = read_all(CocoReader(), tree)
    found = [(box.x0, box.y0, box.x1, box.y1) for box in frames["a"].label.boxes]
    assert found == [(5, 5, 35, 25), (2, 2, 32, 22), (40, 1, 45, 7)]
    assert codes(ledger) == ["N_MIXED_SHAPES"]


def test_polygon_that_is_its_own_rectangle_is_a_box():
    frame, _ = one({"segmentation": [[4, 5, 14, 5, 14, 20, 4, 20]], "bbox": [4, 5, 10, 15]})
    assert isinstance(frame.label, BoxLabel)
    frame, _ = one({"segmentation": [[4, 5, 14, 5, 14, 20, 4, 20]]})
    assert isinstance(frame.label, MaskLabel)  # nothing says that it was drawn as a box
    frame, _ = one({"segmentation": [[4, 5, 14, 6, 14, 20, 4, 20]], "bbox": [4, 5, 10, 15]})
    assert isinstance(frame.label, MaskLabel)


def test_repeated_annotation_counts_once():
    box = {"image_id": 1, "bbox": [1, 2, 3, 4]}
    frames, ledger = read_all(CocoReader(), coco({"id": 1, "file_name": "a.png"}, annotations=[box, box]))
    assert len(frames["a"].label.boxes) == 1
    assert codes(ledger) == ["W_ANNOTATION_TWICE"]


def test_unannotated_frames_are_negative_only_when_the_user_says_so():
    frame, _ = one()
    assert frame.label == UnknownLabel()
    frame, _ = one(reader=CocoReader.with_options({"unannotated": "negative"}))
    assert frame.label == NegativeLabel()
    instrument = {"bbox": [1, 2, 3, 4], "category_id": 2}
    reader = CocoReader.with_options({"unannotated": "negative"})
    frame, _ = one(instrument, reader=reader, categories=("polyp", "instrument"))
    assert frame.label == NegativeLabel()


def test_frames_of_unknown_classes_never_become_negatives():
    tree = coco(
        {"id": 1, "file_name": "a.png"},
        {"id": 2, "file_name": "b.png"},
        annotations=[
            {"image_id": 1, "bbox": [1, 2, 3, 4], "category_id": 2},
            {"image_id": 2, "bbox": [1, 2, 3, 4], "category_id": 7},
        ],
        categories=("polyp", "Klasse 4"),
    )
    frames, ledger = read_all(CocoReader.with_options({"unannotated": "negative"}), tree)
    assert {frame.label for frame in frames.values()} == {UnknownLabel()}
    assert codes(ledger) == ["W_CLASS_UNKNOWN"] * 2
    assert "Klasse 4" in ledger.lines[0].what


def test_classes_can_be_named():
    drawn = {"bbox": [1, 2, 3, 4], "category_id": 2}
    reader = CocoReader.with_options({"classes": "klasse 4"})
    frame, _ = one(drawn, reader=reader, categories=("polyp", "Klasse 4"))
    assert isinstance(frame.label, BoxLabel)
    frame, _ = one(drawn, reader=CocoReader.with_options({"classes": "polyp"}), categories=("polyp", "Klasse 4"))
    assert frame.label == UnknownLabel()
    with pytest.raises(UsageError, match=r"E_CLASS.*'polypp'.*Did you mean 'polyp'"):
        one(drawn, reader=CocoReader.with_options({"classes": "polypp"}))


def test_the_only_class_is_the_polyp_whatever_it_is_called():
    frame, _ = one({"bbox": [1, 2, 3, 4]}, categories=("object",))
    assert isinstance(frame.label, BoxLabel)


@pytest.mark.parametrize("options", [{"klasses": "a"}, {"classes": " , "}, {"unannotated": "maybe"}])
def test_wrong_options_are_told(options):
    with pytest.raises(UsageError, match="E_OPTION"):
        CocoReader.with_options(options)


def test_split_patient_sequence_and_mode_are_told():
    tree = coco(
        {"id": 1, "file_name": "a.png", "patient": 12, "video_id": "v3", "modality": "NBI"},
        path="annotations/instances_val2017.json",
    )
    frames, _ = read_all(CocoReader(), tree)
    frame = frames["a"]
    assert (frame.split, frame.patient, frame.sequence, frame.mode) == (Split.VALIDATION, "12", "v3", "NBI")


def test_same_name_in_two_folders_is_told_apart_by_the_path_or_not_at_all():
    more = {"one/a.png": png(seed=1), "two/a.png": png(seed=2)}
    frames, _ = read_all(
        CocoReader(), coco({"id": 1, "file_name": "two/a.png"}, more={**more, "images/two/a.png": b""})
    )
    assert frames["two-a"].origin == "two/a.png"
    tree = coco({"id": 1, "file_name": "a.png"}, more=more)
    del tree.contents["images/a.png"]
    frames, ledger = read_all(CocoReader(), tree)
    assert not frames
    assert codes(ledger) == ["E_IMAGE_AMBIGUOUS"]


def test_paths_of_other_machines_and_other_case_are_understood():
    tree = coco({"id": 1, "file_name": "x"}, more={"images/息肉 1.PNG": png()})
    del tree.contents["images/x"]
    for written in ("C:\\Users\\li\\息肉 1.png", "/home/li/images/息肉 1.png", "../../息肉 1.png"):
        value = json.loads(tree.contents["labels.json"])
        value["images"][0]["file_name"] = written
        tree.contents["labels.json"] = json.dumps(value).encode()
        frames, _ = read_all(CocoReader(), tree)
        assert [frame.origin for frame in frames.values()] == ["images/息肉 1.PNG"]


def test_damaged_file_beside_a_good_one_is_left_out():
    tree = coco({"id": 1, "file_name": "a.png"}, more={"other.json": b'{"images": [', "notes.json": b"{}"})
    frames, ledger = read_all(CocoReader(), tree)
    assert set(frames) == {"a"}
    assert codes(ledger) == ["E_JSON"]


def test_masks_are_drawn_only_when_they_are_asked_for(monkeypatch):
    frame, _ = one({"segmentation": [L_SHAPE]})
    monkeypatch.setattr("polypda.importing.annotations.shapes.fill_ring", lambda ring, size: np.ones(size, np.uint8))
    assert frame.label.read(SIZE).all()


def test_file_that_breaks_off_is_told_and_not_taken_for_a_folder_of_images():
    tree = coco({"id": 1, "file_name": "a.png"}, annotations=[{"image_id": 1, "bbox": [1, 2, 3, 4]}])
    tree.contents["labels.json"] = tree.contents["labels.json"][:90]
    reader = reader_for(AUTO, tree, {})
    assert reader.name == "coco"
    with pytest.raises(DataError, match=r"E_JSON labels\.json"):
        read_all(reader, tree)


def test_folders_tell_split_and_patient_where_no_field_does():
    """One JSON per folder, train, valid and test, as Roboflow writes them."""
    files = {}
    for number, part in enumerate(("train", "valid", "test")):
        name = f"患者{number}/f{number}.png"
        value = {"images": [{"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT}], "annotations": []}
        files |= {f"{part}/_annotations.coco.json": json.dumps(value).encode(), f"{part}/{name}": png(seed=number)}
    frames, _ = read_all(CocoReader(), MemoryTree(files))
    told = {frame.split: frame.patient for frame in frames.values()}
    assert told == {Split.TRAIN: "患者0", Split.VALIDATION: "患者1", Split.TEST: "患者2"}


@pytest.mark.parametrize(
    "segmentation",
    [
        L_SHAPE,
        [L_SHAPE],
        [[L_SHAPE]],
        [[list(point) for point in angle()[1]]],
        [list(point) for point in angle()[1]],
        [L_SHAPE, [30.0, 5.0, 30.0, 8.0]],
        [L_SHAPE, []],
    ],
    ids=["flat", "as it should be", "triple", "pairs in a list", "pairs", "with a sliver", "with nothing"],
)
@pytest.mark.parametrize("box", [{}, {"bbox": [0, 0, 50, 30]}], ids=["no box", "box"])
def test_outlines_in_odd_nesting_are_the_outline_and_never_their_box(segmentation, box):
    frame, ledger = one({"segmentation": segmentation, **box})
    assert np.array_equal(frame.label.read(SIZE), angle()[0]) and codes(ledger) == []


@pytest.mark.parametrize("segmentation", [[1, 2, 3], [L_SHAPE, "x"], ["a", "b"], "polygon", [{"counts": [3]}], 7])
def test_segmentation_that_is_no_outline_is_told_and_never_its_box(segmentation):
    frame, ledger = one({"segmentation": segmentation, "bbox": [1, 2, 30, 20]})
    assert frame.label == UnknownLabel() and codes(ledger) == ["W_SHAPE_BROKEN"]


def test_runs_as_floating_point_numbers_or_as_text_are_runs():
    painted = spots()
    pixels = painted.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], pixels, [2]])))
    runs = np.diff(np.concatenate([[0], edges])).tolist()
    for counts in ([float(run) for run in runs], str(runs), str([float(run) for run in runs])):
        frame, _ = one({"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}})
        assert np.array_equal(frame.label.read(SIZE), painted)


def file_of(annotations, *names, categories=("polyp",)):
    value = {
        "images": [{"id": index, "file_name": name} for index, name in enumerate(names, 1)],
        "annotations": annotations,
        "categories": [{"id": index, "name": name} for index, name in enumerate(categories, 1)],
    }
    return json.dumps(value).encode()


DRAWN = {"image_id": 1, "category_id": 1, "segmentation": [L_SHAPE]}
IMAGES = {"a.png": png(), "b.png": png(seed=1)}


def test_captions_do_not_hide_what_is_drawn():
    files = {
        "captions_val.json": file_of([{"image_id": 1, "caption": "a polyp"}], "a.png", "b.png"),
        "image_info.json": file_of([], "a.png", "b.png"),
        "instances_val.json": file_of([DRAWN], "a.png", "b.png"),
    }
    frames, ledger = read_all(CocoReader(), MemoryTree({**files, **IMAGES}))
    assert np.array_equal(frames["a"].label.read(SIZE), angle()[0]) and frames["b"].label == UnknownLabel()
    assert codes(ledger) == ["N_ANNOTATION_UNDRAWN"]


def test_a_image_that_two_files_list_is_taken_from_the_one_that_draws_on_it():
    other = {"image_id": 2, "category_id": 1, "segmentation": [L_SHAPE]}
    files = {"1.json": file_of([other], "a.png", "b.png"), "2.json": file_of([DRAWN], "a.png", "b.png")}
    frames, ledger = read_all(CocoReader(), MemoryTree({**files, **IMAGES}))
    assert all(isinstance(frames[name].label, MaskLabel) for name in "ab") and codes(ledger) == []


def test_what_a_model_predicted_is_no_ground_truth():
    wrong = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3], "score": 0.7}
    files = {"a-detections.json": file_of([wrong], "a.png"), "labels.json": file_of([DRAWN], "a.png")}
    frames, ledger = read_all(CocoReader(), MemoryTree({**files, **IMAGES}))
    assert isinstance(frames["a"].label, MaskLabel) and "E_ANNOTATION_PREDICTION" in codes(ledger)
    alone = MemoryTree({"a-detections.json": files["a-detections.json"], **IMAGES})
    assert reader_for(AUTO, alone, {}).name == "folders"
    with pytest.raises(DataError, match="E_ANNOTATION_PREDICTION"):
        read_all(CocoReader(), alone)
    mixed = MemoryTree({"m.json": file_of([DRAWN, {**wrong, "image_id": 2}], "a.png", "b.png"), **IMAGES})
    frames, ledger = read_all(CocoReader(unannotated=NegativeLabel()), mixed)
    assert isinstance(frames["a"].label, MaskLabel) and frames["b"].label == UnknownLabel()
    assert codes(ledger) == ["W_PREDICTION"]
    certain = MemoryTree({"m.json": file_of([{**DRAWN, "score": 1.0}], "a.png"), "a.png": png()})
    frames, ledger = read_all(CocoReader(), certain)
    assert isinstance(frames["a"].label, MaskLabel) and codes(ledger) == ["W_PREDICTION"]


def test_whether_the_only_class_is_the_polyp_is_decided_over_the_whole_export():
    files = {
        "1.json": file_of([DRAWN], "a.png", categories=("grasper",)),
        "2.json": file_of([DRAWN], "b.png", categories=("bump",)),
    }
    frames, ledger = read_all(CocoReader(), MemoryTree({**files, **IMAGES}))
    assert [frames[name].label for name in "ab"] == [UnknownLabel()] * 2
    assert codes(ledger) == ["W_CLASS_UNKNOWN"] * 2


def test_a_file_that_merely_resembles_coco_stops_no_import():
    files = {"index.json": b'{"images": [{"file_name": "a.png"}], "made_by": "a script"}', **IMAGES}
    assert reader_for(AUTO, MemoryTree(files), {}).name == "folders"


def test_images_of_equal_names_in_the_folders_of_subsets():
    files = {f"annotations/instances_{part}.json": file_of([DRAWN], "a.png") for part in ("Train", "Test")}
    files |= {f"images/{part}/a.png": png(seed=index) for index, part in enumerate(("Train", "Test"))}
    frames, ledger = read_all(CocoReader(), MemoryTree(files))
    assert set(frames) == {"Train-a", "Test-a"} and codes(ledger) == []
    assert {name: frame.split for name, frame in frames.items()} == {"Train-a": Split.TRAIN, "Test-a": Split.TEST}
