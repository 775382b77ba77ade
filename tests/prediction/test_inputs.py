"""What inputs are called: files of one name stay apart, one file stays one, and no output is written over another."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from importing.dicom_objects import colour
from importing.dicom_objects import save as save_dicom
from PIL import Image
from support.painted import paint, write_cohort

from polypda.integrity import fingerprint_of
from polypda.prediction.inputs import find_inputs
from polypda.prediction.naming import OutputNames


@pytest.fixture
def find(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def found(*texts, twice=""):
        inputs, left_out = find_inputs([str(text) for text in texts], Path("data"), tmp_path / "in", tmp_path / "out")
        told = [error.what for error in left_out if error.code == "N_INPUT_TWICE"]
        assert len(told) == bool(twice) and twice in " ".join(told), told
        assert len({one.origin for one in inputs}) == len({one.name.casefold() for one in inputs}) == len(inputs)
        return [one.origin for one in inputs]

    return found


def put(*paths: str) -> None:
    for number, path in enumerate(paths):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(path)


def test_files_of_one_name_are_told_apart_by_the_folders_before_them(find):
    put("x/frame.png", "y/frame.png", "y/z/frame.png", "a/s/1.png", "b/s/1.png", "b/2.png")
    assert find("x/frame.png") == ["frame.png"], "a name that is the only one stays"
    assert find("[xy]/frame.png", "b/2.png") == ["x/frame.png", "y/frame.png", "2.png"]
    assert find("**/frame.png") == ["x/frame.png", "y/frame.png", "z/frame.png"]
    assert find("a/s", "b/s") == ["a/s/1.png", "b/s/1.png"]
    assert find("b/s", "a/s") == ["b/s/1.png", "a/s/1.png"], "whatever comes first"
    assert find("a/s", "b/s/1.png", "x") == ["s/1.png", "1.png", "x/frame.png"]


def test_one_file_is_one_input_however_it_is_named(find, tmp_path):
    put("a/1.png", "a/2.png")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a" / "3.png").symlink_to("1.png")
    assert find("a", "a/1.png", twice="1.png") == ["a/1.png", "a/2.png", "a/3.png"], "a link is a name of its own"
    assert find("a/1.png", "link/1.png", tmp_path / "a" / "1.png", twice="1.png, 1.png") == ["1.png"]
    assert find("a", "link", "a/../a", twice="link/1.png") == ["a/1.png", "a/2.png", "a/3.png"]
    with zipfile.ZipFile("w.zip", "w") as archive:
        archive.write("a/1.png", "1.png")
        archive.write("a/2.png", "in/1.png")
    assert find("w.zip", "w.zip", twice="w/1.png") == ["w/1.png", "w/in/1.png"]
    assert find("0", "0", twice="0") == ["0"]


def test_archives_folders_and_files_of_one_name_are_kept_apart(find):
    put("a/1.png", "w/1.png", "z/w/1.png", "z/1.png")
    for name in ("w.zip", "z/w.zip"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.write("a/1.png", "1.png")
    found = find("w", "w.zip", "z/w.zip", "z/w/1.png", "z/1.png", "a/1.png")
    assert found[2:] == ["z/w.zip/1.png", "w/1.png", "z/1.png", "a/1.png"] and len(found) == 6


def test_frames_of_two_cohorts_with_the_same_ids_are_all_predicted(find):
    for cohort in ("zju2", "haining"):
        write_cohort(Path("data"), cohort, count=3)
    put("001.png")
    found = find("zju2", "haining", "001.png")
    assert found == ["001.png", *(f"{cohort}/00{n}" for cohort in ("zju2", "haining") for n in range(3))]
    assert find("zju2", "zju2", twice="zju2/000") == ["zju2/000", "zju2/001", "zju2/002"]


def test_frames_of_an_object_do_not_lie_on_an_image(find):
    put("scan_000001.png")
    save_dicom(colour([paint(7)[0], paint(8)[0]]), Path("scan.dcm"))
    for texts in (("scan.dcm", "scan_000001.png"), ("scan_000001.png", "scan.dcm")):
        find(*texts)
        inputs, _ = find_inputs(texts, None, Path("in"), Path("out"))
        names = [frame.name for one in inputs for frame in one.frames()]
        assert len(set(names)) == 3, names


def test_an_input_keeps_its_name_and_takes_no_others():
    former = {"a/x.png": "x", "b/y.png": "b-y"}
    names = OutputNames(former)
    assert names.give("b/y.png", ["y"]) == "b-y"
    assert names.give("c/x.png", ["x", "c-x"]) == "c-x"
    assert names.give("d/x.png", ["x", "c-x"]) == "c-x-2", "nothing is left out"


def test_a_recording_is_known_by_pieces_of_it_all(tmp_path):
    whole = np.random.default_rng(0).integers(0, 256, 5_000_000, np.uint8)
    seen = set()
    for at in (None, 0, 4_999_999, 2_400_000):
        changed = whole.copy()
        if at is not None:
            changed[at] ^= 1
        (tmp_path / "v.mp4").write_bytes(changed.tobytes())
        seen.add(fingerprint_of(tmp_path / "v.mp4"))
    (tmp_path / "v.mp4").write_bytes(whole[:-1].tobytes())
    assert len(seen | {fingerprint_of(tmp_path / "v.mp4")}) >= 4
    for size in (0, 1, 300_000, 4_000_000):  # short ones are read as a whole
        (tmp_path / "v.mp4").write_bytes(whole[:size].tobytes())
        one = fingerprint_of(tmp_path / "v.mp4")
        if size:
            other = whole[:size].copy()
            other[size // 3] ^= 1
            (tmp_path / "v.mp4").write_bytes(other.tobytes())
            assert fingerprint_of(tmp_path / "v.mp4") != one
