"""Which training images make a batch, and the random numbers that belong to it. All of it depends on the place alone.

Letters: N training images, B images in a batch, P identities with K images each, I identities.

Every random number has an address: the seed, the epoch, the step, and a *name* that says what it is for. So another
draw under a new name moves nobody else's numbers, a resumed training needs no state but its place, and several
processes that share a batch draw the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def generator(*address: int | str) -> torch.Generator:
    """A generator on the CPU that belongs to these words and numbers."""
    digest = hashlib.sha256("/".join(map(str, address)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)  # torch wants 63 bits


class Draws:
    """The random numbers of the images of one step, or of one process' part of them.

    size : B, images of the whole batch. part : which of them this process has.
    """

    def __init__(self, seed: int, epoch: int, step: int, size: int, part: slice = slice(None)):
        self.address, self.size, self.part = (seed, epoch, step), size, part

    def __call__(self, name: str, count: int = 1) -> Tensor:
        """(b, count) uniform in [0, 1), float32 on the CPU: the numbers called ``name`` of this part's images."""
        return torch.rand(self.size, count, generator=generator(*self.address, name))[self.part]

    def pick(self, name: str, options: Sequence[float]) -> Tensor:
        """(b,) one of ``options`` for each image, each as likely as another. ValueError where there are none."""
        if not len(options):
            raise ValueError(f"there is nothing to pick {name!r} from")
        choice = (self(name)[:, 0] * len(options)).long()
        return torch.tensor([float(option) for option in options], dtype=torch.float64)[choice]

    def of(self, part: slice) -> Draws:
        """The same step's numbers for other images of the batch."""
        return Draws(*self.address, self.size, part)


class IdentitySampler:
    """Batches of P identities with K images each: positions in ``labels`` (P*K,) int64, an identity's images adjacent.

    Identities come from shuffled decks, so all are seen equally often; images of one identity are drawn without
    replacement, and repeated where it has fewer than K. An epoch has N / (P*K) batches, rounded, at least one.
    Where no identity has K images, K becomes the largest count and P grows to keep P*K (VIPeR: 16 x 4 becomes 32 x 2).
    Raises ValueError for fewer than two identities.
    """

    def __init__(self, labels: Sequence[int], identities: int, images: int, seed: int = 0):
        labels = np.asarray(labels)
        self.members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in np.unique(labels)]
        if len(self.members) < 2:
            raise ValueError(
                f"identity sampling needs at least two identities to train on, there are {len(self.members)}: take "
                "more people, or a protocol that tests or leaves out fewer (test_identities=…, seen_once=…)"
            )
        self.images = min(images, max(len(m) for m in self.members))
        self.identities = min(len(self.members), identities * images // self.images)
        self.batches = max(1, round(len(labels) / (self.identities * self.images)))
        self.seed = seed

    def __len__(self) -> int:
        return self.batches

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """The batches of an epoch, from step ``start`` on."""
        yield from self._plan(number)[start:]

    def _plan(self, number: int) -> Tensor:
        """(batches, P*K): a whole epoch."""
        drawn = generator(self.seed, number, "identities")
        chosen: list[int] = []
        whole = len(self.members) // self.identities * self.identities  # a deck gives whole batches only
        while len(chosen) < self.batches * self.identities:
            chosen += torch.randperm(len(self.members), generator=drawn)[:whole].tolist()
        plan = []
        for identity in chosen[: self.batches * self.identities]:
            members = self.members[identity]
            order = members[torch.randperm(len(members), generator=drawn)]
            plan.append(order.repeat(-(-self.images // len(order)))[: self.images])
        return torch.stack(plan).view(self.batches, -1)


def contiguous(values: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels 0..I-1 (N,) int64 in the order of the sorted distinct values, and those values."""
    names = sorted({str(v) for v in values})
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[str(v)] for v in values], dtype=np.int64), names
