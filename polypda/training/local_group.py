"""Processes that train together on this machine: they meet in a file and speak over the loopback alone.

No port is opened to other machines, no host's name is looked up, and a cluster's variables in the environment (whose
job this may be) decide nothing.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LOOPBACK = ("lo", "lo0")
"""How Linux and macOS call it."""


class LocalProcesses(DDPStrategy):
    """Fabric's processes of one machine, spawned; the group meets in a file instead of at a port."""

    def __init__(self, meeting: Path) -> None:
        """Args: meeting: a file that does not exist, in a folder that every process can write."""
        super().__init__(start_method="spawn", cluster_environment=ThisMachine())
        self.meeting = meeting

    def setup_environment(self) -> None:
        """As of every strategy; what Fabric would open a port for is there already when it looks."""
        if self.accelerator is not None:
            self.accelerator.setup_device(self.root_device)
        names = {name for _, name in socket.if_nameindex()}
        for loopback in names.intersection(LOOPBACK):
            os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = loopback
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        distributed.init_process_group(
            self._get_process_group_backend(),
            init_method=f"file://{self.meeting}",
            rank=self.local_rank,
            world_size=self.num_processes,
            timeout=self._timeout,
        )
        super().setup_environment()


class ThisMachine(LightningEnvironment):
    """No cluster; and no port, which nobody needs."""

    @property
    def main_port(self) -> int:
        """Never listened at."""
        return 0


class JointBatchNorm(TorchFunctionMode):
    """While entered, batch norm that trains takes the statistics of all processes' frames, whatever its layer's class.

    Mean and variance are those of the joint batch, gradients flow through them, and every process keeps the same
    running statistics: what one process computes on the whole batch. Does nothing in a process alone.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not functional.batch_norm or not _is_shared():
            return func(*args, **kwargs)
        return _batch_norm(*args, **kwargs)


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _batch_norm(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """:func:`torch.nn.functional.batch_norm` of the joint batch; images: B×C×…."""
    if not training:
        return functional.batch_norm(images, running_mean, running_var, weight, bias, False, momentum, eps)
    values = images.to(torch.promote_types(images.dtype, torch.float32))
    axes, shape = [0, *range(2, images.dim())], [1, -1, *[1] * (images.dim() - 2)]
    count = values.new_tensor([images.numel() / images.shape[1]])
    of_all = all_reduce(torch.cat([values.sum(axes), count]))
    total = of_all[-1].detach()
    mean = of_all[:-1] / total
    away = values - mean.view(shape)
    variance = all_reduce(away.square().sum(axes)) / total  # from the joint mean: no difference of large numbers
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * total / (total - 1)).to(running_var.dtype), momentum)
    normal = away * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        normal = normal * weight.view(shape)
    if bias is not None:
        normal = normal + bias.view(shape)
    return normal.to(images.dtype)
