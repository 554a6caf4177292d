"""What a network costs: its weights, and the multiply-adds of one image (torch's own counter)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lib.evaluation.arguments import whole_number


class Complexity(NamedTuple):
    """``parameters``: weights and biases. ``macs``: multiply-adds of convolutions and matrix products for one image."""

    parameters: int
    macs: int

    def summary(self) -> str:
        return f"{self.parameters / 1e6:.2f} M parameters, {self.macs / 1e9:.4f} G multiply-adds"


def complexity(
    model: nn.Module, input_size: Sequence[int], forward: Callable[[nn.Module, Tensor], object] | None = None
) -> Complexity:
    """Parameters and multiply-adds of ``model`` for one image of ``input_size`` (C, H, W) or (H, W), then with C = 3.

    Papers that say "FLOPs" mostly mean multiply-adds; a multiply-add is two floating point operations. Biases,
    normalisation, activations, pooling and interpolation are not counted. A transposed convolution is counted on its
    *input*: each input pixel is multiplied with the whole kernel once. ``forward(model, images)`` replaces
    ``model(images)`` for what is called in another way. A model built under ``torch.device("meta")`` is counted without
    computing anything. The model is run in eval mode and left as it was. ValueError for another ``input_size``.
    """
    if not isinstance(input_size, Sequence) or isinstance(input_size, str) or len(input_size) not in (2, 3):
        raise ValueError(f"input_size is {input_size!r}, expected (H, W) or (C, H, W)")
    size = tuple(whole_number(n, "each number of input_size", 1) for n in input_size)
    size = (3, *size) if len(size) == 2 else size
    parameter = next(model.parameters(), torch.empty(0))
    images = torch.zeros(1, *size, device=parameter.device, dtype=parameter.dtype)
    modes = {module: module.training for module in model.modules()}
    counter = FlopCounterMode(display=False)
    model.eval()
    try:
        with torch.no_grad(), counter:
            model(images) if forward is None else forward(model, images)
    finally:
        for module, training in modes.items():
            module.training = training
    return Complexity(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)
