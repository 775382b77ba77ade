"""The scripts that the documents show run as they stand."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from support.models import write_model
from support.painted import paint
from test_api import SMALL

from polypda.methods import registry
from polypda.plugins import REGISTERED
from polypda.workflows.runs.presets import PRESETS

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def example(tmp_path, monkeypatch, capsys):
    """Run a script of docs/examples in an empty folder; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLYPDA_CACHE", str(tmp_path / "cache"))

    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def write_pairs(folder, names):
    for number, name in enumerate(names):
        for kind, pixels in zip(("images", "masks"), paint(number), strict=True):
            (folder / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{name}.png"), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


@pytest.mark.slow
def test_predict_writes_a_mask_of_each_image_at_its_own_size(example, tmp_path):
    write_pairs(tmp_path, ["a", "b"])
    images = sorted((tmp_path / "images").iterdir())
    said = example("predict.py", write_model(tmp_path / "model.safetensors"), *images, tmp_path / "out")
    assert "no target label was learnt" in said
    for image in images:
        mask = cv2.imread(str(tmp_path / "out" / image.name), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (72, 96) and set(np.unique(mask)) <= {0, 255}
        assert f"{image.name}: " in said


@pytest.mark.slow
def test_a_method_of_ones_own_is_trained_and_scored_beside_source_only(example, monkeypatch):
    monkeypatch.setitem(PRESETS, "quick", {**PRESETS["quick"], **SMALL})
    try:
        said = example("own_method.py", "mine")
    finally:
        REGISTERED.discard("same-share")
        registry.TERMS._registered.pop("same-share", None)
        registry.TERMS.look_again()
        registry.METHODS.look_again()
        registry.method_class.cache_clear()
    assert "same-share" not in registry.METHODS
    assert "source-only+same-share" in said and said.rstrip().endswith("index.html")
    events = Path("mine").rglob("events.jsonl")
    assert any('"share"' in path.read_text() for path in events)
    assert set(pd.read_csv("mine/report/cases.csv")["model"]) >= {"source-only", "source-only+same-share"}


@pytest.mark.slow
def test_a_cohort_of_ones_own_is_parted_by_patient(example, tmp_path):
    write_pairs(tmp_path, [f"p{patient}_{number}" for patient in range(6) for number in range(3)])
    said = example("own_cohort.py", tmp_path / "images", tmp_path / "masks", "ours", tmp_path / "data")
    assert "18 frames of 6 patients" in said
    assert "'p0': " in said and "--source ours" in said
