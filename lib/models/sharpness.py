"""How much a picture shows, estimated from the picture: what an enlarged image cannot have is fine detail.

Letters: B images, H x W the canvas, F frequency bands.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from lib.data.colour import LUMA


def band_energies(images: Tensor, bands: int = 12) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 2 F): log energy of the luma in ``bands`` equal bands of frequency, along the rows
    and along the columns, each from 0 to half a cycle per pixel.

    The mean is taken off and a Hann window laid over each line, so that the picture's edges add no frequencies.
    """
    luma = torch.einsum("bchw,c->bhw", images.float(), torch.tensor(LUMA, device=images.device))
    found = []
    for dim in (1, 2):
        length = luma.shape[dim]
        window = torch.hann_window(length, periodic=False, device=images.device)
        lines = luma.movedim(dim, -1)  # (B, other, length)
        lines = (lines - lines.mean(-1, keepdim=True)) * window
        power = torch.fft.rfft(lines).abs().square().mean(1)[:, 1:]  # (B, length // 2)
        edges = torch.linspace(0, power.shape[1], bands + 1).round().long().tolist()
        parts = [power[:, a : max(b, a + 1)].mean(1) for a, b in pairwise(edges)]
        found += parts
    return torch.log(torch.stack(found, dim=1) + 1e-6)


class Sharpness(nn.Module):
    """Ridge regression of log2(ratio) on the band energies and their squares, solved in closed form.

    ``fit_ratios`` on pictures whose ratio is known; ``forward``: (B, 3, H, W) -> (B,) in (0, 1].
    """

    def __init__(self, bands: int = 12, ridge: float = 1e-2):
        super().__init__()
        self.bands, self.ridge = bands, ridge
        self.register_buffer("weight", torch.zeros(4 * bands + 1))
        self.register_buffer("shift", torch.zeros(2 * bands))
        self.register_buffer("scale", torch.ones(2 * bands))

    def fit_ratios(self, images: Tensor, ratios: Tensor) -> Sharpness:
        """images (N, 3, H, W) in [0, 1], ratios (N,) in (0, 1]. Raises ValueError where all ratios are the same."""
        if ratios.unique().numel() < 2:
            raise ValueError("a regression on one ratio learns nothing: give pictures at several")
        energies = band_energies(images, self.bands)
        self.shift, self.scale = energies.mean(0), energies.std(0).clamp(min=1e-6)
        x = self._inputs(energies).double()
        target = torch.log2(ratios.double().to(x.device))
        gram = x.T @ x / len(x) + self.ridge * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        self.weight = torch.linalg.solve(gram, x.T @ target / len(x)).float()
        return self

    def forward(self, images: Tensor) -> Tensor:
        log_ratio = self._inputs(band_energies(images, self.bands)) @ self.weight
        return torch.exp2(log_ratio).clamp(max=1.0)

    def _inputs(self, energies: Tensor) -> Tensor:
        x = (energies - self.shift) / self.scale
        return torch.cat([x, x.square(), torch.ones_like(x[:, :1])], dim=1)
