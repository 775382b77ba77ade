"""Models in other formats, each with the facts, and each compared with the network that it was made from.

Legacy ONNX tracing wants a network whose output is a tensor; a segmenter's is a record of maps by level. So what is
exported is :class:`ProbabilityNetwork`: RGB in [0, 1] in, P(polyp) at the input's size out. Scales and mirrors are not
part of it: the facts say how its answers are averaged.
"""

from __future__ import annotations

import json
import logging
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polypda.data.loading import image_tensor
from polypda.errors import DataError, UsageError
from polypda.files import write_failed, write_whole
from polypda.importing.contract import extra_module
from polypda.integrity import beside, changed, fault_beside, record_beside
from polypda.networks.averaged_prediction import polyp_probability
from polypda.networks.segmenter import Segmenter
from polypda.networks.weights import save_tensors, tensors_sha256
from polypda.prediction.facts import FACTS_KEY, ModelFacts
from polypda.prediction.model import Image, LoadedModel, read_facts

INPUT, OUTPUT = "images", "probability"
EXTRA_FILE = f"{FACTS_KEY}.json"
"""Where a TorchScript file holds the facts."""
MOST_FACTS_BYTES = 10_000_000
OPSET = 17
LEAST_OPSET, LARGEST_OPSET = 13, 20
"""What the tracing exporter writes and these networks need."""
OTHER_BATCH = 3


class ModelFormat(StrEnum):
    """What `polypda export --to` takes."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    SAFETENSORS = "safetensors"

    @property
    def suffix(self) -> str:
        """How such files end."""
        return {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}[self.value]


class ModelPrecision(StrEnum):
    """What the exported model computes with."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"

    @property
    def dtype(self) -> str:
        """As the facts say it."""
        return {"fp32": "float32", "fp16": "float16", "int8": "int8"}[self.value]


TOLERANCE = {ModelPrecision.FP32: 1e-4, ModelPrecision.FP16: 2e-2}
"""A larger difference of a probability is an error; what int8 may cost, the user decides by the figures."""


@dataclass(frozen=True)
class ExportOptions:
    """opset: of ONNX. dynamic_batch, dynamic_size: batches and inputs of any size; else one image of the model's."""

    format: ModelFormat
    precision: ModelPrecision = ModelPrecision.FP32
    opset: int = OPSET
    dynamic_batch: bool = True
    dynamic_size: bool = True

    def check(self) -> None:
        """Raises: UsageError E_EXPORT_PRECISION, E_EXPORT_OPSET, E_EXTRA_MISSING."""
        if self.precision is ModelPrecision.INT8 and self.format is not ModelFormat.ONNX:
            what = f"int8 is written for ONNX alone, not for {self.format}."
            raise UsageError("E_EXPORT_PRECISION", what, fix="--to onnx, or --precision fp16.")
        if not LEAST_OPSET <= self.opset <= LARGEST_OPSET:
            what = f"opset {self.opset} is not written here."
            raise UsageError("E_EXPORT_OPSET", what, fix=f"choose {LEAST_OPSET} to {LARGEST_OPSET}; usual is {OPSET}.")
        if self.format is ModelFormat.ONNX:
            for name in ("onnx", "onnxruntime"):
                _onnx_module(name)


@dataclass(frozen=True)
class ExportCheck:
    """The exported model beside its network on the same inputs.

    frames: how many. max_difference: of a probability. changed: share of pixels that fall on the other side of the
    threshold.
    """

    frames: int
    max_difference: float
    changed: float


class ProbabilityNetwork(nn.Module):
    """RGB in [0, 1], B×3×H×W → P(polyp), B×1×H×W, both float32, whatever it computes with."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> Tensor:
        dtype = next(self.segmenter.parameters()).dtype
        return polyp_probability(self.segmenter, images.to(dtype)).unsqueeze(1).float()


def export_model(model: LoadedModel, path: Path, how: ExportOptions, images: Sequence[Image]) -> ExportCheck:
    """Write a model to a file of another format, whole or not at all, and compare it with its network.

    Args:
        model: on the CPU. images: uint8 H×W×3 RGB each, native: what is compared, and what int8 is calibrated with.

    Raises: what :meth:`ExportOptions.check` raises; DataError E_EXPORT_FAILED, E_EXPORT_DIFFERS, E_WRITE_FAILED,
        E_WEIGHTS_WRITE.
    """
    how.check()
    facts = model.facts.model_copy(update={"dtype": how.precision.dtype})
    inputs = _inputs(model, images)
    with TemporaryDirectory() as work:
        file = Path(work) / f"model{how.format.suffix}"
        with _told_failure(how):
            _WRITERS[how.format](model, file, how, facts, inputs)
        check = _compared(model, _runner(model, file, how), inputs, how)
        if check.max_difference > TOLERANCE.get(how.precision, 1.0):
            raise DataError(
                "E_EXPORT_DIFFERS",
                f"the {how.format} model differs from the network by up to {check.max_difference:.2g} (allowed: "
                f"{TOLERANCE[how.precision]:g}); it was not written.",
                where=path.name,
                fix="choose --precision fp32, another --opset, or --to safetensors, which changes nothing.",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        beside(path).unlink(missing_ok=True)  # of a former model
        write_whole(path, file.read_bytes())
        try:
            record_beside(path)
        except OSError as error:
            raise write_failed(beside(path), error) from error
    return check


def read_facts_of(path: Path) -> ModelFacts:
    """What a model's file of any of the formats says of itself; nothing is run.

    Raises: UsageError E_EXTRA_MISSING (ONNX); DataError E_FILE_CHANGED, E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE,
        E_MODEL_NO_FACTS, E_MODEL_FORMAT.
    """
    if path.is_file() and (fault := fault_beside(path)):
        raise changed(fault, "fetch the file again, or export it again from its run.")
    if path.suffix == ModelFormat.ONNX.suffix and path.is_file():
        onnx = _onnx_module("onnx")
        try:
            properties = onnx.load(str(path), load_external_data=False).metadata_props
        except Exception as error:  # protobuf's errors have no common parent
            raise _unreadable(path, "ONNX") from error
        return ModelFacts.from_metadata({entry.key: entry.value for entry in properties}, path.name)
    if path.suffix == ModelFormat.TORCHSCRIPT.suffix and path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                held = [info for info in archive.infolist() if info.filename.endswith(f"/extra/{EXTRA_FILE}")]
                if held and held[0].file_size > MOST_FACTS_BYTES:
                    raise ValueError("facts of such a size are none")
                found = {FACTS_KEY: archive.read(held[0]).decode()} if held else {}
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, zlib.error) as error:
            raise _unreadable(path, "TorchScript") from error
        return ModelFacts.from_metadata(found, path.name)
    return read_facts(path)


def _write_safetensors(
    model: LoadedModel, file: Path, how: ExportOptions, facts: ModelFacts, inputs: Sequence[Tensor]
) -> None:
    half = how.precision is ModelPrecision.FP16
    tensors = {
        key: value.half() if half and value.is_floating_point() else value
        for key, value in model.network.state_dict().items()
    }
    told = facts.model_copy(update={"tensors_sha256": tensors_sha256(tensors)})
    save_tensors(tensors, file, told.metadata())


def _write_torchscript(
    model: LoadedModel, file: Path, how: ExportOptions, facts: ModelFacts, inputs: Sequence[Tensor]
) -> None:
    from copy import deepcopy

    network = deepcopy(model.network).half() if how.precision is ModelPrecision.FP16 else model.network
    traced = torch.jit.trace(ProbabilityNetwork(network).eval(), inputs[0])
    torch.jit.save(traced, str(file), _extra_files={EXTRA_FILE: facts.metadata()[FACTS_KEY]})


def _write_onnx(
    model: LoadedModel, file: Path, how: ExportOptions, facts: ModelFacts, inputs: Sequence[Tensor]
) -> None:
    onnx = _onnx_module("onnx")
    axes = ({0: "batch"} if how.dynamic_batch else {}) | ({2: "height", 3: "width"} if how.dynamic_size else {})
    torch.onnx.export(
        ProbabilityNetwork(model.network).eval(),
        (inputs[0],),
        str(file),
        dynamo=False,
        opset_version=how.opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: axes, OUTPUT: axes} if axes else None,
    )
    if how.precision is ModelPrecision.INT8:
        _quantize(file, inputs)
    written = onnx.load(str(file))
    if how.precision is ModelPrecision.FP16:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        written = convert_float_to_float16(written, keep_io_types=True)
    del written.metadata_props[:]
    onnx.helper.set_model_props(written, {**facts.metadata(), "intended_use": facts.intended_use})
    onnx.save(written, str(file))


def _quantize(file: Path, inputs: Sequence[Tensor]) -> None:
    """Quantise a file in place: weights per channel, activations by what the inputs show."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Shown(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter([{INPUT: one.numpy()} for one in inputs])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._left, None)

    prepared = file.with_name("prepared.onnx")
    quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(file), Shown(), quant_format=QuantFormat.QDQ, per_channel=True)


_WRITERS = {
    ModelFormat.ONNX: _write_onnx,
    ModelFormat.TORCHSCRIPT: _write_torchscript,
    ModelFormat.SAFETENSORS: _write_safetensors,
}


def _inputs(model: LoadedModel, images: Sequence[Image]) -> list[Tensor]:
    """What the network is shown of each image at the model's own size, 1×3×h×w."""
    grid = model.facts.input.grid
    shown = []
    for image in images:
        frame = model.prepare(image)
        shown.append(image_tensor(model.asked.geometry(frame, grid.size).image_to_network(image)).contiguous())
    return shown


def _runner(model: LoadedModel, file: Path, how: ExportOptions) -> Any:
    """What takes inputs, B×3×H×W, and returns the written model's probabilities as an array."""
    if how.format is ModelFormat.ONNX:
        runtime = _onnx_module("onnxruntime")
        runtime.set_default_logger_severity(3)
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, {INPUT: inputs.numpy()})[0]
    if how.format is ModelFormat.TORCHSCRIPT:
        traced = torch.jit.load(str(file))
        return lambda inputs: traced(inputs).numpy()
    from polypda.prediction.model import read_model

    network = ProbabilityNetwork(read_model(file).network)
    return lambda inputs: network(inputs).numpy()


@torch.no_grad()
def _compared(model: LoadedModel, run: Any, inputs: Sequence[Tensor], how: ExportOptions) -> ExportCheck:
    """Each input alone; where the model takes them, also a larger batch, and inputs of another size."""
    network = ProbabilityNetwork(model.network).eval()
    tried = list(inputs)
    # TorchScript and weights take any batch and size, whatever was asked for
    any_batch, any_size = (
        wanted or how.format is not ModelFormat.ONNX for wanted in (how.dynamic_batch, how.dynamic_size)
    )
    if any_batch:
        tried.append(torch.cat([inputs[index % len(inputs)] for index in range(OTHER_BATCH)]))
    if any_size:
        side, stride = inputs[0].shape[-1], model.network.stride
        tried.append(nn.functional.interpolate(inputs[0], size=(side, side + stride), mode="bilinear"))
    largest, changed, pixels = 0.0, 0, 0
    for one in tried:
        own, other = network(one).numpy(), np.asarray(run(one), np.float32)
        largest = max(largest, float(np.abs(own - other).max()))
        changed += int(np.count_nonzero((own >= model.threshold) != (other >= model.threshold)))
        pixels += own.size
    return ExportCheck(len(inputs), largest, changed / pixels)


@contextmanager
def _told_failure(how: ExportOptions) -> Iterator[None]:
    """Quiet tracing; an error of a library as one of ours."""
    quiet = [logging.getLogger(name) for name in ("torch.onnx", "root")]
    levels = [logger.level for logger in quiet]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in quiet:
                logger.setLevel(logging.ERROR)
            yield
    except (RuntimeError, ValueError, TypeError, NotImplementedError, torch.onnx.OnnxExporterError) as error:
        raise DataError(
            "E_EXPORT_FAILED",
            f"this network cannot be written as {how.format}: {(str(error).splitlines() or ['unknown'])[0]}",
            fix="try another --opset, --to torchscript or --to safetensors.",
        ) from error
    finally:
        for logger, level in zip(quiet, levels, strict=True):
            logger.setLevel(level)


def _unreadable(path: Path, kind: str) -> DataError:
    fix = "export it again, or fetch it again."
    return DataError("E_WEIGHTS_UNREADABLE", f"not a readable {kind} file.", where=path, fix=fix)


def _onnx_module(name: str) -> Any:
    """onnx or onnxruntime. Raises: UsageError E_EXTRA_MISSING."""
    return extra_module(name, "ONNX models are written by onnx and checked by onnxruntime", extra="export")


def facts_json(facts: ModelFacts) -> str:
    """The facts as indented JSON, for `--json`."""
    return json.dumps(facts.model_dump(mode="json"), indent=1, ensure_ascii=False)
