"""Several processes, one per GPU: torch's own DistributedDataParallel under torchrun or ``fit(processes=N)``.

Every process makes its share of each batch; gradients are averaged; batch statistics are those of the whole batch.
Process 0 alone looks for the run, locks it, writes files and draws the progress bar; ranking happens on one process.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

WAIT = datetime.timedelta(days=1)  # the others wait while process 0 waits for another notebook's lock


@dataclass(frozen=True)
class World:
    """Who we are: process ``rank`` of ``size``."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def agree(self, value: object) -> object:
        """Process 0's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over the processes of a tensor."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / self.size


ALONE = World()


@contextlib.contextmanager
def world(device: torch.device) -> Iterator[tuple[World, torch.device]]:
    """Join the group that torchrun's environment variables describe, if any, and take this process's own GPU."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=WAIT)
    try:
        yield World(dist.get_rank(), dist.get_world_size()), device
    finally:
        if ours:
            dist.destroy_process_group()


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


def _whole_batch_norm(module: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """Batch normalisation with the mean and variance of all processes' images; torch's own exists on GPUs only.

    Shares may have different numbers of images, or none. ValueError, as torch, for one value per channel in all.
    """
    if not module.training:
        return type(module).forward(module, x)
    x32 = x if x.dtype == torch.float64 else x.float()
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    values = x.new_tensor([x.numel() // x.shape[1]], dtype=torch.float64)
    dist.all_reduce(values)
    count = int(values)
    if count == 1:
        raise ValueError(f"batch statistics need more than one value per channel, here of shape {tuple(x.shape)}")
    nobody, count = count == 0, max(1, count)
    mean = SumOverProcesses.apply(x32.sum(axes)) / count
    centred = x32 - mean.view(shape)  # of the squares themselves, a large mean would leave little but rounding
    variance = SumOverProcesses.apply(centred.square().sum(axes)) / count
    if module.track_running_stats:
        with torch.no_grad():
            module.num_batches_tracked += 1
            rate = module.momentum if module.momentum is not None else 1 / float(module.num_batches_tracked)
            rate = 0.0 if nobody else rate
            module.running_mean.lerp_(mean, rate)
            module.running_var.lerp_(variance * count / max(1, count - 1), rate)
    normal = centred * (variance.view(shape) + module.eps).rsqrt()
    if module.affine:
        normal = normal * module.weight.view(shape) + module.bias.view(shape)
    return normal.to(x.dtype)


def _synchronised(module: nn.SyncBatchNorm, x: Tensor) -> Tensor:
    """torch's layer weighs shares by their sizes, but sends the zeros of an empty one in the precision of ``x``, where
    the others send float32: in bf16 the processes would wait for bytes that never come."""
    if len(x):
        return nn.SyncBatchNorm.forward(module, x)
    return nn.SyncBatchNorm.forward(module, x.float()).to(x.dtype)


@contextlib.contextmanager
def shared_batch_statistics(method: nn.Module, size: int, device: torch.device) -> Iterator[None]:
    """While several processes train: batch normalisation over the images of all of them.

    Names and weights stay, so that checkpoints are the same for any number of processes.
    """
    if size == 1:
        yield
        return
    normalise = _whole_batch_norm
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(method)
        normalise = _synchronised
    layers = [m for m in method.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for layer in layers:
        layer.forward = functools.partial(normalise, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
