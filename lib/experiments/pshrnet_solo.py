"""Who finds whom by a super-resolution's pictures where no re-id network helps: Table III's "solo SR" (PS-HRNet).

The paper prints a rank-1 of 0.04 and does not say with which network: two that were never told of people.
"""

from __future__ import annotations

import copy

import torch.nn.functional as F
from torch import Tensor

from lib.data.batches import Batch
from lib.methods.pshrnet import PsHrnet
from lib.methods.wrapped import Wrapped
from lib.training.randomness import seeded


class Pictures(Wrapped):
    """The restored pictures themselves, compared pixel by pixel. TypeError for a method that restores none."""

    name = "pixels"

    def __init__(self, method: PsHrnet):
        if not isinstance(method, PsHrnet):
            raise TypeError(f"{self.name} needs a trained PS-HRNet, not {method.name}")
        super().__init__(method)

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.method.restore(batch.images).flatten(1).float()  # (B, 3 H W)


class Untrained(Pictures):
    """The restored pictures before a network of the same kind as it was drawn: the same one every time."""

    name = "untrained"

    def __init__(self, method: PsHrnet):
        super().__init__(method)
        with seeded(0):
            self.fresh = copy.deepcopy(method)
            self.fresh.setup(method.profile, method.num_identities)
        self.fresh.to(next(method.parameters()).device).eval()

    def embed(self, batch: Batch, role: str) -> Tensor:
        described = (self.fresh.describe(self.method.restore(some)) for some in (batch.images, batch.images.flip(3)))
        return F.normalize(sum(found.descriptor.float() for found in described))
