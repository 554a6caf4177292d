"""How well a super-resolved image matches the original: PSNR and SSIM, one value per image, through torchmetrics.

Images are (B, 3, H, W), float in [0, 1] or uint8. The original is in that range. A restored image may leave it, by as
much as an untrained network overshoots, and is clamped first: what lies outside cannot be displayed. Pictures in 0..255
as floats are refused, since clamped they would be white. ``channel="luma"`` compares the Y of Y'CbCr (ITU-R BT.601,
full range), as super-resolution papers often do; the default compares RGB.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from lib.data.colour import LUMA

OVERSHOOT = 4.0  # a restored picture in 0..255 is darker than 1/50 of white where it does not exceed 1 by more
ROUNDING = 1e-3  # by how much an original may leave [0, 1]
WINDOW = 11  # SSIM's Gaussian window, sigma 1.5: Wang et al., "Image quality assessment", TIP 2004


def masked_psnr(restored: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """PSNR (B,) in dB over the pixels of a mask (B, 1, H, W), bool; NaN where it has none.

    ValueError as ``psnr``, and for a mask of another shape.
    """
    restored, target = _prepared(restored, target, "rgb")
    if mask.shape != (len(target), 1, *target.shape[2:]):
        raise ValueError(f"a mask of shape {tuple(mask.shape)} for images of shape {tuple(target.shape)}")
    inside = mask.float()
    errors = (inside * (restored - target).square()).sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3)))
    return -10 * errors.log10()


def psnr(restored: Tensor, target: Tensor, channel: str = "rgb") -> Tensor:
    """Peak signal-to-noise ratio (B,) in dB, peak 1; infinite for equal images.

    ValueError where shapes do not fit, and for values that are no pictures: NaN, integers other than uint8, floats in
    0..255 (naming image and value).
    """
    restored, target = _prepared(restored, target, channel)
    return peak_signal_noise_ratio(restored, target, data_range=1.0, reduction="none", dim=(1, 2, 3))


def ssim(restored: Tensor, target: Tensor, channel: str = "rgb") -> Tensor:
    """Structural similarity (B,) in [-1, 1], data range 1, Gaussian window of 11 pixels.

    ValueError as ``psnr``, and where an image is smaller than the window.
    """
    restored, target = _prepared(restored, target, channel)
    if min(target.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, not {tuple(target.shape[-2:])}")
    values = structural_similarity_index_measure(restored, target, data_range=1.0, reduction="none")
    return values.reshape(len(target))


def _prepared(restored: Tensor, target: Tensor, channel: str) -> tuple[Tensor, Tensor]:
    if restored.shape != target.shape:
        raise ValueError(f"images of different shapes: {tuple(restored.shape)} and {tuple(target.shape)}")
    if target.ndim != 4 or target.shape[1] != 3 or not len(target):
        raise ValueError(f"images have shape {tuple(target.shape)}, expected (B, 3, H, W)")
    if channel not in ("rgb", "luma"):
        raise ValueError(f"unknown channel {channel!r}: 'rgb' or 'luma'")
    return _as_float(restored, channel, "restored", OVERSHOOT), _as_float(target, channel, "original", ROUNDING)


def _as_float(images: Tensor, channel: str, name: str, beyond: float) -> Tensor:
    if images.dtype == torch.uint8:
        images = images.float() / 255
    elif not images.is_floating_point():
        raise ValueError(f"{name} images of type {images.dtype}: uint8, or float in [0, 1]")
    else:
        outside = ~((images >= -beyond) & (images <= 1 + beyond))  # also NaN
        if outside.any():
            at = tuple(outside.nonzero()[0].tolist())
            raise ValueError(
                f"{name} image {at[0]} has the value {images[at].item():g}, float images lie in [0, 1]: divide by 255, "
                "or pass uint8"
            )
        images = images.float().clamp(0, 1)
    if channel == "luma":
        images = (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)  # (B, 1, H, W)
    return images
