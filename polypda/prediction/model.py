"""A model that can be used: its network, what it says of itself, and images in, probability maps and masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from polypda.cohorts.field_of_view import FieldOfView
from polypda.data.cache import NativeFrame, native_frame
from polypda.data.inference import Inference
from polypda.errors import DataError, UsageError
from polypda.networks.averaged_prediction import Asked
from polypda.networks.registry import build_segmenter
from polypda.networks.segmenter import Segmenter, channels_last
from polypda.networks.weights import fill_module, key_mismatch, read_safetensors, save_module, tensors_sha256
from polypda.prediction.facts import ModelFacts

BATCH = 8
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ImagePrediction:
    """What a model says of one image, on the image's own grid.

    probability: float32 H×W, P(polyp) in [0, 1], 0 outside the crop that the network saw. mask: bool H×W, where it
    reaches the threshold inside the field of view. view: the field of view.
    """

    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    view: FieldOfView


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to predict, on a device.

    inference: how it is asked for an image; the model's own way unless another was wanted. threshold: likewise.
    """

    network: Segmenter
    facts: ModelFacts
    inference: Inference
    threshold: float
    device: torch.device

    @cached_property
    def asked(self) -> Asked:
        """Grid, scales, mirrors, device."""
        return Asked(self.facts.input.grid, self.inference, self.device)

    def predict(self, images: Image | Sequence[Image], batch_size: int = BATCH) -> list[ImagePrediction]:
        """Predict images, each at its own size.

        Args:
            images: one image or several, uint8 H×W×3, RGB, 0–255; a B×H×W×3 array is taken as B images.
        Raises: UsageError E_IMAGE_ARRAY for anything else.
        """
        single = isinstance(images, np.ndarray) and images.ndim == 3
        several = [images] if single else list(images)
        frames = [self.prepare(checked_image(image)) for image in several]
        found = []
        for start in range(0, len(frames), batch_size):
            part = frames[start : start + batch_size]
            inputs = [self.asked.network_inputs(self.network, frame) for frame in part]
            maps = self.asked.network_maps(self.network, inputs)
            found += [
                self.finish(frame, self.asked.to_native(frame, one)) for frame, one in zip(part, maps, strict=True)
            ]
        return found

    def prepare(self, image: Image) -> NativeFrame:
        """Find an image's field of view and plan its way to the network. image: uint8 H×W×3, RGB."""
        return native_frame(image, self.facts.input.grid)

    def finish(self, frame: NativeFrame, probability: NDArray[np.float32]) -> ImagePrediction:
        """Threshold a map on the image's own grid; nothing outside the field of view is marked."""
        mask = (probability >= self.threshold) & frame.valid
        return ImagePrediction(probability, mask, frame.view)


def checked_image(image: object) -> Image:
    """An array that is an RGB image. Raises: UsageError E_IMAGE_ARRAY."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return np.ascontiguousarray(image)
    what = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise UsageError(
        "E_IMAGE_ARRAY",
        f"an image is a uint8 array H×W×3, RGB, 0–255; this is {what}.",
        fix="scale values in [0, 1] by 255 and round; turn BGR (as cv2.imread gives it) around: image[..., ::-1].",
    )


def save_model(network: Segmenter, path: Path, facts: ModelFacts, *, recorded: bool = False) -> None:
    """Write a model with its facts, whole or not at all. recorded: see :func:`polypda.files.whole_file`.

    Raises: DataError E_WEIGHTS_WRITE.
    """
    told = facts.model_copy(update={"tensors_sha256": tensors_sha256(network.state_dict())})
    save_module(network, path, told.metadata(), recorded=recorded)


def read_facts(path: Path) -> ModelFacts:
    """What a safetensors model says of itself; its tensors are not read.

    Raises: DataError E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE, E_MODEL_NO_FACTS, E_MODEL_FORMAT.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        _, metadata = read_safetensors(path, finite=False)  # has the words for it
    return ModelFacts.from_metadata(metadata, path.name)


def read_model(
    path: Path,
    *,
    facts: ModelFacts | None = None,
    inference: Inference | None = None,
    threshold: float | None = None,
    device: torch.device | None = None,
) -> LoadedModel:
    """Load a model from its safetensors file.

    Args:
        facts: of a file that carries none; what the file itself says comes first. inference, threshold: in place of the
            model's own. device: the CPU unless given.

    Raises: DataError E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE, E_WEIGHTS_NONFINITE, E_WEIGHTS_KEYS, E_MODEL_NO_FACTS,
        E_MODEL_FORMAT, E_MODEL_CHANGED where the tensors are not those that the facts were written for,
        E_MODEL_FIELD_OF_VIEW; UsageError E_THRESHOLD; what building the network raises.
    """
    tensors, metadata = read_safetensors(path)
    try:
        told = ModelFacts.from_metadata(metadata, path.name)
    except DataError as error:
        if facts is None or error.code != "E_MODEL_NO_FACTS":
            raise
        told = facts.model_copy(update={"tensors_sha256": tensors_sha256(tensors)})
    if told.tensors_sha256 != tensors_sha256(tensors):
        what = "its weights are not those that its description was written for."
        fix = "export the model again from its run, or fetch the file again."
        raise DataError("E_MODEL_CHANGED", what, where=path.name, fix=fix)
    told.require_known_rule(path.name)
    threshold = told.threshold if threshold is None else threshold
    if not 0 < threshold < 1:
        what = f"a threshold of {threshold:g} is not between 0 and 1."
        raise UsageError("E_THRESHOLD", what, fix=f"this model's own is {told.threshold:g}.")
    _require_same_shapes(told, tensors, path.name)
    network = channels_last(build_segmenter(told.network.for_checkpoint()))
    fill_module(network, tensors, path.name)
    device = device or torch.device("cpu")
    return LoadedModel(network.to(device).eval(), told, inference or told.inference, threshold, device)


def _require_same_shapes(facts: ModelFacts, tensors: dict[str, torch.Tensor], where: str) -> None:
    """A network whose description asks for a decoder of its own is compared before memory is taken for it.

    Raises: DataError E_WEIGHTS_KEYS.
    """
    if not facts.network.decoder:
        return
    try:
        with torch.device("meta"):
            expected = build_segmenter(facts.network.for_checkpoint()).state_dict()
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # what building it for real says better
        return
    if mismatch := key_mismatch(expected, tensors):
        fix = "export the model again from its run, or fetch the file again."
        raise DataError("E_WEIGHTS_KEYS", f"not the network that it describes: {mismatch}", where=where, fix=fix)
