"""The shallow super-resolution networks: interpolation, SRCNN, FFSR. Letters and interface as in ``superres_base``."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.registry import SUPERRES
from lib.models.superres_base import NOISE, SuperResolver, carry, convolution, start


class Interpolation(SuperResolver):
    """The picture as it comes: the data path did the enlarging, and chooses the kernel (bilinear, bicubic).

    No weights. The names exist so that tables and configurations treat interpolation as one more network.
    """

    def forward(self, images: Tensor) -> Tensor:
        return images


class SRCNN(SuperResolver):
    """Three convolutions (Dong et al. 2016, TPAMI, §3.1; 9-5-5 in §4.3.2).

    middle : kernel of the second convolution, 1 or 5.
    width : channels after the first convolution; half as many after the second. Paper: 64 and 32.

    The paper does not pad and loses 8 pixels at every side (9-1-5: 6); here zeros are padded, so that the size stays.
    Channel k < K carries plane k: the picture is in [0, 1], where ReLU changes nothing, so the network starts as the
    identity plus noise. The other hidden channels are drawn from N(0, 0.03^2): larger ones (He et al. 2015) make Adam's
    first steps overshoot more, smaller ones learn more slowly. The paper draws everything from N(0, 0.001^2) and trains
    for 8 x 10^8 back-propagations, at rates of 1e-4 and, in the last layer, 1e-5. Adam at 1e-3 leaves the good start at
    once and takes some tens of steps to return; at 1e-4 it hardly does.
    """

    def __init__(self, middle: int = 5, width: int = 64, colours: str = "rgb", name: str = "srcnn"):
        super().__init__(name, colours)
        half = width // 2
        self.conv1 = convolution(self.planes, width, 9)
        self.conv2 = convolution(width, half, middle)
        self.conv3 = convolution(half, self.planes, 5)
        for layer in (self.conv1, self.conv2):
            start(layer, 0.03)
            carry(layer, self.planes)
        carry(self.conv3, self.planes, NOISE)

    def enhance(self, planes: Tensor) -> Tensor:
        x = F.relu(self.conv1(planes))  # (B, C, H, W)
        x = F.relu(self.conv2(x))  # (B, C/2, H, W)
        return self.conv3(x)


class FFSR(SuperResolver):
    """RIPR's auto-encoder with symmetric skip connections (Mao et al. 2019, §4.1, §5.2; Fig. 3).

    Twelve layers of 3 x 3: one at full size, two of stride 2, ``middle`` at a quarter of the size, two transposed ones
    of stride 2, one at full size. The paper gives the number of layers, the strides and 3.71 G multiply-adds at
    384 x 128; width 32 (doubled at each step down) has 3.7088 G. What a layer takes in while going down is added
    where the way up has the same size: ReLU(out + skip), as in RED-net (Mao et al. 2016), and the input
    picture to the last layer's output: the network learns what the enlarged picture lacks, and an untouched picture
    passes at almost no loss.

    Any H and W: the transposed convolutions are told the size of what they are added to.
    """

    def __init__(self, width: int = 32, middle: int = 6, colours: str = "rgb", name: str = "ffsr"):
        super().__init__(name, colours)
        half, low = 2 * width, 4 * width
        self.first = convolution(self.planes, width)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in ((width, half), (half, low)))
        self.middle = nn.ModuleList(convolution(low, low) for _ in range(middle))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 3, stride=2, padding=1) for a, b in ((low, half), (half, width))
        )
        self.last = convolution(width, self.planes)
        for layer in (self.first, *self.down, *self.middle, *self.up):
            start(layer)
        start(self.last, NOISE)

    def enhance(self, planes: Tensor) -> Tensor:
        full = F.relu(self.first(planes))  # (B, C, H, W)
        half = F.relu(self.down[0](full))  # (B, 2C, H/2, W/2)
        x = low = F.relu(self.down[1](half))  # (B, 4C, H/4, W/4)
        for layer in self.middle:
            x = F.relu(layer(x))
        x = F.relu(self.up[0](x + low, output_size=half.shape[2:]) + half)
        x = F.relu(self.up[1](x, output_size=full.shape[2:]) + full)
        return planes + self.last(x)


SUPERRES.add("bilinear", Interpolation)
SUPERRES.add("bicubic", Interpolation)
SUPERRES.add("srcnn", SRCNN)
SUPERRES.add("srcnn-luma", SRCNN, colours="luma")
SUPERRES.add("srcnn-915", SRCNN, middle=1)
SUPERRES.add("srcnn-915-luma", SRCNN, middle=1, colours="luma")
SUPERRES.add("ffsr", FFSR)
SUPERRES.add("ffsr-narrow", FFSR, width=12)
