"""The published fixtures' fills, and the pretrained file where this machine has it."""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def fill_with_sines():
    """Return a function that fills the k-th parameter of a network with the fixtures' sines."""

    def fill(network: nn.Module) -> nn.Module:
        with torch.no_grad():
            for k, parameter in enumerate(network.parameters()):
                values = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) + k)
                scale = 1 / math.sqrt(parameter[0].numel()) if parameter.dim() > 1 else 0.01
                parameter.copy_((values * scale).reshape(parameter.shape))
        return network

    return fill


@pytest.fixture
def sine_maps():
    """Return a function that paints 1×C×64×64 float64 maps: 2·sin(0.1h + 0.2w + c + phase)."""

    def paint(channels: int, phase: float = 0.0) -> Tensor:
        c, h, w = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (channels, 64, 64)), indexing="ij")
        return (2 * torch.sin(0.1 * h + 0.2 * w + c + phase)).unsqueeze(0)

    return paint


@pytest.fixture
def pretrained_mobilenet() -> Path:
    """Return the local pretrained encoder; skips where it is not."""
    folder = os.environ.get("POLYPDA_WEIGHTS")
    shared = Path(__file__).resolve().parents[3] / "shared" / "weights"
    path = Path(folder or shared) / "mobilenet_v2-imagenet.safetensors"
    if not path.is_file():
        pytest.skip("no mobilenet_v2-imagenet.safetensors in ../shared/weights or POLYPDA_WEIGHTS")
    return path
