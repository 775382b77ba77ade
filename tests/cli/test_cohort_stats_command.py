"""`polypda cohorts stats` on painted cohorts: what it writes, what it never opens, how it refuses."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from polypda.cohorts.catalogue import manifest
from polypda.phantom.renderer import render_cohort
from polypda.reporting.figures.cohort_figures import cohort_drawings
from polypda.reporting.pages import cohort_page

OPENED: list[str] = []


def _remember(event: str, arguments: tuple) -> None:
    if event == "open":
        OPENED.append(str(arguments[0]))


sys.addaudithook(_remember)  # cannot be removed again: one for all tests


def paint_cohort(root: Path, cohort: str, count: int = 18, *, blur: float = 0.0, polyp_px: int = 14) -> Path:
    """A lit disc with texture and one bright polyp; three frames of each of ``count // 3`` patients."""
    rng = np.random.default_rng(len(cohort))
    y, x = np.mgrid[:120, :160]
    field = (x - 80) ** 2 + (y - 60) ** 2 < 58**2
    folder = root / cohort
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rows = ["frame,patient"]
    for number in range(count):
        image = np.array([150, 85, 70]) + rng.normal(0, 3, 3) + rng.normal(0, 14, (120, 160, 1))
        if blur:
            image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur)
        polyp = (x - rng.integers(60, 100)) ** 2 + (y - rng.integers(45, 75)) ** 2 < polyp_px**2
        image = np.where(polyp[..., None], image + 45, image) * field[..., None]
        cv2.imwrite(str(folder / "images" / f"{number:02d}.png"), np.clip(image, 0, 255).astype(np.uint8)[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{number:02d}.png"), polyp.astype(np.uint8) * 255)
        rows.append(f"{number:02d},p{number // 3}")
    (folder / "frames.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    paint_cohort(root, "zju2", blur=1.2, polyp_px=20)
    paint_cohort(root, "haining", polyp_px=9)
    return root


@pytest.fixture
def one_drawing(monkeypatch):
    """Nothing is drawn but the last figure: drawing is most of a command's time, and one test looks at all of them."""
    monkeypatch.setattr(cohort_page, "cohort_drawings", lambda statistics: list(cohort_drawings(statistics))[-1:])


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_page_tables_and_figures_say_what_differs(polypda, data, tmp_path):
    status, output, _ = polypda("cohorts", "stats", "zju2", "haining", "--data-root", data, "--out", "stats")
    assert status == 0
    sentence, page = output.splitlines()
    assert page == "stats/index.html"
    assert re.match(r"Beside zju2, haining is \d+(\.\d)?× as sharp; .*its polyps cover ", sentence)
    html = (tmp_path / page).read_text(encoding="utf-8")
    assert sentence in html and "Labels were read of: zju2, haining." in html
    assert not re.search(r'(src|href|srcset)="(https?:)?//', html)  # one file, no network
    for link in re.findall(r'href="([^"#]+)"', html):
        assert (tmp_path / "stats" / link).is_file()
    figures = {path.name for path in (tmp_path / "stats/figures").iterdir()}
    assert figures == {"pictures.png", "polyps.png", "differences.png", "field-of-view.png", "polyp-places.png"}
    rows = {(row["cohort"], row["feature"]): row for row in read_csv(tmp_path / "stats/stats.csv")}
    area = float(rows["zju2", "polyp_area_percent"]["q50"])
    assert area == pytest.approx(100 * 20**2 / 58**2, rel=0.1)
    assert rows["haining", "lightness"]["clusters"] == "6" and rows["haining", "lightness"]["cluster_unit"] == "patient"
    document = json.loads((tmp_path / "stats/stats.json").read_text(encoding="utf-8"))
    assert document["headlines"] == [sentence] and document["cohorts"][0]["labels"] == "18 with mask"
    assert np.array(document["cohorts"][0]["field_map"]).shape == (48, 48)
    (distance,) = read_csv(tmp_path / "stats/distances.csv")
    assert 0.2 < float(distance["distance"]) <= 1 and float(distance["auc"]) > 0.9


def test_no_labels_opens_none_and_shows_none(polypda, one_drawing, data, tmp_path):
    OPENED.clear()
    status, output, _ = polypda("cohorts", "stats", "zju2", "haining", "--data-root", data, "--no-labels", "--out", "s")
    assert status == 0 and "polyps" not in output
    assert any("/images/" in name for name in OPENED) and not any("/masks/" in name for name in OPENED)
    told = {row["feature"] for row in read_csv(tmp_path / "s/stats.csv")}
    assert "lightness" in told and not {"polyps", "polyp_area_percent", "negative_percent"} & told
    assert "No label was read" in (tmp_path / "s/index.html").read_text(encoding="utf-8")


def test_labels_of_one_cohort_only(polypda, one_drawing, data, tmp_path):
    OPENED.clear()
    arguments = ("cohorts", "stats", "zju2", "haining", "--data-root", data, "--labels-of", "zju2", "--out", "s")
    assert polypda(*arguments)[0] == 0
    assert {name.split("/")[-3] for name in OPENED if "/masks/" in name} == {"zju2"}
    page = (tmp_path / "s/index.html").read_text(encoding="utf-8")
    assert "Labels were read of: zju2. None of: haining." in page
    assert {row["cohort"] for row in read_csv(tmp_path / "s/stats.csv") if row["feature"] == "polyps"} == {"zju2"}
    assert polypda(*arguments[:-4], "--labels-of", "kvasir", "--out", "t")[0] == 2


def test_one_cohort_one_frame_and_a_broken_file(polypda, one_drawing, tmp_path):
    folder = paint_cohort(tmp_path / "d", "ningbo", 2)
    (folder / "images/00.png").write_bytes(b"no picture")
    status, output, errors = polypda("cohorts", "stats", "ningbo", "--data-root", tmp_path / "d", "--out", "s")
    assert (status, output.splitlines()) == (0, ["s/index.html"])
    assert "W_STATS ningbo: 1 of 2 frames could not be used (E_IMAGE_UNREADABLE): 00." in errors
    assert "E_IMAGE_UNREADABLE" in (tmp_path / "s/index.html").read_text(encoding="utf-8")
    (folder / "images/01.png").write_bytes(b"neither")
    status, _, errors = polypda("cohorts", "stats", "ningbo", "--data-root", tmp_path / "d", "--out", "t")
    assert status == 3 and errors.startswith("E_STATS_UNREADABLE ningbo") and not (tmp_path / "t").exists()


def test_a_cohort_without_masks_and_one_with_boxes(polypda, one_drawing, data, tmp_path):
    bare = paint_cohort(tmp_path / "d", "haining", 6)
    for mask in (bare / "masks").iterdir():
        mask.unlink()
    boxed = paint_cohort(tmp_path / "d", "polydeep", 6)
    for mask in (boxed / "masks").iterdir():
        mask.unlink()
    rows = [f"{number:02d},p{number // 3},{'negative' if number == 5 else 'box'}" for number in range(6)]
    (boxed / "frames.csv").write_text("\n".join(["frame,patient,label_state", *rows]) + "\n")
    boxes = [f"{number:02d},60,40,100,80" for number in range(5)]
    (boxed / "boxes.csv").write_text("\n".join(["frame,x0,y0,x1,y1", *boxes]) + "\n")
    status, _, errors = polypda("cohorts", "stats", "haining", "polydeep", "--data-root", tmp_path / "d", "--out", "s")
    assert status == 0, errors
    page = (tmp_path / "s/index.html").read_text(encoding="utf-8")
    assert "5 with boxes, 1 declared free of polyps" in page and "not read: 6 of 6 images have no mask" in page
    rows = {(row["cohort"], row["feature"]): row for row in read_csv(tmp_path / "s/stats.csv")}
    assert float(rows["polydeep", "box_area_percent"]["q50"]) == pytest.approx(100 * 1600 / (np.pi * 58**2), rel=0.05)
    assert ("polydeep", "polyp_area_percent") not in rows and ("haining", "polyps") not in rows
    assert float(rows["polydeep", "negative_percent"]["mean"]) == pytest.approx(100 / 6, rel=1e-3)


def test_modes_of_one_cohort_are_compared(polypda, one_drawing, tmp_path):
    folder = paint_cohort(tmp_path / "d", "polydeep", 18, blur=0.8)
    for number in range(9, 18):  # the last three patients were seen in blue light
        path = folder / "images" / f"{number:02d}.png"
        cv2.imwrite(str(path), cv2.imread(str(path))[..., ::-1])
    rows = [f"{number:02d},p{number // 3},{'NBI' if number >= 9 else 'WL'}" for number in range(18)]
    (folder / "frames.csv").write_text("\n".join(["frame,patient,mode", *rows]) + "\n")
    arguments = ("cohorts", "stats", "polydeep:wl", "polydeep:nbi", "--data-root", tmp_path / "d")
    status, output, errors = polypda(*arguments)
    assert status == 0, errors
    assert output.splitlines()[-1] == "cohort-statistics/polydeep-wl+polydeep-nbi/index.html"
    rows = read_csv(tmp_path / "cohort-statistics/polydeep-wl+polydeep-nbi/differences.csv")
    (yellow,) = [row for row in rows if row["feature"] == "b"]
    assert (yellow["n"], yellow["n_other"], float(yellow["delta"])) == ("9", "9", -1.0)


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("zju22",), 2, "E_COHORT_UNKNOWN"),
        (("zju2", "zju2"), 2, "E_COHORT_TWICE"),
        (("zju2", "--no-labels", "--labels-of", "zju2"), 2, "E_OPTION"),
        (("zju2", "sun"), 3, "E_COHORT_BOXES"),
        (("kvasir",), 3, "E_COHORT_ABSENT"),
    ],
)
def test_refusals(polypda, data, tmp_path, words, status, code):
    ended, _, errors = polypda("cohorts", "stats", *words, "--data-root", data, "--out", "s")
    assert (ended, errors.split()[0].rstrip(":")) == (status, code)
    assert not (tmp_path / "s").exists()


def test_former_statistics_are_replaced_only_when_asked_and_nothing_else_ever(polypda, one_drawing, data, tmp_path):
    arguments = ("cohorts", "stats", "haining", "--data-root", data, "--frames", "4", "--out", "s")
    assert polypda(*arguments)[0] == 0
    first = (tmp_path / "s/stats.csv").read_bytes()
    assert polypda(*arguments)[0] == 3
    assert polypda(*arguments, "--force")[0] == 0 and (tmp_path / "s/stats.csv").read_bytes() == first
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    assert polypda(*arguments[:-1], "mine", "--force")[0] == 3 and (tmp_path / "mine/notes.txt").is_file()


def test_samples_and_frames_are_shown_only_when_asked(polypda, one_drawing, data, tmp_path):
    arguments = ("cohorts", "stats", "haining", "--data-root", data, "--out")
    _, output, _ = polypda(*arguments, "s", "--samples", "3", "--per-frame")
    page = (tmp_path / "s/index.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 3 and "do not publish" in page and "do not publish" in output
    assert len(read_csv(tmp_path / "s/frames.csv")) == 18
    polypda(*arguments, "t")
    page = (tmp_path / "t/index.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" not in page and "do not publish" not in page and not (tmp_path / "t/frames.csv").exists()


@pytest.mark.slow
def test_three_cohorts_have_a_distance_matrix_and_phantoms_their_banner(polypda, data, tmp_path):
    root = tmp_path / "d"
    for cohort in ("zju2", "haining"):
        (root / cohort).parent.mkdir(exist_ok=True)
        (root / cohort).symlink_to(data / cohort)
    render_cohort(manifest("ningbo"), frames=6, out=root)
    status, output, _ = polypda("cohorts", "stats", "zju2", "haining", "ningbo", "--data-root", root, "--out", "s")
    assert status == 0 and len(output.splitlines()) == 4
    assert {"distances.png", "profiles.png"} <= {path.name for path in (tmp_path / "s/figures").iterdir()}
    assert "not clinical evidence" in (tmp_path / "s/index.html").read_text(encoding="utf-8")
    assert all("not clinical evidence" in row["note"] for row in read_csv(tmp_path / "s/stats.csv"))
