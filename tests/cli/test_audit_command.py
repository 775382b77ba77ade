"""A target without labels from the first command to an honest answer by a few labelled frames."""

import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from support.painted import write_cohort

TINY = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "2", "--adapt-steps", "2"]
ADAPT = ["adapt", "--source", "zju2", "--target", "haining", "--data-root", "data", "--device", "cpu", *TINY]
RUN = ["--method", "adaptsegnet", "--no-guard", "--overlays", "4", "--out", "run"]
DATA = ["--data-root", "data"]
FRAMES = 24


@pytest.fixture
def root(tmp_path):
    """A source with labels, and a target whose masks lie elsewhere."""
    for cohort, tint in (("zju2", (170, 90, 70)), ("haining", (90, 120, 170))):
        write_cohort(tmp_path / "data", cohort, count=FRAMES, tint=tint)
    shutil.move(tmp_path / "data" / "haining" / "masks", tmp_path / "truth")
    return tmp_path / "data"


def plan_of(folder):
    return json.loads((folder / "plan.json").read_text())


def draw_masks(folder, truth, *, count=None):
    """Masks as a clinician lays them beside the images."""
    (folder / "masks").mkdir()
    for drawn in plan_of(folder)["frames"][:count]:
        shutil.copyfile(truth / f"{drawn['frame']}.png", folder / "masks" / drawn["image"])


def test_a_target_without_labels_from_adaptation_to_the_answer(polypda, root, tmp_path):
    status, out, err = polypda(*ADAPT, *RUN)
    assert status == 0, err
    assert out.splitlines()[-2:] == ["adapted; not scored (no labels)", "run/unscored/index.html"]
    unscored = tmp_path / "run" / "unscored"
    table = pd.read_csv(unscored / "predictions.csv", dtype={"frame": str})
    assert len(table) == FRAMES and table["mask"].is_unique
    for row in table.to_dict("records"):
        mask = cv2.imread(str(unscored / row["mask"]), cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(root / "haining" / "images" / f"{row['frame']}.png"))
        assert mask.shape == image.shape[:2] and set(np.unique(mask)) <= {0, 255}
    evidence = json.loads((unscored / "evidence.json").read_text())
    assert {one["quantity"] for one in evidence["estimates"]} == {"before", "after", "change"}
    assert all(len(one["errors"]) == 8 for one in evidence["estimates"]), "two halves of the source in four styles"
    assert evidence["frames"] == FRAMES and 0.02 < evidence["source_foreground"] < 0.2
    page = (unscored / "index.html").read_text()
    assert "Adapted; not scored (no labels)." in page and "24 of 24 images have no mask" in page
    assert "polypda audit run --frames 20" in page and page.count("data:image/jpeg") == 4
    assert str(tmp_path) not in page

    status, _, err = polypda("report", "run", "--out", "joint")
    assert status == 3 and "E_RUN_UNSCORED" in err and "audit" in err

    status, out, err = polypda("audit", "run", "--frames", "10", "--part", "all", *DATA)
    assert status == 0, err
    folder = tmp_path / out.splitlines()[-1]
    assert folder == tmp_path / "run" / "audit" and "±0." in err
    plan = plan_of(folder)
    assert len(plan["frames"]) == 10 and sum(one["frames"] for one in plan["strata"]) == FRAMES
    assert sum(one["drawn"] for one in plan["strata"]) == 10
    for drawn in plan["frames"]:
        image = cv2.imread(str(folder / "images" / drawn["image"]))
        assert (image == cv2.imread(str(root / "haining" / "images" / f"{drawn['frame']}.png"))).all()
    status, _, err = polypda("audit", "run", "--frames", "10", "--part", "all", *DATA)
    assert status == 3 and "E_REPORT_EXISTS" in err
    status, _, err = polypda("audit", "run", "--labels", "run/audit", *DATA)
    assert status == 3 and "E_AUDIT_LABELS" in err

    draw_masks(folder, tmp_path / "truth", count=9)
    status, out, err = polypda("audit", "run", "--labels", "run/audit", *DATA)
    assert status == 0, err
    page = tmp_path / out.splitlines()[-1]
    answer = json.loads((page.parent / "answer.json").read_text())
    assert (answer["asked"], answer["labelled"], answer["positive"], answer["population"]) == (10, 9, 9, FRAMES)
    text = page.read_text()
    assert "no label of haining was used in training" in text and "1 drawn frames have no label" in text
    assert "Without labels Dice had been estimated" in text

    (tmp_path / "truth").rename(root / "haining" / "masks")
    status, out, err = polypda("adapt", "--resume", "run", *DATA)
    assert status == 0 and out.splitlines()[-1] == "run/report/index.html", err
    cases = pd.read_csv(tmp_path / "run" / "report" / "cases.csv", dtype={"frame": str})
    scored = cases[(cases["cohort"] == "haining") & (cases["model"] == "adaptsegnet")].set_index("frame")["dice"]
    own = pd.read_csv(page.parent / "answer.csv", dtype={"frame": str}).set_index("frame")["dice_after"]
    both = own.index.intersection(scored.index)
    assert len(both) and np.allclose(own[both], scored[both]), "the audit scores as the report does"
    assert answer["estimates"]["after"]["value"] is not None

    status, out, err = polypda(
        *("audit", "run", "--frames", "7", "--prefill", "labelme", "--out", "filled", "--seed", "3"), *DATA
    )
    assert status == 0, err
    sheets = sorted((tmp_path / "filled" / "images").glob("*.json"))
    if sheets:  # a model of two steps may mark nothing
        status, out, err = polypda("audit", "run", "--labels", "filled", *DATA)
        assert (status == 0) == (len(sheets) >= 2), err
        if status == 0:
            answer = json.loads((tmp_path / out.splitlines()[-1]).with_name("answer.json").read_text())
            assert answer["as_prefilled"] == answer["labelled"] == len(sheets)


@pytest.mark.slow
def test_a_clinic_with_a_few_labels_of_its_own_gets_an_answer_that_says_what_it_is(polypda, root, tmp_path):
    status, _, err = polypda(*ADAPT, *RUN)
    assert status == 0, err
    (tmp_path / "mine").mkdir()
    for number in (2, 5, 7, 11, 13, 20):
        shutil.copyfile(tmp_path / "truth" / f"{number:03d}.png", tmp_path / "mine" / f"{number:03d}_mask.png")
    cv2.imwrite(str(tmp_path / "mine" / "021.png"), np.zeros((72, 96), np.uint8))
    status, out, err = polypda("audit", "run", "--labels", "mine", *DATA)
    assert status == 0, err
    page = tmp_path / out.splitlines()[-1]
    answer = json.loads((page.parent / "answer.json").read_text())
    assert (answer["labelled"], answer["positive"], answer["negative"], answer["by_plan"]) == (7, 6, 1, False)
    assert "not drawn" in page.read_text() and "False alarms" in page.read_text()

    (tmp_path / "other").mkdir()
    shutil.copyfile(tmp_path / "truth" / "002.png", tmp_path / "other" / "unknown.png")
    status, _, err = polypda("audit", "run", "--labels", "other", *DATA)
    assert status == 3 and "E_AUDIT_FRAMES" in err
    status, _, err = polypda("audit", "run", "--frames", "500", *DATA)
    assert status == 3 and "E_AUDIT_SIZE" in err and "--part all" in err


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["run"], 2, "E_OPTION"),
        (["run", "--frames", "5", "--labels", "x"], 2, "E_OPTION"),
        (["run", "--frames", "5", "--prefill", "labelmee"], 2, "E_OPTION.*labelme"),
        (["nowhere", "--frames", "5"], 3, "E_RUN_MISSING"),
    ],
)
def test_wrong_usage_is_told(polypda, words, status, code):
    ended, _, err = polypda("audit", *words)
    assert ended == status and re.search(code, err), err
