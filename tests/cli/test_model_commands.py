"""`polypda show` and `polypda export` as a user meets them."""

import json
import re

import onnxruntime
import pytest
import torch
from support.models import write_model, write_run
from support.painted import write_frames

from polypda.prediction.model import read_model


def test_show_says_what_a_model_is(polypda, tmp_path):
    write_model(tmp_path / "model.safetensors")
    status, out, err = polypda("show", "model.safetensors")
    assert status == 0, err
    for words in ("fpn on tu-mobilenetv3_small_050", "Not a medical device", "64×64 px", "zju2 (labelled source"):
        assert words in out
    status, out, _ = polypda("show", "model.safetensors", "--json")
    facts = json.loads(out)
    assert status == 0 and facts["threshold"] == 0.5 and facts["training"]["cohorts"][1]["cohort"] == "haining"


def test_show_tells_the_models_of_a_run_apart(polypda, tmp_path):
    write_run(tmp_path / "run")
    status, out, err = polypda("show", "run")
    assert status == 0, err
    assert "adaptsegnet: polyp segmentation" in out and "haining (unlabelled target" in out
    status, out, _ = polypda("show", "run", "--model", "source-only")
    assert status == 0 and "source-only: polyp segmentation" in out and "haining" not in out
    status, _, err = polypda("show", "run", "--model", "source-onli")
    assert status == 2 and "Did you mean 'source-only'" in err


def test_a_run_is_exported_to_onnx_and_shown_again(polypda, tmp_path):
    write_run(tmp_path / "run")
    write_frames(tmp_path / "frames", 2)
    status, out, err = polypda("export", "run", "--to", "onnx", "--frames", "frames/images")
    assert status == 0, err
    assert out.splitlines()[-1] == "run.onnx" and "Largest difference" in err and "2 frames" in err
    assert "average the answers" in err, "the quick preset asks at two scales and mirrored"
    session = onnxruntime.InferenceSession(str(tmp_path / "run.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": torch.zeros(1, 3, 64, 64).numpy()})
    assert found.shape == (1, 1, 64, 64)
    status, shown, _ = polypda("show", "run.onnx")
    assert status == 0 and "adaptsegnet: polyp segmentation" in shown
    status, _, err = polypda("export", "run", "--to", "onnx")
    assert status == 3 and "E_EXPORT_EXISTS" in err and "--force" in err


def test_a_control_leaves_its_run_as_a_model_of_its_own(polypda, tmp_path):
    write_run(tmp_path / "run")
    status, out, err = polypda("export", "run", "--model", "source-only", "--to", "safetensors")
    assert status == 0, err
    assert (
        out.splitlines()[-1] == "run-source-only.safetensors"
        and "difference of a probability from the network: 0" in err
    )
    loaded = read_model(tmp_path / "run-source-only.safetensors")
    assert loaded.facts.training.model == "source-only" and loaded.facts.inference.flips


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--to", "onyx"), 2, "E_OPTION: --to onyx.*Did you mean 'onnx'"),
        (("--to", "onnx", "--precision", "fp8"), 2, "E_OPTION: --precision fp8.*Did you mean 'fp"),
        (("--to", "torchscript", "--precision", "int8"), 2, "E_EXPORT_PRECISION"),
        (("--to", "onnx", "--opset", "3"), 2, "E_EXPORT_OPSET"),
        (("--to", "onnx", "--frames", "nowhere"), 3, "E_INPUT_ABSENT"),
    ],
)
def test_wrong_use_is_told(polypda, tmp_path, words, status, message):
    write_model(tmp_path / "model.safetensors")
    found, _, err = polypda("export", "model.safetensors", *words)
    assert found == status, err
    assert re.search(message, err), err
