"""VDSR-CA: VDSR with channel attention, PS-HRNet's super-resolution (Zhang et al. 2021, §III.B). Letters and interface
as in ``superres_base``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.registry import SUPERRES
from lib.models.superres_deep import VDSR, ChannelAttention


class VDSRCA(VDSR):
    """A channel attention between each of the middle convolutions and its ReLU (Eq. 2-4).

        z_c = mean of f_c,   s = sigmoid(W_U relu(W_D z)),   f'_c = s_c f_c

    reduction : channels over those between W_D and W_U. The paper says that "r is set to 4"; its authors' code has four
        inner channels of 64, RCAN's reduction of 16, and so has this. layers, width, colours : as VDSR's.

    The paper says "between every two layers" and draws one behind the first convolution too; here, as in its authors'
    code, the first and the last have none: 18 of 20. 677,448 weights on RGB, 705,312 with a reduction of 4.
    An attention begins at about 1/2; weights before it begin twice as large, so that 18 of them fade nothing.
    """

    def __init__(
        self, layers: int = 20, width: int = 64, reduction: int = 16, colours: str = "rgb", name: str = "vdsr-ca"
    ):
        super().__init__(layers, width, colours, name)
        self.attention = nn.ModuleList(ChannelAttention(width, reduction) for _ in self.layers[1:-1])
        with torch.no_grad():
            for layer in self.layers[1:-1]:
                layer.weight *= 2

    def enhance(self, planes: Tensor) -> Tensor:
        x = F.relu(self.layers[0](planes))
        for layer, attention in zip(self.layers[1:-1], self.attention, strict=True):
            x = F.relu(attention(layer(x)))  # (B, C, H, W)
        return planes + self.layers[-1](x)


SUPERRES.add("vdsr-ca", VDSRCA)
SUPERRES.add("vdsr-ca-narrow", VDSRCA, layers=8, width=16, reduction=4)  # as vdsr-narrow; four inner channels, as above
