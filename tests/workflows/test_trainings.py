"""Trainings side by side give what one after another gives, and stop with a checkpoint each."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.painted import write_cohort

from polypda.errors import TrainingError
from polypda.training.config import Compute
from polypda.training.progress import Silent
from polypda.workflows.runs.trainings import Training, several_at_once, train_all

SHORT = "--start-steps 2 --adapt-steps 6 --checkpoint-every 3 --size 64 --batch-size 2 --no-guard --threads 1"
KEPT = "--keep all --parts all"
NETWORK = "--architecture unet --encoder tu-mobilenetv3_small_050 --encoder-weights none"
OPTIONS = "-O polyp_from=0.5 -O background_to=0.4999 -O negative_to=0.4999 -O peak_from=0"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_cohort(root, "zju2", count=9)
    write_cohort(root, "haining", count=9, tint=(150, 130, 60))
    return root


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "polypda.cli.main", "adapt", *words]


def adapted(root: Path, out: Path, at_once: int) -> list[str]:
    text = (
        f"--source zju2 --target haining --preset quick --data-root {root} --out {out} --overlays 0 {SHORT} {NETWORK}"
    )
    return command(*f"{text} {KEPT} {OPTIONS} --cache-dir {root / 'cache'} --trainings-at-once {at_once}".split())


def models(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name: load_file(path) for path in sorted(run.glob("*.safetensors"))}


def same(one: dict[str, dict[str, torch.Tensor]], other: dict[str, dict[str, torch.Tensor]]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name][key], other[name][key]) for name in one for key in one[name]
    )


@pytest.mark.slow
def test_side_by_side_interrupted_and_resumed_is_as_one_after_another(root, tmp_path):
    subprocess.run(adapted(root, tmp_path / "one", 1), check=True, capture_output=True)
    assert {"part-adaptsegnet.safetensors", "adapted.safetensors"} <= models(tmp_path / "one").keys()
    running = subprocess.Popen(adapted(root, tmp_path / "two", 2), stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if "source-only: 3/" in line:  # a step of a training that runs in another process
            running.send_signal(signal.SIGTERM)
            break
    told = running.stderr.read()
    assert running.wait(60) == 143 and "checkpoints are kept" in told
    assert json.loads((tmp_path / "two" / "STATUS.json").read_text())["state"] == "interrupted"
    assert not (tmp_path / "two" / "adapted.safetensors").exists()
    subprocess.run(
        command("--resume", str(tmp_path / "two"), "--data-root", str(root), "--overlays", "0"),
        check=True,
        capture_output=True,
    )
    assert same(models(tmp_path / "one"), models(tmp_path / "two"))


def note(folder: Path, name: str, after: tuple[str, ...], compute: Compute, progress: Silent) -> str:
    assert compute.trainings_at_once == 1 and compute.threads == 1
    assert all((folder / other).exists() for other in after)
    progress.begin(name, 0, 1)
    progress.advance(1)
    progress.end()
    (folder / name).write_text(str(os.getpid()))
    return name.upper()


def fail(compute: Compute, progress: Silent) -> None:
    raise TrainingError("E_NON_FINITE", "the loss is not a number.", where="here", fix="lower the learning rate.")


def wait_for_the_end(folder: Path, compute: Compute, progress: Silent) -> None:
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        (folder / "checkpoint").touch()
        raise


def test_what_is_needed_comes_first_and_results_come_back(tmp_path):
    seen = []
    trainings = [
        Training("first", partial(note, tmp_path, "first", ())),
        Training("second", partial(note, tmp_path, "second", ("first",)), needs=("first",)),
        Training("third", partial(note, tmp_path, "third", ())),
    ]
    compute = Compute(device="cpu", threads=2, trainings_at_once=2)
    results = train_all(trainings, compute, Silent(), seen.append)
    assert results == {"first": "FIRST", "second": "SECOND", "third": "THIRD"}
    assert seen[:2] == ["first", "first, third"] and len(seen) == 3
    assert str(os.getpid()) not in {(tmp_path / name).read_text() for name in ("first", "second", "third")}


def test_an_error_in_one_stops_the_others_with_a_checkpoint_and_is_told(tmp_path):
    trainings = [Training("waits", partial(wait_for_the_end, tmp_path)), Training("fails", fail)]
    with pytest.raises(TrainingError, match="not a number") as caught:
        train_all(trainings, Compute(device="cpu", trainings_at_once=2), Silent(), lambda names: None)
    assert caught.value.code == "E_NON_FINITE" and caught.value.fix
    assert (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("settings", [{"trainings_at_once": 1}, {"trainings_at_once": 2, "processes": 2}])
def test_one_at_a_time_unless_asked_for_and_never_beside_shared_batches(settings):
    assert not several_at_once(Compute(device="cpu", **settings))
    assert several_at_once(Compute(device="cpu", trainings_at_once=2))
