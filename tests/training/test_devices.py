"""What opening a device sets for the whole process."""

import resource
import sys

import pytest
import torch

from polypda.training.config import Compute
from polypda.training.engine import keep_freed_memory, open_fabric


@pytest.mark.skipif(not keep_freed_memory(), reason="another C library than glibc")
def test_memory_that_was_freed_is_not_asked_for_again():
    """Without it each of these tensors is mapped anew, and each of its pages is a fault."""
    open_fabric(Compute(device="cpu"))
    tensor = torch.ones(5_000_000)
    del tensor
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(5_000_000)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 10 * 20_000_000 / resource.getpagesize() / 3  # the heap may have to grow once


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert keep_freed_memory() is False
