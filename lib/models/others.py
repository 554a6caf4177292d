"""The two networks that RIPR (Mao et al., IJCAI 2019) compares itself with in Table 3, and narrow relatives.

Letters: B images, C channels, H x W the canvas, h x w the feature map.

- DenseNet-121 (Huang et al., CVPR 2017, Table 1): torchvision's ``densenet121``.
- SE-ResNet-50 (Hu et al., CVPR 2018, Table 1): timm's ``seresnet50``.

Both without a classifier, and with the strides of their papers: the last map is 1/32 of the canvas, where the networks
of ``lib.models.resnet`` stop at 1/16. The names in the state dict are torchvision's and timm's own, so that
published weights load by name (``lib.training.weights``). torchvision serves those of DenseNet-121; timm's come from a
hub that a machine may not reach: download the file elsewhere and give its path, ``weights={"backbone": path}``.
"""

from __future__ import annotations

import re

import torch.nn.functional as F
from timm.models import resnet as timm_resnet
from torch import Tensor, nn
from torchvision.models import densenet as torchvision_densenet

from lib.models.registry import BACKBONES
from lib.models.resnet import Normalise


class DenseNet(torchvision_densenet.DenseNet):
    """torchvision's DenseNet up to its last ReLU: (B, 3, H, W) in [0, 1] -> (B, channels, h, w).

    growth : channels that each layer adds (``k`` in the paper, §3).
    layers : dense layers in each of the four blocks.
    stem : channels of the first convolution.

    The stem halves twice and rounds up, the three transitions halve and round down (a 2 x 2 average): a canvas of
    96 x 48 ends as 3 x 1. ValueError for H or W under 29, which would end as nothing.
    """

    def __init__(
        self,
        growth: int = 32,  # paper: 32
        layers: tuple[int, int, int, int] = (6, 12, 24, 16),  # paper: DenseNet-121
        stem: int = 64,  # paper: 2 x growth
        name: str = "densenet",
    ):
        super().__init__(growth, layers, stem, num_classes=1)
        del self.classifier
        self.name = name
        self.normalise = Normalise()
        self.channels = self.features.norm5.num_features

    def forward(self, images: Tensor) -> Tensor:
        if min(images.shape[-2:]) < 29:
            raise ValueError(f"{self.name} needs images of at least 29 x 29, not {tuple(images.shape[-2:])}")
        return F.relu(self.features(self.normalise(images)), inplace=True)

    def doubled(self, state: dict) -> dict:
        """``state`` with the names of today: torchvision's published file has ``norm.1``, which became ``norm1``.

        torchvision renames while loading (``torchvision.models.densenet._load_state_dict``); its ``get_state_dict``,
        and whoever reads the file, get the old names. A state with today's names comes back unchanged. The name of
        this method is that of a hook: ``lib.training.weights`` calls it before filling a network.
        """
        old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])(?=\.)")
        return {old.sub(r"\1\2", name): value for name, value in state.items()}


class SEResNet(timm_resnet.ResNet):
    """timm's residual network with squeeze and excitation: (B, 3, H, W) in [0, 1] -> (B, channels, h, w).

    block : ``BasicBlock`` or ``Bottleneck`` of timm.
    layers : blocks in each of the four stages.
    width : channels of the stem; stages have width x (1, 2, 4, 8) times the block's expansion (1 or 4).

    The excitation's inner layer (paper, §3.2) has 1/16 of the channels, in timm no fewer than 8. Every halving rounds
    up.
    """

    def __init__(
        self,
        block: type[timm_resnet.BasicBlock] | type[timm_resnet.Bottleneck] = timm_resnet.Bottleneck,
        layers: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,  # paper: 64
        name: str = "seresnet",
    ):
        attention = {"attn_layer": "se"}
        # no zero_init_last: our other networks do not start as identities either, so that trainings compare
        super().__init__(
            block,
            layers,
            num_classes=0,
            global_pool="",
            channels=tuple(width * 2**stage for stage in range(4)),
            zero_init_last=False,
            block_args=attention,
        )
        if width != 64:  # timm's plain stem has 64 channels whatever it is asked for (``stem_width`` is for deep stems)
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            out, shortcut = width * block.expansion, None
            if out != width:
                shortcut = timm_resnet.downsample_conv(width, out, 1)
            self.layer1[0] = block(width, width, downsample=shortcut, **attention)
            self.init_weights(zero_init_last=False)
        self.name = name
        self.normalise = Normalise()
        self.channels = self.num_features

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_features(self.normalise(images))


# densenet-narrow: half the growth and the layers; seresnet18-half: ``resnet18-half`` with attention, last stride 2.
# On one CPU core (batch 64, 96 x 48, bf16) a training step takes 0.95 and 0.9 x that of ``resnet18-half``;
# densenet-narrow with a growth of 20 takes 1.4 x. Their multiply-adds at that canvas, 29 M and 48 M, relate as those of
# the published two (0.6 and 0.7).
BACKBONES.add("densenet121", DenseNet)
BACKBONES.add("densenet-narrow", DenseNet, 16, (3, 6, 12, 8), 32)
BACKBONES.add("seresnet50", SEResNet)
BACKBONES.add("seresnet18-half", SEResNet, timm_resnet.BasicBlock, (2, 2, 2, 2), width=32)
