"""Models in other formats: the same answers, the same facts."""

import json
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from support.models import write_model
from support.painted import paint

from polypda.errors import DataError, UsageError
from polypda.prediction import export
from polypda.prediction.export import (
    EXTRA_FILE,
    ExportOptions,
    ModelFormat,
    ModelPrecision,
    export_model,
    read_facts_of,
)
from polypda.prediction.facts import FACTS_KEY
from polypda.prediction.model import read_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return read_model(write_model(tmp_path_factory.mktemp("model") / "model.safetensors", gain=4))


@pytest.fixture(scope="module")
def images():
    return [paint(number)[0] for number in range(4)]


def test_onnx_answers_as_torch_for_any_batch_and_size(model, images, tmp_path):
    check = export_model(model, tmp_path / "m.onnx", ExportOptions(ModelFormat.ONNX), images)
    assert check.max_difference <= 1e-4 and check.frames == 4
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["images"]
    for batch, height, width in ((1, 64, 64), (5, 64, 64), (2, 96, 128)):
        inputs = torch.rand(batch, 3, height, width)
        with torch.no_grad():
            own = model.network(inputs).logits["main"]
            own = torch.nn.functional.interpolate(own, (height, width), mode="bilinear", align_corners=True)
        (found,) = session.run(None, {"images": inputs.numpy()})
        assert found.shape == (batch, 1, height, width)
        np.testing.assert_allclose(found[:, 0], own.softmax(1)[:, 1].numpy(), atol=1e-4)
    assert read_facts_of(tmp_path / "m.onnx") == model.facts
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert (
        json.loads(properties[FACTS_KEY])["threshold"] == 0.5 and "Not a medical device" in properties["intended_use"]
    )


def test_a_fixed_batch_and_size_are_fixed_and_the_opset_is_the_wanted_one(model, images, tmp_path):
    how = ExportOptions(ModelFormat.ONNX, opset=15, dynamic_batch=False, dynamic_size=False)
    assert export_model(model, tmp_path / "m.onnx", how, images).max_difference <= 1e-4
    written = onnx.load(tmp_path / "m.onnx")
    sides = [one.dim_value for one in written.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [1, 3, 64, 64] and written.opset_import[0].version == 15


@pytest.mark.parametrize("precision", [ModelPrecision.FP16, ModelPrecision.INT8])
def test_smaller_onnx_models_say_what_they_cost(model, images, tmp_path, precision):
    export_model(model, tmp_path / "full.onnx", ExportOptions(ModelFormat.ONNX), images)
    check = export_model(model, tmp_path / "m.onnx", ExportOptions(ModelFormat.ONNX, precision), images)
    assert check.max_difference > 0 and check.changed < (0.01 if precision is ModelPrecision.FP16 else 0.2)
    assert (tmp_path / "m.onnx").stat().st_size < 0.7 * (tmp_path / "full.onnx").stat().st_size
    assert read_facts_of(tmp_path / "m.onnx").dtype == precision.dtype


@pytest.mark.parametrize("precision", [ModelPrecision.FP32, ModelPrecision.FP16])
def test_torchscript_runs_without_polypda_and_carries_the_facts(model, images, tmp_path, precision):
    path = tmp_path / "m.pt"
    check = export_model(model, path, ExportOptions(ModelFormat.TORCHSCRIPT, precision), images)
    assert check.max_difference <= (1e-4 if precision is ModelPrecision.FP32 else 2e-2)
    extra = {EXTRA_FILE: ""}
    loaded = torch.jit.load(str(path), _extra_files=extra)
    assert loaded(torch.rand(2, 3, 64, 96)).shape == (2, 1, 64, 96)
    told = extra[EXTRA_FILE]
    assert json.loads(told)["input"]["size"] == 64
    assert read_facts_of(path).dtype == precision.dtype


def test_half_weights_load_as_a_model_of_half_the_size(model, images, tmp_path):
    how = ExportOptions(ModelFormat.SAFETENSORS, ModelPrecision.FP16)
    check = export_model(model, tmp_path / "half.safetensors", how, images)
    assert 0 < check.max_difference < 2e-2
    half = read_model(tmp_path / "half.safetensors")
    assert half.facts.dtype == "float16" and next(half.network.parameters()).dtype == torch.float32
    whole = ExportOptions(ModelFormat.SAFETENSORS)
    assert export_model(model, tmp_path / "whole.safetensors", whole, images).max_difference == 0
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_model_that_differs_is_not_written(model, images, tmp_path, monkeypatch):
    monkeypatch.setitem(export.TOLERANCE, ModelPrecision.FP16, 1e-12)
    with pytest.raises(DataError, match=r"E_EXPORT_DIFFERS m\.pt"):
        export_model(model, tmp_path / "m.pt", ExportOptions(ModelFormat.TORCHSCRIPT, ModelPrecision.FP16), images)
    assert not list(tmp_path.iterdir())


def test_wrong_wishes_and_missing_extras_are_told(monkeypatch):
    for how, code in (
        (ExportOptions(ModelFormat.TORCHSCRIPT, ModelPrecision.INT8), "E_EXPORT_PRECISION"),
        (ExportOptions(ModelFormat.ONNX, opset=7), "E_EXPORT_OPSET"),
    ):
        with pytest.raises(UsageError, match=code):
            how.check()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"E_EXTRA_MISSING(.|\n)*polypda\[export\]"):
        ExportOptions(ModelFormat.ONNX).check()


def test_files_that_are_no_models_or_say_nothing_are_refused(tmp_path):
    for name in ("m.onnx", "m.pt", "m.safetensors"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(DataError, match="E_WEIGHTS_UNREADABLE"):
            read_facts_of(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("model/code.py", "")
    with pytest.raises(DataError, match="E_MODEL_NO_FACTS"):
        read_facts_of(tmp_path / "other.pt")
