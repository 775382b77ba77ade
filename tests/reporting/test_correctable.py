"""Outlines to be corrected: each tool's folder is read back by `polypda cohorts import` as the masks it was made of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.reviews import disc

from polypda.cohorts.images import read_mask
from polypda.reporting.correctable import ToCorrect, write_for_tools

SHAPE = (96, 128)


def frames() -> list[ToCorrect]:
    one, two = disc(SHAPE, 60, 48, 20), disc(SHAPE, 30, 40, 9) | disc(SHAPE, 90, 60, 14)
    ring = disc(SHAPE, 64, 50, 24) & ~disc(SHAPE, 64, 50, 9)
    edge = disc(SHAPE, 2, 48, 15)
    masks = {"one": one, "two": two, "ring": ring, "edge": edge}
    return [
        ToCorrect(f"{name}.png", mask, {"patient": f"p-{name}", "mode": ""}, task="too_large")
        for name, mask in masks.items()
    ]


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "pictures"
    images.mkdir()
    rng = np.random.default_rng(0)
    for frame in frames():
        pixels = np.clip(np.array((170, 90, 70)) + rng.normal(0, 9, (*SHAPE, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(images / frame.image)
    write_for_tools(tmp_path / "relabel", frames(), images)
    return tmp_path


@pytest.mark.parametrize("tool", ["coco", "labelme", "cvat"])
def test_what_is_written_is_read_back(polypda, folder, tool: str) -> None:
    status, _, err = polypda(
        "cohorts", "import", folder / "relabel" / tool, "--as", "corrected", "--out", folder / "data"
    )
    assert status == 0, err
    for frame in frames():
        mask = read_mask(next((folder / "data" / "corrected" / "masks").glob(f"*{Path(frame.image).stem}*"))) > 0
        both, either = np.count_nonzero(mask & frame.mask), np.count_nonzero(mask | frame.mask)
        assert both / either > 0.98, frame.image
    if tool == "coco":
        assert "p-one" in (folder / "data" / "corrected" / "frames.csv").read_text()


def test_a_frame_without_a_mark_does_not_become_a_negative_by_itself(polypda, folder) -> None:
    nothing = ToCorrect("one.png", np.zeros(SHAPE, bool))
    write_for_tools(folder / "empty", [nothing], folder / "pictures")
    assert (folder / "empty" / "labelme" / "images" / "one.png").is_file()
    assert not list((folder / "empty").rglob("one.json"))
    for tool in ("coco", "cvat"):
        out = folder / f"data-{tool}"
        polypda("cohorts", "import", folder / "empty" / tool, "--as", "corrected", "--out", out)
        table = out / "corrected" / "frames.csv"
        assert not table.is_file() or "negative" not in table.read_text()
