"""Read state dicts with the released key names into DeepLab-v2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from polypda.errors import DataError
from polypda.networks.deeplab_v2 import LAYER3_CHANNELS, LAYER4_CHANNELS, DeepLabV2, ReleasedWeights
from polypda.networks.key_prefixes import is_counter, renamed_to_fit
from polypda.networks.weights import copy_tensors, key_mismatch

_CLASSIFIERS = ("layer5.", "layer6.")
_LEVEL_OF_WIDTH = {LAYER4_CHANNELS: "main", LAYER3_CHANNELS: "aux"}


def load_released(network: DeepLabV2, state: Mapping[str, Tensor], *, where: str | Path = "") -> ReleasedWeights:
    """Load a state dict with the released names: the backbone completely, each classifier where it fits.

    A classifier is recognised by what it sits on (1024 channels: aux, 2048: main), because the released single-level
    network calls its main classifier layer5 and the two-level one layer6. One for another number of classes is skipped.

    Keys may carry a prefix of any depth ("module.", the Caffe import's "Scale.").

    Raises DataError E_WEIGHTS_KEYS when the backbone is incomplete, E_WEIGHTS_AMBIGUOUS when the file holds it twice;
    the network is unchanged then.
    """
    expected = {key: value for key, value in network.state_dict().items() if not key.startswith(_CLASSIFIERS)}
    renamed = renamed_to_fit(expected, state, where)
    bare = renamed.tensors
    # Files from before PyTorch 0.4.1 have no batch counters.
    backbone = {key: value for key, value in expected.items() if key in bare or not is_counter(key)}
    mismatch = key_mismatch(backbone, bare, renamed.unused)
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
