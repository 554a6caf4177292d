"""HRNet (Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", TPAMI 2021), and its
narrow relatives: PS-HRNet's feature extractor (Zhang et al. 2021, §III.C).

Letters: B images, C channels, H x W the canvas, n = 1 ... 4 a branch, W the width.

Where a ResNet goes down to a small map and stays there, an HRNet keeps the map of a quarter of the canvas to the end
and puts coarser branches beside it, each half as large with twice the channels; after every module each branch adds up
what all of them found. At the end come four maps, from a quarter to a thirty-second of the canvas.

timm's and the authors' implementation enlarges the coarse maps by factors, which fits canvases that are multiples of 32
only. Here a map is enlarged to the size of the one that it is added to: the same on those, and 96 x 48 works. The names
in the state dict are theirs, so that published files (``hrnetv2_w32_imagenet_pretrained.pth``, timm's) load by name:
``weights={"backbone": path}``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from lib.models.registry import BACKBONES
from lib.models.resnet import Normalise


def conv(inputs: int, outputs: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation and, mostly, ReLU."""
    layers = [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def blocks_of(kind: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, count: int) -> nn.Sequential:
    """``count`` residual blocks: (B, inputs, h, w) -> (B, planes x expansion, h, w)."""
    outputs, shortcut = planes * kind.expansion, None
    if inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    first = kind(inputs, planes, downsample=shortcut)
    return nn.Sequential(first, *(kind(outputs, planes) for _ in range(count - 1)))


class Exchange(nn.Module):
    """One module: every branch for itself, then every branch the sum of all (ibid., §3.2 and Fig. 3).

    channels : of the branches. blocks : residual blocks in each. Lists of maps (B, C_n, h_n, w_n) -> the same.
    """

    def __init__(self, channels: Sequence[int], blocks: int):
        super().__init__()
        self.branches = nn.ModuleList(blocks_of(BasicBlock, c, c, blocks) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_link(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(one) for branch, one in zip(self.branches, maps, strict=True)]
        fused = []
        for links, own in zip(self.fuse_layers, maps, strict=True):
            total = None
            for link, one in zip(links, maps, strict=True):
                found = link(one)
                if found.shape[-2:] != own.shape[-2:]:  # a coarser branch's: enlarged to the size it is added to
                    found = F.interpolate(found, size=own.shape[-2:], mode="nearest")
                total = found if total is None else total + found
            fused.append(F.relu(total))
        return fused


def _link(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch to another: a 1 x 1 convolution upwards, a 3 x 3 of stride 2 for each halving downwards."""
    inputs, outputs = channels[source], channels[target]
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    steps = [conv(inputs, inputs, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, conv(inputs, outputs, 2, relu=False))


class HRNet(nn.Module):
    """HRNetV2-W<width>. ``maps``: (B, 3, H, W) in [0, 1] -> four maps; ``forward``: -> the map that aggregates them.

    width : W, channels of the finest branch (paper: 32); the stem and the planes of the first blocks have 2 W, the maps
        4 W x (1, 2, 4, 8) channels, a quarter, an eighth, a sixteenth and a thirty-second of the canvas, rounded up.
    bottlenecks : blocks at the beginning (paper: 4). modules : exchanges with two, three and four branches (1, 4, 3).
    blocks : in each branch of each (4). final : channels of the aggregated map (2048).
    aggregate : whether there is the aggregation of "HRNet-W32-C": False leaves its weights out, for ``maps`` alone.

    stage_channels : of the four maps. channels : of what ``forward`` gives, which without the aggregation is the
    coarsest of the four.
    """

    def __init__(
        self,
        width: int = 32,
        bottlenecks: int = 4,
        modules: tuple[int, int, int] = (1, 4, 3),
        blocks: int = 4,
        final: int = 2048,
        aggregate: bool = True,
        name: str = "hrnet",
    ):
        super().__init__()
        stem, branches = 2 * width, [width * 2**n for n in range(4)]
        self.name, self.aggregate = name, aggregate
        self.stage_channels = [4 * c for c in branches]
        self.channels = final if aggregate else self.stage_channels[-1]
        self.normalise = Normalise()
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(stem)
        self.conv2, self.bn2 = nn.Conv2d(stem, stem, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(stem)
        self.layer1 = blocks_of(Bottleneck, stem, stem, bottlenecks)
        first = stem * Bottleneck.expansion
        self.transition1 = nn.ModuleList([conv(first, width), nn.Sequential(conv(first, 2 * width, 2))])
        self.stage2 = _exchanges(branches[:2], modules[0], blocks)
        self.transition2 = _another_branch(branches, 2)
        self.stage3 = _exchanges(branches[:3], modules[1], blocks)
        self.transition3 = _another_branch(branches, 3)
        self.stage4 = _exchanges(branches, modules[2], blocks)
        self.incre_modules = nn.ModuleList(blocks_of(Bottleneck, c, c, 1) for c in branches)
        if aggregate:
            pairs = zip(self.stage_channels[:-1], self.stage_channels[1:], strict=True)
            self.downsamp_modules = nn.ModuleList(_aggregating(inputs, outputs, 3, 2) for inputs, outputs in pairs)
            self.final_layer = _aggregating(self.stage_channels[-1], final, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, images: Tensor) -> list[Tensor]:
        """The four maps, finest first."""
        x = F.relu(self.bn1(self.conv1(self.normalise(images))), inplace=True)
        x = self.layer1(F.relu(self.bn2(self.conv2(x)), inplace=True))  # (B, 8 W, H/4, W/4)
        maps = self.stage2([transition(x) for transition in self.transition1])
        maps = self.stage3([*maps, self.transition2[-1](maps[-1])])
        maps = self.stage4([*maps, self.transition3[-1](maps[-1])])
        return [wider(one) for wider, one in zip(self.incre_modules, maps, strict=True)]

    def forward(self, images: Tensor) -> Tensor:
        finest, *coarser = self.maps(images)
        if not self.aggregate:
            return coarser[-1]
        total = finest
        for halve, one in zip(self.downsamp_modules, coarser, strict=True):
            total = one + halve(total)
        return self.final_layer(total)


class ForgetfulHRNet(HRNet):
    """The aggregation as PS-HRNet's authors wrote it: the finest map is halved three times, the other three, which were
    to be added, are forgotten. Whether Table VI's HRNet-W32-C was this one is not known.

    Its first weights are those of the network without "-forgetful" in its name.
    """

    def __init__(self, *arguments: object, name: str, **options: object):
        super().__init__(*arguments, name=name.removesuffix("-forgetful"), **options)

    def forward(self, images: Tensor) -> Tensor:
        total = self.maps(images)[0]
        for halve in self.downsamp_modules:
            total = halve(total)
        return self.final_layer(total)


def create_branches(name: str) -> HRNet:
    """An HRNet of ``create_backbone`` for its four maps, without the aggregation. ValueError for another network."""
    if name not in BACKBONES or BACKBONES[name] is not HRNet:
        known = ", ".join(other for other in BACKBONES if BACKBONES[other] is HRNet)
        raise ValueError(f"{name!r} has no branches of four resolutions; those that have: {known}")
    return BACKBONES.create(name, name=name, aggregate=False)


def _exchanges(channels: Sequence[int], modules: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Exchange(channels, blocks) for _ in range(modules)))


def _another_branch(branches: Sequence[int], count: int) -> nn.ModuleList:
    """``count`` branches go on as they are, one more is made from the coarsest."""
    new = nn.Sequential(conv(branches[count - 1], branches[count], 2))
    return nn.ModuleList([*(nn.Identity() for _ in range(count)), new])


def _aggregating(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution with a bias (as published), batch normalisation, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


BACKBONES.add("hrnet-w32", HRNet)
BACKBONES.add("hrnet-w32-forgetful", ForgetfulHRNet)
# Narrow relatives: one block where the paper has four, one exchange between two, three and four branches each. On one
# CPU core (batch 64, 96 x 48, bf16) a training step of hrnet-w8, -w12, -w16 takes 0.7, 1.1, 1.5 x that of
# ``resnet18-half``, with 0.2, 0.45, 0.8 x its multiply-adds: many small convolutions cost more than a few large ones.
BACKBONES.add("hrnet-w16", HRNet, 16, 1, (1, 1, 1), 1, final=512)
BACKBONES.add("hrnet-w12", HRNet, 12, 1, (1, 1, 1), 1, final=256)
BACKBONES.add("hrnet-w12-forgetful", ForgetfulHRNet, 12, 1, (1, 1, 1), 1, final=256)
BACKBONES.add("hrnet-w8", HRNet, 8, 1, (1, 1, 1), 1, final=256)
BACKBONES.add("hrnet-w8-forgetful", ForgetfulHRNet, 8, 1, (1, 1, 1), 1, final=256)
