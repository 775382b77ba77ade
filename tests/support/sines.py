"""The published fixtures' fills: weights and maps of sines, the same on every machine."""

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def fill_with_sines(network: nn.Module) -> nn.Module:
    """Fill the k-th parameter of a network with sines of phase k."""
    for k, parameter in enumerate(network.parameters()):
        values = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) + k)
        scale = 1 / math.sqrt(parameter[0].numel()) if parameter.dim() > 1 else 0.01
        parameter.copy_((values * scale).reshape(parameter.shape))
    return network


def sine_maps(channels: int, phase: float = 0.0, size: int = 64) -> Tensor:
    """1×C×size×size float64 maps: 2·sin(0.1h + 0.2w + c + phase)."""
    c, h, w = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (channels, size, size)), indexing="ij")
    return (2 * torch.sin(0.1 * h + 0.2 * w + c + phase)).unsqueeze(0)
