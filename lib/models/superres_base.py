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

Here is what all have in common; the networks are in ``superres_shallow`` and ``superres_deep``.
"""

from __future__ import annotations

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
