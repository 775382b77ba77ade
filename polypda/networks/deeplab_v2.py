"""DeepLab-v2 on a dilated ResNet-101, as the published AdaptSegNet uses it (one or two output levels).

Parts carry the names of the authors' released state dicts: conv1, bn1, layer1 … layer4, then layer5 (the aux classifier
on layer3, or the only classifier) and layer6 (the main classifier of the two-level network).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polypda.errors import DataError, UsageError
from polypda.networks.segmenter import (
    BGR_MEAN,
    CLASSES,
    InputNormalisation,
    Prediction,
    Segmenter,
    check_input_size,
    trainable,
)
from polypda.networks.weights import copy_tensors, is_counter, key_mismatch, renamed_to_fit

DILATIONS = (6, 12, 18, 24)
BLOCKS_PER_LAYER = (3, 4, 23, 3)
LAYER3_CHANNELS, LAYER4_CHANNELS = 1024, 2048
INITIAL_STD = 0.01
EXPANSION = 4
QUIRK_BRANCHES = 2


@dataclass(frozen=True)
class ReleasedWeights:
    """What a released state dict brought.

    source: the file's name. tensors: how many were loaded. loaded_heads, fresh_heads: levels whose classifier came from
    the file, and those without a fitting one in it, which keep their initialisation.
    """

    source: str
    tensors: int
    loaded_heads: tuple[str, ...]
    fresh_heads: tuple[str, ...]


class Bottleneck(nn.Module):
    """1×1 (stride), 3×3 (dilation), 1×1 convolutions around a shortcut."""

    def __init__(self, in_channels: int, width: int, *, stride: int, dilation: int, project: bool) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if project:
            shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        # In place is safe: batch-norm's backward needs its input, never its output; ReLU's needs only its own result.
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        out += shortcut
        return F.relu(out, inplace=True)


class DilatedClassifier(nn.Module):
    """The sum of 3×3 convolutions at dilations 6, 12, 18 and 24: B×C×h×w features → B×classes×h×w logits.

    two_branch_quirk: the released code returns from inside its summing loop, so only the first two branches count and
    the others never receive a gradient. On only to reproduce published figures.
    """

    def __init__(self, in_channels: int, classes: int, *, two_branch_quirk: bool = False) -> None:
        super().__init__()
        self.conv2d_list = nn.ModuleList(
            nn.Conv2d(in_channels, classes, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )
        self.two_branch_quirk = two_branch_quirk

    def forward(self, features: Tensor) -> Tensor:
        # A 3×3 convolution is nine 1×1 ones whose results are shifted and added. With two classes the nine, over all
        # branches, make one matrix product: a quarter of the direct convolution's time (both passes, one thread).
        branches = [branch for branch in self.conv2d_list if isinstance(branch, nn.Conv2d)]
        branches = branches[:QUIRK_BRANCHES] if self.two_branch_quirk else branches
        batch, channels, height, width = features.shape
        # fold() adds tap k of position y at y + (k−1)·dilation; the convolution reads it there: hence the flip.
        kernels = torch.stack([branch.weight.flip(2, 3) for branch in branches])  # branch × class × C × 3 × 3
        rows = kernels.permute(0, 1, 3, 4, 2).reshape(-1, channels)
        taps = torch.matmul(rows, features.reshape(batch, channels, height * width))
        logits = torch.stack([branch.bias for branch in branches if branch.bias is not None]).sum(0).view(1, -1, 1, 1)
        for dilation, branch_taps in zip(DILATIONS, taps.chunk(len(branches), dim=1), strict=False):
            logits = logits + F.fold(branch_taps, (height, width), 3, dilation=dilation, padding=dilation)
        return logits


class DeepLabV2(Segmenter):
    """DeepLab-v2 ResNet-101 with one ("main") or two ("main", "aux") output levels.

    Logits lie on a grid of ⌈(H/4 + 1)/2⌉ = H/8 + 1 by W/8 + 1. Batch-norm's affine parameters are fixed, as published.
    """

    stride = 8
    released_weights: ReleasedWeights | None = None
    """What it was started from, when a released state dict was loaded into it."""

    def __init__(self, levels: Literal[1, 2] = 2, *, classes: int = CLASSES, two_branch_quirk: bool = False) -> None:
        super().__init__()
        if levels not in (1, 2):
            raise UsageError("E_LEVELS", f"a segmenter has 1 or 2 output levels, not {levels}", fix="choose 1 or 2.")
        self.levels = ("main",) if levels == 1 else ("main", "aux")
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.layer1 = _layer(64, 64, BLOCKS_PER_LAYER[0], stride=1, dilation=1)
        self.layer2 = _layer(256, 128, BLOCKS_PER_LAYER[1], stride=2, dilation=1)
        self.layer3 = _layer(512, 256, BLOCKS_PER_LAYER[2], stride=1, dilation=2)
        self.layer4 = _layer(LAYER3_CHANNELS, 512, BLOCKS_PER_LAYER[3], stride=1, dilation=4)
        first = LAYER4_CHANNELS if levels == 1 else LAYER3_CHANNELS
        self.layer5 = DilatedClassifier(first, classes, two_branch_quirk=two_branch_quirk)
        if levels == 2:
            self.layer6 = DilatedClassifier(LAYER4_CHANNELS, classes, two_branch_quirk=two_branch_quirk)
        # Not in the state dict: this normalisation belongs to the network, and released state dicts do not hold it.
        self.normalisation = InputNormalisation(BGR_MEAN, scale=255.0, bgr=True, persistent=False)
        self.feature_channels = {"main": LAYER4_CHANNELS} | ({"aux": LAYER3_CHANNELS} if levels == 2 else {})
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, INITIAL_STD)
            elif isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)  # affine fixed as published; PyTorch starts it at weight 1, bias 0

    def forward(self, images: Tensor) -> Prediction:
        check_input_size(images, self.stride)
        return self.forward_normalised(self.normalisation(images))

    def forward_normalised(self, bgr_minus_mean: Tensor) -> Prediction:
        """As forward, for input already in the published units: B×3×H×W, BGR, 0–255 minus the mean; any size."""
        x = self.conv1(bgr_minus_mean)
        x = self.maxpool(F.relu(self.bn1(x), inplace=True))
        layer1 = self.layer1(x)
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        layer4 = self.layer4(layer3)
        maps = (layer1, layer2, layer3, layer4)
        if self.levels == ("main",):
            return Prediction({"main": self.layer5(layer4)}, {"main": layer4}, maps)
        logits = {"main": self.layer6(layer4), "aux": self.layer5(layer3)}
        return Prediction(logits, {"main": layer4, "aux": layer3}, maps)

    def classifier(self, level: str) -> DilatedClassifier:
        """The classifier of a level ("main" or, with two levels, "aux")."""
        return self.layer6 if level == "main" and len(self.levels) == 2 else self.layer5

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """The 104 trainable tensors (batch-norm affine is fixed) that train at the base rate, each once."""
        yield from trainable(*self.encoder_modules())

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """The classifiers' parameters: weight and bias of every branch, layer5 first."""
        yield from self.layer5.parameters()
        if len(self.levels) == 2:
            yield from self.layer6.parameters()

    def duplicated_backbone_parameters(self) -> Iterator[nn.Parameter]:
        """The backbone's trainable tensors as the released optimiser got them: once per enclosing module.

        314 entries for 104 tensors: 99 convolutions three times, the 4 projections four times, the stem once. Only for
        reproducing published figures; an optimiser then steps a tensor as often as it is listed.
        """
        for part in self.encoder_modules():
            yield from trainable(*part.modules())

    def describe_initial_weights(self) -> dict[str, object]:
        return asdict(self.released_weights) if self.released_weights is not None else {}

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        """The stem and the four residual layers; the classifiers are left."""
        return self.conv1, self.bn1, self.layer1, self.layer2, self.layer3, self.layer4


def _layer(in_channels: int, width: int, blocks: int, *, stride: int, dilation: int) -> nn.Sequential:
    first = Bottleneck(in_channels, width, stride=stride, dilation=dilation, project=True)
    rest = (Bottleneck(width * EXPANSION, width, stride=1, dilation=dilation, project=False) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


_CLASSIFIERS = ("layer5.", "layer6.")
_LEVEL_OF_WIDTH = {LAYER4_CHANNELS: "main", LAYER3_CHANNELS: "aux"}


def load_released(network: DeepLabV2, state: Mapping[str, Tensor], *, where: str | Path = "") -> ReleasedWeights:
    """Load a state dict with the released names: the backbone completely, each classifier where it fits.

    A classifier is recognised by what it sits on (1024 channels: aux, 2048: main), because the released single-level
    network calls its main classifier layer5 and the two-level one layer6. One for another number of classes is skipped.
    Keys may carry a prefix of any depth ("module.", the Caffe import's "Scale.").

    Raises: DataError E_WEIGHTS_KEYS when the backbone is incomplete, E_WEIGHTS_AMBIGUOUS when the file holds it twice;
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
    """The file's classifier of a level under the network's own keys; empty when none fits."""
    head = "layer6." if level == "main" and len(network.levels) == 2 else "layer5."
    expected = {f"{head}{key}": value for key, value in network.classifier(level).state_dict().items()}
    for name in _CLASSIFIERS:
        first = state.get(f"{name}conv2d_list.0.weight")
        if first is None or first.ndim < 2 or _LEVEL_OF_WIDTH.get(first.shape[1]) != level:
            continue
        found = {f"{head}{key.removeprefix(name)}": value for key, value in state.items() if key.startswith(name)}
        if not key_mismatch(expected, found):
            return {key: found[key] for key in expected}
    return {}
