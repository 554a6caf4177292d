"""How well a super-resolved image matches the original: PSNR and SSIM, one value per image, through torchmetrics.

Images are (B, 3, H, W), float in [0, 1] or uint8. Float images are clamped to [0, 1] first: what a network overshoots
cannot be displayed. ``channel="luma"`` compares the Y of Y'CbCr (ITU-R BT.601, full range), as super-resolution papers
often do; the default compares RGB.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

LUMA = (0.299, 0.587, 0.114)
WINDOW = 11  # SSIM's Gaussian window, sigma 1.5: Wang et al., "Image quality assessment", TIP 2004


def masked_psnr(restored: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """PSNR (B,) in dB over the pixels of a mask (B, 1, H, W), bool; NaN where it has none. ValueError as ``psnr``."""
    restored, target = _prepared(restored, target, "rgb")
    if mask.shape != (len(target), 1, *target.shape[2:]):
        raise ValueError(f"a mask of shape {tuple(mask.shape)} for images of shape {tuple(target.shape)}")
    inside = mask.float()
    errors = (inside * (restored - target).square()).sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3)))
    return -10 * errors.log10()


def psnr(restored: Tensor, target: Tensor, channel: str = "rgb") -> Tensor:
    """Peak signal-to-noise ratio (B,) in dB, peak 1; infinite for equal images. ValueError where shapes do not fit."""
    restored, target = _prepared(restored, target, channel)
    return peak_signal_noise_ratio(restored, target, data_range=1.0, reduction="none", dim=(1, 2, 3))


def ssim(restored: Tensor, target: Tensor, channel: str = "rgb") -> Tensor:
    """Structural similarity (B,) in [-1, 1], data range 1, Gaussian window of 11 pixels.

    ValueError where shapes do not fit or an image is smaller than the window.
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
    return _as_float(restored, channel), _as_float(target, channel)


def _as_float(images: Tensor, channel: str) -> Tensor:
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float().clamp(0, 1)
    if channel == "luma":
        images = (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)  # (B, 1, H, W)
    return images
