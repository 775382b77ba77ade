"""Copies of a segmenter that stand for the source while the segmenter itself becomes the target's."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import Tensor, nn

from polypda.errors import UsageError
from polypda.networks.batch_norm import batch_norm_layers
from polypda.networks.segmenter import Prediction, Segmenter


class FrozenCopy(nn.Module):
    """The segmenter as it is now, for good: no parameter learns, no statistic moves, no dropout.

    It stays in evaluation mode whatever ``.train()`` is called around it.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.network = copy.deepcopy(segmenter).requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Keep everything in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Prediction:
        """Segment as the copied segmenter did; without a graph."""
        return self.network(images)


def copy_with_own_encoder(segmenter: Segmenter) -> Segmenter:
    """A copy that has its own encoder and shares everything behind it, parameters and statistics, with the segmenter.

    Raises: UsageError E_FEATURE_TAP where the segmenter cannot be divided.
    """
    encoder = encoder_parts(segmenter)
    holders = {id(module) for module in segmenter.modules() if any(id(part) in encoder for part in module.modules())}
    shared = {id(module): module for module in segmenter.modules() if id(module) not in encoder | holders}
    # deepcopy takes what its memo knows as it is
    return copy.deepcopy(segmenter, dict[int, object](shared))


def encoder_parts(segmenter: Segmenter) -> set[int]:
    """The ids of all modules within the encoder. Raises: UsageError E_FEATURE_TAP where there is no such division."""
    inside = {id(part) for module in segmenter.encoder_modules() for part in module.modules()}
    if not inside:
        raise UsageError(
            "E_FEATURE_TAP",
            f"{type(segmenter).__name__} does not tell its encoder from what follows.",
            fix="choose an architecture of segmentation_models_pytorch or deeplab-v2, or train the whole network.",
        )
    return inside


def behind_encoder(segmenter: Segmenter) -> list[nn.Module]:
    """The layers behind the encoder (modules without parts). Raises: as :func:`encoder_parts`."""
    inside = encoder_parts(segmenter)
    return [module for module in segmenter.modules() if id(module) not in inside and not any(module.children())]


def copy_batch_norm_modes(network: nn.Module, example: nn.Module) -> None:
    """Let a copy's batch-norm layers work as the example's do (a policy is only ever applied to the segmenter)."""
    for layer, shown in zip(batch_norm_layers(network), batch_norm_layers(example), strict=True):
        layer.train(shown.training)
