"""Residual networks with non-local blocks: the backbone of AGW (Ye et al., "Deep Learning for Person Re-identification:
A Survey and Outlook", TPAMI 2021, §4).

Letters: B images, C channels, H x W the canvas, h x w the feature map.

A non-local block (Wang et al., CVPR 2018, Eq. 1 and 6) adds to every position a mean over all positions, weighted by
how alike they are: z_i = BN(W_z sum_j softmax_j(s t_i . p_j) g_j) + x_i, with t, p and g 1 x 1 convolutions of x. It is
timm's (``timm.layers.NonLocalAttn``), with s = 1 / sqrt(C).
"""

from __future__ import annotations

from collections import OrderedDict

from timm.layers import NonLocalAttn
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from lib.models.registry import BACKBONES
from lib.models.resnet import ResNet

SUFFIX = "-nonlocal"


class NonLocalResNet(ResNet):
    """A residual network with a non-local block after each of the last half of the blocks (rounded up) of its second
    and third stage: in ResNet-50 after the last 2 of 4 and the last 3 of 6, as in AGW.

    inner : channels inside a non-local block; None: half of the C that go in (Wang et al., §3.3). In the code of AGW's
        authors it is 1 (``reduc_ratio // reduc_ratio``). That code divides by the number of positions instead of the
        softmax, and has no ReLU behind the stem; neither is done here.
    name : the plain network's, with or without "-nonlocal".

    ``.name`` is the plain network's, because the first weights are that network's: a new block is the identity, bit by
    bit, since the scale of its normalisation starts at 0. All other names in the state dict are the plain network's.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck] = Bottleneck,
        blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,  # paper: 64
        last_stride: int = 1,
        inner: int | None = None,
        name: str = "resnet",
    ):
        super().__init__(block, blocks, width, last_stride, name.removesuffix(SUFFIX))
        for number in (2, 3):
            stage, channels = self.get_submodule(f"layer{number}"), self.stage_channels[number - 1]
            layers = {}  # not nn.Sequential.insert, which gives what follows another number
            for place, residual in enumerate(stage):
                layers[str(place)] = residual
                if place >= len(stage) // 2:
                    layers[f"nonlocal{place}"] = NonLocalAttn(channels, rd_channels=inner or channels // 2)
            self.add_module(f"layer{number}", nn.Sequential(OrderedDict(layers)))

    def doubled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the plain network -> weights for this one: the non-local blocks keep their present values.

        A state with any non-local weight is one of such a network, whole or not, and comes back as it is. The name of
        this method is that of a hook: ``lib.training.weights`` calls it before filling a network.
        """
        added = {name: value for name, value in self.state_dict().items() if ".nonlocal" in name}
        return state if added.keys() & state.keys() else added | state


# resnet50: AGW's; the narrow two are those of the baseline's smaller profiles
BACKBONES.add("resnet50-nonlocal", NonLocalResNet, Bottleneck, (3, 4, 6, 3))
BACKBONES.add("resnet18-half-nonlocal", NonLocalResNet, BasicBlock, (2, 2, 2, 2), width=32)
BACKBONES.add("bottleneck-16-1-nonlocal", NonLocalResNet, Bottleneck, (1, 1, 1, 1), width=16)
