"""Colours and where they are, counted: what can be said about a person without learning anything.

Joint HSV histograms of horizontal stripes, compared by the Hellinger distance, the yardstick that a trained method must
beat clearly. Counts are shared between neighbours (bilinear in the stripe's position, trilinear in the colour), so that
a shift of one pixel or one grey level moves the descriptor a little and not from one bin into the next.

Letters: B images, H x W the canvas in pixels, S stripes, K colour bins (hue x saturation x value).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.data.batches import Batch
from lib.data.colour import rgb_to_hsv
from lib.methods.method import Method
from lib.methods.stages import Stage

CHUNK = 64  # images at a time: 64 x 64 x 32 pixels with 16 weights each are 8 MB


class Histogram(Method):
    """See the module's docstring. Nothing is learned: there are no stages, ``setup`` is all it needs, and it may be
    evaluated without ``fit``.

    The descriptor of an image is (sqrt(n_sk / (S n_s)))_sk with n_sk the pixels of stripe s in bin k and n_s those of
    the stripe. Its length is 1, and the Euclidean distance between two is sqrt(2) times the Hellinger distance
    sqrt(1 - sum_sk sqrt(p_sk q_sk)) between the histograms p and q.
    """

    name = "histogram"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """stripes : horizontal stripes of equal height (1 forgets where a colour is).

        bins : of hue, saturation and value. soft : share a pixel between neighbouring stripes and bins; False counts it
            in the one it falls into.
        canvas : (H, W) pixels, the same in all profiles. A larger one gives the same rank-1 on VIPeR and takes longer.
        """

        stripes: int = 6
        bins: tuple[int, int, int] = (8, 4, 4)
        soft: bool = True
        canvas: tuple[int, int] = (64, 32)

        def __post_init__(self):
            if self.stripes < 1 or len(self.bins) != 3 or min(self.bins) < 1:
                raise ValueError(
                    f"at least one stripe and three positive numbers of bins, not {self.stripes} and {self.bins}"
                )
            if self.canvas[0] < self.stripes:
                raise ValueError(f"{self.stripes} stripes do not fit into a canvas of {self.canvas[0]} rows")

    settings: Settings

    def build(self, num_identities: int) -> None:
        self.canvas, self.stages = self.settings.canvas, []

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        raise NotImplementedError("a histogram learns nothing, so it has no loss")

    def embed(self, batch: Batch, role: str) -> Tensor:
        s = self.settings
        return torch.cat(
            [stripe_histograms(part, s.stripes, s.bins, s.soft).sqrt() for part in batch.images.split(CHUNK)]
        ).flatten(1)


def stripe_histograms(images: Tensor, stripes: int, bins: tuple[int, int, int], soft: bool = True) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, S, K): joint colour histograms of the stripes, together summing to 1."""
    hue, saturation, value = rgb_to_hsv(images).unbind(1)  # each (B, H, W)
    colour = shares(hue, bins[0], circular=True, soft=soft)  # (B, H, W, bins of hue)
    shade = (
        shares(saturation, bins[1], soft=soft)[..., None] * shares(value, bins[2], soft=soft)[..., None, :]
    ).flatten(-2)
    counts = (colour.transpose(-1, -2) @ shade).flatten(-2)  # (B, H, K): of each row of pixels
    rows = (torch.arange(images.shape[2], device=images.device, dtype=images.dtype) + 0.5) / images.shape[2]
    counts = torch.einsum("hs,bhk->bsk", shares(rows, stripes, soft=soft), counts)
    # every stripe weighs the same, although the outer ones reach a half stripe further than they share
    return counts / (stripes * counts.sum(2, keepdim=True))


def shares(positions: Tensor, bins: int, circular: bool = False, soft: bool = True) -> Tensor:
    """How much of each position in [0, 1] belongs to each of ``bins`` equal bins: (...) -> (..., bins), summing to 1.

    soft: in proportion to the nearness of the two nearest bin centres; beyond the outermost centre, all to that bin,
    unless the scale is circular (hue: both ends are red).
    """
    if bins == 1:
        return torch.ones_like(positions)[..., None]
    if not soft:
        index = (positions * bins).long().clamp_(0, bins - 1)
        return torch.nn.functional.one_hot(index, bins).to(positions.dtype)
    place = positions * bins - 0.5  # centre of bin k is at k
    if not circular:
        place = place.clamp(0, bins - 1)
    centres = torch.arange(bins, device=positions.device, dtype=positions.dtype)
    apart = (place[..., None] - centres).abs()
    if circular:
        apart = torch.minimum(apart, bins - apart)
    return (1 - apart).clamp_(min=0)
