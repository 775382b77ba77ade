"""What lies in one folder decides nothing of another's frames: tables, masks and label files of like names."""

import json

import pytest
from importing.painted_sources import frame, lines, mask, put, run_import

from polypda.cohorts.tables import read_frames_csv
from polypda.importing.readers.folder_pairs import pair_up


def sites(source, names="123", *, masks=True):
    """Two sites whose frames are called alike."""
    for place, site in enumerate(("site1", "site2")):
        for name in names:
            put(source / site / "images" / f"{name}.png", frame(10 * place + int(name)))
            if masks:
                put(source / site / "masks" / f"{name}.png", mask())
    return source


def told(result):
    return {name: row.patient for name, row in read_frames_csv(result.folder / "frames.csv").items()}


def test_a_table_speaks_of_the_frames_of_its_own_folder(tmp_path):
    source = sites(tmp_path / "src")
    put(source / "site1/frames.csv", b"frame,patient,split,label_state\n1,p1,train,none\n2,p1,train,\n9,p9,,\n")
    put(source / "site1/boxes.csv", b"frame,x0,y0,x1,y1\n3,1,2,30,20\n")
    result = run_import(source, tmp_path / "root")
    rows = read_frames_csv(result.folder / "frames.csv")
    assert {name: (row.patient, row.split) for name, row in rows.items() if row.patient} == {
        "site1-1": ("p1", "train"),
        "site1-2": ("p1", "train"),
    }
    assert rows["site1-1"].label_state == "none" and rows["site2-1"].label_state == "mask"
    found = lines(result)
    assert found["E_TABLE_NO_FRAME"] == ["site1/frames.csv line 4: 9"]
    assert found["W_TABLE_NO_ROW"] == ["site1/images/3.png", *(f"site2/images/{name}.png" for name in "123")]


def test_each_site_has_its_own_table(tmp_path):
    source = sites(tmp_path / "src")
    for site in ("site1", "site2"):
        put(
            source / site / "meta/frames.csv",
            f"frame,patient\n1,{site}-a\n2.png,{site}-b\nimages/3,{site}-c\n".encode(),
        )
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {}
    assert told(result) == {f"{site}-{n}": f"{site}-{p}" for site in ("site1", "site2") for n, p in ("1a", "2b", "3c")}


def test_boxes_of_one_site_are_not_anothers(tmp_path):
    source = sites(tmp_path / "src", masks=False)
    put(source / "site1/boxes.csv", b"frame,x0,y0,x1,y1\n1,1,2,30,20\n")
    result = run_import(source, tmp_path / "root")
    assert {record.frame for record in result.records if record.boxes} == {"site1-1"}


@pytest.mark.parametrize(
    ("where", "table"),
    [
        ("frames.csv", "frame,patient\n1,p1\nsite2/images/2,p2\n"),
        ("tables/frames.csv", "frame,patient\n1,p1\nsite2/images/2.png,p2\n"),
        ("ranges.csv", "patient,first,last\np1,1,1\n"),
    ],
)
def test_a_row_that_may_mean_several_frames_is_given_to_none(tmp_path, where, table):
    source = sites(tmp_path / "src")
    put(source / where, table.encode())
    result = run_import(source, tmp_path / "root")
    assert lines(result)["E_TABLE_AMBIGUOUS"] == ["site1/images/1.png", "site2/images/1.png"]
    assert told(result)["site2-2"] == (None if "ranges" in where else "p2") and "site1-1" not in told(result)


def test_a_table_elsewhere_speaks_of_the_only_frame_of_a_name(tmp_path):
    put(tmp_path / "src/images/a.png", frame())
    put(tmp_path / "src/more/b.png", frame(1))
    put(tmp_path / "src/tables/groups.csv", b"frame,patient\na,p1\nB.PNG,p2\n")
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert told(result) == {"a": "p1", "b": "p2"} and lines(result) == {}


def test_tables_of_one_folder_tell_together(tmp_path):
    put(tmp_path / "src/images/a.png", frame())
    put(tmp_path / "src/one.csv", b"frame,patient\na,p1\n")
    put(tmp_path / "src/two.csv", b"file,mode\nimages/a.png,NBI\n")
    (row,) = read_frames_csv(run_import(tmp_path / "src", tmp_path / "root").folder / "frames.csv").values()
    assert (row.patient, row.mode) == ("p1", "NBI")


def test_the_masks_of_another_part_are_nobodys(tmp_path):
    source = tmp_path / "src"
    for name in "12":
        put(source / f"train/images/{name}.png", frame(int(name)))
        put(source / f"train/masks/{name}.png", mask())
        put(source / f"test/masks/{name}.png", 255 - mask())
    put(source / "train/images/3.png", frame(3))
    put(source / "test/masks/3.png", 255 - mask())
    result = run_import(source, tmp_path / "root")
    found = lines(result)
    assert found["E_MASK_ORPHAN"] == [f"test/masks/{name}.png" for name in "123"]
    assert found["W_MASK_MISSING"] == ["train/images/3.png"] and "W_MASK_ELSEWHERE" not in found
    pairs = pair_up(["train/images/1.png", "train/masks/1.png", "test/masks/1.png"]).pairs
    assert [pair.masks for pair in pairs] == [["train/masks/1.png"]]


def test_masks_of_another_site_stay_there():
    found = pair_up(["a/images/1.png", "a/masks/1.png", "b/masks/1.png", "b/masks/image_1.png"])
    assert [pair.masks for pair in found.pairs] == [["a/masks/1.png"]]
    assert found.orphans == ["b/masks/1.png", "b/masks/image_1.png"]


def test_masks_of_another_place_are_told(tmp_path):
    for name in "ab":
        put(tmp_path / f"src/ward/{name}.png", frame(ord(name)))
        put(tmp_path / f"src/masks/{name}.png", mask())
    result = run_import(tmp_path / "src", tmp_path / "root")
    (line,) = [line for line in result.summary.lines if line.code == "W_MASK_ELSEWHERE"]
    assert (line.origin, line.what[:40]) == ("masks", "2 masks were taken for images in 'ward',")
    assert all(record.polyp for record in result.records) and result.summary.everything_taken


def test_arrays_of_another_site_are_no_masks_of_a_bare_image(tmp_path):
    import io

    import numpy as np

    data = io.BytesIO()
    np.save(data, mask())
    source = sites(tmp_path / "src", "1")
    (source / "site2/masks/1.png").unlink()
    put(source / "site1/masks/1.npy", data.getvalue())
    result = run_import(source, tmp_path / "root")
    assert {record.frame for record in result.records if record.mask} == {"site1-1"}


@pytest.mark.parametrize("suffix", [".txt", ".xml"])
def test_label_files_of_another_place_are_not_an_images(tmp_path, suffix):
    box = "0 0.5 0.5 0.2 0.2\n"
    if suffix == ".xml":
        corners = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        box = f"<annotation><object><name>polyp</name>{corners}</object></annotation>"
    source = sites(tmp_path / "sites", "1")
    (source / "site2/masks/1.png").unlink()
    put(source / f"site1/labels/1{suffix}", box.encode())
    result = run_import(source, tmp_path / "root")
    assert not any(record.boxes for record in result.records)
    parts = tmp_path / "parts"
    put(parts / "train/images/1.png", frame())
    put(parts / f"test/labels/1{suffix}", box.encode())
    assert not any(record.boxes for record in run_import(parts, tmp_path / "root", "ward-8").records)
    put(parts / f"train/labels/1{suffix}", box.encode())
    assert all(record.boxes for record in run_import(parts, tmp_path / "root", "ward-9").records)


def test_annotations_of_another_part_are_not_an_images(tmp_path):
    box = {"label": "polyp", "shape_type": "rectangle", "points": [[2, 2], [9, 9]]}
    put(tmp_path / "src/train/1.png", frame())
    for part in ("test", "train"):
        told = {"imagePath": "1.png", "imageData": None, "shapes": [box] if part == "test" else []}
        put(tmp_path / f"src/{part}/1.json", json.dumps(told).encode())
    result = run_import(tmp_path / "src", tmp_path / "root", format="labelme")
    assert lines(result) == {"E_IMAGE_MISSING": ["test/1.json"]}
    assert [record.label_state for record in result.records] == ["negative"]
