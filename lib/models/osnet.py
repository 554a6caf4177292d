"""OSNet (Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019), and its narrow relatives.

Letters: B images, C channels, H x W the canvas, h x w the feature map.

A small network made for re-identification: a rival of JBIM, and a network inside it (Zheng et al. 2022, Tables 3 and
12). Each block looks at its input at four scales at once and weighs them anew for every image. The width multiplies all
channels (paper: 1, 0.75, 0.5, 0.25); only the descriptor keeps its 512.

torchvision and timm do not have it. The names in the state dict are those of the authors' torchreid, so that their
files (ImageNet and re-identification) load by name, ``weights={"backbone": "osnet_x0_25_imagenet.pth"}``: ``fc`` and
``classifier`` are left out for a backbone. Files of the variants with instance normalisation (IBN, AIN) do not fit.
"""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.registry import BACKBONES
from lib.models.resnet import Normalise

CHANNELS = (64, 256, 384, 512)  # of the stem and of the three stages at width 1
DESCRIPTOR = 512  # at every width
GATE = 16  # the gate's inner layer has 1/16 of the channels


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; padded so that stride 1 keeps the size."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=layer, bn=nn.BatchNorm2d(outputs), relu=nn.ReLU(inplace=True)))


def linear(inputs: int, outputs: int) -> nn.Sequential:
    """A 1 x 1 convolution and batch normalisation."""
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, 1, bias=False), bn=nn.BatchNorm2d(outputs)))


def lite(channels: int) -> nn.Sequential:
    """The paper's Lite 3 x 3 (§3.1): all channels at a position, then 3 x 3 positions of each channel alone.

    C² + 9 C weights, where a 3 x 3 convolution has 9 C².
    """
    across = nn.Conv2d(channels, channels, 1, bias=False)
    within = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    norm, relu = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    return nn.Sequential(OrderedDict(conv1=across, conv2=within, bn=norm, relu=relu))


def gate(channels: int) -> nn.Sequential:
    """The aggregation gate G (§3.2): (B, C, h, w) -> (B, C, 1, 1), a weight in (0, 1) for each image and channel.

    Narrow networks have gates of one or two inner channels. In a fresh osnet-0.25 about a third of the gates are silent
    before their ReLU, whatever the image, and begin as a constant 1/2.
    """
    inner = channels // GATE
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1),
            fc1=nn.Conv2d(channels, inner, 1),
            relu=nn.ReLU(inplace=True),
            fc2=nn.Conv2d(inner, channels, 1),
            sigmoid=nn.Sigmoid(),
        )
    )


class OmniScale(nn.Module):
    """The omni-scale residual block (§3.2, Eq. 1-3): (B, inputs, h, w) -> (B, outputs, h, w).

    x + sum over t = 1 ... 4 of G(x_t) x_t, where x_t went through t lite convolutions and has seen (2t + 1)² positions.
    One gate serves all four scales, so that all of them teach it.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        inner = outputs // 4
        self.conv1 = conv(inputs, inner)
        self.conv2a = lite(inner)
        self.conv2b = nn.Sequential(lite(inner), lite(inner))
        self.conv2c = nn.Sequential(lite(inner), lite(inner), lite(inner))
        self.conv2d = nn.Sequential(lite(inner), lite(inner), lite(inner), lite(inner))
        self.gate = gate(inner)
        self.conv3 = linear(inner, outputs)
        self.downsample = linear(inputs, outputs) if inputs != outputs else nn.Identity()  # torchreid's name

    def forward(self, maps: Tensor) -> Tensor:
        narrow = self.conv1(maps)
        scales = [stream(narrow) for stream in (self.conv2a, self.conv2b, self.conv2c, self.conv2d)]
        together = sum(self.gate(scale) * scale for scale in scales)
        return F.relu(self.downsample(maps) + self.conv3(together), inplace=True)


class OSNet(nn.Module):
    """The network up to its last convolution (Table 1): (B, 3, H, W) in [0, 1] -> (B, channels, h, w).

    width : a factor on all channels (paper: 1, 0.75, 0.5, 0.25).

    The map is 1/16 of the canvas: the stem halves twice and rounds up, two averages halve and round down.
    ValueError for a width under 0.25, whose gates would have no inner channel, and for H or W under 13, which would end
    as nothing.
    """

    def __init__(self, width: float = 1.0, name: str = "osnet"):
        super().__init__()
        if width < 0.25:
            raise ValueError(f"{name} with a width of {width}: under 0.25 its gates would have no inner channel")
        stem, first, second, third = (round(channels * width) for channels in CHANNELS)
        self.name = name
        self.channels = third
        self.normalise = Normalise()
        self.conv1 = conv(3, stem, 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Sequential(OmniScale(stem, first), OmniScale(first, first), _halve(first))
        self.conv3 = nn.Sequential(OmniScale(first, second), OmniScale(second, second), _halve(second))
        self.conv4 = nn.Sequential(OmniScale(second, third), OmniScale(third, third))
        self.conv5 = conv(third, third)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        if min(images.shape[-2:]) < 13:
            raise ValueError(f"{self.name} needs images of at least 13 x 13, not {tuple(images.shape[-2:])}")
        x = self.maxpool(self.conv1(self.normalise(images)))
        return self.conv5(self.conv4(self.conv3(self.conv2(x))))


class WholeOSNet(OSNet):
    """The published network with its fully connected layer: (B, 3, H, W) in [0, 1] -> (B, 512), the descriptor.

    What the paper's counts (2.2 M weights, 0.98 G multiply-adds) are of; the course's methods have heads of their own.
    """

    def __init__(self, width: float = 1.0, name: str = "osnet"):
        super().__init__(width, name)
        layer = nn.Linear(self.channels, DESCRIPTOR)
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
        self.fc = nn.Sequential(layer, nn.BatchNorm1d(DESCRIPTOR), nn.ReLU(inplace=True))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(super().forward(images).mean((2, 3)))


def _halve(channels: int) -> nn.Sequential:
    return nn.Sequential(conv(channels, channels), nn.AvgPool2d(2))


# On one CPU core (batch 64, 96 x 48, bf16) a training step of osnet-0.25 takes 0.75 x that of ``resnet18-half``, one of
# osnet-0.5 1.3 x: depthwise convolutions save multiply-adds rather than time.
BACKBONES.add("osnet", OSNet)
BACKBONES.add("osnet-0.75", OSNet, 0.75)
BACKBONES.add("osnet-0.5", OSNet, 0.5)
BACKBONES.add("osnet-0.25", OSNet, 0.25)
