"""Residual networks (He et al. 2016) in torchvision's layout, so that torchvision's weights load by name.

Letters: B images, C channels, H x W the canvas, h x w the feature map.

The narrow and shallow relatives keep the shape of a ResNet-50 (four stages, bottleneck blocks, last stride 1) and
shrink its width (64 -> 16) and depth (3-4-6-3 -> 1-1-1-1), which is what makes a course possible on two CPU cores.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from lib.models.registry import BACKBONES

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalise(nn.Module):
    """Shift and scale of the input, part of the network: whoever holds the weights holds the right constants.

    Input and output: (B, 3, H, W) float; the input in [0, 1].
    """

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class ResNet(nn.Module):
    """A residual network without a classifier.

    Parameters
    ----------
    block : ``BasicBlock`` or ``Bottleneck`` of torchvision.
    blocks : blocks in each of the four stages (ResNet-50: 3, 4, 6, 3).
    width : channels of the stem; stages have width x (1, 2, 4, 8) times the block's expansion (1 or 4).
    last_stride : stride of the fourth stage: 1 doubles the resolution of the last map, the usual choice in person
        re-identification (Luo et al. 2019, "Bag of Tricks", §3.4).

    ``forward`` maps (B, 3, H, W) in [0, 1] to (B, channels, h, w); ``stem`` and ``stages`` give the pieces, for methods
    that put something between them (RIPR's dual streams, PS-HRNet's pooling).
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck] = Bottleneck,
        blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,  # paper (all five): 64
        last_stride: int = 1,
        name: str = "resnet",
    ):
        super().__init__()
        self.name = name
        self.normalise = Normalise()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels, self.stage_channels = width, []
        for stage, (count, stride) in enumerate(zip(blocks, (1, 2, 2, last_stride), strict=True)):
            layers = []
            for position in range(count):
                layers.append(_block(block, channels, width * 2**stage, stride if position == 0 else 1))
                channels = width * 2**stage * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            self.stage_channels.append(channels)
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def stages(self) -> list[nn.Module]:
        """The four stages, in order."""
        return [self.layer1, self.layer2, self.layer3, self.layer4]

    def stem(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, width, H/4, W/4)."""
        return self.maxpool(self.relu(self.bn1(self.conv1(self.normalise(images)))))

    def maps(self, images: Tensor) -> list[Tensor]:
        """The feature maps after each of the four stages."""
        x, found = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[-1]


def _block(block: type[BasicBlock] | type[Bottleneck], channels: int, planes: int, stride: int) -> nn.Module:
    """One residual block, with a 1 x 1 convolution on the shortcut where the shape changes."""
    out, shortcut = planes * block.expansion, None
    if stride != 1 or channels != out:
        shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))
    return block(channels, planes, stride, shortcut)


BACKBONES.add("resnet18", ResNet, BasicBlock, (2, 2, 2, 2))
BACKBONES.add("resnet34", ResNet, BasicBlock, (3, 4, 6, 3))
BACKBONES.add("resnet50", ResNet, Bottleneck, (3, 4, 6, 3))
BACKBONES.add("resnet101", ResNet, Bottleneck, (3, 4, 23, 3))
BACKBONES.add("resnet18-half", ResNet, BasicBlock, (2, 2, 2, 2), width=32)
BACKBONES.add("resnet50-half", ResNet, Bottleneck, (3, 4, 6, 3), width=32)
