"""Read state dicts with the released key names into DeepLab-v2."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from polypda.errors import DataError
from polypda.networks.deeplab_v2 import LAYER3_CHANNELS, LAYER4_CHANNELS, DeepLabV2, ReleasedWeights
from polypda.networks.weights import copy_tensors, key_mismatch, read_safetensors

_WRAPPERS = ("module.", "Scale.")
"""What released files put before every key: data-parallel training, and the multi-scale wrapper of the Caffe import."""

_LEVEL_OF_WIDTH = {LAYER4_CHANNELS: "main", LAYER3_CHANNELS: "aux"}


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file or of a pickled .pth (tensors only, no code is run).

    Raises DataError E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE.
    """
    if path.suffix == ".safetensors" or not path.is_file():
        return read_safetensors(path)[0]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = "give a .safetensors file or a .pth that holds tensors only."
        raise DataError(
            "E_WEIGHTS_UNREADABLE", f"not a readable state dict ({first_line})", where=path, fix=fix
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        fix = "give the state dict itself, not a whole checkpoint."
        raise DataError("E_WEIGHTS_UNREADABLE", "the file holds more than a state dict", where=path, fix=fix)
    return dict(state)


def load_released(network: DeepLabV2, state: Mapping[str, Tensor], *, where: str | Path = "") -> ReleasedWeights:
    """Load a state dict with the released names: the backbone completely, each classifier where it fits.

    A classifier is recognised by what it sits on (1024 channels: aux, 2048: main), because the released single-level
    network calls its main classifier layer5 and the two-level one layer6. One for another number of classes is skipped.

    Raises DataError E_WEIGHTS_KEYS when the backbone is incomplete; the network is unchanged then.
    """
    bare = {_unwrapped(key): value for key, value in state.items()}
    expected = network.state_dict()
    backbone = {
        key: value
        for key, value in expected.items()
        # Files from before PyTorch 0.4.1 have no batch counters.
        if not key.startswith(("layer5.", "layer6.")) and not (key.endswith("num_batches_tracked") and key not in bare)
    }
    mismatch = key_mismatch(backbone, bare)
    if mismatch:
        fix = "give a DeepLab-v2 ResNet-101 state dict (keys conv1.weight, bn1.weight, layer1.0.conv1.weight, …)."
        raise DataError("E_WEIGHTS_KEYS", f"backbone: {mismatch}", where=where, fix=fix)
    chosen = {key: bare[key] for key in backbone}
    loaded = []
    for level in network.levels:
        head = _head_of(network, bare, level)
        chosen |= head
        loaded += [level] if head else []
    copy_tensors(network, chosen)
    fresh = tuple(level for level in network.levels if level not in loaded)
    return ReleasedWeights(Path(where).name, len(chosen), tuple(loaded), fresh)


def _unwrapped(key: str) -> str:
    for wrapper in _WRAPPERS:
        key = key.removeprefix(wrapper)
    return key


def _head_of(network: DeepLabV2, state: Mapping[str, Tensor], level: str) -> dict[str, Tensor]:
    """Return the file's classifier of a level under the network's own keys; empty when none fits."""
    own_name = "layer6" if level == "main" and len(network.levels) == 2 else "layer5"
    own = {f"{own_name}.{key}": value for key, value in network.classifier(level).state_dict().items()}
    for name in ("layer5", "layer6"):
        width = state[f"{name}.conv2d_list.0.weight"].shape[1:2] if f"{name}.conv2d_list.0.weight" in state else ()
        if not width or _LEVEL_OF_WIDTH.get(width[0]) != level:
            continue
        found = {
            f"{own_name}.{key.removeprefix(name + '.')}": value
            for key, value in state.items()
            if key.startswith(f"{name}.")
        }
        if not key_mismatch(own, found):
            return {key: found[key] for key in own}
    return {}
