"""RIPR by the values of the code that its first author published (github.com/maosnhehe/RIPR, commit 142b5e2): facts of
that code, none of its lines.

It differs from the paper in what the losses weigh, in the mask, in the order of training and in the networks. Here are
the first three, on this course's networks (lesson 22 lists the others):

    L = L_X + 0.1 L_FFSR + 0.01 sum_t L_t^R,   Eq. 4 and 9 with alpha = 10 and beta = 0.01 instead of 1 and 0.1
    M = 2^(-|y - 1/2| - 2 |y - 1/4|),          where §4.1 has a Gaussian in the middle
    one step for everything, with Adam,        where §5.2 has three, with SGD

The mask's second factor is that of the width, but the row stands in it where the column should: so it knows no middle
of the width, is largest a quarter from the top (0.84), and a quarter at the foot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lib.data.batches import Batch
from lib.methods.ripr import Ripr


class RiprAsCoded(Ripr):
    """See the module's docstring."""

    name = "ripr-as-coded"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Ripr.Settings):
        """As ``Ripr``; ``mask`` and ``mask_width`` play no part. In ``paper`` the rate falls once, after half of the
        epochs, where the code has two steps, after 20 and 40 of 60.
        """

        alpha: float = 10.0
        beta: float = 0.01
        epochs: tuple[int, int, int] = (0, 0, 60)
        lr: tuple[float, float, float] = (3e-4, 3e-4, 3e-4)
        optimizer: str = "adam"

    PROFILES: ClassVar = {
        profile: changes | {"epochs": (0, 0, sum(changes["epochs"][1:])), "lr": (changes["lr"][1],) * 3}
        for profile, changes in Ripr.PROFILES.items()
    }
    settings: Settings

    def mask(self, batch: Batch) -> Tensor:
        return row_mask(batch.position)


def row_mask(position: Tensor) -> Tensor:
    """M of the published code, (B, 1, H, W) in (0, 1].

    position (B, 2, H, W): y and x as shares of the canvas' height and width. In the code's rows i of 256, y = (i + 0.5)
    / 256: 2^(-|i - 127.5| / 256) 2^(-|i - 63.5| / 128).
    """
    y = position[:, :1]
    return torch.exp2(-(y - 1 / 2).abs() - 2 * (y - 1 / 4).abs())
