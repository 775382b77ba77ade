"""`polypda evaluate`: what a finished run, or a folder of maps, is worth on a cohort."""

import re
import shutil

import cv2
import numpy as np
import pytest
from support.painted import HEIGHT, WIDTH, write_cohort
from support.painted_cohorts import paint_frame, save
from support.runs import write_run

from polypda.evaluation.cases.case_table import read_cases
from polypda.evaluation.cases.evaluation_file import read_evaluation

TRAINING = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "2", "--adapt-steps", "2"]
TRAINING += ["--method", "adaptsegnet", "--no-guard"]


@pytest.fixture
def root(tmp_path):
    for number, cohort in enumerate(("zju2", "haining", "ningbo")):
        write_cohort(tmp_path / "data", cohort, tint=(170 - 10 * number, 90 + 20 * number, 70))
    return tmp_path / "data"


def held_out(root, cohort="haining"):
    rows = (line.split(",") for line in (root / cohort / "frames.csv").read_text().splitlines())
    names = next(rows)
    table = [dict(zip(names, row, strict=True)) for row in rows]
    return [row["frame"] for row in table if row["split"] == "test"]


def write_maps(folder, frames, root, cohort="haining", *, change=lambda mask: mask):
    """Maps that are the reference itself, changed; returns the folder."""
    folder.mkdir(exist_ok=True)
    for frame in frames:
        mask = cv2.imread(str(root / cohort / "masks" / f"{frame}.png"), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(folder / f"{frame}.png"), change(mask))
    return folder


def test_a_run_is_scored_on_a_third_cohort_and_on_its_own_target_alike(polypda, root, tmp_path):
    adapt = ["adapt", "--source", "zju2", "--target", "haining", "--device", "cpu", "--overlays", "1", "--out", "run"]
    assert polypda(*adapt, *TRAINING, "--data-root", "data")[0] == 0
    status, out, err = polypda("evaluate", "run", "--on", "ningbo", "--on", "haining", "--data-root", "data")
    assert status == 0, err
    folder = tmp_path / out.splitlines()[-1]
    assert folder == tmp_path / "run" / "evaluations" / "ningbo-test+haining-test"
    again, first = read_evaluation(folder), read_evaluation(tmp_path / "run" / "report")
    assert set(again.cases["role"]) == {"other", "target"}
    for model, rows in first.cases[first.cases["cohort"] == "haining"].groupby("model"):
        same = again.cases[(again.cases["cohort"] == "haining") & (again.cases["model"] == model)]
        assert same["dice"].tolist() == rows["dice"].tolist() and same["training"].tolist() == rows["training"].tolist()
    figures = [line for line in err.splitlines() if re.search(r"\d\.\d{3}", line)]
    assert len(figures) >= 4 and max(map(len, figures)) <= 80  # a terminal of 80 columns
    assert "ningbo (other)" in err and (folder / "centers.csv").is_file()

    status, _, err = polypda("evaluate", "run", "--on", "zju2:train", "--data-root", "data")
    assert status == 4 and "E_TRAINED_ON" in err
    table = root / "zju2" / "frames.csv"
    table.write_text(table.read_text().replace(",train", ",test"))
    status, _, err = polypda("evaluate", "run", "--on", "zju2", "--data-root", "data")
    assert status == 4 and "E_SPLIT_CHANGED" in err


def test_a_image_that_was_learnt_is_scored_only_with_leave_and_says_so(polypda, root, tmp_path):
    image = paint_frame(5, (HEIGHT, WIDTH))
    save(root / "zju2" / "images" / "000.png", image)
    adapt = ["adapt", "--source", "zju2", "--target", "haining", "--device", "cpu", "--overlays", "0", "--out", "run"]
    assert polypda(*adapt, *TRAINING, "--data-root", "data")[0] == 0
    copied = held_out(root, "ningbo")[0]
    save(root / "ningbo" / "images" / f"{copied}.png", np.ascontiguousarray(image[:, ::-1]))
    scoring = ["evaluate", "run", "--on", "ningbo", "--data-root", "data"]

    status, _, err = polypda(*scoring)
    assert status == 4 and "E_ALIKE_LEAK" in err and f"ningbo/{copied}" in err and "--allow-leakage" in err
    assert not (tmp_path / "run" / "evaluations").exists()

    status, out, err = polypda(*scoring, "--allow-leakage")
    assert status == 0, err
    folder = tmp_path / out.splitlines()[-1]
    assert "LEAKAGE ALLOWED" in err and f"ningbo/{copied}" in "".join(read_evaluation(folder).run_metadata.leakage)
    status, _, err = polypda("report", folder, "--out", "report")
    assert status == 0, err
    for name in ("index.html", "centers.md"):
        assert "LEAKAGE ALLOWED" in (tmp_path / "report" / name).read_text(encoding="utf-8"), name


def test_maps_made_elsewhere_get_the_figures_they_deserve(polypda, root, tmp_path):
    frames = held_out(root)
    write_maps(tmp_path / "perfect", frames, root)
    write_maps(tmp_path / "half", frames, root, change=lambda mask: mask.astype(np.uint16) * 257 // 2 + 300)
    command = ["evaluate", "--predictions", "source-only=perfect", "--predictions", "ours=half", "--on", "haining"]
    status, out, err = polypda(*command, "--data-root", "data", "--trained-on", "zju2")
    assert status == 0, err
    assert out.splitlines()[-1] == "evaluations/source-only+ours-on-haining-test"
    cases = read_cases(tmp_path / out.splitlines()[-1] / "cases.csv").set_index("model")
    # 16-bit maps at half the full scale plus a little: still 0.5 or more inside, so nothing is lost
    assert (cases.loc[["source-only"], "dice"] == 1).all() and (cases.loc[["ours"], "dice"] == 1).all()
    assert (cases.loc[["ours"], "mae"] > 0.001).all() and (cases.loc[["source-only"], "mae"] == 0).all()
    assert polypda(*command, "--data-root", "data")[0] == 3  # never overwritten
    status, _, err = polypda("report", out.splitlines()[-1], "--out", "report")
    assert status == 0, err
    compared = (tmp_path / "report" / "comparisons.csv").read_text().splitlines()
    assert len(compared) == 2 and ",ours," in compared[1]


def test_masks_of_zero_and_one_are_not_taken_for_dark_maps(polypda, root, tmp_path):
    write_maps(tmp_path / "masks", held_out(root), root, change=lambda mask: mask // 255)
    status, out, err = polypda("evaluate", "--predictions", "masks", "--on", "haining", "--data-root", "data")
    assert status == 0, err
    evaluation = read_evaluation(tmp_path / out.splitlines()[-1])
    assert (evaluation.cases["dice"] == 1).all()
    assert any("only 0 and 1" in note for note in evaluation.run_metadata.notes)
    assert evaluation.run_metadata.lines()["seeds"].startswith("not known")
    status, page, err = polypda("report", out.splitlines()[-1], "--out", "report")
    assert status == 0, err  # one model alone: nothing to compare, but a report all the same
    assert "only 0 and 1" in (tmp_path / page.splitlines()[-1]).read_text()


def test_a_missing_map_is_an_error_unless_it_shall_count_as_empty(polypda, root, tmp_path):
    frames = held_out(root)
    folder = write_maps(tmp_path / "maps", frames[1:], root)
    (folder / "stranger.png").write_bytes((folder / f"{frames[1]}.png").read_bytes())
    command = ["evaluate", "--predictions", "maps", "--on", "haining", "--data-root", "data"]
    status, _, err = polypda(*command)
    assert status == 3 and "E_PREDICTION_MISSING" in err and frames[0] in err
    status, out, err = polypda(*command, "--missing", "as-empty")
    assert status == 0, err
    evaluation = read_evaluation(tmp_path / out.splitlines()[-1])
    cases = evaluation.cases.set_index("frame")
    assert len(cases) == len(frames)
    assert cases.loc[frames[0], "prediction_missing"] and cases.loc[frames[0], "dice"] == 0
    assert not cases.loc[frames[1:], "prediction_missing"].any()
    told = " ".join(evaluation.run_metadata.notes)
    assert "stranger" in told and f"1 of {len(frames)} frames had no map" in told


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (lambda path: cv2.imwrite(str(path), np.zeros((HEIGHT // 2, WIDTH), np.uint8)), "E_METRIC_SIZE"),
        (lambda path: np.save(path.with_suffix(".npy"), np.full((HEIGHT, WIDTH), np.nan)), "E_PROBABILITY_NAN"),
        (lambda path: np.save(path.with_suffix(".npy"), np.full((HEIGHT, WIDTH), 3.0)), "E_PROBABILITY_RANGE"),
        (lambda path: path.write_bytes(b"\x89PNG no picture"), "E_PREDICTION_UNREADABLE"),
        (lambda path: cv2.imwrite(str(path), np.uint8([[[0, 0, 9]]])), "E_PREDICTION_FORMAT"),
    ],
)
def test_bad_maps_are_named(polypda, root, tmp_path, write, code):
    frames = held_out(root)
    folder = write_maps(tmp_path / "maps", frames, root)
    (folder / f"{frames[1]}.png").unlink()
    write(folder / f"{frames[1]}.png")
    status, _, err = polypda("evaluate", "--predictions", "maps", "--on", "haining", "--data-root", "data")
    assert status == 3 and code in err and frames[1] in err
    assert not (tmp_path / "evaluations").exists()


def test_two_files_for_one_frame_and_an_empty_folder(polypda, root, tmp_path):
    frames = held_out(root)
    folder = write_maps(tmp_path / "maps", frames, root)
    (folder / "more").mkdir()
    shutil.copy(folder / f"{frames[0]}.png", folder / "more")
    command = ["evaluate", "--on", "haining", "--data-root", "data", "--predictions"]
    status, _, err = polypda(*command, "maps")
    assert status == 3 and "E_PREDICTION_DUPLICATE" in err
    (tmp_path / "empty").mkdir()
    status, _, err = polypda(*command, "empty")
    assert status == 3 and "E_PREDICTIONS_MISSING" in err


def test_the_legacy_profile_stands_beside(polypda, root, tmp_path):
    pytest.importorskip("py_sod_metrics", reason="the extra `legacy` is not installed")
    write_maps(tmp_path / "maps", held_out(root), root, change=lambda mask: (mask * 0.4).astype(np.uint8))
    command = ["evaluate", "--predictions", "maps", "--on", "haining", "--data-root", "data"]
    status, _, err = polypda(*command, "--profile", "pranet2020")
    assert status == 3 and "E_PREDICTION_SCALE" in err and "--scale 0-255" in err
    status, out, err = polypda(*command, "--profile", "pranet2020", "--scale", "0-255")
    assert status == 0, err
    folder = tmp_path / out.splitlines()[-1]
    # stretched to the full range, a map whose true Dice at 0.5 is 0 looks perfect there
    assert (read_cases(folder / "cases.csv")["dice"] == 0).all()
    assert float((folder / "pranet2020.csv").read_text().splitlines()[1].split(",")[5]) > 0.9
    assert any("meanDice" in note for note in read_evaluation(folder).run_metadata.notes)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--on", "haining:tset", "--predictions", "maps"], "E_PART"),
        (["--on", "haining"], "E_OPTION"),
        (["run", "--on", "haining"], "E_RUN_MISSING"),
        (["--on", "haning", "--predictions", "maps"], "E_COHORT_UNKNOWN"),
        (["--on", "haining", "--predictions", "maps", "--profile", "pranet"], "E_OPTION"),
    ],
)
def test_wrong_words_are_told(polypda, root, tmp_path, words, code):
    (tmp_path / "maps").mkdir()
    status, _, err = polypda("evaluate", *words, "--data-root", "data")
    assert status in (2, 3) and code in err


def test_a_whole_cohort_can_be_scored_and_other_parts_stay_out_of_the_runs_report(polypda, root, tmp_path):
    frames = [path.stem for path in sorted((root / "haining" / "masks").iterdir())]
    write_maps(tmp_path / "maps", frames, root)
    status, out, err = polypda("evaluate", "--predictions", "maps", "--on", "haining:all", "--data-root", "data")
    assert status == 0, err
    cases = read_cases(tmp_path / out.splitlines()[-1] / "cases.csv")
    assert len(cases) == len(frames) and set(cases["split"]) == {"all"}

    adapt = ["adapt", "--source", "zju2", "--target", "haining", "--device", "cpu", "--overlays", "1", "--out", "run"]
    assert polypda(*adapt, *TRAINING, "--method", "source-only", "--data-root", "data")[0] == 0
    status, out, err = polypda("evaluate", "run", "--on", "haining:train", "--data-root", "data")
    assert status == 0 and "saw training frames of this part, without labels" in err
    status, out, err = polypda("report", "run", "--out", "report")
    assert status == 0, err
    assert set(read_cases(tmp_path / "report" / "cases.csv")["split"]) == {"test"}
    assert "haining-train" in (tmp_path / "report" / "matrix.md").read_text()
    assert polypda("report", "run/evaluations/haining-train", "--out", "of-training")[0] == 0


def test_masks_of_several_kinds_in_one_folder(polypda, root, tmp_path):
    frames = held_out(root)
    folder = write_maps(tmp_path / "maps", frames, root)
    mask = cv2.imread(str(folder / f"{frames[0]}.png"), cv2.IMREAD_GRAYSCALE)
    (folder / f"{frames[0]}.png").unlink()
    np.save(folder / f"{frames[0]}.npy", mask > 0)  # True is 1 whatever the other files hold
    command = ["evaluate", "--on", "haining", "--data-root", "data", "--predictions"]
    status, out, err = polypda(*command, "maps")
    assert status == 0, err
    evaluation = read_evaluation(tmp_path / out.splitlines()[-1])
    assert (evaluation.cases["dice"] == 1).all() and not any(
        "0 and 1" in note for note in evaluation.run_metadata.notes
    )
    cv2.imwrite(str(folder / f"{frames[1]}.png"), (mask > 0).astype(np.uint8))
    status, _, err = polypda(*command, "dark=maps")  # is 1 a polyp, or next to black?
    assert status == 3 and "E_PREDICTION_SCALE" in err and "0, 1, 255" in err
    status, out, err = polypda(*command, "dark=maps", "--scale", "0-255")
    assert status == 0, err
    dark = read_cases(tmp_path / out.splitlines()[-1] / "cases.csv").set_index("frame")["dice"]
    assert dark[frames[1]] == 0 and (dark[[frames[0], *frames[2:]]] == 1).all()


def test_float_maps_are_no_masks(polypda, root, tmp_path):
    (tmp_path / "maps").mkdir()
    for frame in held_out(root):
        np.save(tmp_path / "maps" / f"{frame}.npy", np.full((HEIGHT, WIDTH), 0.7))
    command = ["evaluate", "--on", "haining", "--data-root", "data", "--predictions"]
    status, out, err = polypda(*command, "maps")
    assert status == 0, err
    assert not any("0 and 1" in note for note in read_evaluation(tmp_path / out.splitlines()[-1]).run_metadata.notes)
    next((tmp_path / "maps").iterdir()).write_bytes(b"")
    status, _, err = polypda(*command, "again=maps")
    assert status == 3 and "E_PREDICTION_UNREADABLE" in err
    status, _, err = polypda(*command, "a/b=maps")
    assert status == 2 and "E_PREDICTIONS_NAME" in err


def test_two_runs_are_fused_beside_their_members(polypda, root, tmp_path):
    adapt = ["adapt", "--source", "zju2", "--target", "haining", "--device", "cpu", "--overlays", "0", *TRAINING]
    assert polypda(*adapt, "--data-root", "data", "--out", "run")[0] == 0
    again = [*adapt, "--data-root", "data", "--start", "run"]
    assert polypda(*again, "--method", "fcan", "-O", "stylize=false", "--out", "plain")[0] == 0
    status, out, err = polypda("evaluate", "run", "--fuse", "plain", "--on", "haining", "--data-root", "data")
    assert status == 0 and out.splitlines()[-1] == "run/evaluations/haining-test-fused", err
    found = read_evaluation(tmp_path / "run" / "evaluations" / "haining-test-fused")
    assert set(found.cases["model"]) == {"source-only", "adabn", "adaptsegnet", "fused"}
    assert any("ensemble" in note and "plain" in note for note in found.run_metadata.notes)
    assert found.cases.groupby("model")["training"].first().is_unique
    status, _, err = polypda("evaluate", "run", "--fuse", "run", "--on", "haining", "--data-root", "data")
    assert status == 2 and "E_FUSION_RUNS" in err
    write_run(tmp_path / "away", 1)
    status, _, err = polypda("evaluate", "run", "--fuse", "away", "--on", "haining", "--data-root", "data")
    assert status == 2 and "E_FUSION_RUNS" in err and "phantom" in err


def write_list(path, names):
    path.write_text("# the published subset\n" + "\n".join(names) + "\n", encoding="utf-8")
    return path


def test_a_published_subset_is_scored_alone_and_says_so(polypda, root, tmp_path):
    frames = [path.stem for path in sorted((root / "haining" / "masks").iterdir())]
    chosen = [frames[0], frames[5], f"{frames[11]}.tif"]  # of several parts; a file's name will do
    write_maps(tmp_path / "maps", [frames[0], frames[5], frames[11]], root)
    write_list(tmp_path / "subset.txt", chosen)
    command = ["evaluate", "--predictions", "maps", "--data-root", "data", "--frames", "subset.txt"]
    status, out, err = polypda(*command, "--on", "haining")
    assert status == 0, err
    folder = tmp_path / out.splitlines()[-1]
    assert folder.name == "maps-on-haining-all-subset"
    evaluation = read_evaluation(folder)
    assert evaluation.cases["frame"].tolist() == [frames[0], frames[5], frames[11]]
    assert (evaluation.cases["dice"] == 1).all() and not evaluation.cases["prediction_missing"].any()
    told = "only the 3 frames listed in 'subset' were scored, of 12"
    assert any(told in note for note in evaluation.run_metadata.notes) and told in " ".join(err.split())

    status, _, err = polypda(*command, "--on", "haining:test")
    assert status == 3 and "E_FRAMES_LIST" in err and "haining:all" in err


@pytest.mark.parametrize(
    ("names", "code", "told"),
    [
        (["000", "007x"], "E_FRAME_UNKNOWN", "Did you mean '007"),
        (["000", "000"], "E_FRAMES_LIST", "twice"),
        ([], "E_FRAMES_LIST", "lists no frame"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(polypda, root, tmp_path, names, code, told):
    write_maps(tmp_path / "maps", ["000"], root)
    write_list(tmp_path / "subset.txt", names)
    command = ["evaluate", "--predictions", "maps", "--on", "haining", "--data-root", "data", "--frames"]
    status, _, err = polypda(*command, "subset.txt")
    assert status == 3 and code in err and told in err
    status, _, err = polypda(*command, "nowhere.txt")
    assert status == 3 and "E_FRAMES_LIST" in err


def test_the_scale_of_maps_is_told_or_asked_for(polypda, root, tmp_path):
    frames = held_out(root)
    write_maps(tmp_path / "cent", frames, root, change=lambda mask: mask // 255 * 100)
    write_maps(tmp_path / "class", frames, root, change=lambda mask: mask // 255 * 2)
    command = ["evaluate", "--on", "haining", "--data-root", "data", "--predictions", "cent", "--predictions", "class"]
    status, _, err = polypda(*command)
    assert status == 3 and "E_PREDICTION_SCALE" in err and "class:2" in err
    status, out, err = polypda(*command, "--scale", "class=class:2")
    assert status == 0, err
    assert (read_cases(tmp_path / out.splitlines()[-1] / "cases.csv")["dice"] == 1).all()
    assert "8-bit maps, read as 0–100 (decided from all of them)" in err
    assert "8-bit maps, read as class 2 (as --scale says)" in err
    status, _, err = polypda(*command, "--scale", "clas=class:2")
    assert status == 2 and "E_SCALE" in err and "Did you mean 'class'" in err
    status, _, err = polypda("evaluate", "run", "--on", "haining", "--scale", "0-255")
    assert status == 2 and "E_OPTION" in err
