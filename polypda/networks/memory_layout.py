"""How networks and their inputs lie in memory while they compute; what is saved lies plainly (``save_module``).

Convolutions on CPUs and GPUs work fastest where a pixel's channels are neighbours (channels last). Batches come so from
:mod:`polypda.data.loading`; a network is turned here, once, before it trains or predicts. Values are not changed.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)

IMAGE_LIKE = 4
"""Dimensions of a convolution's weights and of a batch of maps."""


def channels_last(network: Network) -> Network:
    """Lay a network's four-dimensional parameters and buffers channels last, in place; return the network."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == IMAGE_LIKE:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network
