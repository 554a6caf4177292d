"""RAFT: maps of a low-resolution picture turned into those of a high-resolution one (FTWA, Zhang et al. 2021, §2.2).

The paper gives a picture (Fig. 2), a legend, and "inspired by the lightweight structure in [18]"; its own numbers of
channels and blocks it does not say. What is built here is our reading of it. [18] is probably IMDN (Hui et al., ACM MM
2019): the legend (3 x 3 and 1 x 1 convolutions, leaky ReLU, sigmoid, concatenation, global average pooling, a split of
the channels in half, + and x) is that of IMDN's block, and so is the sentence that all convolutions but the 1 x 1 ones
of the block are followed by a leaky ReLU.

Ours: the width (a sixteenth of the maps'), four blocks, 1 x 1 convolutions on both ends, the slope, the outer sum, and
a last layer of zeros, so that RAFT is exactly the identity before it is trained.

Letters: B images, C channels of the maps, W of the module, h x w the maps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.05  # of the leaky ReLUs, IMDN's
NARROWER = 16  # C / W, and the reduction inside the attention


class RaftBlock(nn.Module):
    """RAFTB (Fig. 2, right), (B, W, h, w) -> the same: four 3 x 3 convolutions, of whose outputs one half is kept and
    the other goes on; what was kept is concatenated, weighed channel by channel, fused and added to the input.

        k1, r1 = split(c1(x))   k2, r2 = split(c2(r1))   k3, r3 = split(c3(r2))   k4 = c4(r3)
        y = cat(k1, k2, k3, k4),   x + fuse(y s(y)),   s(y) = sigmoid(conv(LReLU(conv(GAP(y)))))

    ValueError for a width that cannot be split in half.
    """

    def __init__(self, width: int):
        super().__init__()
        half = _half(width)
        inputs, outputs = (width, half, half, half), (width, width, width, half)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in zip(inputs, outputs, strict=True))
        few = max(1, 2 * width // NARROWER)
        self.squeeze, self.excite = nn.Conv2d(2 * width, few, 1), nn.Conv2d(few, 2 * width, 1)
        self.fuse = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = [], x
        for conv in self.convs[:-1]:
            part, rest = _leaky(conv(rest)).chunk(2, 1)  # (B, W/2, h, w) each
            kept.append(part)
        kept.append(_leaky(self.convs[-1](rest)))
        y = torch.cat(kept, 1)  # (B, 2W, h, w)
        return x + self.fuse(y * self.attention(y))

    def attention(self, y: Tensor) -> Tensor:
        """(B, 2W, h, w) -> (B, 2W, 1, 1) in (0, 1): what each channel is multiplied with."""
        return torch.sigmoid(self.excite(_leaky(self.squeeze(y.mean((2, 3), keepdim=True)))))


class Raft(nn.Module):
    """T (Fig. 2, left), (B, C, h, w) -> the same, for maps of any number of channels from 32 on.

        h = LReLU(head(F)),   B_0 = h,   B_i = RAFTB(B_{i-1})
        T(F) = F + tail(smooth(LReLU(collect(cat(B_1 .. B_n)))) + h)

    channels : C. width : W, even; None for C / 16, made even. blocks : n, at least 1.
    With C = 2048: W = 128, 2,234,048 weights, and 0.2811 G multiply-adds on maps of 16 x 8. ValueError for other widths
    and numbers of blocks.
    """

    def __init__(self, channels: int, width: int | None = None, blocks: int = 4):
        super().__init__()
        width = 2 * (channels // (2 * NARROWER)) if width is None else width
        _half(width)
        if blocks < 1:
            raise ValueError(f"RAFT has at least one block, not {blocks}")
        self.head = nn.Conv2d(channels, width, 1)
        self.blocks = nn.ModuleList(RaftBlock(width) for _ in range(blocks))
        self.collect = nn.Conv2d(blocks * width, width, 1)
        self.smooth = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, maps: Tensor) -> Tensor:
        first = x = _leaky(self.head(maps))
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        x = self.smooth(_leaky(self.collect(torch.cat(found, 1))))  # (B, W, h, w)
        return maps + self.tail(x + first)


def _half(width: int) -> int:
    if width < 2 or width % 2:
        raise ValueError(f"a block splits its channels in half: their number is even, not {width}")
    return width // 2


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)
