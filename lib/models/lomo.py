"""Local Maximal Occurrence (Liao et al., CVPR 2015): colours and textures, counted in windows, the most of each row.

A person who turns moves a bag from the left to the right, but not from the hip to the knee. So what is counted in the
windows at one height is kept only at its maximum: where along the row it was is forgotten. Nothing is learned.

Letters: B images, H x W pixels, h x w cells of ``STRIDE`` x ``STRIDE`` pixels, R rows of windows, K bins, D dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.colour import LUMA, rgb_to_hsv

WINDOW, STRIDE = 10, 5  # pixels; a window is then 2 x 2 cells, and each pixel is counted once instead of four times
COLOURS = 8  # bins of hue, of saturation and of value
TEXTURES = 3**4  # each of 4 neighbours is as bright as the centre, brighter or darker
RADII = (3, 5)  # pixels from the centre to its neighbours
TOLERANCE = 0.3  # a neighbour within 30 % of the centre is as bright
SIGMAS = (5.0, 20.0)  # pixels: a fold of the clothes, a part of the body; Liao et al. 2015, §3.1
CHUNK = 32  # images at a time: 32 x 25 x 9 cells with 512 bins of 4 bytes are 15 MB


@torch.no_grad()
def lomo(images: Tensor, retinex: bool = True, scales: int = 3) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, D): LOMO descriptors of length sqrt(2).

    Of each 10 x 10 window, 5 pixels apart: a joint HSV histogram of 8 x 8 x 8 bins and, on the grey picture, one SILTP
    histogram of 81 bins for each radius. The maximum of each bin over the windows of a row, from the picture and
    from it halved ``scales - 1`` times by 2 x 2 averages (§3.2, Fig. 3); log(1 + counts), so that a large plain area
    does not outweigh all others; then length 1 for the colours and for the textures (§3.2). 128 x 48 pixels have
    24 + 11 + 5 rows, (512 + 2 x 81) x 40 = 26,960 dimensions.

    retinex : see ``multiscale_retinex``; before the colours only, because SILTP does not see the illumination anyway.
    The result is float32, or float64 where the images are. It has no gradient: counting has none.

    ValueError: not (B, 3, H, W), values that are not in [0, 1], or no window fits into the smallest scale.
    """
    check_images(images, scales)
    if images.dtype != torch.float64:
        images = images.float()
    with torch.autocast(images.device.type, enabled=False):  # a bfloat16 has 8 bits, too few for tolerances and bins
        return torch.cat([describe(part, retinex, scales) for part in images.split(CHUNK)])


def check_images(images: Tensor, scales: int) -> None:
    """See ``lomo``."""
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(f"LOMO needs images of shape (B, 3, H, W), not {tuple(images.shape)}")
    if not images.is_floating_point() or not ((images >= 0) & (images <= 1)).all():
        raise ValueError("LOMO needs images in [0, 1] without NaN: divide bytes by 255, clamp what a network enlarged")
    if scales < 1:
        raise ValueError(f"at least one scale, not {scales}")
    smallest = [side // 2 ** (scales - 1) for side in images.shape[2:]]
    if min(smallest) < WINDOW:
        raise ValueError(
            f"scale {scales} of images of {images.shape[2]} x {images.shape[3]} has {smallest[0]} x {smallest[1]} "
            f"pixels, too few for one window of {WINDOW} x {WINDOW}: use fewer scales or larger images"
        )


def describe(images: Tensor, retinex: bool, scales: int) -> Tensor:
    """``lomo`` of one chunk: (B, 3, H, W) -> (B, D), scale by scale, first the colours and then the textures."""
    colours, textures = [], []
    shown = multiscale_retinex(images) if retinex else images
    grey = (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)  # (B, 1, H, W)
    for scale in range(scales):
        if scale:
            shown, grey = F.avg_pool2d(shown, 2), F.avg_pool2d(grey, 2)
        colours.append(row_maxima(colour_codes(shown), COLOURS**3).flatten(1))  # (B, R K)
        textures += [row_maxima(siltp(grey[:, 0], radius), TEXTURES).flatten(1) for radius in RADII]
    parts = [torch.cat(part, dim=1).to(images.dtype).log1p() for part in (colours, textures)]
    return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1)


def row_maxima(codes: Tensor, bins: int) -> Tensor:
    """(B, H, W) of bin numbers below K -> (B, R, K): how often each occurs in that window of a row that has most of it.

    A window is counted as the sum of its four cells. Pixels beyond the last full cell lie in no window.
    """
    b, h, w = len(codes), codes.shape[1] // STRIDE, codes.shape[2] // STRIDE
    codes = codes[:, : h * STRIDE, : w * STRIDE]
    down = torch.arange(h * STRIDE, device=codes.device) // STRIDE
    along = torch.arange(w * STRIDE, device=codes.device) // STRIDE
    cells = torch.arange(b, device=codes.device)[:, None, None] * h * w + down[:, None] * w + along  # (B, H, W)
    places = (cells * bins + codes).flatten()
    counts = torch.zeros(b * h * w * bins, device=codes.device)
    counts = counts.index_add_(0, places, torch.ones_like(places, dtype=counts.dtype)).view(b, h, w, bins)
    counts = counts[:, :-1] + counts[:, 1:]  # (B, R, w, K)
    return (counts[:, :, :-1] + counts[:, :, 1:]).amax(2)


def colour_codes(images: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, H, W): the number of the HSV bin that each pixel falls into, hue first."""
    hue, saturation, value = ((x * COLOURS).long().clamp_(0, COLOURS - 1) for x in rgb_to_hsv(images).unbind(1))
    return (hue * COLOURS + saturation) * COLOURS + value


def siltp(grey: Tensor, radius: int, tolerance: float = TOLERANCE) -> Tensor:
    """Scale-invariant local ternary pattern (Liao et al., CVPR 2010): (B, H, W) >= 0 -> (B, H, W), codes below 81.

    The digits of the code to the base 3, from the lowest: the neighbours ``radius`` pixels to the right, above, to the
    left and below. A digit is 1 if the neighbour is brighter than (1 + tolerance) times the centre, 2 if it is darker
    than (1 - tolerance) times it, otherwise 0. Light that is twice as bright changes nothing. The outermost pixels are
    repeated beyond the border.
    """
    height, width = grey.shape[-2:]
    padded = F.pad(grey[:, None], [radius] * 4, mode="replicate")[:, 0]
    low, high = (1 - tolerance) * grey, (1 + tolerance) * grey
    code = torch.zeros_like(grey, dtype=torch.long)
    for place, (down, right) in enumerate([(0, 1), (-1, 0), (0, -1), (1, 0)]):
        top, left = radius * (1 + down), radius * (1 + right)
        neighbour = padded[:, top : top + height, left : left + width]
        code += 3**place * ((neighbour > high).long() + 2 * (neighbour < low).long())
    return code


def multiscale_retinex(images: Tensor, sigmas: tuple[float, ...] = SIGMAS, clipped: float = 0.01) -> Tensor:
    """What remains of a picture without its illumination: (B, 3, H, W) in [0, 1] -> (B, 3, H, W) in [0, 1].

    Of each channel I the mean over sigmas of log I - log(G_sigma * I) (Jobson et al. 1997, equal weights),
    then stretched to [0, 1] in each image, with the darkest and the brightest ``clipped`` part of all values cut: a few
    black pixels do not decide about the contrast. Small sigmas take the illumination away, and with it the colour of
    large areas; the largest keeps the tone of the whole and some of the illumination. All channels are stretched alike,
    which keeps what is left of their colours. One grey level is added to I: the logarithm of black is finite, and noise
    in the dark stays small. There is no colour restoration. A plain picture becomes grey 0.5.
    """
    images = images + 1 / 255
    surround = [
        (gaussian(images.shape[2], sigma, images) @ images @ gaussian(images.shape[3], sigma, images).T).log()
        for sigma in sigmas
    ]
    detail = images.log() - sum(surround) / len(sigmas)
    values = detail.flatten(1).sort(dim=1).values  # (B, 3 H W)
    cut = int(clipped * (values.shape[1] - 1))
    low, high = values[:, cut, None, None, None], values[:, -1 - cut, None, None, None]
    plain = high - low < 1e-4  # rounding and no detail: one grey level near white changes the logarithm by 4e-3
    stretched = ((detail - low) / torch.where(plain, 1.0, high - low)).clamp(0, 1)
    return torch.where(plain, 0.5, stretched)


def gaussian(length: int, sigma: float, like: Tensor) -> Tensor:
    """(length, length) matrix that blurs a line of pixels. Its rows sum to 1, so that the border does not darken."""
    places = torch.arange(length, device=like.device, dtype=like.dtype)
    weights = (-((places[:, None] - places) ** 2) / (2 * sigma**2)).exp()
    return weights / weights.sum(1, keepdim=True)
