"""While a target is adapted to, no file of its masks or boxes is opened, and their folder is not even listed."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from support.painted import write_cohort

from polypda.methods.registry import METHODS, method_class
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import Keep
from polypda.training.progress import Silent
from polypda.workflows.runs import adapt as adapt_module
from polypda.workflows.runs.adapt import adapt, open_data, start_run
from polypda.workflows.runs.configure import resolve_config
from polypda.workflows.runs.paths import Paths

WHOLE = "adaptsegnet+target-colours+self-training"
FILE_EVENTS = {"open", "os.listdir", "os.scandir"}


class FileWatch:
    """Records every file or folder below a root that this process touches."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.touched: list[str] = []
        self.active = True
        sys.addaudithook(self._hear)  # hooks cannot be removed, so this one can be switched off

    def _hear(self, event: str, arguments: tuple) -> None:
        if self.active and event in FILE_EVENTS and arguments and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            if path.startswith(self.root):
                self.touched.append(path)

    def below(self, folder: Path) -> list[str]:
        return [path for path in self.touched if path.startswith(str(folder))]


@pytest.fixture
def material(tmp_path):
    root = tmp_path / "data"
    write_cohort(root, "zju2")
    write_cohort(root, "haining", tint=(150, 130, 60))
    return root, config_of(WHOLE), Paths(data_root=root, cache=tmp_path / "cache", overlays=1)


LABEL_EVERYTHING = {"polyp_from": 0.05, "background_to": 0.04, "peak_from": 0}
"""So that two steps' start labels every pixel."""
SMALL = {
    "adaptsegnet": {"discriminator_width": 4, "discriminator_layers": 3},
    "adaptsegnet-feature": {"discriminator_width": 4},
    "advent": {"discriminator_width": 4, "discriminator_layers": 3},
    "lsd": {"generator_width": 4, "discriminator_width": 4},
    "adda": {"discriminator_width": 4},
    "fcan": {"discriminator_width": 4},
    "fcn-wild": {"discriminator_width": 4, "size_start": 0},
    "size-constraint": {"size_start": 0},
    "self-training": LABEL_EVERYTHING,
    WHOLE: {"discriminator_width": 4, "discriminator_layers": 3} | LABEL_EVERYTHING,
}


def config_of(method):
    """Two steps of a start and two of the method, with a small network."""
    known = method_class(method).Options.model_fields
    return resolve_config(
        source="zju2",
        target="haining",
        method=method,
        preset_name="quick",
        phantom=False,
        top={
            "start_steps": 2,
            "adapt_steps": 2,
            "checkpoint_every": 1,
            "selector": "im",
            "guard": False,
            "parts": "none",
            "encoder_weights": "none",
        },
        sections={
            "network": {"architecture": "fpn", "encoder": "tu-mobilenetv3_small_050", "levels": 1},
            "data": {"size": 64, "batch_size": 2},
            "compute": {"device": "cpu"},
        },
        options={name: value for name, value in SMALL.get(method, {}).items() if name in known},
    )


def test_no_target_mask_or_box_is_opened_while_adapting(material, tmp_path, monkeypatch):
    root, config, paths = material
    masks, images = root / "haining" / "masks", root / "haining" / "images"
    boxes = root / "haining" / "boxes.csv"
    boxes.write_text("frame,x0,y0,x1,y1\n000,1,1,9,9\n")
    seen_while_adapting: list[str] = []
    evaluate = adapt_module.evaluate_and_report

    def evaluate_later(*arguments, **named):
        seen_while_adapting.extend(watch.touched)
        return evaluate(*arguments, **named)

    monkeypatch.setattr(adapt_module, "evaluate_and_report", evaluate_later)
    watch = FileWatch(root)
    pair = open_data(config, paths)
    page = adapt(start_run(tmp_path / "run", config, paths, pair), paths, pair, Silent())
    watch.active = False
    assert page.is_file()
    assert [path for path in seen_while_adapting if path.startswith(str(images))], "the watch must see image files"
    assert [path for path in seen_while_adapting if path.startswith(str(root / "zju2" / "masks"))]
    assert not [path for path in seen_while_adapting if path.startswith((str(masks), str(boxes)))]
    assert watch.below(boxes) and watch.below(masks), "the final evaluation reads them, and the watch notices"


@pytest.mark.slow
def test_adaptation_is_the_same_when_the_target_has_no_masks(material, tmp_path):
    """Removing every target mask changes no weight: nothing of them leaks into training by another way."""
    root, config, paths = material
    config = config.model_copy(update={"keep": Keep.ALL})
    pair = open_data(config, paths)
    adapt(start_run(tmp_path / "with", config, paths, pair), paths, pair, Silent())
    for mask in (root / "haining" / "masks").iterdir():
        mask.unlink()
    pair = open_data(config, paths)
    page = adapt(start_run(tmp_path / "without", config, paths, pair), paths, pair, Silent())
    assert page.parent.name == "unscored" and "12 of 12 images have no mask" in page.read_text()
    one, other = (
        load_file(list_checkpoints(tmp_path / name / "stages" / WHOLE)[-1].segmenter) for name in ("with", "without")
    )
    assert all((one[key] == other[key]).all() for key in one)


def test_a_target_without_any_label_is_adapted_to_but_not_scored(material, tmp_path):
    root, config, paths = material
    table = root / "haining" / "frames.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0] + ",label_state", *(f"{line},none" for line in lines[1:])]))
    for mask in (root / "haining" / "masks").iterdir():
        mask.unlink()
    pair = open_data(config, paths)
    run = start_run(tmp_path / "run", config, paths, pair)
    page = adapt(run, paths, pair, Silent())
    assert (tmp_path / "run" / "adapted.safetensors").is_file()
    assert run.status()["state"] == "complete" and run.status()["verdict"] == "adapted; not scored (no labels)"
    assert page == tmp_path / "run" / "unscored" / "index.html"
    assert len(list((page.parent / "overlays").glob("*.png"))) == 1
    assert "no held-out frame of the target has a label" in page.read_text()


def test_weighing_without_labels_opens_no_label_of_the_target(material, tmp_path, monkeypatch):
    """Of the target not even labels that lie there are read once it is known that none can be scored by."""
    root, config, paths = material
    table = root / "haining" / "frames.csv"
    lines = table.read_text().splitlines()
    stated = [f"{line},{'none' if line.endswith(',test') else ''}" for line in lines[1:]]
    table.write_text("\n".join([lines[0] + ",label_state", *stated]))
    masks = root / "haining" / "masks"
    for line in lines[1:]:
        if line.endswith(",test"):
            (masks / f"{line.split(',')[0]}.png").unlink()
    pair = open_data(config, paths)
    run = start_run(tmp_path / "run", config, paths, pair)
    watch = FileWatch(masks)
    assert adapt(run, paths, pair, Silent()).parent.name == "unscored"
    watch.active = False
    assert not [path for path in watch.touched if path.endswith(".png")], "files are listed, none is opened"


NOT_TRAINED_WITHOUT_LABELS = {"oracle"}
LEARNING = [name for name in (WHOLE, *METHODS) if name not in NOT_TRAINED_WITHOUT_LABELS]
IN_EVERY_RUN = {"size-constraint"}


class TrainingDoneError(Exception):
    """Raised in place of scoring, which is the first that may look at labels."""


def make_noise(masks):
    """Sound masks that say something else."""
    chance = np.random.default_rng(7)
    for path in masks.iterdir():
        with Image.open(path) as image:
            shape = image.size[::-1]
        Image.fromarray(np.where(chance.random(shape) < 0.3, 255, 0).astype(np.uint8)).save(path)


def make_unreadable(masks):
    """Files that nothing can be read from, and that may not be opened."""
    for path in masks.iterdir():
        path.write_bytes(b"no image")
        path.chmod(0)


def trained(root, method, folder, paths):
    """Every tensor that a method leaves, with the files below the target that were opened meanwhile."""
    config = config_of(method)
    watch = FileWatch(root / "haining")
    pair = open_data(config, paths)
    with pytest.raises(TrainingDoneError):
        adapt(start_run(folder, config, paths, pair), paths, pair, Silent())
    watch.active = False
    assert [path for path in watch.touched if "images" in path], "the watch must see image files"
    assert not [path for path in watch.touched if "/masks/" in path or path.endswith("boxes.csv")]
    weights = {}
    for stage in sorted((folder / "stages").iterdir()):
        last = list_checkpoints(stage)[-1].folder
        for file in sorted(last.glob("*.safetensors")):
            weights |= {f"{stage.name}/{file.name}/{key}": value for key, value in load_file(file).items()}
    return weights


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=[] if name in IN_EVERY_RUN else pytest.mark.slow) for name in LEARNING]
)
def test_noise_and_unreadable_files_in_place_of_target_labels_change_no_bit(method, material, tmp_path, monkeypatch):
    """For every method: `pytest -m slow tests/workflows/test_label_firewall.py`."""
    root, _, paths = material

    def end(*arguments, **named):
        raise TrainingDoneError

    monkeypatch.setattr(adapt_module, "evaluate_and_report", end)
    found = [trained(root, method, tmp_path / "as-it-is", paths)]
    for number, spoil in enumerate((make_noise, make_unreadable)):
        spoil(root / "haining" / "masks")
        shutil.rmtree(paths.cache)
        found.append(trained(root, method, tmp_path / str(number), paths))
    first, *others = found
    assert any(name.startswith(f"{method.split('+')[0]}") or method in name for name in first)
    for other in others:
        assert list(other) == list(first)
        assert all(value.equal(other[name]) for name, value in first.items())
