"""Opening the device that the user asked for."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from polypda.errors import UsageError
from polypda.training.config import Compute


def open_fabric(compute: Compute, *, one_process: bool = False) -> Fabric:
    """Fabric on the configured device, with the configured number of CPU threads from here on.

    Threads are set here, not where training begins: scoring alone must keep to them as well.
    Raises: UsageError E_DEVICE when this machine does not have the device.
    """
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
