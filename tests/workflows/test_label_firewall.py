"""While a target is adapted to, no file of its masks or boxes is opened, and their folder is not even listed."""

import os
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support.painted import write_cohort

from polypda.training.checkpoints import list_checkpoints
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
    config = resolve_config(
        source="zju2",
        target="haining",
        method=WHOLE,
        preset_name="quick",
        phantom=False,
        top={"start_steps": 2, "adapt_steps": 2, "checkpoint_every": 1, "selector": "im", "guard": False},
        sections={"network": {}, "data": {"size": 64, "batch_size": 2}, "compute": {"device": "cpu"}},
        options={
            "polyp_from": 0.05,
            "background_to": 0.04,
            "peak_from": 0,
        },  # so that two steps' start labels every pixel
    )
    return root, config, Paths(data_root=root, cache=tmp_path / "cache", overlays=1)


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


def test_adaptation_is_the_same_when_the_target_has_no_masks(material, tmp_path):
    """Removing every target mask changes no weight: nothing of them leaks into training by another way."""
    root, config, paths = material
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
