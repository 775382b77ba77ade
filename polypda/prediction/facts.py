"""What a model says of itself: everything that is needed to run it, and what it was made from.

The facts lie in the metadata of the model's own file (safetensors, ONNX, TorchScript), as one JSON text that begins
with the version of its form, and travel with it. They hold no time and no place: equal trainings write equal files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from polypda.cohorts.field_of_view import RULE
from polypda.data.cache import NetworkGrid
from polypda.data.geometry import Fit
from polypda.data.inference import Inference
from polypda.errors import DataError
from polypda.networks.registry import SegmenterSpec
from polypda.networks.segmenter import InputNormalisation

FORMAT = 1
LARGEST_INPUT = 4096
"""Pixels of a side. A file that says more would fill the memory with the first image."""
DIGEST = "sha256"
"""Of all that the model says of itself, within it."""
FACTS_KEY = "polypda_model"
"""The only key of the metadata: of several, safetensors writes a random one first, and no two files would be equal."""
CLASSES = ("background", "polyp")
INTENDED_USE = "Research only. Not a medical device: not for diagnosis, not for use during an examination."


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Normalisation(_Facts):
    """What the network itself does with RGB in [0, 1]: (scale · x − mean) / std, in the order BGR where said."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1.0
    bgr: bool = False

    @classmethod
    def of(cls, network: nn.Module) -> Normalisation | None:
        """A network's own; None for one that normalises in a way of its own."""
        found = next((part for part in network.modules() if isinstance(part, InputNormalisation)), None)
        if found is None:
            return None
        mean, std = (tuple(round(value, 6) for value in part.flatten().tolist()) for part in (found.mean, found.std))
        return cls(mean=mean, std=std, scale=found.scale, bgr=found.bgr)


class NetworkInput(_Facts):
    """How an image becomes what the network sees: cropped to its field of view, brought to ``size``² px by ``fit``.

    stride: both sides of an input must be divisible by it. normalisation: done inside the network.
    """

    colours: str = "RGB in [0, 1]"
    size: int = Field(ge=1, le=LARGEST_INPUT)
    fit: Fit
    stride: int
    crop_to_field_of_view: bool
    field_of_view_rule: dict[str, str | int | float] = RULE
    normalisation: Normalisation | None

    @property
    def grid(self) -> NetworkGrid:
        """The same for the loader of images."""
        return NetworkGrid(self.size, self.fit, self.crop_to_field_of_view)


class LearntCohort(_Facts):
    """A cohort that a model learnt: its id, what it was, how many frames, and the terms under which it is released.

    licence: as the cohort's manifest says it; None where the owner states none.
    """

    cohort: str
    role: Literal["labelled source", "unlabelled target", "labelled target"]
    frames: int
    licence: str | None = None
    rendered: bool = False


class Training(_Facts):
    """What a model was made from.

    model: its name in the run's tables (a method, or a control). labels: what taught it, in words. set_aside: why it is
    the source-only control in place of the adapted model; empty where it is not. settings: the rest of what decided it.
    """

    model: str
    cohorts: tuple[LearntCohort, ...]
    labels: str
    target_labels_used: bool
    set_aside: tuple[str, ...] = ()
    settings: dict[str, Any]


class EncoderOrigin(_Facts):
    """What the encoder was started from. source: as `--encoder-weights` said, never a place."""

    source: str
    licence: str | None = None
    sha256: str = ""


class ModelFacts(_Facts):
    """Everything that a model says of itself."""

    task: str = "polyp segmentation in colonoscopy frames"
    intended_use: str = INTENDED_USE
    classes: tuple[str, ...] = CLASSES
    network: SegmenterSpec
    input: NetworkInput
    inference: Inference
    threshold: float
    training: Training
    encoder_weights: EncoderOrigin
    versions: dict[str, str]
    dtype: str = "float32"
    tensors_sha256: str = ""

    def metadata(self) -> dict[str, str]:
        """What a model's file carries: text by key."""
        told = {"format": FORMAT, **self.model_dump(mode="json")}
        return {FACTS_KEY: json.dumps(told | {DIGEST: _digest(told)}, ensure_ascii=False)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str | Path) -> ModelFacts:
        """The facts of a model's file.

        Raises: DataError E_MODEL_NO_FACTS where there are none, E_MODEL_FORMAT where they are of another version.
        """
        if FACTS_KEY not in metadata:
            raise DataError(
                "E_MODEL_NO_FACTS",
                "the file holds weights, but nothing that says how they are used (network, input size, threshold…): "
                "predictions would be guesses.",
                where=where,
                fix="give the run folder that they come from, or write them from it: `polypda export RUN --to "
                "safetensors --out FILE`.",
            )
        try:
            told = json.loads(metadata[FACTS_KEY])
            if isinstance(told, dict) and DIGEST in told and told.pop(DIGEST) != _digest(told):
                raise ValueError("its checksum differs: it was damaged or edited")
            form = told.pop("format", "unknown") if isinstance(told, dict) else "unknown"
            if form != FORMAT:
                raise ValueError(f"form {form}, and this version reads {FORMAT}")
            return cls.model_validate(told)
        except (ValueError, ValidationError, RecursionError) as error:
            raise DataError(
                "E_MODEL_FORMAT",
                f"what the model says of itself does not fit this version ({str(error).splitlines()[0]}).",
                where=where,
                fix="use the version of polypda that wrote it, or export it again from its run.",
            ) from error

    def require_known_rule(self, where: str | Path) -> None:
        """The field of view must be found as it was for training.

        Raises: DataError E_MODEL_FIELD_OF_VIEW.
        """
        rule = self.input.field_of_view_rule
        if self.input.crop_to_field_of_view and rule != RULE:
            different = sorted(name for name in {*rule, *RULE} if rule.get(name) != RULE.get(name))
            raise DataError(
                "E_MODEL_FIELD_OF_VIEW",
                "its training frames were cropped by another rule than this version's: "
                + "; ".join(f"{name} {rule.get(name)}, here {RULE.get(name)}" for name in different)
                + ". Its masks would be worse, and nothing would show it.",
                where=where,
                fix=f"use polypda {self.versions.get('polypda', 'of the version that trained it')}.",
            )


def _digest(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
