"""Folders of frames and masks in the common ways of naming them."""

import numpy as np
import pytest
from importing.painted_sources import HEIGHT, WIDTH, encoded, frame, lines, mask, put, run_import, write_pairs

from polypda.errors import DataError, UsageError
from polypda.importing.readers.folder_pairs import pair_up

PAIRED = {
    "images and masks": ("images/a.jpg", "masks/a.png"),
    "image and mask": ("image/a.jpg", "mask/a.jpg"),
    "imgs and labels": ("imgs/a.jpg", "labels/a.png"),
    "ClinicDB": ("Original/1.tif", "Ground Truth/1.tif"),
    "BKAI": ("train/train/a.jpeg", "train_gt/train_gt/a.jpeg"),
    "PolypGen": ("images_C4/a.jpg", "masks_C4/a_mask.jpg"),
    "suffix beside": ("a.jpg", "a_mask.png"),
    "prefix beside": ("a.jpg", "mask_a.png"),
    "same stem, lossless": ("a.jpg", "a.png"),
    "split first": ("train/images/a.jpg", "train/masks/a.png"),
    "split last": ("images/train/a.jpg", "masks/train/a.png"),
    "class folders of masks": ("images/a.jpg", "masks/adenoma/a.png"),
    "class folders of both": ("images/adenoma/a.jpg", "masks/adenoma/a.png"),
    "a folder for each frame": ("7/images/7.png", "7/masks/one lesion.png"),
    "a lesion each": ("images/a.jpg", "masks/a_1.png"),
    "camel case": ("OriginalImages/a.jpg", "GroundTruth/a.png"),
    "Chinese": ("图像/病例.jpg", "掩码/病例.png"),
    "letters of two kinds": ("images/A\u0308.jpg", "masks/Ä.png"),
    "mask numbered, image alone": ("image.jpeg", "mask_1.jpeg"),
    "mask numbered, image alone in its folder": ("7/image.jpeg", "7/mask_1.jpeg"),
    "both numbered": ("image_1.jpeg", "mask_1.jpeg"),
    "both numbered in folders": ("c1/images/img-1.jpeg", "c1/masks/gt-1.jpeg"),
    "upper case": ("Images/IMG1.JPG", "Masks/img1.PNG"),
}


@pytest.mark.parametrize("way", PAIRED)
def test_common_ways_of_naming(way):
    image, label = PAIRED[way]
    found = pair_up(sorted([image, label]))
    assert [(pair.image, pair.masks) for pair in found.pairs] == [(image, [label])] and found.orphans == []


def test_like_stems_in_several_places_are_kept_apart():
    images = [f"{part}/{kind}/1.png" for part in ("train", "test") for kind in ("images", "masks")]
    found = pair_up(images)
    assert {pair.image: pair.masks for pair in found.pairs} == {
        "train/images/1.png": ["train/masks/1.png"],
        "test/images/1.png": ["test/masks/1.png"],
    }


def test_masks_are_not_given_to_the_wrong_image():
    found = pair_up(["images/a.png", "images/a_1.png", "masks/a.png", "masks/a_1.png", "masks/a_2.png", "masks/b.png"])
    assert {pair.image: pair.masks for pair in found.pairs} == {
        "images/a.png": ["masks/a.png"],
        "images/a_1.png": ["masks/a_1.png"],
    }
    assert found.orphans == ["masks/a_2.png", "masks/b.png"]


def test_several_lesions_are_joined_and_told(tmp_path):
    source = tmp_path / "src"
    put(source / "images/a.jpg", frame())
    for index, name in enumerate(("a_1", "a_2")):
        drawn = mask() * 0
        drawn[:, index * 20 : index * 20 + 5] = 255
        put(source / f"masks/{name}.png", drawn)
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {"W_MASK_JOINED": ["images/a.jpg"]} and result.summary.everything_taken
    from polypda.cohorts.images import read_mask

    assert read_mask(result.folder / "masks/a.png").sum() == 40 * 10


def rows(result):
    text = (result.folder / "frames.csv").read_text(encoding="utf-8")
    header, *table = [line.split(",") for line in text.splitlines()]
    return {row[0]: dict(zip(header, row, strict=True)) for row in table}


def test_negatives_sequences_and_unlabelled_by_their_folders(tmp_path):
    source = write_pairs(tmp_path / "src", ("a", "b"))
    put(source / "negative/seq1_neg/n1.jpg", frame(3))
    put(source / "negative/seq2_neg/n2.jpg", frame(4))
    put(source / "unlabelled/video 3/u.jpg", frame(5))
    result = run_import(source, tmp_path / "root")
    told = {name: (row["label_state"], row["sequence"]) for name, row in rows(result).items()}
    assert told == {
        "a": ("mask", ""),
        "b": ("mask", ""),
        "n1": ("negative", "seq1_neg"),
        "n2": ("negative", "seq2_neg"),
        "u": ("none", "video 3"),
    }
    assert lines(result) == {}


def test_the_sources_own_name_counts(tmp_path):
    put(tmp_path / "negative" / "n.jpg", frame())
    assert rows(run_import(tmp_path / "negative", tmp_path / "root"))["n"]["label_state"] == "negative"


def test_an_image_without_a_mask_is_unlabelled_unless_told_otherwise(tmp_path):
    source = write_pairs(tmp_path / "src", ("a",))
    put(source / "images/b.jpg", frame(1))
    result = run_import(source, tmp_path / "one")
    assert lines(result) == {"W_MASK_MISSING": ["images/b.jpg"]} and rows(result)["b"]["label_state"] == "none"
    for number, option in enumerate(({"unmasked": "negative"}, {"negatives": "images/b*"})):
        result = run_import(source, tmp_path / f"n{number}", options=option)
        assert lines(result) == {} and rows(result)["b"]["label_state"] == "negative"


def test_splits_and_modes_by_folders(tmp_path):
    source = tmp_path / "src"
    for part, mode in (("train", "WL"), ("val", "NBI"), ("Test", "nbi")):
        put(source / part / mode / "images" / f"{part}.jpg", frame())
        put(source / part / mode / "masks" / f"{part}.png", mask())
    told = {name: (row["split"], row["mode"]) for name, row in rows(run_import(source, tmp_path / "root")).items()}
    assert told == {"train": ("train", "WL"), "val": ("validation", "NBI"), "Test": ("test", "NBI")}


def test_a_folder_called_train_alone_is_no_split(tmp_path):
    source = tmp_path / "train"
    write_pairs(source / "train", ("a", "b"))
    assert {row["split"] for row in rows(run_import(source, tmp_path / "root")).values()} == {""}


def test_like_stems_get_their_place_into_the_name(tmp_path):
    source = tmp_path / "src"
    for part in ("seq1", "seq2"):
        put(source / "frames" / part / "001.jpg", frame())
    assert list(rows(run_import(source, tmp_path / "root"))) == ["seq1-001", "seq2-001"]


def test_an_orphaned_mask_is_told(tmp_path):
    source = write_pairs(tmp_path / "src", ("a",))
    put(source / "masks/z.png", mask())
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {"E_MASK_ORPHAN": ["masks/z.png"]} and not result.summary.everything_taken


def test_two_images_of_one_name(tmp_path):
    source = tmp_path / "src"
    put(source / "images/a.png", frame(1))
    put(source / "images/a.bmp", frame(2))
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {"E_FRAME_TWICE": ["images/a.png"]} and result.summary.taken == 1


TABLE = "图像;患者编号;视频;划分\na.jpg;甲;v1;训练集\nimages/b.jpg;乙;v2;test\nC;乙;v2;测试\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_a_table_of_groups_in_any_encoding(tmp_path, encoding, separator):
    source = write_pairs(tmp_path / "src")
    put(source / "groups.csv", TABLE.replace(";", separator).encode(encoding))
    result = run_import(source, tmp_path / "root")
    told = {name: (row["patient"], row["sequence"], row["split"]) for name, row in rows(result).items()}
    assert told == {"a": ("甲", "v1", "train"), "b": ("乙", "v2", "test"), "c": ("乙", "v2", "test")}
    assert lines(result) == {}


def test_what_is_wrong_with_a_table_is_told_line_by_line(tmp_path):
    source = write_pairs(tmp_path / "src", ("a", "b", "c", "d"))
    table = "frame,patient,split\na,p1,train\na,p2,train\nb,p1,Oslo\nnone,p3,\n,p4,\nc,p5,\n"
    put(source / "groups.csv", table.encode())
    put(source / "broken.csv", b"frame,patient\n\xff\xff\xff,1\n")
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {
        "E_TABLE_ENCODING": ["broken.csv"],
        "E_TABLE_ROW": ["groups.csv line 4", "groups.csv line 6"],
        "E_TABLE_TWICE": ["images/a.jpg"],
        "E_TABLE_NO_FRAME": ["groups.csv line 5: none"],
        "W_TABLE_NO_ROW": ["images/b.jpg", "images/d.jpg"],
    }
    assert rows(result)["c"]["patient"] == "p5"


def test_other_tables_and_texts_are_no_tables_of_frames(tmp_path):
    source = write_pairs(tmp_path / "src", ("a",))
    put(source / "README.txt", b"This, is a text; with commas.\nframe, patient\n")
    put(source / "numbers.csv", b"1,2\n3,4\n")
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {} and result.summary.everything_taken


def test_an_ordinary_cohort_folder_imports_as_itself(tmp_path):
    source = tmp_path / "src"
    for name, number in (("m", 1), ("x", 2), ("n", 3), ("u", 4)):
        put(source / f"images/{name}.jpg", frame(number))
    put(source / "masks/m.png", mask())
    put(source / "ignore/m.png", mask())
    put(source / "contact-sheet.png", frame(9))
    put(source / "frames.csv", b"frame,patient,label_state,mode\nm,p,mask,WL\nx,p,box,NBI\nn,q,negative,\nu,q,none,\n")
    put(source / "boxes.csv", b"frame,x0,y0,x1,y1,label\nx,1,2,30,20,adenoma\nx,5,6,10,12.5,\n")
    result = run_import(source, tmp_path / "root")
    assert lines(result) == {}
    assert {name: (row["label_state"], row["mode"]) for name, row in rows(result).items()} == {
        "m": ("mask", "WL"),
        "n": ("negative", ""),
        "u": ("none", ""),
        "x": ("box", "NBI"),
    }
    assert (result.folder / "boxes.csv").read_text() == (
        "frame,x0,y0,x1,y1,label\nx,1,2,30,20,adenoma\nx,5,6,10,12.5,\n"
    )


@pytest.mark.parametrize(
    ("box", "code"), [("9,9,9,20", "E_BOX_WRONG"), ("9,9,90,20", "E_BOX_OUTSIDE"), ("-5,9,20,20", "E_BOX_OUTSIDE")]
)
def test_boxes_that_cannot_be(tmp_path, box, code):
    put(tmp_path / "src/images/a.jpg", frame())
    put(tmp_path / "src/boxes.csv", f"frame,x0,y0,x1,y1\na,{box}\n".encode())
    with_neighbour = put(tmp_path / "src/images/b.jpg", frame(1))
    assert with_neighbour.is_file()
    assert lines(run_import(tmp_path / "src", tmp_path / "root")) == {code: ["images/a.jpg"]}


def test_wrong_options(tmp_path):
    source = write_pairs(tmp_path / "src")
    for options in ({"polip": "1"}, {"unmasked": "yes"}):
        with pytest.raises(UsageError, match="E_OPTION"):
            run_import(source, tmp_path / "root", format="folders", options=options)


def test_no_image_at_all(tmp_path):
    put(tmp_path / "src/notes.txt", b"nothing")
    with pytest.raises(DataError, match="E_FORMAT_UNKNOWN"):
        run_import(tmp_path / "src", tmp_path / "root")
    with pytest.raises(DataError, match="E_SOURCE_EMPTY"):
        run_import(tmp_path / "src", tmp_path / "root", format="folders")
    put(tmp_path / "src/broken.jpg", encoded(frame())[:50])
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert result.folder is None and lines(result) == {"E_IMAGE_TRUNCATED": ["broken.jpg"]}
    assert not (tmp_path / "root").exists()


def test_names_that_differ_in_case_alone_are_told_apart(tmp_path):
    for number, stem in enumerate(("CaseX", "caseX")):
        put(tmp_path / "src" / "images" / f"{stem}.png", frame(number))
        drawn = mask() if number else np.zeros((HEIGHT, WIDTH), np.uint8)
        put(tmp_path / "src" / "masks" / f"{stem}.png", drawn)
    result = run_import(tmp_path / "src", tmp_path / "root")
    polyps = {record.frame.partition("_")[0]: record.polyp for record in result.records}
    assert len(result.records) == 2 and sorted(polyps.values()) == [False, True] and result.summary.everything_taken


def test_unread_annotations_are_told_where_no_frame_has_a_label(tmp_path):
    put(tmp_path / "src" / "a.png", frame())
    put(tmp_path / "src" / "project.json", b'{"_via_img_metadata": {}}')
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert lines(result) == {"E_ANNOTATION_UNKNOWN": ["project.json"]} and not result.summary.everything_taken
    # a cohort of this software's own, with its records, is no stranger
    again = run_import(tmp_path / "root" / "ward-7", tmp_path / "again", format="folders")
    assert again.summary.everything_taken, lines(again)
    put(tmp_path / "src" / "masks" / "a.png", mask())
    assert run_import(tmp_path / "src", tmp_path / "root", "ward-8").summary.everything_taken


def test_masks_named_by_task_point_to_the_export_that_tells_the_image(tmp_path):
    put(tmp_path / "src" / "images" / "a.png", frame())
    put(tmp_path / "src" / "images" / "b.png", frame(1))
    put(tmp_path / "src" / "masks" / "task-1-annotation-101-by-1-tag-Polyp-0.png", mask())
    result = run_import(tmp_path / "src", tmp_path / "root")
    (orphan,) = [line for line in result.summary.lines if line.code == "E_MASK_ORPHAN"]
    assert "export the project as JSON" in orphan.fix


def test_numbered_masks_go_to_the_image_of_their_number():
    found = pair_up(["image_1.jpg", "image_2.jpg", "mask_1.jpg", "mask_2.jpg", "mask_3.jpg"])
    assert {pair.image: pair.masks for pair in found.pairs} == {
        "image_1.jpg": ["mask_1.jpg"],
        "image_2.jpg": ["mask_2.jpg"],
    }
    assert found.orphans == ["mask_3.jpg"]


def test_pointers_of_git_lfs_are_called_so(tmp_path):
    source = write_pairs(tmp_path / "src")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n".encode()
    put(source / "images/b.jpg", pointer)
    put(source / "masks/c.png", pointer)
    told = lines(run_import(source, tmp_path / "root"))
    assert told["E_IMAGE_LFS_POINTER"] == ["images/b.jpg"] and told["E_MASK_LFS_POINTER"] == ["images/c.jpg"]
