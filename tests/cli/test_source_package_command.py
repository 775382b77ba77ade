"""From a centre whose frames must stay to one that has only unlabelled frames of its own."""

import json
import re
import shutil

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from support.painted import write_cohort

from polypda.evaluation.cases.case_table import read_cases

TINY = ["--preset", "quick", "--batch-size", "2", "--adapt-steps", "3", "--checkpoint-every", "2", "--device", "cpu"]
NETWORK = ["--size", "64", "--start-steps", "2", "--method", "source-only"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the first test makes, for the others to copy."""
    return tmp_path_factory.mktemp("package") / "made"


@pytest.fixture
def package(polypda, tmp_path, made):
    """Made where the source is; what is left at the other centre is the target and this folder."""
    if not made.exists():
        write_cohort(tmp_path / "here", "zju2", count=24)
        write_cohort(tmp_path / "here", "haining", count=24, tint=(90, 120, 170))
        status, _, err = polypda(
            "adapt", "--source", "zju2", "--target", "haining", *NETWORK, *TINY, "--data-root", "here", "--out", "run"
        )
        assert status == 0, err
        status, out, err = polypda("source-package", "run", "--out", "package", "--data-root", "here")
        assert status == 0 and out.splitlines()[-1] == "package", err
        made.mkdir()
        shutil.copytree(tmp_path / "package", made / "package")
        (tmp_path / "here" / "haining").rename(made / "haining")
        for name in ("package", "run", "here"):
            shutil.rmtree(tmp_path / name)
    shutil.copytree(made / "package", tmp_path / "package")
    shutil.copytree(made / "haining", tmp_path / "there" / "haining")
    return tmp_path / "package"


def adapt(polypda, *more, method="adda"):
    words = ["--source-package", "package", "--target", "haining", "--data-root", "there", "--overlays", "1"]
    return polypda("adapt", *words, *TINY, "--method", method, *more)


def test_adda_and_tent_adapt_without_a_source_frame(polypda, package, tmp_path):
    assert {path.name for path in package.iterdir()} == {
        "package.json",
        "start.safetensors",
        "features.safetensors",
        "checksums.sha256",
    }
    assert str(tmp_path) not in (package / "package.json").read_text()
    for method in ("adda", "tent"):
        status, out, err = adapt(polypda, "--out", method, method=method)
        assert status == 0 and out.splitlines()[-1] == f"{method}/report/index.html", err
        cases = read_cases(tmp_path / method / "report" / "cases.csv")
        assert set(cases["cohort"]) == {"haining"} and set(cases["model"]) == {"source-only", "adabn", method}
        assert "No source frame was at hand" in (tmp_path / method / "report" / "index.html").read_text()
        selection = json.loads((tmp_path / method / "selection.json").read_text())
        assert selection["control"]["step"] == -1 and selection["verdict"] in ("adapted", "keep the source model")
        config = json.loads((tmp_path / method / "config.json").read_text())
        assert config["source"] == "zju2" and config["source_package"] == "package"
        assert str(tmp_path) not in (tmp_path / method / "config.json").read_text()
    status, _, err = polypda("report", "adda", "tent", "--out", "both", "--no-overlays")
    assert status == 0, err
    card = (tmp_path / "both" / "model_card.md").read_text()
    assert "is no equal-budget control of runs from a source package" in card and "their control" not in card
    assert "`adda`: features of the source's training frames" in card and "`tent`: no source frame" in card


def test_an_interrupted_one_goes_on(polypda, package, tmp_path):
    assert adapt(polypda, "--out", "run-2")[0] == 0
    (tmp_path / "run-2" / "report" / "evaluation.json").unlink()
    status, _, err = polypda("adapt", "--resume", "run-2", "--data-root", "there", "--overlays", "1")
    assert status == 0 and (tmp_path / "run-2" / "report" / "evaluation.json").is_file(), err


def test_a_target_without_any_label_is_adapted_to_and_weighed(polypda, package, tmp_path):
    shutil.rmtree(tmp_path / "there" / "haining" / "masks")
    status, out, err = adapt(polypda, "--out", "run", method="tent")
    assert status == 0 and out.splitlines() == ["adapted; not scored (no labels)", "run/unscored/index.html"], err
    assert len(list((tmp_path / "run" / "unscored" / "masks").rglob("*.png"))) == 24
    page = (tmp_path / "run" / "unscored" / "index.html").read_text()
    assert "No source frame was at hand" in page and not re.search(r"\bnan\b", page)


def test_what_a_package_cannot_serve_is_refused(polypda, package, tmp_path):
    status, _, err = adapt(polypda, method="adaptsegnet")
    assert status == 2 and "E_SOURCE_PACKAGE_METHOD" in err
    status, _, err = adapt(polypda, "--size", "96")
    assert status == 2 and "E_OPTION" in err and "--size" in err
    for words, code in (
        (["--selector", "oracle", "--target-labels"], "E_TARGET_LABELS"),
        (["--selector", "source-dice"], "E_OPTION"),
        (["-O", "tap=logits"], "E_OPTION"),
        (["-O", "source_features=elsewhere"], "E_OPTION"),
        (["-O", "placement=grl"], "E_ADDA_OPTION"),
    ):
        status, _, err = adapt(polypda, *words)
        assert status == 2 and code in err, (words, err)
    (package / "checksums.sha256").unlink()  # of an earlier version: contents are looked at
    for name, code in (("start.safetensors", "E_WEIGHTS_NONFINITE"), ("features.safetensors", "E_SOURCE_FEATURES")):
        whole = (package / name).read_bytes()
        with safe_open(package / name, "pt") as file:
            facts, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        first = next(key for key in state if state[key].is_floating_point())
        save_file(state | {first: state[first] * float("nan")}, package / name, facts)
        status, _, err = adapt(polypda)
        assert status == 3 and code in err and "not finite" in err, err
        (package / name).write_bytes(whole)
    (package / "features.safetensors").unlink()
    status, _, err = adapt(polypda)
    assert status == 3 and "E_SOURCE_PACKAGE" in err and "features" in err
    assert not (tmp_path / "runs").exists()
