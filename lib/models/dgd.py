"""The network of "domain guided dropout" (Xiao et al., CVPR 2016, Table 2), SING's feature extractor: small Inceptions.

Letters: B images, C channels, H x W the canvas. Three 3 x 3 convolutions and a pooling, then six Inception modules
whose "5 x 5" branch is two 3 x 3 convolutions; the second of each pair halves the map and lets its input through a
maximum pooling instead of projecting it. Batch normalisation and a ReLU follow every convolution. At 144 x 56, SING's
input after an SRCNN without padding, the last map is 9 x 4; any canvas works, because what follows is a mean over it.

SING's descriptor is the fully connected layer of 256 after that mean (``lib.models.heads.FCHead``). The dropout that
gave the paper its name serves to train on many data sets at once; SING does not use it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.models.registry import BACKBONES
from lib.models.resnet import Normalise

DGD_WIDTHS = {"dgd": 1.0, "dgd-half": 0.5, "dgd-quarter": 0.25}  # the network, and narrow relatives

# branch widths of (1 x 1, 3 x 3 reduced, 3 x 3, double 3 x 3 reduced, double 3 x 3, projection after pooling);
# 0: the branch is not there, and the pooled input goes through as it is
MODULES = (
    (64, 32, 64, 32, 64, 64),  # 4a: 256 channels
    (0, 32, 64, 32, 64, 0),  # 4b, halves: 256 + 128 = 384
    (128, 64, 128, 64, 128, 128),  # 5a: 512
    (0, 64, 128, 64, 128, 0),  # 5b, halves: 512 + 256 = 768
    (256, 128, 256, 128, 256, 256),  # 6a: 1024
    (0, 128, 256, 128, 256, 0),  # 6b, halves: 1024 + 512 = 1536
)


class Conv(nn.Sequential):
    """Convolution, batch normalisation, ReLU; padded so that stride 1 keeps the size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Inception(nn.Module):
    """One module: (B, inputs, h, w) -> (B, channels, h, w), or half of h and w (rounded up) without a 1 x 1 branch."""

    def __init__(self, inputs: int, one: int, reduce: int, three: int, reduce_double: int, double: int, project: int):
        super().__init__()
        stride = 1 if one else 2
        branches = [Conv(inputs, one, 1)] if one else []
        branches.append(nn.Sequential(Conv(inputs, reduce, 1), Conv(reduce, three, 3, stride)))
        branches.append(
            nn.Sequential(
                Conv(inputs, reduce_double, 1), Conv(reduce_double, double, 3), Conv(double, double, 3, stride)
            )
        )
        if project:
            branches.append(nn.Sequential(nn.AvgPool2d(3, 1, padding=1), Conv(inputs, project, 1)))
        else:
            branches.append(nn.MaxPool2d(3, 2, padding=1))
        self.branches = nn.ModuleList(branches)
        self.channels = one + three + double + (project or inputs)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


class DGD(nn.Module):
    """(B, 3, H, W) in [0, 1] -> (B, 1536 x width, H/16, W/16).

    width : a factor on all channels, for narrow relatives on a CPU (paper: 1).
    """

    def __init__(self, width: float = 1.0, name: str = "dgd"):
        super().__init__()
        self.name = name
        stem = round(32 * width)
        self.stem = nn.Sequential(
            Normalise(), Conv(3, stem, 3), Conv(stem, stem, 3), Conv(stem, stem, 3), nn.MaxPool2d(2, 2, ceil_mode=True)
        )
        modules, channels = [], stem
        for widths in MODULES:
            modules.append(Inception(channels, *(round(n * width) for n in widths)))
            channels = modules[-1].channels
        self.modules_4_to_6 = nn.Sequential(*modules)
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        return self.modules_4_to_6(self.stem(images))


BACKBONES.add("dgd", DGD, DGD_WIDTHS["dgd"])
BACKBONES.add("dgd-half", DGD, DGD_WIDTHS["dgd-half"])
BACKBONES.add("dgd-quarter", DGD, DGD_WIDTHS["dgd-quarter"])
