"""`polypda doctor` and `polypda explain` as a user gives them."""

import json
import sys
from collections import namedtuple

import pytest
from typer.testing import CliRunner

from polypda.cli.main import app
from polypda.codes.index import every_code
from polypda.errors import UsageError
from polypda.workflows.doctor import checks, self_test


def doctor(*words):
    return CliRunner().invoke(app, ["doctor", *words])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    return doctor("--json", "--cache-dir", str(folder / "cache")), folder


def test_everything_works_here_and_nothing_is_left(whole):
    done, folder = whole
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and told["well"] is True
    states = {check["name"]: check["state"] for check in told["checks"]}
    tested = [name for name in states if name.startswith("self-test")]
    assert len(tested) == len(self_test.FIGURES) and {states[name] for name in tested} == {"works"}
    assert states["offline weights"] == states["libraries"] == states["cache"] == "works"
    assert not list(folder.iterdir())


def test_each_line_fits_a_terminal_and_quick_checks_come_first(tmp_path):
    done = doctor("--no-self-test", "--cache-dir", str(tmp_path))
    lines = done.stdout.splitlines()
    assert done.exit_code == 0 and max(map(len, lines)) <= 80
    assert lines[0].startswith("versions") and lines[-1] == "all that is needed works."
    assert [line.split()[0] for line in lines].index("cache") < [line.split()[0] for line in lines].index("device")


def test_a_wrong_figure_fails_the_self_test(monkeypatch, tmp_path):
    monkeypatch.setitem(self_test.FIGURES, "metrics", lambda: {"Dice": 0.7, "IoU": 0.6, "HD95 px": 8.0})
    monkeypatch.setattr(self_test, "TESTS", {"metrics": lambda: self_test.compared("metrics")})
    done = doctor("--cache-dir", str(tmp_path))
    assert isinstance(done.exception, UsageError) and done.exception.code == "E_DOCTOR"
    assert "Dice is 0.7, not 0.75" in done.stdout and "FAILS" in done.stdout and "constraints.txt" in done.stdout


def test_what_is_needed_and_does_not_work_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert checks.place("cache", tmp_path / "file" / "cache").state == "fails"
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**6, 10**6))
    short = checks.place("here", tmp_path)
    assert short.state == "fails" and "polypda cache clear" in short.fix
    monkeypatch.setattr(checks.metadata, "requires", lambda _: ["numpy>=99", "nonesuch>=1", "x; extra == 'dev'"])
    library = checks.libraries()
    assert library.state == "fails" and "nonesuch missing" in library.words and "needed: >=99" in library.words
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert checks.python().state == "fails"
    assert set(checks.verdict([short, library]).what.split(": ")[1].rstrip(".").split(", ")) == {
        "here",
        "libraries",
    }


def test_an_optional_package_that_is_missing_fails_nothing(monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    found = list(checks.optional_packages())
    assert {one.state for one in found} == {"missing"} and all(one.fix for one in found)
    assert checks.verdict(found) is None


def test_an_error_of_a_library_is_a_check_that_fails():
    def broken():
        raise ImportError("libGL.so.1: cannot open shared object file")

    told = checks.guarded("device", broken)
    assert told.state == "fails" and told.words.startswith("ImportError: libGL") and "constraints.txt" in told.fix


def test_explain_tells_meaning_cause_remedy_and_example():
    done = CliRunner().invoke(app, ["explain", "E_RUN_EXISTS"])
    assert done.exit_code == 0 and "exit status 2" in done.stdout
    for part in ("means", "comes up", "what to do", "raised in", "prints as", "Fix: "):
        assert f"\n{part}" in done.stdout or part == "Fix: "
    assert "runs are never overwritten" in done.stdout


def test_every_code_is_explained_and_listed():
    listed = CliRunner().invoke(app, ["explain"]).stdout
    assert max(map(len, listed.splitlines())) <= 80
    for code in every_code():
        assert f"  {code}" in listed
    for code in list(every_code())[::60]:
        assert CliRunner().invoke(app, ["explain", code]).stdout.startswith(f"{code}: ")
