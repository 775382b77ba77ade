"""`polypda matrix`: plans, shares trainings, resumes, and ends with the report."""

import json
import re

import pytest
from support.painted import write_cohort

from polypda.cohorts.catalogue import manifest
from polypda.evaluation.cases.case_table import read_cases
from polypda.workflows.runs.presets import PRESETS

TINY = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "2", "--adapt-steps", "2"]
MATRIX = ["matrix", "--sources", "zju2,haining", "--targets", "zju2,haining", "--out", "matrix"]
WITH_ORACLE = ["--methods", "source-only,adabn,adaptsegnet,oracle", "--target-labels"]
REST = ["--data-root", "data", "--device", "cpu", "--overlays", "1"]


@pytest.fixture
def root(tmp_path):
    write_cohort(tmp_path / "data", "zju2", count=24)
    write_cohort(tmp_path / "data", "haining", count=24, tint=(90, 120, 170))
    return tmp_path / "data"


def test_a_matrix_is_run_once_and_reported(polypda, root, tmp_path):
    status, out, err = polypda(*MATRIX, *WITH_ORACLE, *TINY, *REST)
    assert status == 0, err
    assert out.splitlines()[-1] == "matrix/report/index.html"
    runs = sorted(path.name for path in (tmp_path / "matrix").iterdir() if (path / "config.json").is_file())
    assert len(runs) == 4
    adapted = tmp_path / "matrix" / "zju2-to-haining-adaptsegnet-s0"
    config = json.loads((adapted / "config.json").read_text())
    assert config["start_from"] == config["control_from"] == "zju2-to-haining-source-only-s0"
    assert config["oracle_from"] == "haining-to-zju2-source-only-s0"
    assert not {"start", "source-only", "oracle"} & {path.name for path in (adapted / "stages").iterdir()}
    cases = read_cases(adapted / "report" / "cases.csv")
    other = read_cases(tmp_path / "matrix" / config["oracle_from"] / "report" / "cases.csv")
    oracle = cases.loc[cases["model"] == "oracle", "training"].unique()
    assert oracle.tolist() == other.loc[other["model"] == "source-only", "training"].unique().tolist()
    report = {path.name for path in (tmp_path / "matrix" / "report").iterdir()}
    assert {"index.html", "matrix.csv", "matrix.tex", "comparisons.csv", "summary.json", "checklist.md"} <= report

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "matrix").glob("*/report/cases.csv")}
    status, _, err = polypda(*MATRIX, *WITH_ORACLE, *TINY, *REST)
    assert status == 0 and err.count(": complete") == 4, err
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was trained or scored again

    (adapted / "report" / "evaluation.json").unlink()
    events = (adapted / "stages" / "adaptsegnet" / "events.jsonl").stat().st_mtime_ns
    status, _, err = polypda(*MATRIX, *WITH_ORACLE, *TINY, *REST)
    assert status == 0 and err.count(": to score") == 1, err
    assert (adapted / "stages" / "adaptsegnet" / "events.jsonl").stat().st_mtime_ns == events

    status, _, err = polypda(*MATRIX, *WITH_ORACLE, *TINY, *REST, "--batch-size", "4")
    assert status == 2 and "E_MATRIX_DIFFERS" in err and "data" in err


def test_a_target_without_labels_ends_a_matrix_well(polypda, root, tmp_path):
    for mask in (root / "haining" / "masks").iterdir():
        mask.unlink()
    one = ["matrix", "--sources", "zju2", "--targets", "haining", "--methods", "source-only", "--out", "matrix"]
    status, out, err = polypda(*one, *TINY, *REST)
    assert status == 0, err
    page = tmp_path / out.splitlines()[-1]
    assert page == tmp_path / "matrix" / "zju2-to-haining-source-only-s0" / "unscored" / "index.html"
    assert page.is_file() and "not scored (no labels)" in err
    assert json.loads((page.parents[1] / "STATUS.json").read_text())["verdict"] == "trained; not scored (no labels)"


def test_a_dry_run_prints_the_plan_and_writes_nothing(polypda, root, tmp_path):
    status, out, err = polypda(*MATRIX, *TINY, *REST, "--seeds", "0,1", "--dry-run")
    assert status == 0, err
    assert len(re.findall(r"to run +\d+ s  ", out)) == 8 and "8 runs, 8 to train" in out
    assert not (tmp_path / "matrix").exists()


def test_a_broken_run_is_told_and_the_rest_goes_on(polypda, root, tmp_path):
    masks = sorted((root / "haining" / "masks").iterdir())
    masks[0].write_bytes(b"no picture")  # of a training frame: haining can be scored on, but not learnt
    status, out, err = polypda(*MATRIX, "--methods", "source-only,adabn", *TINY, *REST)
    assert status == 3 and "E_MASK_UNREADABLE" in err
    cases = read_cases(tmp_path / out.splitlines()[-1].replace("index.html", "cases.csv"))
    assert set(cases["run"]) == {"zju2-to-haining-source-only-s0"}
    told = (tmp_path / "matrix" / "report" / "matrix.md").read_text()
    assert "Planned, but not in these numbers: haining-to-zju2-source-only-s0" in told
    for mask in masks:
        mask.write_bytes(b"no picture")
    status, _, err = polypda(*MATRIX, "--methods", "source-only,adabn", *TINY, *REST, "--out", "nothing")
    assert status == 3 and "E_MATRIX_FAILED" in err and not (tmp_path / "nothing" / "report").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--seed", "3"], "E_OPTION"),
        (["--oracle"], "E_OPTION"),
        (["--methods", "adaptsegnet,oracle"], "E_TARGET_LABELS"),
        (["--methods", "adaptsegnett"], "E_METHOD_UNKNOWN"),
        (["--seeds", "a"], "E_OPTION"),
        (["--seeds", "²"], "E_OPTION"),
        (["--seeds", "7" * 5000], "E_OPTION"),
        (["--study", "nosuch.yaml", "--dry-run"], "E_STUDY_MISSING"),
        (["--report", "data"], "E_REPORT_EXISTS"),
        (["-O", "lambda_adv_main=1"], "E_METHOD_OPTION"),
        (["-O", "adaptsegnet:lambda_adv=1"], "E_METHOD_OPTION"),
        (["--sizee", "64"], "No such option"),
    ],
)
def test_wrong_words_are_told(polypda, root, tmp_path, words, code):
    status, _, err = polypda(*MATRIX, *TINY, *REST, *words)
    assert status in (2, 3) and code in err
    assert not (tmp_path / "matrix").exists()


def test_a_methods_option_reaches_that_method_alone(polypda, root, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "quick", PRESETS["quick"] | {"parts": "all"})
    option = ["-O", "adaptsegnet:lambda_adv_main=0.25", "--methods", "adaptsegnet"]
    status, _, err = polypda("matrix", "--sources", "zju2", "--targets", "haining", "--out", "m", *TINY, *REST, *option)
    assert status == 0, err
    config = json.loads((tmp_path / "m" / "zju2-to-haining-adaptsegnet-s0" / "config.json").read_text())
    assert float(config["options"]["lambda_adv_main"]) == 0.25
    assert config["parts"] == "none", "a matrix trains what it names"
    base = json.loads((tmp_path / "m" / "zju2-to-haining-source-only-s0" / "config.json").read_text())
    assert "lambda_adv_main" not in base["options"]


@pytest.mark.parametrize(
    ("words", "at_once"), [(["--jobs", "2"], 1), (["--jobs", "2", "--trainings-at-once", "2"], 2), ([], 2)]
)
def test_runs_that_share_the_cores_do_not_part_them_again(polypda, root, monkeypatch, words, at_once):
    """jobs × threads is what the user counts with."""
    monkeypatch.setitem(PRESETS, "quick", PRESETS["quick"] | {"compute": {"threads": 2, "trainings_at_once": 2}})
    planned = []
    monkeypatch.setattr("polypda.cli.matrix._print_plan", lambda plan, *_: planned.extend(plan.runs))
    command = ["matrix", "--sources", "zju2", "--targets", "haining", "--out", "m", "--dry-run", *REST, *words]
    status, _, err = polypda(*command, "--preset", "quick")
    assert status == 0, err
    assert {run.config.compute.trainings_at_once for run in planned} == {at_once}


def test_cohorts_of_the_data_root_are_known(polypda, tmp_path):
    known = manifest("haining").model_dump(mode="json") | {"id": "ward-7", "layouts": []}
    (tmp_path / "data" / "ward-7").mkdir(parents=True)
    (tmp_path / "data" / "ward-7" / "manifest.yaml").write_text(json.dumps(known), encoding="utf-8")  # is YAML
    words = ["matrix", "--sources", "ward-7", "--targets", "haining", "--methods", "nonesuch"]
    for given, code in (([], "E_COHORT_UNKNOWN"), (["--data-root", "data"], "E_METHOD_UNKNOWN")):
        status, _, err = polypda(*words, *given)
        assert status == 2 and code in err
    assert "E_METHOD_UNKNOWN" in polypda(*words, "--data-root=data")[2]
