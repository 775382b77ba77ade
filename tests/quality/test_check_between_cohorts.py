"""Cohorts that are checked together: shared pictures, shared ancestry, several processes."""

import cv2
import numpy as np
from support.painted_cohorts import paint_frame, save, write_ordinary

from polypda.quality.checking.check_cohorts import check_cohorts

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
