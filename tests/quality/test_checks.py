"""Each quirk and each defect of a cohort's files becomes its own finding."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.painted_cohorts import HEIGHT, WIDTH, paint_frame, paint_mask, save, write_ordinary, write_release

from polypda.cohorts.images import MaskFile, file_bytes, inspect_mask, mask_size_error
from polypda.cohorts.stored_masks import decode_mask
from polypda.errors import DataError
from polypda.quality.checking.check_cohorts import check_cohort, check_cohorts
from polypda.quality.checking.cohort_view import Severity
from polypda.quality.fingerprints import fingerprint
from polypda.quality.near_duplicates import find_alike


def inspected(path: Path) -> MaskFile:
    return inspect_mask(decode_mask(file_bytes(path, "E_MASK"), str(path)))


def findings(tmp_path, cohort="zju2"):
    return {finding.code: finding for finding in check_cohort(cohort, tmp_path).findings}


def test_sound_cohort_has_no_errors_but_is_not_the_declared_one(tmp_path):
    write_ordinary(tmp_path)
    report = check_cohort("zju2", tmp_path)
    told = {finding.code: finding for finding in report.findings}
    assert not report.has_errors and report.layout == "ordinary cohort folder"
    assert "3 frames, 3000 expected" in told["W_COUNT"].message
    assert told["W_SIZE"].frames == ("f1", "f2", "f3") and "720×576" in told["W_SIZE"].message
    assert f"{WIDTH}×{HEIGHT} (3)" in told["N_SIZES"].message
    assert "W_CLUSTER_UNKNOWN" in told and "N_SPLIT" in told
    assert "N_MASK_GREY" not in told and "N_MASK_CHANNELS" not in told and "W_MASK_OUTSIDE" not in told


def test_gravest_come_first_and_progress_is_told(tmp_path):
    folder = write_ordinary(tmp_path)
    (folder / "masks" / "f1.png").write_bytes(b"no picture")
    steps = []
    report = check_cohort("zju2", tmp_path, on_frame=lambda done, every: steps.append((done, every)))
    order = [list(Severity).index(finding.severity) for finding in report.findings]
    assert order == sorted(order) and order[0] == 0
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_unreadable_files(tmp_path):
    folder = write_ordinary(tmp_path)
    (folder / "images" / "f1.jpg").write_bytes(b"no picture at all")
    (folder / "masks" / "f2.png").write_bytes(b"")
    told = findings(tmp_path)
    assert told["E_IMAGE_UNREADABLE"].frames == ("f1",)
    assert told["E_MASK_EMPTY_FILE"].frames == ("f2",)
    assert told["E_IMAGE_UNREADABLE"].severity is Severity.ERROR


def test_files_that_end_too_early_are_not_taken_for_whole(tmp_path):
    folder = write_ordinary(tmp_path)
    for path in (folder / "images" / "f1.jpg", folder / "masks" / "f2.png"):
        path.write_bytes(path.read_bytes()[:-12])
    told = findings(tmp_path)
    assert told["E_IMAGE_TRUNCATED"].frames == ("f1",)
    assert {"f2"} == {
        f for code in ("E_MASK_TRUNCATED", "E_MASK_UNREADABLE") if code in told for f in told[code].frames
    }


def test_patient_in_two_parts_is_a_finding_and_the_check_goes_on(tmp_path):
    write_ordinary(tmp_path, table="frame,patient,split\nf1,p,train\nf2,p,test\nf3,q,validation\n")
    report = check_cohort("zju2", tmp_path)
    told = {finding.code: finding for finding in report.findings}
    assert told["E_SPLIT_LEAK"].leak and "patient p" in told["E_SPLIT_LEAK"].message
    assert not report.has_errors and report.leaks and "N_SIZES" in told


def test_exif_orientation_is_told(tmp_path):
    from PIL import Image

    folder = write_ordinary(tmp_path)
    path = folder / "images" / "f2.jpg"
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    assert findings(tmp_path)["W_ORIENTATION"].values == {"f2": "orientation 6"}


def test_mask_of_another_size(tmp_path):
    folder = write_ordinary(tmp_path)
    save(folder / "masks" / "f2.png", paint_mask((HEIGHT, WIDTH - 8)))
    told = findings(tmp_path)
    assert told["E_MASK_SIZE"].frames == ("f2",)
    assert "mask 56×48 but image 64×48" in told["E_MASK_SIZE"].message
    assert "4 px left and right" in told["E_MASK_SIZE"].message


@pytest.mark.parametrize(
    ("image", "mask", "hint"),
    [
        ((720, 576), (704, 576), "cropped picture (8 px left and right)"),
        ((720, 576), (704, 560), "cropped picture (8 px left and right, 8 px above and below)"),
        ((704, 576), (720, 576), "before the image was cropped (8 px left and right)"),
        ((720, 576), (360, 288), "scaled by 0.50"),
        ((720, 576), (1440, 1152), "scaled by 2.00"),
        ((720, 576), (576, 720), "turned by 90°"),
    ],
)
def test_size_hints(image, mask, hint):
    error = mask_size_error("haining/0412.png", image, mask)
    assert hint in error.what and error.code == "E_MASK_SIZE" and error.fix


def test_size_without_a_hint_guesses_nothing():
    assert "Looks" not in mask_size_error("x", (720, 576), (100, 500)).what


def test_grey_mask_is_no_binary_mask(tmp_path):
    folder = write_ordinary(tmp_path)
    save(folder / "masks" / "f3.png", np.full((HEIGHT, WIDTH), 120, np.uint8))
    told = findings(tmp_path)
    assert told["E_MASK_CLASS"].frames == ("f3",)


def test_jpeg_masks_with_several_channels_are_noted(tmp_path):
    stems = ("a", "b", "c")
    three = np.dstack([paint_mask()] * 3)
    write_release(tmp_path / "polypgen/C2", stems, "images/{}.jpg".format, "masks/{}_mask.jpg".format, three)
    told = findings(tmp_path, "polypgen-c2")
    assert told["N_MASK_CHANNELS"].frames == stems and told["N_MASK_GREY"].frames == stems
    assert "N_MASK_COLOURED" not in told and not check_cohort("polypgen-c2", tmp_path).has_errors


def test_colour_coded_mask_is_told_from_grey_in_three_channels(tmp_path):
    disc = paint_mask()
    save(tmp_path / "red.png", np.dstack([disc, disc * 0, disc * 0]))
    save(tmp_path / "grey.png", np.dstack([disc] * 3))
    red, grey = inspected(tmp_path / "red.png"), inspected(tmp_path / "grey.png")
    assert (red.coloured, red.channels, red.grey_fraction) == (True, 3, 0.0)
    assert (grey.coloured, grey.channels) == (False, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_fractions_are_counted(tmp_path, suffix):
    values = np.zeros((10, 10), np.uint8)
    values[0, :4], values[1, :2], values[2, :5] = 7, 100, 255
    save(tmp_path / f"m{suffix}", values)
    file = inspected(tmp_path / f"m{suffix}")
    assert (file.grey_fraction, file.ambiguous_fraction) == (0.06, 0.02)
    assert (file.width, file.height, file.channels) == (10, 10, 1)


def test_zero_and_one_is_binary(tmp_path):
    save(tmp_path / "m.png", paint_mask() // 255)
    assert inspected(tmp_path / "m.png").grey_fraction == 0


def test_gone_mask_has_its_own_code(tmp_path):
    with pytest.raises(DataError) as caught:
        inspected(tmp_path / "gone.png")
    assert caught.value.code == "E_MASK_MISSING"


def test_pairs_that_miss_a_half(tmp_path):
    folder = write_ordinary(tmp_path)
    (folder / "masks" / "f1.png").rename(folder / "masks" / "g1.png")
    told = findings(tmp_path)
    assert told["E_MASK_MISSING"].frames == ("f1",) and told["E_MASK_MISSING"].severity is Severity.ERROR
    assert told["W_MASK_ORPHAN"].frames == ("g1.png",)


def test_empty_masks_and_negatives(tmp_path):
    table = "frame,label_state\nf1,negative\nf2,negative\nf3,\n"
    folder = write_ordinary(tmp_path, table=table)
    for stem in ("f2", "f3"):
        save(folder / "masks" / f"{stem}.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    told = findings(tmp_path)
    assert told["E_NEGATIVE_MASK"].frames == ("f1",)
    assert told["N_NEGATIVE"].frames == ("f1", "f2")
    assert told["N_MASK_EMPTY"].frames == ("f3",)


def test_mask_outside_the_field_of_view(tmp_path):
    folder = write_ordinary(tmp_path)
    dark = paint_frame(0)
    dark[:, :24] = 0
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:20, 2:12] = 255
    save(folder / "images" / "f1.jpg", dark)
    save(folder / "masks" / "f1.png", mask)
    assert findings(tmp_path)["W_MASK_OUTSIDE"].frames == ("f1",)


def test_duplicates_within_and_across_parts(tmp_path):
    stems = ("a", "b", "c", "d")
    folder = write_ordinary(tmp_path, stems=stems, table="frame,split\na,train\nb,train\nc,train\nd,test\n")
    copy = (folder / "images" / "a.jpg").read_bytes()
    (folder / "images" / "b.jpg").write_bytes(copy)
    told = findings(tmp_path)
    assert set(told["N_DUPLICATE"].frames) == {"a", "b"} and "E_DUPLICATE_LEAK" not in told
    (folder / "images" / "d.jpg").write_bytes(copy)
    told = findings(tmp_path)
    assert set(told["E_DUPLICATE_LEAK"].frames) == {"a", "b", "d"}
    assert told["W_SPLIT_EMPTY"].message == "no frame is in the validation part."


def test_nearly_the_same_image_across_parts(tmp_path):
    folder = write_ordinary(tmp_path, table="frame,split\nf1,train\nf2,validation\nf3,test\n")
    save(folder / "images" / "f3.jpg", np.clip(paint_frame(0).astype(int) + 4, 0, 255).astype(np.uint8))
    told = findings(tmp_path)
    assert told["E_ALIKE_LEAK"].frames == ("f1 ≈ f3",)
    assert "E_DUPLICATE_LEAK" not in told


def test_uniform_frames_are_not_taken_for_alike():
    uniform = [np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (10, 200)]
    assert find_alike([fingerprint(image) for image in (*uniform, paint_frame(1), paint_frame(2))]).pairs == ()
    found = find_alike([fingerprint(paint_frame(number)) for number in (1, 2, 1)]).copies
    assert [(pair.first, pair.second, pair.bits) for pair in found] == [(0, 2, 0)]


def test_left_out_frames_and_the_count_of_a_redistribution(tmp_path):
    stems = ("train_222", "test_16")
    write_release(tmp_path / "kvasir-seg-352", stems, "images/{}.jpg".format, "masks/{}.jpg".format)
    told = findings(tmp_path, "kvasir")
    excluded = told["N_EXCLUDED"]
    assert "train_222" in excluded.values["test_16"] and len(excluded.frames) == 7
    assert "1 frames and 7 left out, 1000 expected" in told["W_COUNT"].message


def test_phantom_says_so_and_a_layout_never_tried_warns(tmp_path):
    (write_ordinary(tmp_path) / "PHANTOM.json").write_text("{}")
    told = findings(tmp_path)
    assert "not clinical evidence" in told["N_PHANTOM"].message and "W_COUNT" not in told
    write_release(tmp_path / "PICCOLO", ("a",), "train/polyps/{}.png".format, "train/masks/{}.png".format)
    assert "W_LAYOUT_UNVERIFIED" in findings(tmp_path, "piccolo")


def test_a_count_of_another_form_of_a_cohort_is_no_warning(tmp_path):
    write_release(tmp_path / "PolypGen/sequenceData/negativeOnly", ("a", "b"), "seq1_neg/{}.jpg".format, None)
    told = findings(tmp_path, "polypgen-negative")
    assert "2 frames; 159 were counted in another form" in told["N_COUNT"].message and "W_COUNT" not in told
    write_release(tmp_path / "polypgen/negative", ("c", "d", "e"), "seq1_neg/{}.jpg".format, None)
    (tmp_path / "PolypGen").rename(tmp_path / "away")
    assert "3 frames, 159 expected" in findings(tmp_path, "polypgen-negative")["W_COUNT"].message


TABLE = "frame,split\nf1,train\nf2,validation\nf3,test\n"


def test_image_of_a_training_part_that_is_held_out_elsewhere_is_a_leak(tmp_path):
    write_ordinary(tmp_path, "zju2", table=TABLE)
    other = write_ordinary(
        tmp_path, "haining", stems=("g1", "g2", "g3"), table="frame,split\ng1,train\ng2,train\ng3,test\n"
    )
    for number, stem in enumerate(("g1", "g2", "g3"), start=20):
        save(other / "images" / f"{stem}.jpg", paint_frame(number))
    assert check_cohorts(["zju2", "haining"], tmp_path).between == ()
    copy = cv2.resize(paint_frame(0)[:, ::-1], None, fx=1.5, fy=1.5)
    save(other / "images" / "g3.jpg", np.ascontiguousarray(copy))
    (finding,) = check_cohorts(["zju2", "haining"], tmp_path).between
    assert finding.code == "E_SHARED_PICTURES" and finding.leak
    assert finding.pairs == ((("zju2", "f1"), ("haining", "g3")),)
    assert "mirrored left to right" in next(iter(finding.values.values()))


def test_known_ancestry_of_cohorts_checked_together(tmp_path):
    write_ordinary(tmp_path, "cvc-colondb", table=TABLE)
    other = write_ordinary(
        tmp_path, "polypsset", stems=("g1", "g2", "g3"), table="frame,split\ng1,train\ng2,train\ng3,test\n"
    )
    for number, stem in enumerate(("g1", "g2", "g3"), start=20):
        save(other / "images" / f"{stem}.jpg", paint_frame(number))
    report = check_cohorts(["cvc-colondb", "polypsset"], tmp_path)
    assert [finding.code for finding in report.between] == ["E_SHARED_FRAMES"]
    assert "N_ANCESTRY" in {finding.code for finding in report.cohorts[0].findings}


def test_two_processes_find_the_same(tmp_path):
    folder = write_ordinary(tmp_path, "zju2", stems=tuple(f"f{number}" for number in range(18)))
    (folder / "images" / "f7.jpg").write_bytes(b"nothing")
    one, two = (check_cohorts(["zju2"], tmp_path, processes=count).cohorts[0] for count in (1, 2))
    assert [(f.code, f.message, f.frames) for f in one.findings] == [
        (f.code, f.message, f.frames) for f in two.findings
    ]
    assert {"E_IMAGE_UNREADABLE"} == {f.code for f in one.findings if f.severity == "error"}


def test_one_scene_in_two_parts_is_a_warning(tmp_path):
    folder = write_ordinary(tmp_path, "zju2", table=TABLE)
    image = paint_frame(0, (288, 384))
    rng = np.random.default_rng(3)
    grain = cv2.resize(rng.normal(0, 1, (36, 48)).astype(np.float32), (384, 288), interpolation=cv2.INTER_CUBIC)
    save(folder / "images" / "f1.jpg", image)
    found = []
    for strength in (0, 6, 10, 14, 18, 24, 32, 44, 200):
        save(folder / "images" / "f3.jpg", np.clip(image + strength * grain[..., None], 35, 255).astype(np.uint8))
        codes = {finding.code for finding in check_cohorts(["zju2"], tmp_path).cohorts[0].findings}
        found.append(
            "copy" if codes & {"E_ALIKE_LEAK", "E_DUPLICATE_LEAK"} else "scene" if "W_SCENE_PARTED" in codes else ""
        )
    # the more the details differ, the less is claimed
    assert found[0] == "copy" and found[-1] == "" and "scene" in found
    assert found == sorted(found, key=["copy", "scene", ""].index)
