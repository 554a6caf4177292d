"""Feature extractors by name: images in, feature maps out.

Each network has a file of its own, which adds its entries to ``BACKBONES``; whoever adds a file imports it here.
"""

from __future__ import annotations

import re

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from lib.models import dgd, hrnet, non_local, osnet, others, resnet
from lib.models.dgd import DGD_WIDTHS
from lib.models.registry import BACKBONES
from lib.models.resnet import Normalise, ResNet

__all__ = [
    "BACKBONES", "DGD_WIDTHS", "Normalise", "ResNet", "create_backbone",
    "dgd", "hrnet", "non_local", "osnet", "others", "resnet",
]  # fmt: skip


def create_backbone(name: str, **options) -> nn.Module:
    """A feature extractor by name.

    Names: those of ``BACKBONES``, and ``bottleneck-<width>-<blocks>`` or ``basic-<width>-<blocks>`` for networks with
    the same number of blocks in all four stages, e.g. ``bottleneck-16-1`` (0.5 M weights).
    Every backbone has ``.name`` (of the network whose first weights are its own: ``resnet50`` for
    ``resnet50-nonlocal``), ``.channels`` and maps (B, 3, H, W) in [0, 1] to (B, channels, h, w).
    ValueError for an unknown name.
    """
    if name in BACKBONES:
        return BACKBONES.create(name, name=name, **options)
    match = re.fullmatch(r"(bottleneck|basic)-(\d+)-(\d+)", name)
    if match:
        block = Bottleneck if match[1] == "bottleneck" else BasicBlock
        return ResNet(block, (int(match[3]),) * 4, width=int(match[2]), name=name, **options)
    raise ValueError(
        f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}, and "
        "bottleneck-<width>-<blocks> or basic-<width>-<blocks> such as bottleneck-16-1"
    )
