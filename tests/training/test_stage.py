"""A stage resumes bit-exactly, is the same for any number of workers and processes, and stops as it should."""

import dataclasses
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.stages import stage_material

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.errors import DataError, Interrupted, TrainingError, UsageError
from polypda.integrity import CHECKSUMS
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.weights import save_module
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import Compute, DataConfig, Precision, StageConfig
from polypda.training.engine import Engine
from polypda.training.progress import Silent
from polypda.training.run_loggers import TRACKING, LogPlace, TensorBoard, Tracking
from polypda.training.stage import Stage, run_stage, statistics_batches

OPTIONS = {"discriminator_width": 4, "discriminator_layers": 3, "learning_rate": 1e-2}
SPEC = SegmenterSpec(architecture="deeplabv3plus", encoder="tu-mobilenetv3_small_050", levels=2)
FOLLOWED = ("tensorboard",) if find_spec("tensorboard") else ()
ONE_THREAD = Compute(device="cpu", threads=1)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Cached frames of two painted cohorts and a fresh segmenter's weights."""
    return stage_material(tmp_path_factory.mktemp("material"), SPEC, source=9, target=8)


@pytest.fixture
def make_stage(material, tmp_path):
    source, target, initial = material

    def make(name, steps=5, method="adaptsegnet", augmentation="standard", data=None, **changes):
        config = {
            "method": method,
            "options": OPTIONS if method.startswith("adaptsegnet") else {},
            "steps": steps,
            "checkpoint_every": 1,
            "batch_norm": BatchNormPolicy.FROZEN,
        } | changes
        return Stage(
            name=name,
            folder=tmp_path / name,
            config=StageConfig.model_validate(config),
            network=SPEC,
            data=DataConfig.model_validate({"size": 64, "batch_size": 2, "augmentation": augmentation} | (data or {})),
            seed=3,
            labelled=source,
            target=target,
            initial=initial,
        )

    return make


class StopAfter(Silent):
    """Presses Ctrl-C when so many steps are done."""

    def __init__(self, steps, number=signal.SIGINT):
        self.steps, self.number = steps, number

    def advance(self, step, report=None):
        if step == self.steps:
            os.kill(os.getpid(), self.number)


def weights(stage):
    folder = list_checkpoints(stage.folder)[-1].folder
    return {f"{f.stem}.{k}": v for f in sorted(folder.glob("*.safetensors")) for k, v in load_file(f).items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    different = [key for key, value in one.items() if not torch.equal(value, other[key])]
    assert not different


@pytest.mark.parametrize(
    ("workers", "changes"),
    [(0, {}), (2, {}), (0, {"augmentation": "strong", "augment_on": "device", "polyp_free": 0.3})],
)
def test_an_interrupted_run_goes_on_bit_exactly(make_stage, workers, changes):
    compute = ONE_THREAD.model_copy(update={"workers": workers})
    whole = make_stage("whole", batch_norm=BatchNormPolicy.TRAIN, data=changes)
    run_stage(whole, ONE_THREAD)
    step = random.Random(os.urandom(4)).randint(1, 4)
    stopped = make_stage("stopped", batch_norm=BatchNormPolicy.TRAIN, checkpoint_every=100, data=changes)
    with pytest.raises(Interrupted, match=f"E_INTERRUPTED.*after step {step} of 5"):
        run_stage(stopped, compute, StopAfter(step))
    assert [checkpoint.step for checkpoint in list_checkpoints(stopped.folder)] == [step]
    assert not stopped.done
    run_stage(stopped, compute)
    assert stopped.done
    assert_same(weights(whole), weights(stopped))
    events = [json.loads(line) for line in (stopped.folder / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events] == list(range(5))
    assert events[-1]["losses"] == json.loads((whole.folder / "events.jsonl").read_text().splitlines()[-1])["losses"]


def test_the_moving_average_is_the_model_and_training_does_not_see_it(make_stage):
    plain, averaged, cut = (
        make_stage(name, steps=3, method="source-only", ema_decay=decay, checkpoint_every=2)
        for name, decay in (("plain", 0.0), ("averaged", 0.9), ("cut", 0.9))
    )
    run_stage(plain, ONE_THREAD)
    run_stage(averaged, ONE_THREAD)
    with pytest.raises(Interrupted):
        run_stage(cut, ONE_THREAD, StopAfter(2))
    run_stage(cut, ONE_THREAD)
    trained, whole = weights(plain), weights(averaged)
    assert all(torch.equal(value, whole[name]) for name, value in trained.items())
    assert averaged.final_segmenter.stem == "average"
    average = load_file(averaged.final_segmenter)
    assert any(not torch.equal(value, trained[f"segmenter.{name}"]) for name, value in average.items())
    assert all(torch.equal(value, weights(cut)[name]) for name, value in whole.items())


def test_changes_on_the_device_are_other_numbers_of_the_same_kind(make_stage):
    """Other numbers are drawn, so weights differ; both trainings learn, and unchanged frames are yet another thing."""
    seen = []
    for number, data in enumerate([{"augment_on": "device"}, {}, {"augmentation": "none"}]):
        stage = make_stage(f"way-{number}", data={"augmentation": "strong"} | data)
        run_stage(stage, ONE_THREAD)
        seen.append(json.loads((stage.folder / "events.jsonl").read_text().splitlines()[0])["losses"]["segmenter"])
    first = [losses["seg_main"] for losses in seen]
    assert len(set(first)) == 3 and max(first) < 3


def test_a_killed_run_goes_on_from_its_last_checkpoint(make_stage, monkeypatch):
    whole, killed = make_stage("whole"), make_stage("killed", checkpoint_every=2)
    run_stage(whole, ONE_THREAD)

    class KilledError(Exception):
        pass

    class DieAfter(Silent):
        def advance(self, step, report=None):
            if step == 3:
                raise KilledError

    with pytest.raises(KilledError):
        run_stage(killed, ONE_THREAD, DieAfter())
    assert [checkpoint.step for checkpoint in list_checkpoints(killed.folder)] == [2]
    (killed.folder / ".step-000004.abc.part").mkdir()  # what a crash while writing leaves
    run_stage(killed, ONE_THREAD)
    assert_same(weights(whole), weights(killed))
    steps = [json.loads(line)["step"] for line in (killed.folder / "events.jsonl").read_text().splitlines()]
    assert steps == list(range(5))


@pytest.fixture(scope="module")
def without_dropout(tmp_path_factory):
    """A network whose every process draws nothing: dropout's masks are each process's own."""
    unet = SegmenterSpec(architecture="unet", encoder="tu-mobilenetv3_small_050", levels=2)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("unet") / "unet.safetensors"
    save_module(build_segmenter(unet), path)
    return {"network": unet, "initial": path}


def trained_by(stage, processes):
    """The weights after a training by so many processes, in float64."""
    stage = dataclasses.replace(stage, name=f"by-{processes}", folder=stage.folder.with_name(f"by-{processes}"))
    compute = Compute(device="cpu", threads=1, precision=Precision.FP64, processes=processes, joint_batch_norm=True)
    run_stage(stage, compute)
    return weights(stage)


def largest_difference(one, other):
    return max(float((one[key] - other[key]).abs().max()) for key in other)


def listening():
    """Where this process's children listen: hexadecimal addresses of the system's tables."""
    sockets = set()
    for child in active_children():
        for descriptor in Path(f"/proc/{child.pid}/fd").glob("*"):
            with suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def test_two_processes_equal_one_on_the_joint_batch(make_stage, without_dropout):
    """Frames unchanged, so that each process counts as many pixels: a mean of means is then the joint mean."""
    policy = BatchNormPolicy.TRAIN  # the harder case: statistics are the joint batch's, and gradients flow through them
    stage = make_stage("stages/tiny", steps=2, augmentation="none", batch_norm=policy, data={"batch_size": 4})
    stage = dataclasses.replace(stage, **without_dropout, tracking=Tracking(FOLLOWED))
    heard, ended = set(), threading.Event()

    def look():
        while not ended.wait(0.1):
            heard.update(listening())

    one = trained_by(stage, 1)
    with ThreadPoolExecutor(1) as looking:
        looked = looking.submit(look)
        try:
            two = trained_by(stage, 2)
        finally:
            ended.set()
        looked.result()
    before = {f"segmenter.{key}": value for key, value in load_file(stage.initial).items()}
    assert largest_difference(one, before) > 1e-4
    assert largest_difference(one, two) < 1e-9
    assert heard == {"0100007F"}, "127.0.0.1: no other machine can reach them"
    for name in FOLLOWED:  # the first process alone tells it
        events = list((stage.folder.parents[1] / TRACKING / name / "by-2").iterdir())
        assert len(events) == 1 and TensorBoard(LogPlace(stage.folder.parents[1], "by-2")).go_on(2) == 2
        assert events[0].read_bytes().count(b"cpu_s") == 2


@pytest.mark.slow
@pytest.mark.parametrize("policy", list(BatchNormPolicy)[:2])
@pytest.mark.parametrize("method", ["source-only", "adaptsegnet", "advent", "minent", "adda", "fcan"])
def test_two_and_four_processes_equal_one_by_every_kind_of_method(make_stage, without_dropout, method, policy):
    stage = make_stage("full", steps=3, method=method, augmentation="none", batch_norm=policy, data={"batch_size": 4})
    stage = dataclasses.replace(stage, **without_dropout)
    one = trained_by(stage, 1)
    for processes in (2, 4):
        assert largest_difference(one, trained_by(stage, processes)) < 1e-9


@pytest.mark.slow
def test_a_stage_goes_on_with_another_number_of_processes(make_stage, without_dropout):
    """The joint batch is kept, so that the same is trained."""
    stage = make_stage("tiny", steps=4, augmentation="none", data={"batch_size": 4})
    stage = dataclasses.replace(stage, **without_dropout)
    changing = dataclasses.replace(stage, folder=stage.folder.with_name("changing"))
    compute = Compute(device="cpu", threads=1, precision=Precision.FP64)
    run_stage(dataclasses.replace(stage, folder=stage.folder.with_name("by-1")), compute)
    with pytest.raises(Interrupted):
        run_stage(changing, compute, StopAfter(2))
    run_stage(changing, compute.model_copy(update={"processes": 2}))
    one = weights(dataclasses.replace(stage, folder=stage.folder.with_name("by-1")))
    assert largest_difference(one, weights(changing)) < 1e-9


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_is_killed_is_a_coded_error_and_the_rest_is_trained_later(make_stage, rank):
    stage = make_stage("killed", steps=500, data={"size": 64})

    def kill():
        while not list_checkpoints(stage.folder):
            time.sleep(0.05)
        os.kill(sorted(child.pid for child in active_children())[rank], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TrainingError, match=r"E_TRAINING_PROCESS.*checkpoints are kept"):
        run_stage(stage, ONE_THREAD.model_copy(update={"processes": 2}))
    killer.join()
    assert not active_children()
    step = list_checkpoints(stage.folder)[-1].step
    assert 1 <= step < 500
    short = dataclasses.replace(stage, config=stage.config.model_copy(update={"steps": step + 1}))
    run_stage(short, ONE_THREAD)
    assert short.done


def test_a_finished_stage_is_not_trained_again(make_stage):
    stage = make_stage("done", steps=1)
    run_stage(stage, ONE_THREAD)
    trained = weights(stage)
    run_stage(dataclasses.replace(stage, labelled=None), ONE_THREAD)  # would fail if it touched its data
    assert_same(trained, weights(stage))


def test_snapshots_keep_segmenters_and_the_two_newest_resume(make_stage):
    stage = make_stage("kept", steps=3, snapshots=True)
    run_stage(stage, ONE_THREAD)
    checkpoints = list_checkpoints(stage.folder)
    assert [checkpoint.step for checkpoint in checkpoints] == [1, 2, 3]
    assert [checkpoint.resumable for checkpoint in checkpoints] == [False, True, True]
    assert all(checkpoint.segmenter.is_file() for checkpoint in checkpoints)


def test_a_non_finite_loss_keeps_the_last_good_checkpoint(make_stage):
    stage = make_stage("burst", method="source-only", options={"learning_rate": 1e12}, steps=6)
    with pytest.raises(TrainingError, match=r"E_NONFINITE.*(source/|weights)"):
        run_stage(stage, ONE_THREAD)
    assert not stage.done
    last = list_checkpoints(stage.folder)[-1]
    assert last.resumable and last.step >= 1


def test_a_step_beyond_all_numbers_is_told_of_the_weights_and_not_saved(make_stage, monkeypatch):
    """The gradient was finite, the step was not: what is on the disk stays good."""
    stage, step = make_stage("beyond", method="source-only", steps=3), Engine.step

    def overflowing(self, source, target, number):
        report = step(self, source, target, number)
        if number == 1:
            next(self.method.segmenter.parameters()).data.fill_(float("inf"))
        return report

    monkeypatch.setattr(Engine, "step", overflowing)
    with pytest.raises(TrainingError, match=r"E_NONFINITE.*after step 2 weights are not finite: segmenter\."):
        run_stage(stage, ONE_THREAD)
    assert [checkpoint.step for checkpoint in list_checkpoints(stage.folder)] == [1]
    monkeypatch.undo()
    run_stage(stage, ONE_THREAD)
    assert stage.done


def test_an_optimisers_state_that_is_not_finite_is_not_saved(make_stage, monkeypatch):
    stage, step = make_stage("momentum", method="source-only", steps=3), Engine.step

    def overflowing(self, source, target, number):
        report = step(self, source, target, number)
        if number == 1:
            next(iter(self.players["segmenter"].optimizer.state.values()))["momentum_buffer"].fill_(float("inf"))
        return report

    monkeypatch.setattr(Engine, "step", overflowing)
    with pytest.raises(TrainingError, match=r"E_NONFINITE.*after step 2 the optimisers' state is not finite"):
        run_stage(stage, ONE_THREAD)
    assert [checkpoint.step for checkpoint in list_checkpoints(stage.folder)] == [1]


def test_a_loader_process_that_was_ended_from_outside_is_told(make_stage, monkeypatch):
    def gone(*_):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    stage = make_stage("gone")
    monkeypatch.setattr(Engine, "step", gone)
    with pytest.raises(TrainingError, match=r"E_LOADER_PROCESS.*memory runs out"):
        run_stage(stage, ONE_THREAD)


def test_a_method_that_needs_source_frames_is_told_that_there_are_none(make_stage):
    with pytest.raises(UsageError, match=r"E_SOURCE_FRAMES(.|\n)*polypda source-package"):
        run_stage(dataclasses.replace(make_stage("alone"), labelled=None), ONE_THREAD)


def test_weights_that_are_not_finite_are_refused_before_a_step(make_stage, tmp_path):
    state = load_file(make_stage("whole").initial)
    name = next(key for key in state if key.endswith("running_var"))
    state[name][0] = float("nan")
    save_file(state, tmp_path / "broken.safetensors")
    stage = dataclasses.replace(make_stage("broken"), initial=tmp_path / "broken.safetensors")
    with pytest.raises(DataError, match=f"E_WEIGHTS_NONFINITE.*{name}"):
        run_stage(stage, ONE_THREAD)
    assert list_checkpoints(stage.folder) == []


def test_a_checkpoint_that_is_not_finite_is_not_gone_on_from(make_stage):
    stage = make_stage("spoilt", method="source-only", steps=3)
    run_stage(stage, ONE_THREAD)
    last = list_checkpoints(stage.folder)[-1]
    (stage.folder / "done.json").unlink()
    state = load_file(last.segmenter)
    name = next(key for key in state if key.endswith("weight"))
    save_file(state | {name: torch.full_like(state[name], float("nan"))}, last.segmenter)
    (last.folder / CHECKSUMS).unlink()  # of a version that kept none
    with pytest.raises(DataError, match=f"E_CHECKPOINT step-000003.*E_WEIGHTS_NONFINITE.*{name}") as caught:
        run_stage(stage, ONE_THREAD)
    assert "remove this checkpoint's folder" in caught.value.fix


def test_adabn_changes_statistics_and_no_parameter(make_stage):
    stage = make_stage("adabn", method="adabn", steps=0)
    run_stage(stage, ONE_THREAD)
    before, after = load_file(stage.initial), load_file(stage.final_segmenter)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(key.endswith(("running_mean", "running_var", "num_batches_tracked")) for key in changed)


def test_a_damaged_checkpoint_is_named(make_stage):
    stage = make_stage("damaged", steps=2)
    with pytest.raises(Interrupted):
        run_stage(stage, ONE_THREAD, StopAfter(1))
    (list_checkpoints(stage.folder)[-1].folder / "optimizers.pt").write_bytes(b"torn")
    with pytest.raises(DataError, match="E_CHECKPOINT step-000001"):
        run_stage(stage, ONE_THREAD)


def test_termination_is_an_interruption_too(make_stage):
    stage = make_stage("terminated")
    with pytest.raises(Interrupted):
        run_stage(stage, ONE_THREAD, StopAfter(2, signal.SIGTERM))
    assert list_checkpoints(stage.folder)[-1].step == 2


def test_statistics_are_those_of_the_whole_cohort_not_of_its_sequences(tmp_path):
    """Frames sorted by brightness: batches in order would each be uniform, and the variance would vanish."""
    import cv2
    import numpy as np

    from polypda.cohorts.frames import Frame

    frames = []
    for number in range(64):
        path = tmp_path / f"{number:02d}.png"
        cv2.imwrite(str(path), np.full((40, 40, 3), 60 + 2 * number, np.uint8))
        frames.append(Frame("sorted", path.stem, path, sequence=f"s{number // 16}"))
    cached = FrameCache(tmp_path / "cache", NetworkGrid(32)).unlabelled(frames)
    means = [float(batch.images.mean()) for batch in statistics_batches(cached)]
    within = np.mean([float(batch.images.var()) for batch in statistics_batches(cached)])
    whole = np.var([(60 + 2 * number) / 255 for number in range(64)])
    assert len(means) == 4
    assert within == pytest.approx(whole, rel=0.15)


@pytest.mark.parametrize("method", ["adaptsegnet", pytest.param("mean-teacher", marks=pytest.mark.slow)])
def test_compiled_networks_learn_the_same(make_stage, without_dropout, monkeypatch, method):
    """Without a C++ compiler: torch's own operations, in the graphs that it would compile."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    compute = ONE_THREAD.model_copy(update={"precision": Precision.FP64})
    found = []
    for name, compiled in (("as-written", False), ("compiled", True)):
        stage = dataclasses.replace(make_stage(name, steps=2, method=method, checkpoint_every=1), **without_dropout)
        run_stage(stage, compute.model_copy(update={"compile": compiled}))
        found.append(weights(stage))
    assert found[0].keys() == found[1].keys()
    assert largest_difference(*found) < 1e-9


def test_networks_that_cannot_be_compiled_end_with_a_code(make_stage, monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    with pytest.raises(TrainingError, match=r"(?s)E_COMPILE.*no compiler.*--compile"):
        run_stage(make_stage("here", steps=1), ONE_THREAD.model_copy(update={"compile": True}))
