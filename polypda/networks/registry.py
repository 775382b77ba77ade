"""One description for every segmenter, and the networks by name that build what is described.

Adding a network: a builder and a line in :data:`NETWORKS`, or an entry point of another package
(``polypda.networks``, see :mod:`polypda.plugins`). Every architecture of segmentation_models_pytorch is one already.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polypda.errors import UsageError, nearest
from polypda.networks.deeplab_v2 import DeepLabV2, load_released
from polypda.networks.encoder_weights import BUNDLED, IMAGENET, NONE, bundled_weights
from polypda.networks.segmenter import Segmenter, channels_last
from polypda.networks.smp_library import find_architecture, plain_architecture
from polypda.networks.smp_segmenter import build_smp_segmenter
from polypda.networks.weights import load_module, read_state_dict
from polypda.options import Option
from polypda.plugins import Registry, plugins, register

PACKED = Option("Training", by_package=True)
DEEPLAB_V2, DEEPLAB_V2_ENCODER = "deeplab-v2", "resnet101"
QUICK_ENCODER = "tu-mobilenetv3_small_050"


@dataclass(frozen=True)
class Network:
    """An architecture by name.

    build: makes it from a description, with its pretrained weights where the description names some; reproducible under
    a torch seed. encoder: its default one. own_encoder: it has no other. takes_two_branch_quirk, takes_decoder: whether
    these settings mean something to it.
    """

    name: str
    build: Callable[[SegmenterSpec], Segmenter]
    encoder: str = QUICK_ENCODER
    own_encoder: bool = False
    takes_two_branch_quirk: bool = False
    takes_decoder: bool = False


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

    architecture: Annotated[str, Option("Training", by_package=True, values=lambda: NETWORKS)] = Field(
        default="deeplabv3plus", description="any of segmentation-models-pytorch, or"
    )
    encoder: Annotated[str, PACKED] = Field(default="", description="any encoder of segmentation-models-pytorch")
    encoder_weights: str = NONE
    levels: Annotated[Literal[1, 2], PACKED] = Field(default=2, description="output levels")
    two_branch_quirk: Annotated[bool, PACKED] = Field(
        default=False, description="build deeplab-v2 with two of its four branches, as released"
    )
    decoder: dict[str, int | float | str | bool] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        complete = dict(given)
        architecture = complete.get("architecture", "deeplabv3plus")
        if isinstance(architecture, str):
            network = network_of(architecture)
            if network is not SMP:
                complete["architecture"] = network.name
            if not complete.get("encoder"):
                complete["encoder"] = network.encoder
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
            what = f"{name}: {first['msg']}"
            raise UsageError("E_SEGMENTER_OPTION", what, fix=f"correct the setting {name}.") from error

    def for_checkpoint(self) -> SegmenterSpec:
        """The same network without pretrained weights: they come from the checkpoint, nothing is fetched."""
        return self.model_copy(update={"encoder_weights": NONE})


def build_segmenter(spec: SegmenterSpec) -> Segmenter:
    """Build a segmenter, with its pretrained weights when the description names some. Reproducible under a torch seed.

    Raises UsageError E_ARCHITECTURE_UNKNOWN, E_ENCODER_UNKNOWN, E_NETWORK_COMBINATION, E_SEGMENTER_OPTION,
    E_WEIGHTS_IMAGENET, E_WEIGHTS_BUNDLED; DataError E_WEIGHTS_DOWNLOAD, E_WEIGHTS_PACKAGE, E_WEIGHTS_MISSING,
    E_WEIGHTS_UNREADABLE, E_WEIGHTS_NONFINITE, E_WEIGHTS_KEYS, E_WEIGHTS_AMBIGUOUS, E_WEIGHTS_INPUT.
    """
    network = network_of(spec.architecture)
    for setting, taken in (("two_branch_quirk", network.takes_two_branch_quirk), ("decoder", network.takes_decoder)):
        if getattr(spec, setting) and not taken:
            having = ", ".join(known.name for known in (*NETWORKS.values(), SMP) if getattr(known, f"takes_{setting}"))
            what = f"{spec.architecture} has no {setting}"
            raise UsageError("E_SEGMENTER_OPTION", what, fix=f"leave {setting} out, or choose architecture {having}.")
    if network.own_encoder and spec.encoder.lower() != network.encoder:
        what = f"{network.name} has no encoder '{spec.encoder}'"
        raise UsageError("E_ENCODER_UNKNOWN", what, fix=f"leave the encoder out: it is {network.encoder}.")
    return network.build(spec)


def network_of(architecture: str) -> Network:
    """The network of that name, in any case and punctuation; what is not in :data:`NETWORKS` is the library's."""
    plain = plain_architecture(architecture)
    return next((network for name, network in NETWORKS.items() if plain_architecture(name) == plain), SMP)


def load_segmenter(spec: SegmenterSpec, weights: Path) -> Segmenter:
    """Build a segmenter and read the weights of a saved run into it; needs neither network nor the pretrained file.

    Raises what :func:`build_segmenter` and :func:`polypda.networks.weights.load_module` raise.
    """
    segmenter = channels_last(_unweighted(spec.for_checkpoint()))
    load_module(segmenter, weights)
    return segmenter


def _unweighted(spec: SegmenterSpec) -> Segmenter:
    """A segmenter whose weights are to be read; no random number of torch is used up.

    Small ones are copied from the last that was built: a run loads a dozen models, and drawing weights that nobody uses
    takes six times as long as a copy.
    """
    global _last_built
    wanted = (network_of(spec.architecture), spec)
    if _last_built is not None and _last_built[0] == wanted:
        return copy.deepcopy(_last_built[1])
    with torch.random.fork_rng(devices=[]):
        segmenter = build_segmenter(spec)
    if sum(value.numel() for value in segmenter.parameters()) <= MOST_PARAMETERS_KEPT:
        _last_built = (wanted, copy.deepcopy(segmenter))
    return segmenter


MOST_PARAMETERS_KEPT = 10_000_000
_last_built: tuple[tuple[Network, SegmenterSpec], Segmenter] | None = None


def _build_deeplab_v2(spec: SegmenterSpec) -> DeepLabV2:
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


def _build_smp(spec: SegmenterSpec) -> Segmenter:
    settings: dict[str, Any] = spec.model_dump(include={"encoder_weights", "levels", "decoder"})
    return build_smp_segmenter(find_architecture(spec.architecture, NETWORKS), spec.encoder, **settings)


SMP = Network("one of segmentation_models_pytorch", _build_smp, takes_decoder=True)
"""Any architecture of the library, on any of its encoders."""

NETWORKS: Registry[Network] = Registry(
    {
        DEEPLAB_V2: Network(
            DEEPLAB_V2, _build_deeplab_v2, encoder=DEEPLAB_V2_ENCODER, own_encoder=True, takes_two_branch_quirk=True
        )
    },
    lambda: {network.name: network for network in plugins("polypda.networks", Network)},
)
"""Beside the library's architectures."""


def register_network(network: Network) -> Network:
    """Add an architecture in this process: ``architecture=NAME`` then builds it.

    Raises: UsageError E_NAME_TAKEN, E_REGISTER.
    """
    return register(NETWORKS, network, Network)
