"""How much a method computes for one picture: what the choice of threads on a CPU goes by (``lib.threads``)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from lib.threads import multiply_adds


def work_of(method: nn.Module) -> int:
    """Multiply-adds of one picture through a method's networks; 0 where it has none, and is many small operations.

    The method is left as it was.
    """
    found = 0
    for network in networks(method):
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        blank = torch.zeros(1, 3, *method.canvas, device=device)
        modes = {module: module.training for module in network.modules()}
        network.eval()
        found += multiply_adds(lambda network=network, blank=blank: network(blank))
        for module, training in modes.items():
            module.training = training
    return found


def networks(method: nn.Module) -> Iterator[nn.Module]:
    """The parts that take pictures (B, 3, H, W), however deep: what has a name, as the registries give it, and a
    convolution (a head with a name has none).
    """
    for part in method.children():
        named = isinstance(getattr(part, "name", None), str) and not hasattr(part, "embed")
        if named and any(isinstance(inner, nn.Conv2d) for inner in part.modules()):
            yield part
        else:
            yield from networks(part)
