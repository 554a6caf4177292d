"""What happens to a training image: one flip, shift, colour change and erased box, the same for whatever view is shown.

Letters: B images in a batch, H x W the canvas in pixels.

A batch is one gather from the canvases (which flips and crops as it goes), one conversion to float and, where asked
for, one colour matrix and one erased box per image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.data.canvases import Canvases, constant
from lib.data.colour import LUMA
from lib.data.sampling import Draws

GREY = (0.485, 0.456, 0.406)  # mean colour of photographs (ImageNet's), what an erased box shows


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image: the same to all views of it, its geometry also to the mask.

    Parameters
    ----------
    flip : probability of a horizontal flip.
    pad : largest shift in pixels in both directions; the border is repeated, not black.
    erase : probability that a box is replaced by grey (Zhong et al. 2020), of ``erase_area`` share of the canvas and
        ``erase_aspect`` height over width; cut at the canvas instead of drawn again.
    jitter : strengths of brightness, contrast, saturation (factors in 1 +- strength) and hue (a turn of +- strength x
        180 degrees).
    ratios : factors on the protocol's ratio, one drawn per image and visit: (1, 1/2, 1/3, 1/4) is JBIM's
        "All-Resolution".

    ValueError for what is no probability, a negative shift, or another ratio.
    """

    flip: float = 0.5
    pad: int = 0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_aspect: tuple[float, float] = (0.3, 3.33)
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    ratios: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        for what, share in (("flip", self.flip), ("erase", self.erase)):
            if not 0 <= share <= 1:
                raise ValueError(f"{what} is a probability, not {share}")
        if self.pad < 0:
            raise ValueError(f"the largest shift is not negative: {self.pad} pixels")
        if not self.ratios or not all(0 < ratio <= 1 for ratio in self.ratios):
            raise ValueError(f"ratios lie in (0, 1], not {self.ratios}")


NOTHING = Augmentation(flip=0.0)  # pictures as they are: for steps in closed form


class Views:
    """One flip, crop, colour change and erased box per image, applied to whatever view of it is asked for."""

    def __init__(self, augmentation: Augmentation, canvases: Canvases, draws: Draws):
        self.augmentation, self.canvases = augmentation, canvases
        self.colours: tuple[Tensor, Tensor] | None = None
        a, (height, width) = augmentation, canvases.size
        shift, flip = self._drawn(draws, "shift", 2), self._drawn(draws, "flip")
        y = torch.arange(height, device=canvases.device) + torch.floor(shift[:, :1] * (2 * a.pad + 1)).long() - a.pad
        x = torch.arange(width, device=canvases.device) + torch.floor(shift[:, 1:] * (2 * a.pad + 1)).long() - a.pad
        self.y, x = y.clamp_(0, height - 1), x.clamp_(0, width - 1)  # (B, H), (B, W)
        self.x = torch.where(flip < a.flip, width - 1 - x, x)
        self.jitter = self._drawn(draws, "colour", 4) if any(a.jitter) else None
        self.box = self._box(self._drawn(draws, "erase", 5)[..., None]) if a.erase > 0 else None

    def picture(self, slots: Tensor, of: Tensor | None = None) -> Tensor:
        """Places in the pool (B,) -> float (B, 3, H, W) in [0, 1], channels last in memory.

        of : positions (b,) of the images that these are, where not of all.
        """
        y, x = (self.y, self.x) if of is None else (self.y[of], self.x[of])
        pixels = self.canvases.pool[slots[:, None, None], y[:, :, None], x[:, None, :]]  # (B, H, W, 3)
        images = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)
        if self.jitter is not None:
            images = self._recolour(images, of)
        if self.box is not None:
            grey = constant(GREY, images.device).view(1, 3, 1, 1)
            images = torch.where(self.box if of is None else self.box[of], grey, images)
        return images

    def mask(self, masks: Tensor) -> Tensor:
        """(B, 1, H, W) uint8 -> float with the same flip and crop."""
        here = torch.arange(len(masks), device=masks.device)[:, None, None]
        return masks[here, 0, self.y[:, :, None], self.x[:, None, :]][:, None].float()

    def position(self) -> Tensor:
        """(B, 2, H, W) float: the middles of the canvas' pixels that each place shows, as a share of its sides."""
        (batch, height), width = self.y.shape, self.x.shape[1]
        y = ((self.y + 0.5) / height)[:, :, None].expand(batch, height, width)
        x = ((self.x + 0.5) / width)[:, None, :].expand(batch, height, width)
        return torch.stack([y, x], 1)

    def _drawn(self, draws: Draws, name: str, count: int = 1) -> Tensor:
        return draws(name, count).to(self.canvases.device, non_blocking=True)

    def _box(self, u: Tensor) -> Tensor:
        """(B, 5, 1) draws -> (B, 1, H, W) bool, True where a picture is erased; all False in those that are spared."""
        a, (height, width) = self.augmentation, self.canvases.size
        ys, xs = (torch.arange(n, device=u.device) for n in (height, width))
        area = height * width * (a.erase_area[0] + (a.erase_area[1] - a.erase_area[0]) * u[:, 0])
        low, high = np.log(a.erase_aspect)
        aspect = torch.exp(low + (high - low) * u[:, 1])
        h, w = (area * aspect).sqrt().clamp(max=height), (area / aspect).sqrt().clamp(max=width)
        top, left = u[:, 2] * (height - h), u[:, 3] * (width - w)
        rows = (ys >= top) & (ys < top + h) & (u[:, 4] < a.erase)  # (B, H)
        columns = (xs >= left) & (xs < left + w)  # (B, W)
        return (rows[:, :, None] & columns[:, None, :])[:, None]

    def _recolour(self, images: Tensor, of: Tensor | None) -> Tensor:
        """One affine map of colours per image; contrast pivots on the mean luma of the first view, for all views."""
        if self.colours is None:
            if of is not None:
                raise RuntimeError("the first view of a batch is that of all its images")
            self.colours = colour_map(self.jitter, self.augmentation.jitter, images)
        matrix, offset = self.colours if of is None else (part[of] for part in self.colours)
        flat = images.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H*W, 3)
        changed = torch.baddbmm(offset[:, None], flat, matrix.transpose(1, 2)).clamp_(0, 1)
        return changed.unflatten(1, images.shape[2:]).permute(0, 3, 1, 2)


def colour_map(draws: Tensor, strengths: Sequence[float], images: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness, contrast, saturation and hue as x -> M x + b: M (B, 3, 3), b (B, 3).

    Contrast pivots on the image's mean luma; saturation blends with the luma; hue turns around the grey axis.
    """
    signed = 2 * draws - 1  # (B, 4) in [-1, 1)
    bright, contrast, saturation = (1 + signed[:, i] * strengths[i] for i in range(3))
    angle = signed[:, 3] * strengths[3] * np.pi
    luma = constant(LUMA, images.device)
    eye, ones = torch.eye(3, device=images.device), torch.ones(3, 3, device=images.device)
    cross = constant((0, -1, 1, 1, 0, -1, -1, 1, 0), images.device).view(3, 3) / 3**0.5
    cos, sin, saturation = angle.cos()[:, None, None], angle.sin()[:, None, None], saturation[:, None, None]
    turn = cos * eye + (1 - cos) / 3 * ones + sin * cross  # Rodrigues' rotation around (1, 1, 1)
    blend = saturation * eye + (1 - saturation) * luma.expand(3, 3)
    pivot = bright * (images.mean((2, 3)) @ luma)  # (B,)
    matrix = (bright * contrast)[:, None, None] * (turn @ blend)
    offset = ((1 - contrast) * pivot)[:, None] * (turn @ blend).sum(2)
    return matrix, offset
