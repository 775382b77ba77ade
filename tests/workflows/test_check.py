"""What a check leaves behind: the page, the JSON, the exit status."""

import base64
import json
import re

import cv2
import numpy as np
import pytest
from support.painted_cohorts import paint_frame, save, write_ordinary
from typer.testing import CliRunner

from polypda.cli.cohorts import cohorts_app
from polypda.errors import DATA, UNTRUSTED, DataError, UsageError
from polypda.workflows.cohorts.check import CheckOutput, check

TABLE = "frame,split\nf1,train\nf2,validation\nf3,test\n"
runner = CliRunner()


def leaking(root):
    """A cohort whose test frame is a training frame in the mirror; returns the folder."""
    folder = write_ordinary(root, table=TABLE)
    save(folder / "images" / "f3.jpg", np.ascontiguousarray(paint_frame(0)[:, ::-1]))
    return folder


def run(root, *arguments):
    return runner.invoke(cohorts_app, ["check", "zju2", "--data-root", str(root), *map(str, arguments)])


def read(out):
    return json.loads((out / "check.json").read_text(encoding="utf-8")), (out / "index.html").read_text("utf-8")


def test_sound_cohort_ends_with_zero_and_a_page_that_says_usable(tmp_path):
    write_ordinary(tmp_path)
    ended = run(tmp_path, "--out", tmp_path / "page")
    found, page = read(tmp_path / "page")
    assert ended.exit_code == 0 and ended.stdout.rstrip().endswith("index.html")
    assert (found["errors"], found["leaks"], found["cohorts"][0]["frames"]) == (False, 0, 3)
    assert "Usable; " in page and "Not usable" not in page and "Leakage" not in page


def test_leak_ends_with_four_and_is_shown_as_two_frames_side_by_side(tmp_path):
    leaking(tmp_path)
    ended = run(tmp_path, "--out", tmp_path / "page")
    found, page = read(tmp_path / "page")
    (leak,) = (one for one in found["cohorts"][0]["findings"] if one["leak"])
    assert ended.exit_code == UNTRUSTED and "--allow-leakage" in ended.stdout
    assert leak["pairs"] == [[{"cohort": "zju2", "frame": "f1"}, {"cohort": "zju2", "frame": "f3"}]]
    assert "Training and evaluation refuse such a split" in page and leak["code"] in page
    shown = re.search(r'<figure class="pair"><img src="data:image/jpeg;base64,([^"]+)"', page)
    assert shown is not None
    image = cv2.imdecode(np.frombuffer(base64.b64decode(shown[1]), np.uint8), cv2.IMREAD_COLOR)
    left, right = image[:, :340], image[:, -340:]
    assert image.shape[1] == 2 * 340 + 6
    assert np.abs(left[:, ::-1].astype(int) - right).mean() < 6 < np.abs(left.astype(int) - right).mean()


def test_allowed_leak_ends_with_zero_and_is_stamped_everywhere(tmp_path):
    leaking(tmp_path)
    ended = run(tmp_path, "--out", tmp_path / "page", "--allow-leakage")
    found, page = read(tmp_path / "page")
    assert ended.exit_code == 0 and "LEAKAGE ALLOWED" in ended.stdout and "LEAKAGE ALLOWED" in page
    assert found["leakage_allowed"] and found["leaks"] == 1


def test_errors_win_over_leaks(tmp_path):
    folder = leaking(tmp_path)
    (folder / "masks" / "f2.png").write_bytes(b"no picture")
    ended = run(tmp_path, "--out", tmp_path / "page", "--allow-leakage")
    found, page = read(tmp_path / "page")
    assert ended.exit_code == DATA and found["errors"] and "Not usable as it is, and its parts" in page


def test_page_fetches_nothing_and_warns_of_the_frames_in_it(tmp_path):
    leaking(tmp_path)
    run(tmp_path, "--out", tmp_path / "page")
    _, page = read(tmp_path / "page")
    assert "do not publish it" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page) and "url(" not in page and "<script" not in page


def test_without_images_no_frame_is_on_the_page(tmp_path):
    leaking(tmp_path)
    run(tmp_path, "--out", tmp_path / "page", "--no-pictures")
    found, page = read(tmp_path / "page")
    assert "<img" not in page and "do not publish it" not in page and "Pictures were left out" in page
    assert found["leaks"] == 1


def test_json_alone_is_the_same_as_the_pages(tmp_path):
    leaking(tmp_path)
    run(tmp_path, "--out", tmp_path / "page", "--json", tmp_path / "findings.json")
    assert (tmp_path / "findings.json").read_bytes() == (tmp_path / "page" / "check.json").read_bytes()
    assert str(tmp_path) not in (tmp_path / "findings.json").read_text("utf-8")


def test_former_check_is_replaced_and_nothing_else_is(tmp_path):
    write_ordinary(tmp_path)
    output = CheckOutput(tmp_path / "page")
    check(["zju2"], tmp_path, output)
    check(["zju2"], tmp_path, output)
    (tmp_path / "page" / "check.json").unlink()
    with pytest.raises(DataError, match="E_CHECK_EXISTS"):
        check(["zju2"], tmp_path, output)
    with pytest.raises(UsageError, match="E_COHORTS_TWICE"):
        check(["zju2", "zju2"], tmp_path, output)


def test_names_cannot_break_the_page(tmp_path):
    folder = write_ordinary(tmp_path, stems=("a<b>&'\"", "f2", "f3"))
    (folder / "images" / "a<b>&'\".jpg").write_bytes(b"no picture")
    ended = run(tmp_path, "--out", tmp_path / "page")
    found, page = read(tmp_path / "page")
    assert ended.exit_code == DATA
    assert any("a<b>&'\"" in one["frames"] for one in found["cohorts"][0]["findings"])
    assert "a<b>" not in page and "a&lt;b&gt;" in page
