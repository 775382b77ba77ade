import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from polypda.cli.cohorts import cohorts_app
from polypda.cohorts.catalogue import load_catalogue
from polypda.errors import UsageError

runner = CliRunner()


def write_cohort(root: Path, *, mask_width: int = 64) -> None:
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / "zju2" / part).mkdir(parents=True)
    for stem in ("a", "b"):
        frame = cv2.resize(rng.uniform(60, 220, (6, 8, 3)).astype(np.float32), (64, 48)).astype(np.uint8)
        mask = np.zeros((48, mask_width), np.uint8)
        mask[20:30, 20:30] = 255
        (root / "zju2/images" / f"{stem}.png").write_bytes(cv2.imencode(".png", frame)[1].tobytes())
        (root / "zju2/masks" / f"{stem}.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())


def run(*arguments: object, columns: int = 120):
    return runner.invoke(cohorts_app, [str(a) for a in arguments], env={"COLUMNS": str(columns), "POLYPDA_DATA": ""})


def test_list_fits_eighty_columns_and_names_all(tmp_path):
    write_cohort(tmp_path)
    listed = run("list", "--data-root", tmp_path, columns=80)
    lines = listed.stdout.splitlines()
    assert listed.exit_code == 0 and max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split() for line in lines}
    assert set(load_catalogue()) <= set(rows)
    assert rows["zju2"][1:] == ["Hangzhou", "Olympus", "3000", "720×576", "mask", "private", "yes"]
    assert rows["haining"][-1] == "no"


def test_list_without_a_data_root_says_how_to_give_one():
    assert "POLYPDA_DATA" in run("list").stdout


def test_list_takes_the_data_root_from_the_environment(tmp_path):
    write_cohort(tmp_path)
    listed = runner.invoke(cohorts_app, ["list"], env={"POLYPDA_DATA": str(tmp_path), "COLUMNS": "80"})
    assert [line.split()[-1] for line in listed.stdout.splitlines() if line.startswith("zju2 ")] == ["yes"]


@pytest.mark.parametrize("cohort", list(load_catalogue()))
def test_show_tells_every_fact_with_its_status(cohort):
    shown = " ".join(run("show", cohort, columns=100).stdout.split())
    for fact in load_catalogue()[cohort].facts:
        assert fact.statement.split()[0] in shown and fact.status.value in shown
    assert "how to obtain" in shown


def test_show_writes_unknown_for_what_is_not_known():
    shown = run("show", "ningbo").stdout
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith(("processor", "pixel aspect"))] == [
        "unknown",
        "unknown",
    ]
    assert "宁波" in shown


def test_check_ends_with_three_only_on_errors(tmp_path):
    write_cohort(tmp_path / "sound")
    write_cohort(tmp_path / "wrong", mask_width=56)
    sound, wrong = (run("check", "zju2", "--data-root", tmp_path / name) for name in ("sound", "wrong"))
    assert sound.exit_code == 0 and "No errors" in sound.stdout and "W_COUNT" in sound.stdout
    assert wrong.exit_code == 3 and "E_MASK_SIZE" in wrong.stdout and "56×48" in wrong.stdout


def test_errors_reach_the_entry_point():
    assert isinstance(run("show", "zju22").exception, UsageError)


def test_phantom_becomes_a_data_root(tmp_path):
    out = tmp_path / "phantoms"
    rendered = run("phantom", "haining", "--frames", 3, "--out", out, "--seed", 1)
    assert rendered.exit_code == 0, rendered.exception
    assert "not clinical evidence" in rendered.stdout
    assert json.loads((out / "haining" / "PHANTOM.json").read_text(encoding="utf-8"))
    checked = run("check", "haining", "--data-root", out)
    assert checked.exit_code == 0 and "N_PHANTOM" in checked.stdout
