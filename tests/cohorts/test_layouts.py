"""Each release's own layout becomes frames, with pairs, groups and splits."""

import logging

import numpy as np
import pytest
from support.painted_cohorts import paint_frame, paint_mask, save, save_minisblack_tif, write_ordinary, write_release

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.frames import LabelState, Split
from polypda.cohorts.images import read_image, read_mask
from polypda.cohorts.layouts import Located, find_frames
from polypda.cohorts.manifest import Layout, MaskFiles, Unmasked
from polypda.cohorts.opening import open_cohort, present
from polypda.errors import DataError


def ids(opened):
    return [frame.frame for frame in opened.frames]


def test_ordinary_folder_in_natural_order(tmp_path):
    write_ordinary(tmp_path, stems=("img10", "img2", "img1"))
    opened = open_cohort("zju2", tmp_path)
    assert ids(opened) == ["img1", "img2", "img10"]
    assert [frame.mask.name for frame in opened.frames] == ["img1.png", "img2.png", "img10.png"]
    assert {frame.label_state for frame in opened.frames} == {LabelState.MASK}
    assert opened.root == tmp_path / "zju2" and not opened.phantom and present("zju2", tmp_path)


def test_names_that_are_not_ascii(tmp_path):
    write_ordinary(tmp_path, stems=("息肉 1", "Ärztin"))
    assert set(ids(open_cohort("zju2", tmp_path))) == {"息肉 1", "Ärztin"}
    assert read_mask(open_cohort("zju2", tmp_path).frames[0].mask).max() == 1


def test_phantom_marker_makes_a_phantom_and_wins_over_a_release(tmp_path):
    write_ordinary(tmp_path, "cvc-clinicdb", stems=("p1-0001", "p1-0002"))
    (tmp_path / "cvc-clinicdb" / "PHANTOM.json").write_text("{}")
    opened = open_cohort("cvc-clinicdb", tmp_path)  # the release's table would refuse these names
    assert opened.phantom and ids(opened) == ["p1-0001", "p1-0002"]


@pytest.mark.parametrize("cohort", ["sun", "zju2-2021-jiefang", "polypsset", "kvasir", "polypgen-c5"])
def test_every_cohort_may_be_an_ordinary_folder(cohort, tmp_path):
    write_ordinary(tmp_path, cohort)
    assert len(open_cohort(cohort, tmp_path).frames) == 3


def test_polypgen_redistribution(tmp_path):
    write_release(tmp_path / "polypgen/C1", ("100H0050", "1 2"), "images/{}.jpg".format, "masks/{}_mask.jpg".format)
    opened = open_cohort("polypgen-c1", tmp_path)
    assert ids(opened) == ["1 2", "100H0050"]
    assert opened.frames[1].mask.name == "100H0050_mask.jpg" and opened.frames[1].cluster is None


def test_polypgen_original(tmp_path):
    folder = tmp_path / "PolypGen/data_C6"
    write_release(folder, ("a", "b"), "images_C6/{}.jpg".format, "masks_C6/{}_mask.jpg".format)
    assert ids(open_cohort("polypgen-c6", tmp_path)) == ["a", "b"]


def test_kvasir_prefixes_are_the_split_and_the_twin_is_left_out(tmp_path):
    stems = ("train_222", "train_1", "validation_0", "test_16", "test_7")
    write_release(tmp_path / "kvasir-seg-352", stems, "images/{}.jpg".format, "masks/{}.jpg".format)
    opened = open_cohort("kvasir", tmp_path)
    assert opened.counts() == {"train": 2, "validation": 1, "test": 1}
    assert "test_16" not in ids(opened)


def test_clinicdb_original_tif_with_the_sequence_table(tmp_path):
    frame = paint_frame(1)
    for number in (25, 26, 50):
        save_minisblack_tif(tmp_path / f"CVC-ClinicDB/Original/{number}.tif", frame)
        save_minisblack_tif(tmp_path / f"CVC-ClinicDB/Ground Truth/{number}.tif", np.dstack([paint_mask()] * 3))
    opened = open_cohort("cvc-clinicdb", tmp_path)
    assert [(f.frame, f.sequence) for f in opened.frames] == [("25", "1"), ("26", "2"), ("50", "2")]
    assert opened.frames[1].split is opened.frames[2].split
    assert np.array_equal(read_image(opened.frames[0].image), frame)
    assert np.array_equal(read_mask(opened.frames[0].mask), paint_mask() // 255)


def test_clinicdb_frame_outside_the_table_is_refused(tmp_path):
    write_release(tmp_path / "cvc-clinicdb", ("1", "613"), "images/{}.jpg".format, "masks/{}.png".format)
    with pytest.raises(DataError, match="'613'") as caught:
        open_cohort("cvc-clinicdb", tmp_path)
    assert caught.value.code == "E_SEQUENCE_UNKNOWN"


def test_colondb_masks_beside_the_images(tmp_path):
    write_release(tmp_path / "CVC-ColonDB", ("1", "2", "10"), "{}.tiff".format, "p{}.tiff".format)
    opened = open_cohort("cvc-colondb", tmp_path)
    assert [(f.frame, f.mask.name) for f in opened.frames] == [("1", "p1.tiff"), ("2", "p2.tiff"), ("10", "p10.tiff")]


def test_etis_original(tmp_path):
    folder = tmp_path / "ETIS-LaribPolypDB"
    write_release(folder, ("1", "2"), "ETIS-LaribPolypDB/{}.tif".format, "Ground Truth/p{}.tif".format)
    assert [frame.mask.name for frame in open_cohort("etis-larib", tmp_path).frames] == ["p1.tif", "p2.tif"]


def test_piccolo_folders_are_the_split(tmp_path):
    for part in ("train", "validation", "test"):
        folder = tmp_path / "PICCOLO" / part
        write_release(folder, (f"{part}7",), "polyps/{}.png".format, "masks/{}_Corrected.tif".format)
    opened = open_cohort("piccolo", tmp_path)
    assert {frame.frame: frame.split.value for frame in opened.frames} == {
        "train7": "train", "validation7": "validation", "test7": "test"
    }  # fmt: skip


def test_bkai_colours_both_count_and_scenes_stay_together(tmp_path):
    stems = ("7dd17ba487d4878a9bf8a6f4d4987ea3", "21fbbec5a215f0f235a823d5349ab65a", "other")
    disc = paint_mask((192, 256))  # in a smaller mask, the rim that JPEG blurs would be a larger share
    left = np.arange(disc.shape[1]) < disc.shape[1] // 2
    coloured = np.dstack([disc * left, disc * ~left, np.zeros_like(disc)])
    write_release(tmp_path / "bkai-neopolyp", stems, "images/{}.jpeg".format, "masks/{}.jpeg".format, coloured)
    frames = {frame.frame: frame for frame in open_cohort("bkai-neopolyp", tmp_path).frames}
    assert np.mean(read_mask(frames["other"].mask) != disc // 255) < 0.02  # JPEG moves the rim a little
    assert frames[stems[0]].cluster == frames[stems[1]].cluster is not None
    assert frames[stems[0]].split is frames[stems[1]].split
    assert frames["other"].cluster is None


def test_folder_without_masks_can_declare_its_frames_negative(tmp_path):
    write_release(tmp_path / "neg", ("seq1_img1", "seq1_img2"), "seq1_neg/{}.jpg".format, None)
    pattern = r"(?P<sequence>seq\d+)_neg/(?P<frame>.+)"
    layout = Layout(
        name="negatives", verified=True, folders=("neg",), images=("seq*_neg/*",), frame=pattern,
        unmasked=Unmasked.NEGATIVE,
    )  # fmt: skip
    found = find_frames(manifest("polypgen-c1"), Located(layout, tmp_path / "neg", False, None), labels=True)
    assert {frame.label_state for frame in found.frames} == {LabelState.NEGATIVE}
    assert {frame.sequence for frame in found.frames} == {"seq1"} and not found.without_mask


@pytest.mark.parametrize("values", [(0, 1), (3, 252), (0, 255)])
def test_mask_value_ranges(tmp_path, values):
    low, high = values
    path = tmp_path / "m.png"
    save(path, np.where(paint_mask() > 0, high, low).astype(np.uint8))
    assert np.array_equal(read_mask(path), paint_mask() // 255)


def test_external_files_are_passed_over_and_capital_suffixes_count(tmp_path):
    folder = write_ordinary(tmp_path, stems=("a",))
    (folder / "images" / "._a.jpg").write_bytes(b"\0")
    (folder / "images" / "Thumbs.db").write_bytes(b"\0")
    (folder / "images" / "a.jpg").rename(folder / "images" / "a.JPG")
    assert ids(open_cohort("zju2", tmp_path)) == ["a"]


def test_two_images_of_one_frame_are_refused(tmp_path):
    folder = write_ordinary(tmp_path, stems=("a",))
    save(folder / "images" / "a.png", paint_frame(3))
    with pytest.raises(DataError) as caught:
        open_cohort("zju2", tmp_path)
    assert caught.value.code == "E_FRAME_TWICE" and "a.jpg" in str(caught.value) and "a.png" in str(caught.value)


def test_name_that_does_not_fit_is_refused(tmp_path):
    write_release(tmp_path / "kvasir-seg-352", ("train_1", "train_x"), "images/{}.jpg".format, "masks/{}.jpg".format)
    with pytest.raises(DataError) as caught:
        open_cohort("kvasir", tmp_path)
    assert caught.value.code == "E_FRAME_NAME" and caught.value.where.endswith("train_x.jpg")


def test_mask_without_image_is_reported(tmp_path, caplog):
    folder = write_ordinary(tmp_path)
    save(folder / "masks" / "stray.png", paint_mask())
    with caplog.at_level(logging.WARNING):
        assert len(open_cohort("zju2", tmp_path).frames) == 3
    assert "stray.png" in caplog.text


def test_split_of_official_layout_survives_without_labels(tmp_path):
    write_release(tmp_path / "kvasir-seg-352", ("train_1", "test_1"), "images/{}.jpg".format, None)
    opened = open_cohort("kvasir", tmp_path, labels=False)
    assert {frame.frame: frame.split for frame in opened.frames} == {"train_1": Split.TRAIN, "test_1": Split.TEST}


def test_mask_pattern_must_name_a_frame():
    with pytest.raises(ValueError, match="frame"):
        MaskFiles(files=("masks/*",), frame=r".*_mask")
