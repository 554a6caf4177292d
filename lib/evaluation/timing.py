"""How long a network takes, on the device it is on: for a table beside its multiply-adds, not for a verdict."""

from __future__ import annotations

import time

import torch
from torch import nn


def milliseconds(network: nn.Module, canvas: tuple[int, int], count: int = 16, repeats: int = 3) -> float:
    """Milliseconds that ``network`` takes for one picture of ``canvas`` (height, width) in a batch of ``count``.

    The fastest of ``repeats``, after one to warm up; random pictures (count, 3, H, W) in [0, 1], no gradient. Raises
    ValueError for no picture or no repeat.
    """
    if count < 1 or repeats < 1:
        raise ValueError(f"{count} pictures, {repeats} times: one at least of each")
    parameter = next(iter(network.parameters()), torch.empty(0))
    batch = torch.rand(count, 3, *canvas, device=parameter.device)
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            float(network(batch).sum())  # waits for the device
            times.append(time.perf_counter() - start)
    return 1000 * min(times[1:]) / count
