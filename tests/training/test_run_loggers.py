"""Every logger holds each step once, however often a training is cut off, and changes nothing of it."""

import socket
import sys
from importlib.util import find_spec
from io import BytesIO
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.stages import stage_material

from polypda.errors import UsageError
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.networks.registry import SegmenterSpec
from polypda.training import run_loggers
from polypda.training.config import Compute, DataConfig, StageConfig
from polypda.training.progress import Silent
from polypda.training.run_loggers import (
    LOGGERS,
    Loggers,
    LogPlace,
    Mlflow,
    RunLogger,
    TensorBoard,
    Tracking,
    scalars_of,
)
from polypda.training.stage import Stage, run_stage

SPEC = SegmenterSpec(architecture="deeplabv3plus", encoder="tu-mobilenetv3_small_050", levels=2)
STEPS = 5


class KilledError(Exception):
    """Stands for a process that is gone."""


class KilledAfter(Silent):
    def __init__(self, steps):
        self.steps = steps

    def advance(self, step, report=None):
        if step == self.steps:
            raise KilledError


class Memory(RunLogger):
    """Keeps in a dictionary; takes nothing back, as a server. sends: whether it is one that sends elsewhere."""

    name = "memory"
    kept: ClassVar[dict] = {}
    sends = False
    fails_at = None

    def __init__(self, place):
        self.place = place
        self.mine = self.kept.setdefault(place.part, {"steps": [], "images": [], "files": []})

    @property
    def leaves_machine(self):
        return self.sends

    def go_on(self, start):
        return max((step for step, _ in self.mine["steps"]), default=-1) + 1

    def config(self, values):
        self.mine["config"] = dict(values)

    def scalars(self, step, values):
        if step == Memory.fails_at:
            raise ConnectionError("the server is away")
        if step >= self.go_on(0) or not self.place.part:
            self.mine["steps"].append((step, dict(values)))

    def image(self, name, step, image):
        self.mine["images"].append((name, image.shape))

    def artefact(self, path):
        self.mine["files"].append(path.name)

    def close(self):
        pass


def memory(place):
    return [step for step, _ in Memory.kept[place.part]["steps"]]


def tensorboard(place):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(place.folder / "tensorboard" / (place.part or "run")))
    read.Reload()
    return [event.step for event in read.Scalars("learning_rate/segmenter")]


def mlflow_store(place):
    logger = Mlflow(place)
    history = logger._client.get_metric_history(logger._run, f"{place.part}/learning_rate/segmenter")
    return sorted(one.step for one in history)


STEPS_IN = {"memory": memory, "tensorboard": tensorboard, "mlflow": mlflow_store}
HERE = [
    pytest.param(
        kind.name,
        marks=pytest.mark.skipif(
            bool(kind.module) and find_spec(kind.module) is None,
            reason=f"{kind.module} is not installed: {kind.install}",
        ),
    )
    for kind in (Memory, TensorBoard, Mlflow)
]


@pytest.fixture(autouse=True)
def remembered(monkeypatch):
    monkeypatch.setattr(Memory, "kept", {})
    monkeypatch.setattr(Memory, "fails_at", None)
    monkeypatch.setattr(Memory, "sends", False)
    monkeypatch.setitem(LOGGERS.__dict__, "_registered", {"memory": Memory})
    LOGGERS.look_again()
    yield
    LOGGERS.look_again()


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return stage_material(tmp_path_factory.mktemp("material"), SPEC, source=6, target=6)


@pytest.fixture
def make_stage(material, tmp_path):
    source, target, initial = material

    def make(run, *names, every=2):
        return Stage(
            name="minent",
            folder=tmp_path / run / "stages" / "minent",
            config=StageConfig(method="minent", steps=STEPS, checkpoint_every=every, batch_norm=BatchNormPolicy.FROZEN),
            network=SPEC,
            data=DataConfig(size=64, batch_size=2),
            seed=3,
            labelled=source,
            target=target,
            initial=initial,
            tracking=Tracking(names),
        )

    return make


@pytest.fixture(scope="module")
def untracked(material, tmp_path_factory):
    """The weights after a training that nobody follows."""
    source, target, initial = material
    folder = tmp_path_factory.mktemp("untracked") / "stages" / "minent"
    config = StageConfig(method="minent", steps=STEPS, checkpoint_every=2, batch_norm=BatchNormPolicy.FROZEN)
    stage = Stage("minent", folder, config, SPEC, DataConfig(size=64, batch_size=2), 3, source, target, initial)
    run_stage(stage, Compute(device="cpu", threads=1))
    return load_file(stage.final_segmenter)


@pytest.fixture
def no_network(monkeypatch):
    """Whatever speaks to another machine, or looks one up, fails."""

    def refused(*_, **__):
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.mark.parametrize("name", HERE)
def test_a_killed_training_is_followed_without_a_gap_or_a_step_twice(make_stage, untracked, name, no_network):
    stage = make_stage("run", name)
    place = LogPlace(stage.folder.parents[1], stage.name)
    stage.tracking.begin(place.run, {"seed": 3})
    with pytest.raises(KilledError):
        run_stage(stage, Compute(device="cpu", threads=1), KilledAfter(4))  # its checkpoint is that of step 2
    run_stage(stage, Compute(device="cpu", threads=1))
    assert STEPS_IN[name](place) == list(range(STEPS))
    followed = load_file(stage.final_segmenter)
    assert followed.keys() == untracked.keys()
    assert all(torch.equal(value, untracked[key]) for key, value in followed.items())


def test_a_logger_that_fails_costs_no_training_and_is_told_later_what_it_lacks(make_stage, untracked, caplog):
    Memory.fails_at = 1
    stage = make_stage("run", "memory")
    with pytest.raises(KilledError):
        run_stage(stage, Compute(device="cpu", threads=1), KilledAfter(4))
    assert memory(LogPlace(stage.folder, "minent")) == [0]
    assert "--log-to memory is left out from here on: the server is away" in caplog.text
    Memory.fails_at = None
    run_stage(stage, Compute(device="cpu", threads=1))
    assert memory(LogPlace(stage.folder, "minent")) == list(range(STEPS))
    assert all(torch.equal(value, untracked[key]) for key, value in load_file(stage.final_segmenter).items())


@pytest.fixture
def results(tmp_path):
    Image.new("RGB", (6, 4), (200, 10, 20)).save(tmp_path / "frame.png")
    (tmp_path / "cases.csv").write_text("frame\n")
    (tmp_path / "centers.csv").write_text("model\n")
    return tmp_path


@pytest.mark.parametrize("sends", [False, True])
def test_what_tells_of_patients_is_told_to_no_logger_that_sends_it_away(results, monkeypatch, sends):
    monkeypatch.setattr(Memory, "sends", sends)
    image, cases, table = (results / name for name in ("frame.png", "cases.csv", "centers.csv"))
    with Loggers(Tracking(("memory",)), LogPlace(results)) as loggers:
        loggers.results({"result/dice/haining/adda": 0.5}, {"overlay/1": image}, [cases, table], [image, cases])
    kept = Memory.kept[""]
    assert kept["steps"] == [(0, {"result/dice/haining/adda": 0.5})]
    assert kept["files"] == (["centers.csv"] if sends else ["cases.csv", "centers.csv"])
    assert kept["images"] == ([] if sends else [("overlay/1", (4, 6, 3))])


def test_tensorboards_file_is_read_back_and_names_nobody(results):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'polypda[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracking = Tracking(("tensorboard",))
    for _ in range(2):  # a finished run that is scored again
        tracking.begin(results, {"seed": 3})
        with tracking.of(results) as loggers:
            loggers.results({"result/dice/x/y": 0.5}, {"overlay/1": results / "frame.png"}, [results / "cases.csv"])
    read = EventAccumulator(str(results / "tracking" / "tensorboard" / "run"))
    read.Reload()
    assert [(one.step, one.value) for one in read.Scalars("result/dice/x/y")] == [(0, 0.5)]
    picture = read.Images("overlay/1")[0]
    assert (picture.width, picture.height) == (6, 4)
    with BytesIO(picture.encoded_image_string) as file, Image.open(file) as image:
        assert np.array(image.convert("RGB"))[0, 0].tolist() == [200, 10, 20]
    assert b"| seed | 3 |" in read.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    names = [path.name for path in (results / "tracking").rglob("*")]
    assert not any(socket.gethostname() in name for name in names)


def test_a_half_written_record_of_tensorboard_is_cut_off(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'polypda[tensorboard]'")
    place = LogPlace(tmp_path, "start")
    logger = TensorBoard(place)
    for step in range(3):
        logger.scalars(step, {"learning_rate/segmenter": 0.1})
    logger.close()
    whole = logger.path.read_bytes()
    logger.path.write_bytes(whole[:-5])
    again = TensorBoard(place)
    assert again.go_on(3) == 2
    again.scalars(2, {"learning_rate/segmenter": 0.1})
    again.close()
    assert tensorboard(place) == [0, 1, 2]


def test_mlflow_keeps_settings_figures_and_files_in_the_run_and_calls_nobody(results, no_network):
    pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'polypda[mlflow]'")
    tracking = Tracking(("mlflow",))
    for _ in range(2):
        tracking.begin(results, {"seed": 3, "data.size": 64})
        with tracking.of(results) as loggers:
            loggers.results({"result/dice/x/a+b": 0.5}, {"overlay/1": results / "frame.png"}, [results / "cases.csv"])
    logger = Mlflow(LogPlace(results))
    found = logger._client.get_run(logger._run)
    assert found.data.params == {"seed": "3", "data.size": "64"}
    assert found.data.metrics == {"result/dice/x/a_b": 0.5} and found.info.status == "FINISHED"
    assert len(logger._client.get_metric_history(logger._run, "result/dice/x/a_b")) == 1
    assert {one.path for one in logger._client.list_artifacts(logger._run)} == {"cases.csv", "images"}
    assert len(logger._client.search_runs([found.info.experiment_id])) == 1


def test_every_figure_of_a_step_has_a_name():
    event = {
        "step": 4,
        "losses": {"segmenter": {"seg_main": 0.4}},
        "grad": {"segmenter": 3.0},
        "learning_rates": {"segmenter": 1e-4},
        "accuracy": {"discriminator": 0.9},
        "target": {"foreground": 0.1},
        "cpu_s": 0.5,
    }
    assert scalars_of(event) == {
        "loss/segmenter/seg_main": 0.4,
        "gradient_norm/segmenter": 3.0,
        "learning_rate/segmenter": 1e-4,
        "accuracy/discriminator": 0.9,
        "target/foreground": 0.1,
        "cpu_s": 0.5,
    }


@pytest.mark.parametrize(
    ("tracking", "code", "words"),
    [
        (Tracking(("tensorbord",)), "E_LOGGER_UNKNOWN", "tensorboard"),
        (Tracking(("absent",)), "E_EXTRA_MISSING", "pip install absent-board"),
        (Tracking((), "http://host:5000"), "E_OPTION", "--log-to mlflow"),
        (Tracking(("mlflow",), "http://me:secret@host:5000"), "E_LOGGER_SERVER", "MLFLOW_TRACKING_PASSWORD"),
        (Tracking(("broken",)), "E_LOGGER_OPEN", "no such board"),
    ],
)
def test_what_cannot_be_followed_is_said_before_anything_is_trained(tmp_path, monkeypatch, tracking, code, words):
    class Absent(Memory):
        name, module, install = "absent", "no_such_module", "pip install absent-board"

    class Broken(Memory):
        name = "broken"

        def __init__(self, place):
            raise ConnectionError("no such board\nand more")

    monkeypatch.setitem(LOGGERS.__dict__, "_registered", {"absent": Absent, "broken": Broken})
    monkeypatch.setattr(run_loggers, "find_spec", lambda module: None if module == "no_such_module" else sys)
    LOGGERS.look_again()
    with pytest.raises(UsageError) as refused:
        tracking.begin(tmp_path, {})
    assert refused.value.code == code
    assert words in f"{refused.value.what} {refused.value.fix}" and "secret" not in str(refused.value)
