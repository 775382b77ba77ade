"""What batch normalisation does while a network is adapted: four policies, and AdaBN.

A comparison of an adapted with a source-only network is fair only under the same policy: with statistics of the batch,
the running statistics drift to a mixture of both cohorts, which is an adaptation of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from polypda.errors import DataError
from polypda.networks.segmenter import PROBE, evaluating


class BatchNormPolicy(StrEnum):
    """How batch-norm layers behave in training.

    TRAIN: statistics of the batch normalise, running statistics move, affine parameters learn.
    FROZEN: running statistics normalise and stay, affine parameters stay: each frame is treated alone.
    FOLDED: as FROZEN, computed inside the convolution before it: less time and memory, other rounding.
    AFFINE_FROZEN: statistics of the batch normalise, running statistics move, affine parameters stay (AdaptSegNet).
    """

    TRAIN = "train"
    FROZEN = "frozen"
    FOLDED = "folded"
    AFFINE_FROZEN = "affine-frozen"

    @property
    def moves_statistics(self) -> bool:
        """Whether training changes the running statistics."""
        return self not in (BatchNormPolicy.FROZEN, BatchNormPolicy.FOLDED)


def batch_norm_layers(module: nn.Module) -> tuple[_BatchNorm, ...]:
    """Every batch-norm layer inside, those that segmentation and timm encoders derive included."""
    return tuple(layer for layer in module.modules() if isinstance(layer, _BatchNorm))


def apply_policy(module: nn.Module, policy: BatchNormPolicy) -> None:
    """Put all batch-norm layers of a module under a policy.

    Call it after every ``.train()``, which would undo what is frozen, and before an optimiser gets its parameters: it
    decides which of them train. Layers without running statistics cannot be frozen to them and keep those of the batch.
    For FOLDED the module is asked once about an image, to see what stands before which layer.
    """
    policy = BatchNormPolicy(policy)
    _unfold(module)
    if policy is BatchNormPolicy.FOLDED:
        for convolution, norm in _pairs(module):
            _fold(convolution, norm)
    for layer in batch_norm_layers(module):
        layer.train(policy.moves_statistics)
        for parameter in layer.parameters(recurse=False):
            parameter.requires_grad_(policy is BatchNormPolicy.TRAIN)


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Batch norm as it is, but no running statistic moves: for images of a kind that no model is asked about later."""
    layers = [layer for layer in batch_norm_layers(module) if layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


FOLDED_NORM, NORMAL_FORWARD = "folded_norm", "forward"


def _pairs(module: nn.Module) -> list[tuple[nn.Conv2d, _BatchNorm]]:
    """Plain convolutions and the batch norm that is given their answer, as the module is asked about an image.

    A layer that is asked more than once, as one that two branches share, is in no pair.
    """
    asked: Counter[nn.Module] = Counter()
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the answer is kept, or its number could be another's
    found: list[tuple[nn.Conv2d, _BatchNorm]] = []

    def note(convolution: nn.Conv2d, _inputs: tuple[Tensor, ...], answer: Tensor) -> None:
        asked[convolution] += 1
        made[id(answer)] = (convolution, answer)

    def look(norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        asked[norm] += 1
        if id(inputs[0]) in made:
            found.append((made[id(inputs[0])][0], norm))

    plain = [layer for layer in module.modules() if type(layer) is nn.Conv2d]
    hooks = [layer.register_forward_hook(note) for layer in plain]
    norms = [layer for layer in batch_norm_layers(module) if layer.track_running_stats and _is_plain(layer)]
    hooks += [layer.register_forward_pre_hook(look) for layer in norms]
    like = next(module.parameters())
    try:
        with evaluating(module):
            module(torch.zeros(PROBE, dtype=like.dtype, device=like.device))
    finally:
        for hook in hooks:
            hook.remove()
    several = Counter(layer for pair in found for layer in pair)
    return [pair for pair in found if all(asked[layer] == several[layer] == 1 for layer in pair)]


def _is_plain(norm: _BatchNorm) -> bool:
    """Batch norm alone, or with timm's activation after it."""
    return type(norm) is nn.BatchNorm2d or (hasattr(norm, "act") and hasattr(norm, "drop"))


def _fold(convolution: nn.Conv2d, norm: _BatchNorm) -> None:
    """Have the convolution normalise with the layer's present statistics, and the layer hand on what it is given.

    Both do as before while the layer takes the batch's statistics. Names, parameters and buffers stay as they are.
    """
    setattr(convolution, FOLDED_NORM, (norm,))  # in a tuple: not a part of the convolution
    setattr(convolution, NORMAL_FORWARD, MethodType(_convolve_and_normalise, convolution))
    setattr(norm, NORMAL_FORWARD, MethodType(_hand_on, norm))


def _unfold(module: nn.Module) -> None:
    for layer in module.modules():
        if FOLDED_NORM in layer.__dict__:
            (norm,) = layer.__dict__.pop(FOLDED_NORM)
            layer.__dict__.pop(NORMAL_FORWARD)
            norm.__dict__.pop(NORMAL_FORWARD, None)


def _convolve_and_normalise(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    """γ (W x + b − μ) / √(σ² + ε) + β = (sW) x + s(b − μ) + β with s = γ / √(σ² + ε), per output channel."""
    (norm,) = convolution.__dict__[FOLDED_NORM]
    if norm.training:
        return type(convolution).forward(convolution, images)
    scale = torch.rsqrt(norm.running_var + norm.eps)
    scale = scale if norm.weight is None else norm.weight * scale
    shift = -norm.running_mean if convolution.bias is None else convolution.bias - norm.running_mean
    bias = scale * shift if norm.bias is None else scale * shift + norm.bias
    return convolution._conv_forward(images, convolution.weight * scale.view(-1, 1, 1, 1), bias)


def _hand_on(norm: Any, images: Tensor) -> Tensor:
    if norm.training:
        return type(norm).forward(norm, images)
    return images if type(norm) is nn.BatchNorm2d else norm.act(norm.drop(images))


def recompute_statistics(segmenter: nn.Module, image_batches: Iterable[Tensor]) -> int:
    """AdaBN: replace the running statistics by those of other images; return the number of batches seen.

    image_batches: B×3×H×W, RGB in [0, 1]. Every batch counts alike (the cumulative average of batch means and unbiased
    batch variances), so give batches of one size. Other layers work as in evaluation (no dropout) meanwhile.

    Raises: DataError E_ADABN_EMPTY when there is no batch; the statistics are then, as after any error, the old ones.
    """
    layers = [layer for layer in batch_norm_layers(segmenter) if layer.track_running_stats]
    before = [{name: value.clone() for name, value in layer.named_buffers(recurse=False)} for layer in layers]
    momenta = [layer.momentum for layer in layers]
    batches = 0
    try:
        with evaluating(segmenter):
            for layer in layers:
                layer.reset_running_stats()
                layer.momentum = None  # PyTorch's sign for a cumulative average
                layer.training = True
            for images in image_batches:
                segmenter(images)
                batches += 1
        if not batches:
            fix = "give the target cohort's training frames."
            raise DataError("E_ADABN_EMPTY", "no images to compute batch-norm statistics from", fix=fix)
    except BaseException:
        for layer, old in zip(layers, before, strict=True):
            for name, value in layer.named_buffers(recurse=False):
                value.copy_(old[name])
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    return batches
