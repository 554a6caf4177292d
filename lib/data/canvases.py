"""A protocol's images on the network's canvas: uint8 on the device, made once per image and ratio.

Letters: B images in a batch, H x W the canvas in pixels.

An image is shrunk at its *own* size and enlarged to the canvas from there: shrinking a person that was enlarged first
would lose less than the protocol says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lib.data.resolution import enlarge, low_resolution_size, shrink, through_jpeg

if TYPE_CHECKING:
    from lib.data.protocol import Protocol

CHUNK = {"cpu": 32, "cuda": 512}  # images resized at once: what fits into a CPU's cache


class Canvases:
    """Images of a protocol's data set at any ratio.

    Parameters
    ----------
    size : (H, W) of the canvas. device : where the pixels are kept.
    enlargement : the kernel that enlarges to the canvas where it is not the one that shrinks (SING's "bilinear" and
        "bicubic" rows).
    """

    def __init__(
        self,
        protocol: Protocol,
        size: tuple[int, int],
        device: str | torch.device = "cpu",
        enlargement: str | None = None,
    ):
        self.protocol, self.dataset = protocol, protocol.dataset
        self.size, self.device = tuple(size), torch.device(device)
        steps = protocol.manifest["degradation"]
        self.kernel, self.rounding, self.antialias, self.jpeg = (
            steps[k] for k in ("kernel", "rounding", "antialias", "jpeg")
        )
        self.enlargement = enlargement or self.kernel
        self.pool = torch.empty((0, *self.size, 3), dtype=torch.uint8, device=self.device)  # (slots, H, W, 3)
        self._slots: dict[tuple[int, float], int] = {}
        self._masks: dict[int, Tensor] = {}
        self._sizes = self.dataset.table[["height", "width"]].to_numpy()

    def images(self, rows: Sequence[int], ratios: Sequence[float]) -> Tensor:
        """uint8 (B, 3, H, W), channels last in memory, of data set rows at the given ratios."""
        slots = self.slots(rows, ratios)  # first: it may make the pool larger
        return self.pool[slots].permute(0, 3, 1, 2)

    def pictures(self, rows: Sequence[int], ratios: Sequence[float]) -> Tensor:
        """The same as float in [0, 1]."""
        return self.images(rows, ratios).float() / 255

    def masks(self, rows: Sequence[int]) -> Tensor | None:
        """uint8 0/1 (B, 1, H, W), nearest pixel, or None where the set has no masks."""
        if not self.dataset.has_masks:
            return None
        for row in {int(r) for r in rows} - self._masks.keys():
            mask = torch.from_numpy(self.dataset.mask(row).astype(np.uint8))[None]
            y, x = (
                ((torch.arange(n) + 0.5) * (own / n)).long() for n, own in zip(self.size, mask.shape[1:], strict=True)
            )
            self._masks[row] = mask[:, y[:, None], x].to(self.device)
        return torch.stack([self._masks[int(r)] for r in rows])

    def slots(self, rows: Sequence[int], ratios: Sequence[float]) -> Tensor:
        """(B,) int64 places of these images in ``pool``; those that are not there yet are made."""
        keys = [(int(row), round(float(ratio), 9)) for row, ratio in zip(rows, ratios, strict=True)]
        missing = sorted(set(keys) - self._slots.keys())
        if missing:
            self._fill(missing)
        return torch.tensor([self._slots[key] for key in keys], dtype=torch.int64, device=self.device)

    def shown(self, row: int, ratio: float) -> tuple[int, int]:
        """(height, width) in pixels that an image has left at a ratio."""
        height, width = (int(n) for n in self._sizes[row])
        return (height, width) if ratio >= 1 else low_resolution_size(height, width, ratio, self.rounding)

    def resolution(self, rows: Sequence[int], ratios: Sequence[float]) -> np.ndarray:
        """(B,) RIPR's r (§3), see :meth:`lib.data.protocol.Protocol.resolution`."""
        return self.protocol.resolution(rows, ratios)

    def extent(self, rows: Sequence[int], ratios: Sequence[float]) -> np.ndarray:
        """(B,) the square root of the number of pixels left, over that of the set's largest image: in (0, 1].

        The quotient of two of them is SING's r (Eq. 7), which goes by areas.
        """
        left = [self.shown(int(row), float(ratio)) for row, ratio in zip(rows, ratios, strict=True)]
        return np.sqrt(np.prod(np.array(left, dtype=float), axis=1) / self._sizes.prod(1).max())

    def _fill(self, keys: list[tuple[int, float]]) -> None:
        start = len(self.pool)
        fresh = torch.empty((len(keys), *self.size, 3), dtype=torch.uint8, device=self.device)
        self.pool = torch.cat([self.pool, fresh]) if start else fresh
        groups: dict[tuple, list[int]] = {}
        for place, (row, ratio) in enumerate(keys):
            own = tuple(int(n) for n in self._sizes[row])
            groups.setdefault((own, self.shown(row, ratio)), []).append(place)
        step = CHUNK.get(self.device.type, 32)
        for (own, low), places in groups.items():
            for chunk in (places[first : first + step] for first in range(0, len(places), step)):
                images = torch.from_numpy(np.stack([self.dataset.image(keys[place][0]) for place in chunk]))
                images = images.to(self.device).permute(0, 3, 1, 2).contiguous()  # (b, 3, h, w)
                if low != own:
                    images = shrink(images, low, self.kernel, antialias=self.antialias)
                    images = images if self.jpeg is None else through_jpeg(images, self.jpeg)
                images = enlarge(images, self.size, self.enlargement).permute(0, 2, 3, 1)
                self.pool[torch.tensor(chunk, device=self.device) + start] = images
        self._slots |= {key: start + place for place, key in enumerate(keys)}


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A float32 vector that stays on the device: sending it with every batch would make the GPU wait for the CPU."""
    return torch.tensor(values, dtype=torch.float32, device=device)
