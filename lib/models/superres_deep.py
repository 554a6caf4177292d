"""The deeper super-resolution networks: FSRCNN, VDSR, DRCN, RCAN, SRGAN. Letters and interface as in ``superres_base``.

Defaults are the papers' configurations. All start as interpolation: VDSR and DRCN add something small to the enlarged
picture; the others, which see the small image, enlarge it bilinearly through channels that carry it. Zeros are padded
everywhere, as published, so a small image enlarged inside a network has a darker frame until it has learned better.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.registry import SUPERRES
from lib.models.superres_base import NOISE, SuperResolver, carry, convolution, start


class FSRCNN(SuperResolver):
    """Shrink, map, expand, and enlarge at the very end (Dong, Loy and Tang 2016, §3; FSRCNN(d, s, m)).

    width, narrow, layers : the paper's d = 56, s = 12, m = 4. Luma by default. 12,464 weights, as published, without
    biases and PReLU. The order of the layers is that of the usual PyTorch versions (:func:`load_published`).
    """

    def __init__(
        self,
        scale: int = 2,
        width: int = 56,
        narrow: int = 12,
        layers: int = 4,
        colours: str = "luma",
        name: str = "fsrcnn",
    ):
        super().__init__(name, colours, scale)
        widths = [(self.planes, width, 5), (width, narrow, 1), *[(narrow, narrow, 3)] * layers, (narrow, width, 1)]
        parts: list[nn.Module] = []
        for inside, outside, kernel in widths:
            layer = convolution(inside, outside, kernel)
            start(layer)
            carry(layer, self.planes)  # PReLU leaves positive values as they are, like ReLU
            parts += [layer, nn.PReLU(outside)]
        self.features = nn.Sequential(*parts)
        # output_padding: s h x s w exactly
        self.enlarge = nn.ConvTranspose2d(width, self.planes, 9, stride=scale, padding=4, output_padding=scale - 1)
        self._start_as_bilinear()

    @torch.no_grad()
    def _start_as_bilinear(self) -> None:
        """Tap t of the kernel reaches the output pixel s i + t - 4, whose centre is (t - 4 - (s - 1) / 2) / s away.

        Taps that meet in the same pixel (t mod s) are made to sum to one: nine taps cannot hold the whole kernel for
        scale 4.
        """
        taps = torch.arange(9, dtype=torch.float32)
        kernel = (1 - (taps - 4 - (self.scale - 1) / 2).abs() / self.scale).clamp(min=0)
        for phase in range(self.scale):
            kernel[phase :: self.scale] /= kernel[phase :: self.scale].sum()
        start(self.enlarge, NOISE)  # paper: 0.001
        for plane in range(self.planes):
            self.enlarge.weight[plane] = 0
            self.enlarge.weight[plane, plane] = torch.outer(kernel, kernel)

    def enhance(self, planes: Tensor) -> Tensor:
        return self.enlarge(self.features(planes))


class VDSR(SuperResolver):
    """Twenty 3 x 3 convolutions that predict what is missing (Kim et al. 2016a, "Accurate Image Super-Resolution", §3).

    No biases. One network for all scales (§4.3), since it sees the enlarged picture. 667,008 weights on
    RGB, 664,704 on luma. The paper clips gradients, which its learning rate of 0.1 needs.
    """

    def __init__(self, layers: int = 20, width: int = 64, colours: str = "rgb", name: str = "vdsr"):
        super().__init__(name, colours)
        widths = [self.planes, *[width] * (layers - 1), self.planes]
        self.layers = nn.ModuleList(convolution(inside, outside, bias=False) for inside, outside in pairwise(widths))
        for layer in self.layers[:-1]:
            start(layer)
        start(self.layers[-1], NOISE)

    def enhance(self, planes: Tensor) -> Tensor:
        x = planes
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))  # (B, C, H, W)
        return planes + self.layers[-1](x)


class DRCN(SuperResolver):
    """One convolution applied again and again (Kim et al. 2016b, "Deeply-Recursive Convolutional Network", §3).

    Two convolutions embed, one shared convolution recurs D times, and two reconstruct a picture after every recursion,
    to which the input is added (§3.2). The result is their mean with learned weights, which a softmax keeps positive
    and summing to one; they start equal. The recurring convolution starts as the identity, as in the paper (§4.2).
    1,775,121 parameters on luma.
    """

    def __init__(self, recursions: int = 16, width: int = 256, colours: str = "luma", name: str = "drcn"):
        super().__init__(name, colours)
        self.embed = nn.ModuleList([convolution(self.planes, width), convolution(width, width)])
        self.recur = convolution(width, width)
        self.reconstruct = nn.ModuleList([convolution(width, width), convolution(width, self.planes)])
        self.mixing = nn.Parameter(torch.zeros(recursions))
        for layer in (*self.embed, self.reconstruct[0]):
            start(layer)
        carry(self.recur, width, NOISE)  # without noise all recursions would agree, and `mixing` get no gradient
        start(self.reconstruct[1], NOISE)

    @property
    def weights(self) -> Tensor:
        """(D,) positive, sum 1: how much each recursion counts in the result."""
        return self.mixing.softmax(0)

    def predictions(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The D pictures (B, 3, H, W), one per recursion, and their weighted mean.

        For recursive supervision: the loss is alpha times the mean error of the D pictures plus (1 - alpha) times the
        error of the mean (§3.3), with alpha falling during training.
        """
        planes = self.take(images)
        found = self._reconstructions(planes)
        return [self.give(each, images) for each in found], self.give(self._mean(found), images)

    def enhance(self, planes: Tensor) -> Tensor:
        return self._mean(self._reconstructions(planes))

    def _reconstructions(self, planes: Tensor) -> list[Tensor]:
        x, found = planes, []
        for layer in self.embed:
            x = F.relu(layer(x))  # (B, C, H, W)
        for _ in range(len(self.mixing)):
            x = F.relu(self.recur(x))
            found.append(planes + self.reconstruct[1](F.relu(self.reconstruct[0](x))))
        return found

    def _mean(self, found: list[Tensor]) -> Tensor:
        return sum(weight * each for weight, each in zip(self.weights, found, strict=True))


@torch.no_grad()
def carry_enlarged(layer: nn.Conv2d, count: int, scale: int) -> None:
    """Before a pixel shuffle: the first ``count`` channels after it are the first ones before it, enlarged bilinearly.

    The shuffle puts channel (c s + i) s + j at pixel (i, j) of channel c. The centre of that pixel is at
    (i + 1/2) / s - 1/2 from the centre of its source, less than one half, so three taps hold the kernel.
    """
    centres = (torch.arange(scale) + 0.5) / scale - 0.5
    kernels = (1 - (torch.arange(-1, 2) - centres[:, None]).abs()).clamp(min=0)  # (s, 3)
    both = torch.einsum("iy,jx->ijyx", kernels, kernels).flatten(0, 1)  # (s * s, 3, 3)
    for channel in range(count):
        rows = slice(channel * scale**2, (channel + 1) * scale**2)
        layer.weight[rows] = 0
        layer.weight[rows, channel] = both
        layer.bias[rows] = 0


def enlargement(width: int, scale: int, count: int, activation: type[nn.Module] | None = None) -> nn.Sequential:
    """Convolution and pixel shuffle (Shi et al. 2016): once for scale 2 or 3, twice by 2 for scale 4.

    (B, C, h, w) -> (B, C, s h, s w); the first ``count`` channels start as bilinear enlargement.
    """
    parts: list[nn.Module] = []
    for factor in {2: (2,), 3: (3,), 4: (2, 2)}[scale]:
        layer = convolution(width, width * factor**2)
        carry_enlarged(layer, count, factor)
        parts += [layer, nn.PixelShuffle(factor), *([] if activation is None else [activation()])]
    return nn.Sequential(*parts)


class ChannelAttention(nn.Module):
    """Every channel times a number in (0, 1), computed from the means of all channels (Zhang et al. 2018, §3.3)."""

    def __init__(self, width: int, reduction: int = 16):
        super().__init__()
        self.squeeze = nn.Conv2d(width, width // reduction, 1)
        self.excite = nn.Conv2d(width // reduction, width, 1)
        nn.init.ones_(
            self.squeeze.bias
        )  # of four ReLUs in a squeeze it is not rare that all start off, for every picture

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * self.excite(F.relu(self.squeeze(means))).sigmoid()


class AttentionBlock(nn.Module):
    """RCAB: two convolutions and channel attention, added to the input (Zhang et al. 2018, §3.4)."""

    def __init__(self, width: int, reduction: int):
        super().__init__()
        self.conv1, self.conv2 = convolution(width, width), convolution(width, width)
        self.attention = ChannelAttention(width, reduction)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(self.conv2(F.relu(self.conv1(x))))


class Residual(nn.Module):
    """The input plus what the parts make of it."""

    def __init__(self, *parts: nn.Module):
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.parts(x)


class RCAN(SuperResolver):
    """Residual in residual with channel attention (Zhang et al. 2018, §3).

    groups, blocks, width, reduction : 10, 20, 64 and 16 in the paper: 15.44 M parameters for scale 2, 15.63 M for 3,
        15.59 M for 4.
    mean : the colour subtracted at first and added at last, by default DIV2K's, as in the authors' code.
    """

    def __init__(
        self,
        scale: int = 2,
        groups: int = 10,
        blocks: int = 20,
        width: int = 64,
        reduction: int = 16,
        mean: tuple[float, float, float] = (0.4488, 0.4371, 0.4040),
        name: str = "rcan",
    ):
        super().__init__(name, "rgb", scale)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.head = convolution(3, width)
        last = convolution(width, width)
        self.body = Residual(
            *(
                Residual(*(AttentionBlock(width, reduction) for _ in range(blocks)), convolution(width, width))
                for _ in range(groups)
            ),
            last,
        )
        self.enlarge = enlargement(width, scale, count=3)
        self.tail = convolution(width, 3)
        # Everything between head and tail is linear but for the body, so the carried colours may be negative.
        carry(self.head, 3)
        start(last, NOISE)
        carry(self.tail, 3, NOISE)

    def enhance(self, planes: Tensor) -> Tensor:
        x = self.body(self.head(planes - self.mean))  # (B, C, h, w)
        return self.tail(self.enlarge(x)) + self.mean  # (B, 3, s h, s w)


class SRGAN(SuperResolver):
    """The generator of SRGAN, also known as SRResNet (Ledig et al. 2017, §2.1.1 and Fig. 4).

    blocks, width : 16 and 64 in the paper. Convolutions before a batch normalisation have no bias, which it would
    remove. Trained with a mean squared error it is SRResNet; :class:`Discriminator` makes it SRGAN. Input and output
    are in [0, 1] (paper: output in [-1, 1]).
    """

    def __init__(self, scale: int = 2, blocks: int = 16, width: int = 64, name: str = "srgan"):
        super().__init__(name, "rgb", scale)

        def normalised() -> list[nn.Module]:
            return [convolution(width, width, bias=False), nn.BatchNorm2d(width)]

        last = normalised()
        self.head = nn.Sequential(convolution(3, width, 9), nn.PReLU())
        self.body = Residual(*(Residual(*normalised(), nn.PReLU(), *normalised()) for _ in range(blocks)), *last)
        self.enlarge = enlargement(width, scale, count=3, activation=nn.PReLU)
        self.tail = convolution(width, 3, 9)
        carry(self.head[0], 3)
        nn.init.constant_(last[1].weight, NOISE)  # the normalisation undoes any small weights before it
        carry(self.tail, 3, NOISE)

    def enhance(self, planes: Tensor) -> Tensor:
        x = self.body(self.head(planes))  # (B, C, h, w)
        return self.tail(self.enlarge(x))  # (B, 3, s h, s w)


class Discriminator(nn.Module):
    """Real or super-resolved? Eight convolutions and two dense layers (Ledig et al. 2017, §2.1.1 and Fig. 4).

    ``forward``: (B, 3, H, W) in [0, 1] -> (B,) logits, positive for real; the sigmoid belongs to the loss.
    Channels width x (1, 1, 2, 2, 4, 4, 8, 8), strides 1 and 2 in turn, batch normalisation in all but the first.
    grid : the last maps are averaged to this size before the dense layers, so that any canvas will do. (6, 6) is what
        the paper's 96 x 96 patches give anyway.
    """

    def __init__(self, width: int = 64, hidden: int = 1024, grid: tuple[int, int] = (6, 6)):
        super().__init__()
        parts: list[nn.Module] = []
        inside = 3
        for number in range(8):
            outside, first = width * 2 ** (number // 2), number == 0
            parts.append(nn.Conv2d(inside, outside, 3, stride=1 + number % 2, padding=1, bias=first))
            parts += [] if first else [nn.BatchNorm2d(outside)]
            parts.append(nn.LeakyReLU(0.2))
            inside = outside
        self.features = nn.Sequential(*parts)
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(inside * grid[0] * grid[1], hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)  # (B, 8 width, H/16, W/16)
        return self.classifier(self.pool(maps)).squeeze(1)


SUPERRES.add("fsrcnn", FSRCNN)
SUPERRES.add("vdsr", VDSR)
SUPERRES.add("vdsr-luma", VDSR, colours="luma")
SUPERRES.add("vdsr-narrow", VDSR, layers=8, width=16)
SUPERRES.add("drcn", DRCN)
SUPERRES.add("drcn-narrow", DRCN, recursions=6, width=16)
SUPERRES.add("rcan", RCAN)
SUPERRES.add("rcan-light", RCAN, groups=2, blocks=4, width=32, reduction=8)
SUPERRES.add("srgan", SRGAN)
SUPERRES.add("srgan-narrow", SRGAN, blocks=4, width=24)
