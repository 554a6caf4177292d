"""What a colour weighs and how else it is written. No network and no data set: one place for all rooms."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: what red, green and blue add to the brightness


def rgb_to_hsv(images: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> hue in [0, 1), saturation and value in [0, 1] (Smith, SIGGRAPH 1978).

    Grey has no hue: it gets 0, and with it the bin of red at the lowest saturation.
    """
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    spread = value - least
    safe = torch.where(spread > 0, spread, torch.ones_like(spread))
    sector = torch.where(
        value == red,
        (green - blue) / safe % 6,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = torch.where(spread > 0, sector / 6, torch.zeros_like(sector)) % 1.0
    saturation = torch.where(value > 0, spread / value.clamp(min=1e-8), torch.zeros_like(value))
    return torch.stack([hue, saturation, value], dim=1)
