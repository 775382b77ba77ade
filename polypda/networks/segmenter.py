"""The contract of a segmenter: what goes in, what comes out, at which levels, and how both lie in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polypda.errors import TrainingError, UsageError

BACKGROUND, POLYP = 0, 1
CLASSES = 2
"""Two softmax channels (not one sigmoid): the published discriminators see them so."""
PROBE = (1, 3, 64, 64)
"""Shape of the image by which a network is asked how its layers hang together."""


@dataclass(frozen=True)
class Prediction:
    """A segmenter's answer to one batch.

    logits: level name → B×2×h×w on the network's own grid; "main" always, "aux" where the network has it.
    features: level name → B×C×h×w, what the level's classifier sees (for feature-space alignment).
    encoder: the encoder's maps B×C×h×w, finest first, the deepest last; empty where the network shows none.
    """

    logits: dict[str, Tensor]
    features: dict[str, Tensor]
    encoder: tuple[Tensor, ...] = ()


class Segmenter(nn.Module):
    """A segmentation network with one or two output levels.

    Subclasses normalise their input themselves, so that every caller hands over RGB in [0, 1].
    """

    levels: tuple[str, ...] = ("main",)
    feature_channels: dict[str, int]
    stride: int = 32
    """Height and width of a batch must be divisible by this."""

    def describe_initial_weights(self) -> dict[str, object]:
        """What the network was started from, for the run's record: no folder is named. Empty when unknown."""
        return {}

    @abstractmethod
    def forward(self, images: Tensor) -> Prediction:
        """Segment B×3×H×W float images, RGB in [0, 1]."""

    @abstractmethod
    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that train at the base learning rate."""

    @abstractmethod
    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that train at the heads' (usually ten times larger) learning rate."""

    def encoder_modules(self) -> tuple[nn.Module, ...]:
        """The parts that turn images into the deepest of ``Prediction.encoder``; what is left decodes and classifies.

        Empty where the network cannot be divided so.
        """
        return ()


def trainable(*modules: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of modules that learn, in order."""
    parameters = chain.from_iterable(module.parameters() for module in modules)
    return (parameter for parameter in parameters if parameter.requires_grad)


def freeze_encoder(segmenter: nn.Module, stages: int) -> None:
    """Have the parameters that make the finest ``stages`` of the encoder's maps learn nothing, and no others.

    Edges and colours need little adaptation, and a step need not go back through the largest maps. Which layers make a
    map is seen by asking the network once about an image. Batch-norm statistics move as their policy says.

    Raises: UsageError E_FROZEN_STAGES when the network shows fewer maps.
    """
    if stages == 0:
        return
    parameters = list(trainable(segmenter))
    modes = [(part, part.training) for part in segmenter.modules()]
    like = parameters[0]
    segmenter.eval()  # nothing random is drawn, no statistic moves
    try:
        maps = segmenter(torch.zeros(PROBE, dtype=like.dtype, device=like.device)).encoder
    finally:
        for part, mode in modes:
            part.training = mode
    if stages > len(maps):
        what = f"{stages} stages of the encoder are to be frozen; this network shows {len(maps)}."
        raise UsageError("E_FROZEN_STAGES", what, fix=f"give --frozen-stages from 0 to {len(maps)}.")
    if not maps[stages - 1].requires_grad:
        return  # nothing that makes it learns
    reached = torch.autograd.grad(maps[stages - 1].sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, reached, strict=True):
        if gradient is not None:
            parameter.requires_grad_(False)


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Modules in evaluation mode, without a graph: nothing random is drawn, no statistic moves; modes are put back."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def to_image_size(logits: Tensor, height: int, width: int) -> Tensor:
    """Resize logits bilinearly with aligned corners, as the published systems do (torch 0.2's behaviour)."""
    if logits.shape[-2:] == (height, width):
        return logits
    return F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=True)


Network = TypeVar("Network", bound=nn.Module)


def channels_last(network: Network) -> Network:
    """Lay a network's four-dimensional parameters and buffers channels last, in place; return the network.

    Convolutions work fastest where a pixel's channels are neighbours, as batches are (:mod:`polypda.data.loading`).
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


@contextmanager
def compiled(*networks: nn.Module) -> Iterator[None]:
    """What networks compute, compiled by torch (``torch.compile``) while the context lasts; weights keep their names.

    Compiling happens at a network's first call and again for images of another shape. Sums are rounded otherwise than
    without. Several players' losses are differentiated from one graph, so that its tensors must not be given away.

    Raises: TrainingError E_COMPILE where a network, or on this machine any, cannot be compiled.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes a second to load
    from torch._functorch import config

    for network in networks:
        network.forward = torch.compile(network.forward)
    try:
        with config.patch(donated_buffer=False):
            yield
    except TorchDynamoException as error:
        what = f"the networks cannot be compiled here: {' '.join(str(error).splitlines()[:2])}."
        fix = "train without --compile; on a CPU it needs a C++ compiler, on a GPU Triton as well."
        raise TrainingError("E_COMPILE", what, fix=fix) from error
    finally:
        for network in networks:
            del network.forward


def check_input_size(images: Tensor, stride: int) -> None:
    """Raise UsageError E_INPUT_SIZE unless images are B×3×H×W with H and W divisible by stride."""
    if images.ndim != 4 or images.shape[1] != 3:
        shape = "×".join(str(size) for size in images.shape)
        fix = "stack RGB frames to one B×3×H×W tensor."
        raise UsageError("E_INPUT_SIZE", f"a segmenter takes B×3×H×W images, not {shape}", fix=fix)
    height, width = images.shape[-2:]
    if height % stride or width % stride or not height or not width:
        up_height, up_width = (max(stride, -(-size // stride) * stride) for size in (height, width))
        what = f"images of {width}×{height} px (width×height); this network needs both sides divisible by {stride}"
        raise UsageError("E_INPUT_SIZE", what, fix=f"letterbox to {up_width}×{up_height} px, the next size that fits.")


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)
"""Of grey levels 0–255; published with the initialisations of VGG-16 and of AdaptSegNet's ResNet-101."""


class InputNormalisation(nn.Module):
    """(scale · x − mean) / std per channel, after an optional swap from RGB to BGR.

    mean, std: three values in the scaled units and the output's channel order. persistent: keep them in the state dict,
    where they belong to the weights: a checkpoint cannot be read with another normalisation than it was trained with.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        scale: float = 1.0,
        bgr: bool = False,
        persistent: bool = True,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.bgr = bgr
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, tensor, persistent=persistent)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise B×3×H×W images, RGB in [0, 1]."""
        if self.bgr:
            images = images.flip(1)
        return (images * self.scale - self.mean) / self.std
