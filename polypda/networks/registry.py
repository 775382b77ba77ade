"""One description for every segmenter, and the function that builds what is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polypda.errors import UsageError, nearest
from polypda.networks.bundled_weights import BUNDLED, bundled_weights
from polypda.networks.deeplab_v2 import DeepLabV2
from polypda.networks.deeplab_v2_weights import load_released
from polypda.networks.encoder_weights import IMAGENET, NONE
from polypda.networks.memory_layout import channels_last
from polypda.networks.segmenter import Segmenter
from polypda.networks.segmenters import SmpSegmenter, build_smp_segmenter
from polypda.networks.smp_names import plain_architecture
from polypda.networks.weights import load_module, read_state_dict

DEEPLAB_V2, DEEPLAB_V2_ENCODER = "deeplab-v2", "resnet101"
QUICK_ENCODER = "tu-mobilenetv3_small_050"


class SegmenterSpec(BaseModel):
    """What a segmenter is: enough to build it again.

    architecture: "deeplab-v2" or one of segmentation_models_pytorch's, e.g. "deeplabv3plus"; in any case.
    encoder: of segmentation_models_pytorch, or "tu-NAME" of timm; empty for the architecture's default here.
    encoder_weights: "none", "bundled" (of an installed package), "imagenet" (downloads) or a file: safetensors of the
    encoder; for deeplab-v2 a state dict (.safetensors or .pth) with the released key names.
    levels: 1 (main output) or 2 (main and auxiliary). two_branch_quirk: deeplab-v2 only, for parity.
    decoder: the library's own settings of the architecture's decoder, e.g. {"decoder_pyramid_channels": 96} of FPN.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = "deeplabv3plus"
    encoder: str = ""
    encoder_weights: str = NONE
    levels: Literal[1, 2] = 2
    two_branch_quirk: bool = False
    decoder: dict[str, int | float | str | bool] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        complete = dict(given)
        architecture = complete.get("architecture", "deeplabv3plus")
        if isinstance(architecture, str) and plain_architecture(architecture) == plain_architecture(DEEPLAB_V2):
            complete["architecture"] = DEEPLAB_V2
        if not complete.get("encoder"):
            complete["encoder"] = DEEPLAB_V2_ENCODER if complete.get("architecture") == DEEPLAB_V2 else QUICK_ENCODER
        return complete

    @classmethod
    def from_mapping(cls, settings: Mapping[str, object]) -> SegmenterSpec:
        """Read settings from a file or an option; raises UsageError E_SEGMENTER_OPTION, with the nearest known name."""
        unknown = [key for key in settings if key not in cls.model_fields]
        if unknown:
            what = f"a segmenter has no setting '{unknown[0]}'.{nearest(unknown[0], cls.model_fields)}"
            raise UsageError("E_SEGMENTER_OPTION", what, fix=f"choose from {', '.join(cls.model_fields)}.")
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                "E_SEGMENTER_OPTION", f"{name}: {first['msg']}", fix=f"correct the setting {name}."
            ) from error

    def for_checkpoint(self) -> SegmenterSpec:
        """Return the same network without pretrained weights: they come from the checkpoint, nothing is fetched."""
        return self.model_copy(update={"encoder_weights": NONE})


def build_segmenter(spec: SegmenterSpec) -> Segmenter:
    """Build a segmenter, with its pretrained weights when the description names some. Reproducible under a torch seed.

    Raises UsageError E_ARCHITECTURE_UNKNOWN, E_ENCODER_UNKNOWN, E_NETWORK_COMBINATION, E_SEGMENTER_OPTION,
    E_WEIGHTS_IMAGENET, E_WEIGHTS_BUNDLED; DataError E_WEIGHTS_DOWNLOAD, E_WEIGHTS_PACKAGE, E_WEIGHTS_MISSING,
    E_WEIGHTS_UNREADABLE, E_WEIGHTS_NONFINITE, E_WEIGHTS_KEYS, E_WEIGHTS_AMBIGUOUS, E_WEIGHTS_INPUT.
    """
    if spec.architecture == DEEPLAB_V2:
        return _build_deeplab_v2(spec)
    if spec.two_branch_quirk:
        fix = f"leave two_branch_quirk out, or choose architecture {DEEPLAB_V2}."
        raise UsageError("E_SEGMENTER_OPTION", f"{spec.architecture} has no two_branch_quirk", fix=fix)
    return build_smp_segmenter(
        spec.architecture, spec.encoder, encoder_weights=spec.encoder_weights, levels=spec.levels, decoder=spec.decoder
    )


def load_segmenter(spec: SegmenterSpec, weights: Path) -> Segmenter:
    """Build a segmenter and read the weights of a saved run into it; needs neither network nor the pretrained file.

    Raises what :func:`build_segmenter` and :func:`polypda.networks.weights.load_module` raise.
    """
    segmenter = channels_last(build_segmenter(spec.for_checkpoint()))
    load_module(segmenter, weights)
    return segmenter


def describe_initial_weights(segmenter: Segmenter) -> dict[str, object]:
    """Return what a segmenter was started from, for the run's record: no folder is named. Empty when unknown."""
    if isinstance(segmenter, SmpSegmenter):
        return asdict(segmenter.encoder_weights)
    if isinstance(segmenter, DeepLabV2) and segmenter.released_weights is not None:
        return asdict(segmenter.released_weights)
    return {}


def _build_deeplab_v2(spec: SegmenterSpec) -> DeepLabV2:
    if spec.encoder.lower() != DEEPLAB_V2_ENCODER:
        what = f"{DEEPLAB_V2} has no encoder '{spec.encoder}'"
        raise UsageError("E_ENCODER_UNKNOWN", what, fix=f"leave the encoder out: it is {DEEPLAB_V2_ENCODER}.")
    network = DeepLabV2(spec.levels, two_branch_quirk=spec.two_branch_quirk)
    if spec.encoder_weights.lower() == IMAGENET:
        fix = "give the path of a state dict with the released key names, or `none`."
        raise UsageError("E_WEIGHTS_IMAGENET", f"no download is known for {DEEPLAB_V2}", fix=fix)
    if spec.encoder_weights.lower() == BUNDLED:
        bundled_weights(DEEPLAB_V2_ENCODER)  # has none, and says which have
    if spec.encoder_weights.lower() != NONE:
        path = Path(spec.encoder_weights).expanduser()
        network.released_weights = load_released(network, read_state_dict(path), where=path)
    return network
