"""Opening the device that the user asked for."""

from __future__ import annotations

from lightning_fabric import Fabric

from polypda.errors import UsageError
from polypda.training.config import Compute


def open_fabric(compute: Compute, *, one_process: bool = False) -> Fabric:
    """Fabric on the configured device. Raises: UsageError E_DEVICE when this machine does not have it."""
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
