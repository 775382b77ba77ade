"""Opening the device that the user asked for."""

from __future__ import annotations

import ctypes
import sys

import torch
from lightning_fabric import Fabric

from polypda.errors import UsageError
from polypda.training.config import Compute

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""glibc's numbers of the two settings (malloc.h)."""
LARGEST_BLOCK, LARGEST_REST = 2**30, 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, for the next step; say whether it does (glibc alone can).

    A step frees and asks for the same few hundred megabytes again; given back to the system in between, every page of
    them has to be zeroed anew, about a fifteenth of a small network's step. The peak is not changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        setting = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(setting(MMAP_THRESHOLD, LARGEST_BLOCK) and setting(TRIM_THRESHOLD, LARGEST_REST))


def open_fabric(compute: Compute, *, one_process: bool = False) -> Fabric:
    """Fabric on the configured device, with the configured number of CPU threads from here on.

    Threads are set here, not where training begins: scoring alone must keep to them as well.
    Raises: UsageError E_DEVICE when this machine does not have the device.
    """
    keep_freed_memory()
    if compute.threads:
        torch.set_num_threads(compute.threads)
    several = compute.processes > 1 and not one_process
    try:
        return Fabric(
            accelerator=compute.device,
            devices=compute.processes if several else 1,
            precision=compute.precision.value,
            strategy="ddp_spawn" if several else "auto",
        )
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            "E_DEVICE",
            f"device '{compute.device}' cannot be used here: {str(error).splitlines()[0]}",
            fix="choose --device auto or cpu.",
        ) from error
