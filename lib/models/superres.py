"""Super-resolution: an enlarged picture in, a sharper one of the same size out.

Letters: B images, H x W the canvas, h x w the small image (canvas / scale), K colour planes (1 luma or 3 RGB),
C channels inside a network, s the scale.

One interface for all, :class:`SuperResolver`: the data path has already enlarged the picture to the canvas by
bicubic interpolation, so that networks of the SRCNN kind (which sharpen an enlarged picture) and of the FSRCNN kind
(which enlarge a small one) can stand in the same place of the same pipeline.

All networks start as interpolation. Some channels carry the picture through unchanged, and what the last convolution
adds is noise of standard deviation ``NOISE``. A network drawn at random begins with a grey blur and spends its first
epochs on relearning the input, and a short course has only few epochs. It also keeps a matcher that is trained
jointly from seeing garbage at first.

SRCNN and FFSR are here, the deeper networks are in ``superres_deep``; :func:`create_superres` knows all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOISE = 1e-4  # of what the last convolution adds at first; SRCNN's paper draws all weights with 1e-3
COLOURS = {"rgb": 3, "luma": 1}  # planes that a network sees
SCALES = (2, 3, 4)

# R'G'B' in [0, 1] to Y'CbCr, ITU-R BT.601: Y' in [16, 235] / 255, Cb and Cr in [16, 240] / 255. It is MATLAB's
# rgb2ycbcr, which the published luma networks were trained with (not the full range of JPEG).
YCBCR = tuple(
    tuple(value / 255 for value in row)
    for row in ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
)
OFFSET = (16 / 255, 128 / 255, 128 / 255)
RGB = torch.linalg.inv(torch.tensor(YCBCR, dtype=torch.float64, device="cpu")).tolist()


def rgb_to_ycbcr(images: Tensor) -> Tensor:
    """(B, 3, H, W) R'G'B' in [0, 1] -> (B, 3, H, W) Y'CbCr (BT.601, see ``YCBCR``)."""
    mixed = _mix(images.unbind(1), YCBCR)
    return torch.stack([plane + offset for plane, offset in zip(mixed, OFFSET, strict=True)], 1)


def ycbcr_to_rgb(images: Tensor) -> Tensor:
    """Inverse of :func:`rgb_to_ycbcr`; not clamped."""
    planes = [plane - offset for plane, offset in zip(images.unbind(1), OFFSET, strict=True)]
    return torch.stack(_mix(planes, RGB), 1)


def _mix(planes, matrix) -> list[Tensor]:
    """Sums of planes. Written out, because a matrix product would be rounded to bfloat16 under autocast."""
    return [sum(weight * plane for weight, plane in zip(row, planes, strict=True)) for row in matrix]


def clamp_through(images: Tensor) -> Tensor:
    """Values clamped to [0, 1], gradient as if they were not: a pixel outside can still learn to come back.

    The first term is a constant with the clamped values, the second is exactly zero with a derivative of one.
    """
    return images.clamp(0, 1).detach() + (images - images.detach())


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, K, ., .) -> (B, K, *size): bicubic with antialias, differentiable, in float32 (torch has no other)."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images.float(), size=size, mode="bicubic", antialias=True, align_corners=False)


class SuperResolver(nn.Module):
    """Base class. ``forward``: (B, 3, H, W) in [0, 1], enlarged by the data path -> (B, 3, H, W) in [0, 1].

    A network defines ``enhance``: (B, K, H, W) -> (B, K, H, W), or with a scale (B, K, h, w) -> (B, K, s h, s w). This
    class does the rest:

    colours : ``"rgb"``, or ``"luma"``: the network sees Y' alone, and the chroma of the enlarged picture stays.
    scale : None, or 2, 3 or 4: the network wants the small image. The picture is shrunk to (round(H / s),
        round(W / s)), undoing the data path's enlargement, and the result is resized to H x W where it does not fit
        (128 / 3). It is the network's factor, not the one by which the image was degraded.

    The result is clamped with a straight-through gradient (:func:`clamp_through`). ValueError for other options.
    """

    def __init__(self, name: str, colours: str = "rgb", scale: int | None = None):
        super().__init__()
        if colours not in COLOURS:
            raise ValueError(f"{name}: unknown colours {colours!r}; known: {', '.join(COLOURS)}")
        if scale is not None and scale not in SCALES:
            raise ValueError(f"{name}: scale is {scale!r}, expected one of {SCALES}")
        self.name, self.colours, self.scale = name, colours, scale

    @property
    def planes(self) -> int:
        """K: 3 for RGB, 1 for luma."""
        return COLOURS[self.colours]

    def take(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> what the network sees: (B, K, H, W), or (B, K, h, w) where there is a scale."""
        seen = rgb_to_ycbcr(images)[:, :1] if self.colours == "luma" else images
        if self.scale is None:
            return seen
        return resize(seen, tuple(max(1, round(n / self.scale)) for n in images.shape[-2:])).to(images.dtype)

    def enhance(self, planes: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} defines no enhance()")

    def give(self, planes: Tensor, images: Tensor) -> Tensor:
        """What the network made, with the chroma of ``images`` where it has none: (B, 3, H, W) in [0, 1]."""
        planes = resize(planes, images.shape[-2:]).to(images.dtype)
        if self.colours == "luma":
            planes = ycbcr_to_rgb(torch.cat([planes, rgb_to_ycbcr(images)[:, 1:]], 1))
        return clamp_through(planes)

    def forward(self, images: Tensor) -> Tensor:
        return self.give(self.enhance(self.take(images)), images)


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


def convolution(inside: int, outside: int, kernel: int = 3, bias: bool = True) -> nn.Conv2d:
    """A convolution of an odd kernel that keeps the size (zeros are padded)."""
    return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=bias)


@torch.no_grad()
def start(layer: nn.Conv2d | nn.ConvTranspose2d, std: float | None = None) -> None:
    """Weights from N(0, std^2), by default He et al. (2015) for ReLU; bias zero."""
    if std is None:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    else:
        nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def carry(layer: nn.Conv2d, count: int, noise: float = 0.0) -> None:
    """The first ``count`` outputs become copies of the first inputs, plus noise of this standard deviation."""
    nn.init.normal_(layer.weight[:count], std=noise)
    for channel in range(count):
        layer.weight[channel, channel, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] += 1
    if layer.bias is not None:
        layer.bias[:count] = 0


def _deep(kind: str, **options) -> nn.Module:
    """A network of ``superres_deep``, which builds on this module: so it is imported late."""
    from lib.models import superres_deep

    return getattr(superres_deep, kind)(**options)


SUPERRES: dict[str, Callable[..., SuperResolver]] = {
    "bilinear": Interpolation,
    "bicubic": Interpolation,
    "srcnn": SRCNN,
    "srcnn-luma": partial(SRCNN, colours="luma"),
    "srcnn-915": partial(SRCNN, middle=1),
    "srcnn-915-luma": partial(SRCNN, middle=1, colours="luma"),
    "fsrcnn": partial(_deep, "FSRCNN"),
    "ffsr": FFSR,
    "ffsr-narrow": partial(FFSR, width=12),
    "vdsr": partial(_deep, "VDSR"),
    "vdsr-luma": partial(_deep, "VDSR", colours="luma"),
    "vdsr-narrow": partial(_deep, "VDSR", layers=8, width=16),
    "drcn": partial(_deep, "DRCN"),
    "drcn-narrow": partial(_deep, "DRCN", recursions=6, width=16),
    "rcan": partial(_deep, "RCAN"),
    "rcan-light": partial(_deep, "RCAN", groups=2, blocks=4, width=32, reduction=8),
    "srgan": partial(_deep, "SRGAN"),
    "srgan-narrow": partial(_deep, "SRGAN", blocks=4, width=24),
}


def create_superres(name: str, **options) -> SuperResolver:
    """A super-resolution network by name, one of ``SUPERRES``; options as in the class, e.g. ``width=``.

    fsrcnn, rcan and srgan (and their narrow relatives) take ``scale=``: 2 (default), 3 or 4. ``-narrow`` and ``-light``
    are for CPUs. ValueError for an unknown name.
    """
    if name not in SUPERRES:
        raise ValueError(f"unknown super-resolution network {name!r}; known: {', '.join(SUPERRES)}")
    return SUPERRES[name](name=name, **options)


def load_published(network: nn.Module, path: str | Path) -> nn.Module:
    """Fills a network with weights from a file of somebody else's code, and returns it.

    The file holds a state dict, alone or under ``"state_dict"`` or ``"model"``. If its names are ours, they decide.
    Otherwise every tensor of the network takes the next unused one of its shape, in the file's order: names do not
    matter, nor in which order layers of *different* shapes are listed. Layers of the same shape must be in the order in
    which they are applied. Every tensor must be used. ValueError with the file and the first tensor that does not fit.
    """
    published, own = _read(Path(path)), network.state_dict()
    rest, chosen = dict(published), {}
    by_name = published.keys() == own.keys()
    for name, tensor in own.items():
        candidates = [name] if by_name else list(rest)
        source = next((n for n in candidates if rest[n].shape == tensor.shape), None)
        if source is None:
            first = next(iter(candidates), None)
            offered = "nothing" if first is None else f"{first!r} of shape {tuple(rest[first].shape)}"
            raise ValueError(
                f"{path} does not fit {type(network).__name__}: {name!r} needs shape {tuple(tensor.shape)}, and the "
                f"file has {offered} next; build the network with the file's width, depth, scale and colours"
            )
        chosen[name] = rest.pop(source)
    if rest:
        first = next(iter(rest))
        raise ValueError(
            f"{path} does not fit {type(network).__name__}: {len(rest)} tensors are left over, first {first!r} of "
            f"shape {tuple(rest[first].shape)}"
        )
    network.load_state_dict(chosen)
    return network


def _read(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises a dozen kinds, all meaning the same
        raise ValueError(
            f"{path} cannot be read as weights ({str(error).splitlines()[0]}); a file that holds a whole network must "
            "be saved again as a state dict"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    tensors = {n: v for n, v in found.items() if isinstance(v, Tensor)} if isinstance(found, dict) else {}
    if not tensors:
        raise ValueError(f"{path} holds no state dict")
    return tensors
