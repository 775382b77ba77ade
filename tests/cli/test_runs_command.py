"""`polypda runs`, and what a run folder survives: flipped bits, edits, kills, a second process, an earlier version."""

import errno
import json
import os
import random
import shlex
import shutil
import signal
import sys
from collections import namedtuple
from importlib import metadata

import pytest
import torch
from safetensors.torch import load_file
from support.painted import write_cohort

from polypda.data.cache import CachedArray
from polypda.errors import DataError, Interrupted
from polypda.evaluation.cases.evaluation_file import read_evaluation
from polypda.integrity import CHECKSUMS
from polypda.locks import locked
from polypda.training import progress
from polypda.training.checkpoints import list_checkpoints
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs import disk_space
from polypda.workflows.runs.keeping import drop_models, problems

TINY = shlex.split(
    "--source zju2 --target haining --method adaptsegnet --size 64 --batch-size 2 --start-steps 1 --adapt-steps 4 "
    "--checkpoint-every 2 --threads 1 --overlays 1 --architecture fpn --levels 1 --device cpu --encoder-weights none "
    "--encoder tu-mobilenetv3_small_050 --no-guard --parts none --trainings-at-once 1 --data-root data"
)


KEPT_MODELS = ("start/step-000001", "source-only/step-000004", "adabn/step-000000")
KEPT = "polypda.workflows.runs.adapt.settle"
"""Left out here: a run with all of its states is one that can be damaged everywhere."""


def slow(*values):
    """Values of the same kind as their neighbours, for the long form."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with data, a cache and a finished run; copied for each test."""
    from polypda.cli.main import main

    folder = tmp_path_factory.mktemp("made")
    write_cohort(folder / "data", "zju2")
    write_cohort(folder / "data", "haining", tint=(150, 130, 60))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POLYPDA_CACHE", str(folder / "cache"))
        patch.setattr(KEPT, lambda run: None)
        patch.setattr(sys, "argv", ["polypda", "adapt", *TINY, "--out", "run"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    monkeypatch.setattr(KEPT, lambda run: None)
    monkeypatch.setattr("polypda.workflows.scoring.evaluate._overlays", lambda *_: iter(()))  # half of a run's time
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def flip(path, bit=None):
    data = bytearray(path.read_bytes())
    bit = random.Random(path.name).randrange(8 * len(data)) if bit is None else bit
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def finals(run):
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in (run / "adapted.safetensors", *run.glob("stages/*/step-000004/*.safetensors"))
    }


def test_a_finished_run_is_listed_shown_verified_and_cleaned(polypda, place):
    status, out, err = polypda("runs", "list", ".")
    assert status == 0 and "run  complete  zju2 → haining  adaptsegnet" in " ".join(out.split("\n")), out + err
    verdict = RunFolder(place / "run").status()["verdict"]
    assert ":" in verdict and verdict not in out and verdict.partition(":")[0] in " ".join(out.split())
    assert f"verdict: {verdict}" in polypda("runs", "show", "run")[1]
    status, out, _ = polypda("runs", "verify", ".", "run/report")
    assert status == 0 and out == "run: intact\nrun/report: intact\n"
    before = finals(place / "run")
    (place / "run" / ".report.abcdef.part").mkdir()  # of a version that did not say whose
    os.utime(place / "run" / ".report.abcdef.part", (0, 0))
    status, told, _ = polypda("runs", "clean", "run", "--dry-run")
    assert status == 0 and "left by a process that is gone" in told and "would remove" in told
    assert (place / "run" / ".report.abcdef.part").exists()
    status, out, _ = polypda("runs", "clean", ".")
    assert status == 0 and out.splitlines()[:-1] == told.splitlines()[:-1] and not out.endswith("removed 0.0 MB\n")
    assert not list(place.glob("run/stages/*/*/optimizers.pt")) and not list(place.glob("run/.*"))
    kept = finals(place / "run")
    assert kept.items() <= before.items() and len(kept) == 3
    status, out, _ = polypda("runs", "show", "run")
    assert status == 0 and "stage adaptsegnet: finished, last checkpoint after step 4" in out and "0.0 MB may go" in out
    assert polypda("runs", "verify", "run")[0] == 0
    assert polypda("report", "run", "--out", "report")[0] == 0
    _, told, _ = polypda("runs", "clean", ".", "--models", "--dry-run")
    assert "initial.safetensors (a model that is not needed" in told
    assert polypda("runs", "clean", ".", "--models")[0] == 0
    left = {path.relative_to(place / "run").as_posix() for path in place.glob("run/**/*.safetensors")}
    assert left == {"adapted.safetensors", *(f"stages/{name}/segmenter.safetensors" for name in KEPT_MODELS)}
    status, out, _ = polypda("runs", "show", "run")
    assert "stage adaptsegnet: finished, its checkpoints were not kept" in out and "not kept: checkpoints that" in out
    assert polypda("runs", "verify", "run")[0] == 0


def test_a_run_that_is_complete_keeps_no_state_to_train_on_with(polypda, made, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    before = finals(tmp_path / "run")
    assert list(tmp_path.glob("run/stages/*/*/optimizers.pt")) and len(before) == 4
    assert polypda("adapt", "--resume", "run", "--data-root", "data")[0] == 0
    assert not list(tmp_path.glob("run/stages/*/*/optimizers.pt"))
    steps = {stage.name: len(list_checkpoints(stage)) for stage in (tmp_path / "run" / "stages").iterdir()}
    assert steps == {"start": 1, "source-only": 1, "adabn": 1, "adaptsegnet": 0}, "what is handed out is adapted"
    kept = finals(tmp_path / "run")
    assert len(kept) == 2 and kept.items() <= before.items()
    assert not (tmp_path / "run" / "initial.safetensors").exists()
    assert polypda("runs", "verify", "run")[0] == 0 and "0.0 MB" in polypda("runs", "clean", "run", "--models")[1]
    figures = {name: (tmp_path / "run" / "report" / name).read_bytes() for name in ("cases.csv", "selectors.csv")}
    choice = (tmp_path / "run" / "selection.json").read_bytes()
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 0 and "choosing the checkpoint" not in err and "not kept: checkpoints" in err
    assert figures == {name: (tmp_path / "run" / "report" / name).read_bytes() for name in figures}
    assert choice == (tmp_path / "run" / "selection.json").read_bytes() and finals(tmp_path / "run") == kept
    (tmp_path / "run" / "adapted.safetensors").rename(tmp_path / "copy")
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 3 and "E_MODEL_NOT_KEPT" in err and "put back a copy, or train the run anew" in err
    (tmp_path / "copy").rename(tmp_path / "run" / "adapted.safetensors")
    start = ["--out", "second", "--start", "run", "--seed", "0"]
    assert polypda("adapt", *TINY, *start)[0] == 0, "another run reuses its start and its control"


def test_of_an_adaptation_that_is_set_aside_the_chosen_checkpoint_stays(place):
    run = RunFolder(place / "run")
    choice = json.loads((run.folder / "selection.json").read_text())
    aside = choice | {"verdict": "keep the source model", "alarms": ["it marks nothing"], "step": 2}
    (run.folder / "selection.json").write_text(json.dumps(aside))
    drop_models(run)
    assert [checkpoint.step for checkpoint in list_checkpoints(run.stage("adaptsegnet"))] == [2]


KINDS = [
    *("config.json", "split-zju2.csv", "manifests.json", "labels.json", "initial.safetensors", "environment.json"),
    *("adapted.safetensors", "selection.json", CHECKSUMS, "STATUS.json"),
    *("report/cases.csv", "report/evaluation.json", "report/selectors.csv", f"report/{CHECKSUMS}"),
    *(f"stages/adaptsegnet/{name}" for name in ("done.json", "events.jsonl", CHECKSUMS)),
    *(
        f"stages/adaptsegnet/step-000004/{name}"
        for name in ("segmenter.safetensors", "d_main.safetensors", "optimizers.pt", "checkpoint.json", CHECKSUMS)
    ),
]


@pytest.mark.parametrize("name", KINDS)
def test_one_flipped_bit_is_told_by_verify(polypda, place, name):
    flip(place / "run" / name)
    status, out, err = polypda("runs", "verify", "run")
    assert status == 3 and "E_RUN_DAMAGED" in err and "Traceback" not in err
    assert name in out or name.endswith(CHECKSUMS), out


@pytest.mark.parametrize(
    "name", ["segmenter.safetensors", "checkpoint.json", *slow("d_main.safetensors", "optimizers.pt")]
)
def test_a_flipped_bit_of_a_checkpoint_is_told_before_it_is_gone_on_from(polypda, place, name):
    stage = place / "run" / "stages" / "adaptsegnet"
    (stage / "done.json").unlink()
    flip(stage / "step-000004" / name)
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 3 and "E_CHECKPOINT step-000004: cannot be read: E_FILE_CHANGED: it is not what" in err, err
    shutil.rmtree(stage / "step-000004")
    assert polypda("adapt", "--resume", "run", "--data-root", "data")[0] == 0


@pytest.mark.parametrize("name", ["config.json", "split-haining.csv", "initial.safetensors", "selection.json"])
def test_and_by_whatever_uses_the_run_next(polypda, place, name):
    flip(place / "run" / name)
    for words in (["adapt", "--resume", "run"], ["evaluate", "run", "--on", "haining"], ["curves", "run"]):
        status, _, err = polypda(*words, *(["--data-root", "data"] if words[0] != "curves" else []))
        assert status == 3 and f"E_FILE_CHANGED run/{name}" in err, err


def test_a_flipped_figure_is_told_by_the_report(polypda, place):
    flip(place / "run" / "report" / "cases.csv", 8 * 200 + 1)
    status, _, err = polypda("report", "run", "--out", "report")
    assert status == 3 and "E_FILE_CHANGED report/cases.csv" in err
    with pytest.raises(DataError, match="E_FILE_CHANGED"):
        read_evaluation(place / "run" / "report")


def test_an_edited_setting_is_refused_and_a_status_is_written_anew(polypda, place):
    config = place / "run" / "config.json"
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 1'))
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 3 and "E_FILE_CHANGED run/config.json" in err and "a run keeps its settings" in err
    config.write_text(config.read_text().replace('"seed": 1', '"seed": 0'))
    (place / "run" / "STATUS.json").write_text('{"state": "complete", "verdict": "fine"}')
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 0, err
    assert problems(place / "run") == []


def test_a_damaged_cache_is_made_again_and_told_while_it_is_used(polypda, place, monkeypatch):
    entries = sorted((place / "cache" / "frames").glob("*.npy"))
    frames = [path for path in entries if not path.stem.endswith("facts")]
    for path in frames[:2]:
        flip(path, 8 * (path.stat().st_size - 3))  # its end
    before = finals(place / "run")
    shutil.rmtree(place / "run" / "stages")
    assert polypda("adapt", "--resume", "run", "--data-root", "data")[0] == 0
    assert finals(place / "run") == before
    for path in frames:
        flip(path, 8 * 4000)
    shutil.rmtree(place / "run" / "stages")
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 3 and "E_CACHE_DAMAGED" in err
    for _ in frames:
        if (status := polypda("adapt", "--resume", "run", "--data-root", "data")[0]) == 0:
            break
    assert status == 0 and finals(place / "run") == before
    with pytest.raises(DataError, match=r"E_CACHE_DAMAGED .*was removed while it was needed"):
        CachedArray(place / "cache" / "frames" / "gone.npy")[0]


def test_checkpoints_that_are_gone_are_told(polypda, place):
    for path in (place / "run" / "stages" / "start").glob("step-*"):
        shutil.rmtree(path)
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 3 and "E_CHECKPOINT_GONE start" in err and "stages/start" in err
    assert "checkpoints are gone" in polypda("runs", "verify", "run")[1]


def test_a_state_that_is_not_finite_is_found_when_it_is_loaded(polypda, place):
    step = place / "run" / "stages" / "adaptsegnet" / "step-000004"
    (step.parent / "done.json").unlink()
    states = torch.load(step / "optimizers.pt", weights_only=True)
    name, state = next((name, one["state"]) for name, one in states.items() if "exp_avg" in one["state"].get(0, {}))
    state[0]["exp_avg"][0] = float("nan")
    torch.save(states, step / "optimizers.pt")
    (step / CHECKSUMS).unlink()
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert (
        status == 3 and f"E_CHECKPOINT step-000004: its optimisers' state is not finite: {name}.state.0.exp_avg" in err
    )


def test_a_run_of_an_earlier_version_is_taken_over(polypda, place):
    for path in place.glob(f"run/**/{CHECKSUMS}"):
        path.unlink()
    status, _, err = polypda("runs", "verify", "run")
    assert status == 3 and "E_NO_CHECKSUMS" in err and "polypda adapt --resume run" in err
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    assert status == 0, err
    assert problems(place / "run") == []


def test_other_versions_are_told_and_recorded(polypda, place, caplog):
    record = place / "run" / "environment.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"torch": "2.0.0", "threads": "7"}))
    for path in place.glob(f"run/{CHECKSUMS}"):
        path.unlink()
    status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data", "--processes", "3")
    assert status == 2 and "shared evenly" in err
    assert polypda("adapt", "--resume", "run", "--data-root", "data", "--processes", "2")[0] == 0
    for different in (f"torch 2.0.0 → {metadata.version('torch')}", "threads 7 → 1", "processes 1 → 2"):
        assert different in caplog.text
    assert len(json.loads((place / "run" / "resumed.json").read_text())) == 1


def test_a_second_command_in_the_run_is_refused(polypda, place):
    before = {path: path.stat().st_mtime_ns for path in place.glob("run/**/*") if path.is_file()}
    with locked(place / "run", "adapt"):
        before[place / "run" / ".lock"] = (place / "run" / ".lock").stat().st_mtime_ns
        for words in (["adapt", "--resume", "run"], ["evaluate", "run", "--on", "haining"]):
            status, _, err = polypda(*words, "--data-root", "data")
            assert status == 3 and f"E_RUN_LOCKED run: process {os.getpid()} (adapt, since" in err
        assert polypda("runs", "clean", "run")[0] == 3
    after = {path: path.stat().st_mtime_ns for path in place.glob("run/**/*") if path.is_file()}
    assert after.items() <= before.items()


def test_a_report_that_was_killed_after_it_was_written_is_given_again(polypda, place):
    status, page, _ = polypda("report", "run", "--out", "report")
    written = (place / "report" / "index.html").stat().st_mtime_ns
    assert status == 0
    assert polypda("report", "run", "--out", "report")[:2] == (0, page)
    assert (place / "report" / "index.html").stat().st_mtime_ns == written
    for words in (["--title", "Another"], ["--no-overlays"]):
        status, _, err = polypda("report", "run", "--out", "report", *words)
        assert status == 3 and "E_REPORT_EXISTS" in err


class StopAfter(progress.Silent):
    """Ctrl-C after step 1 and step 3 of the method's training, at which nothing is planned."""

    stage = ""

    def begin(self, stage, start, steps):
        self.stage = stage

    def advance(self, step, report=None):
        if self.stage.endswith("adaptsegnet") and step in (1, 3):
            os.kill(os.getpid(), 2)


def test_interruptions_change_neither_choice_nor_candidates(polypda, place, monkeypatch):
    run = place / "run"
    whole, chosen = finals(run), (run / "selection.json").read_text()
    shutil.rmtree(run / "stages" / "adaptsegnet")
    (run / "adapted.safetensors").unlink()
    monkeypatch.setattr("polypda.cli.console.terminal_progress", StopAfter)
    for _ in range(3):
        status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
        if status == 0:
            break
        assert status == 130 and "go on with: polypda adapt --resume run" in err
        assert RunFolder(run).status()["state"] == "interrupted"
    assert status == 0
    assert finals(run) == whole
    assert (run / "selection.json").read_text() == chosen
    assert [one.step for one in list_checkpoints(run / "stages" / "adaptsegnet")][-1] == 4


@pytest.mark.parametrize(
    ("where", "number", "status"),
    [
        ("scoring zju2", 15, 143),
        ("labels", 1, 129),
        ("in compiled code", 2, 130),
        *(
            pytest.param(where, number, 128 + number, marks=pytest.mark.slow)
            for where, number in (
                *(("scoring zju2", other) for other in (1, 2)),
                *(("labels", other) for other in (2, 15)),
                *(("in compiled code", other) for other in (1, 15)),
            )
        ),
    ],
)
def test_signals_are_heard_outside_the_training_loop_too(polypda, place, monkeypatch, number, status, where):
    class Stop(progress.Silent):
        def begin(self, stage, start, steps):
            if stage.endswith(where):
                os.kill(os.getpid(), number)

    monkeypatch.setattr("polypda.cli.console.terminal_progress", Stop)
    if where == "in compiled code":  # from which a handler's exception comes out as another

        def lost(*_, **__):
            try:
                os.kill(os.getpid(), number)
            except KeyboardInterrupt:
                raise ValueError("Invalid bounding box") from None

        monkeypatch.setattr("polypda.workflows.runs.adapt.StagePlan", lost)
    elif where == "labels":  # before the run is gone on with
        monkeypatch.setattr("polypda.workflows.runs.adapt.data_tables", lambda *_: os.kill(os.getpid(), number))
    else:
        shutil.rmtree(place / "cache" / "scores")
    former = signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored, and that is respected
    try:
        ended, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
    finally:
        signal.signal(number, former)
    assert ended == status, err
    assert "E_INTERRUPTED" in err and "go on with: polypda adapt --resume run --data-root data" in err
    if where != "labels":
        assert RunFolder(place / "run").status()["state"] == "interrupted"


def test_a_run_that_is_stopped_before_its_first_step_says_so(polypda, place, monkeypatch):
    monkeypatch.setattr("polypda.workflows.runs.adapt.require_recorded", lambda *_: os.kill(os.getpid(), 2))
    status, _, err = polypda("adapt", *TINY, "--out", "begun")
    assert status == 130 and "go on with: polypda adapt --resume begun" in err
    assert RunFolder(place / "begun").status()["state"] == "interrupted"


def test_too_small_a_disk_is_told_before_anything_is_trained(polypda, place, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    status, _, err = polypda("adapt", *TINY, "--out", "another")
    assert status == 3 and "E_DISK_SPACE" in err and "MB are needed there, and 1 MB are free" in err
    assert not (place / "another").exists()


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EACCES, *slow(errno.EIO, errno.EROFS)])
def test_a_write_that_fails_is_a_coded_error_and_what_was_good_stays(polypda, place, monkeypatch, kind):
    """From the k-th renaming on; benchmarks/survival.py draws k at random."""
    run, replace = place / "run", os.replace
    whole = finals(run)
    for stage in ("adaptsegnet", "adabn"):
        shutil.rmtree(run / "stages" / stage)
    for k in (1, 6, 14, 22):
        with monkeypatch.context() as patch:
            calls = []

            def failing(self, target, k=k, calls=calls):
                calls.append(target)
                if len(calls) >= k:
                    raise OSError(kind, os.strerror(kind), str(target))
                replace(self, target)

            patch.setattr("pathlib.Path.replace", failing)
            status, _, err = polypda("adapt", "--resume", "run", "--data-root", "data")
            assert (status == 3 and err.count("E_") and "Traceback" not in err) or (status == 0 and len(calls) < k)
    assert polypda("adapt", "--resume", "run", "--data-root", "data")[0] == 0
    assert finals(run) == whole
    assert problems(run) == [] and not list(run.glob("**/.*"))


def test_weights_are_readable_as_the_umask_says(place):
    former = os.umask(0o022)
    os.umask(former)
    for path in place.glob("run/**/*.safetensors"):
        assert path.stat().st_mode & 0o777 == 0o666 & ~former
    assert load_file(place / "run" / "adapted.safetensors")


def test_an_interruption_knows_its_signal():
    assert Interrupted("E_INTERRUPTED", "x").exit_status == 130
