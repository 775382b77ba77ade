"""The pretrained file where this machine has it."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def pretrained_mobilenet() -> Path:
    """Return the local pretrained encoder; skips where it is not."""
    folder = os.environ.get("POLYPDA_WEIGHTS")
    shared = Path(__file__).resolve().parents[3] / "shared" / "weights"
    path = Path(folder or shared) / "mobilenet_v2-imagenet.safetensors"
    if not path.is_file():
        pytest.skip("no mobilenet_v2-imagenet.safetensors in ../shared/weights or POLYPDA_WEIGHTS")
    return path
