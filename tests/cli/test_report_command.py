"""`polypda report` as a user meets it: the page last, coded errors, nothing half-written."""

import json
from pathlib import Path

import pandas as pd
import pytest
from support.synthetic_cases import SyntheticCohort, synthetic_run

from polypda.cli import main as cli
from polypda.evaluation.cases.evaluation_file import Evaluation, write_evaluation

ADA, BEA = SyntheticCohort("ada", 5, 4), SyntheticCohort("bea", 5, 4)


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["polypda", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def saved(folder: Path, evaluation: Evaluation, index: str = "report") -> Path:
    (folder / index).mkdir(parents=True)
    write_evaluation(folder / index, evaluation.cases, evaluation.run_metadata)
    return folder


def refused(monkeypatch, capsys, tmp_path: Path, *runs: object, out: str = "out") -> tuple[int, str]:
    status = run_cli(monkeypatch, "report", *runs, "--out", tmp_path / out)
    error = capsys.readouterr().err
    left = {path.name for path in tmp_path.iterdir() if out in path.name and path.name != out}
    assert not left and "Traceback" not in error
    return status, error


def test_runs_become_a_report_whose_page_is_printed_last(tmp_path: Path, monkeypatch, capsys) -> None:
    run = saved(tmp_path / "run-0", synthetic_run(ADA, BEA, ("adaptsegnet",), 0))
    further = synthetic_run(ADA, BEA, ("adaptsegnet",), 0, on=[("target", BEA)])
    saved(run, further, "evaluations/again")
    other = saved(tmp_path / "run-1", synthetic_run(ADA, BEA, ("adaptsegnet",), 1)) / "report"
    out = tmp_path / "reports" / "both"
    out.mkdir(parents=True)
    for name in ("index.html", "cases.csv", "model_card.md"):
        (out / name).write_text("of a former report")
    arguments = ("report", run, run / "report", other, "--out", out, "--no-overlays", "--title", "Both seeds")
    assert run_cli(monkeypatch, *arguments) == 3
    assert "E_REPORT_EXISTS" in capsys.readouterr().err

    assert run_cli(monkeypatch, *arguments, "--force") == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] == str(out / "index.html")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<h1>Both seeds</h1>" in page and "2 seeds (0, 1)" in page
    assert "no frame is shown" in page and "data:image/jpeg" not in page and not (out / "overlays").exists()
    json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {path.name for path in out.parent.iterdir()} == {"both"}


def test_wrong_usage_says_what_is_needed(tmp_path: Path, monkeypatch, capsys) -> None:
    assert run_cli(monkeypatch, "report") == 2
    assert "E_REPORT_ARGUMENTS" in capsys.readouterr().err
    assert run_cli(monkeypatch, "report", tmp_path) == 2
    assert run_cli(monkeypatch, "report", "--study-template") == 0
    assert "#" in capsys.readouterr().out


def test_folders_without_an_evaluation_are_named(tmp_path: Path, monkeypatch, capsys) -> None:
    empty = tmp_path / "begun"
    (empty / "report").mkdir(parents=True)
    (empty / "config.json").write_text("{}")
    for folder in (empty, tmp_path / "nowhere"):
        status, error = refused(monkeypatch, capsys, tmp_path, folder)
        assert status == 3 and "E_EVALUATION_MISSING" in error and folder.name in error and "Fix:" in error


def test_an_existing_folder_that_is_no_report_is_never_replaced(tmp_path: Path, monkeypatch, capsys) -> None:
    run = saved(tmp_path / "run", synthetic_run(ADA, BEA))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert run_cli(monkeypatch, "report", run, "--out", tmp_path / "mine", "--force") == 3
    assert "E_REPORT_EXISTS" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def changed(path: Path, change) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("E_CASES_VERSION", lambda table: table.assign(schema_version="1")),
        ("E_CASES_DUPLICATE", lambda table: pd.concat([table, table.iloc[:1]])),
        ("E_CASES_EMPTY", lambda table: table.iloc[:0]),
        ("E_CASES_COLUMNS", lambda table: table.drop(columns="dice")),
        ("E_CASES_FRAMES_DIFFER", lambda table: table[(table["cohort"] != "bea") | (table["frame"] != "00003")]),
        ("E_MIXED_SPLITS", lambda table: table.assign(split=table["split"].where(table["cohort"] != "bea", "train"))),
        ("E_MIXED_PROTOCOL", lambda table: table.assign(threshold="0.4")),
    ],
)
def test_runs_that_do_not_fit_together_are_refused(tmp_path, monkeypatch, capsys, code, change) -> None:
    good = saved(tmp_path / "good", synthetic_run(ADA, BEA, ("adaptsegnet",), 0, run="good"))
    bad = saved(tmp_path / "bad", synthetic_run(ADA, BEA, ("adaptsegnet",), 1, run="bad"))
    changed(bad / "report" / "cases.csv", change)
    status, error = refused(monkeypatch, capsys, tmp_path, good, bad)
    assert status in (2, 3) and error.startswith(code), error
    assert not (tmp_path / "out").exists()


def test_a_study_file_that_cannot_be_read_is_told_before_the_work(tmp_path: Path, monkeypatch, capsys) -> None:
    run = saved(tmp_path / "run", synthetic_run(ADA, BEA))
    (tmp_path / "study.yaml").write_text("titel: X\n")
    status = run_cli(monkeypatch, "report", run, "--out", tmp_path / "out", "--study", tmp_path / "study.yaml")
    assert status in (2, 3) and "E_STUDY" in capsys.readouterr().err and not (tmp_path / "out").exists()
