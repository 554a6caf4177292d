"""What stands between a feature map and a descriptor. Letters as in ``backbones``; D dimensions, N identities."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GlobalPool(nn.Module):
    """(B, C, h, w) -> (B, C): ``"average"``, ``"max"``, or ``"gem"``.

    Generalised mean: (mean over positions of x^p)^(1/p), p learned, 3 at first (Radenovic et al. 2018, Eq. 3);
    p = 1 is the average, p -> infinity the maximum.
    """

    def __init__(self, kind: str = "average"):
        super().__init__()
        if kind not in ("average", "max", "gem"):
            raise ValueError(f"unknown pooling {kind!r}; known: average, max, gem")
        self.kind = kind
        if kind == "gem":
            self.p = nn.Parameter(torch.tensor(3.0))

    def forward(self, maps: Tensor) -> Tensor:
        if self.kind == "average":
            return maps.mean((2, 3))
        if self.kind == "max":
            return maps.amax((2, 3))
        powers = maps.float().clamp(min=1e-6) ** self.p
        return powers.mean((2, 3)) ** (1 / self.p)


class ReducedPool(GlobalPool):
    """(B, C, h, w) -> (B, D): the pooling, and a fully connected layer to the descriptor's length (JBIM §4.1: "the
    penultimate FC layer outputs the re-id feature").
    """

    def __init__(self, channels: int, descriptor: int, kind: str = "average"):
        super().__init__(kind)
        self.reduce = nn.Linear(channels, descriptor)

    def forward(self, maps: Tensor) -> Tensor:
        return self.reduce(super().forward(maps))


class BNNeck(nn.Module):
    """Batch normalisation between the descriptor and the classifier (Luo et al. 2019, "Bag of Tricks", §3.5).

    The triplet loss wants Euclidean distances, the classifier wants directions; the normalisation lets each have its
    own space. It has no bias, so that the classifier's hyperplanes pass through the origin.
    ``forward``: (B, D) -> ((B, D) after normalisation, (B, N) logits).
    """

    def __init__(self, channels: int, num_identities: int):
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)
        self.bn.bias.requires_grad_(False)
        self.classifier = nn.Linear(channels, num_identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        normalised = self.bn(features)
        return normalised, self.classifier(normalised)


class FCHead(nn.Module):
    """A fully connected layer to the descriptor and one to the identities (DGD's fc7 and fc8: SING).

    ``forward``: (B, C) -> ((B, D) descriptor, (B, N) logits). Batch normalisation and a ReLU stand between the two, as
    after every layer of DGD; the descriptor is what comes out of the first, before both.
    """

    def __init__(self, channels: int, descriptor: int, num_identities: int):
        super().__init__()
        self.reduce = nn.Linear(channels, descriptor)
        self.bn = nn.BatchNorm1d(descriptor)
        self.classifier = nn.Linear(descriptor, num_identities)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        descriptor = self.reduce(features)
        return descriptor, self.classifier(torch.relu(self.bn(descriptor)))


class LinearHead(nn.Module):
    """Two fully connected layers and nothing between them: the descriptor, then the identities (RIPR §4.2, Eq. 8).

    ``forward``: (B, C) -> ((B, D) descriptor, (B, N) logits). Without a ReLU the two layers are one linear classifier
    of rank D: the first learns which D directions tell people apart.
    """

    def __init__(self, channels: int, descriptor: int, num_identities: int):
        super().__init__()
        self.reduce = nn.Linear(channels, descriptor)
        self.classifier = nn.Linear(descriptor, num_identities)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        descriptor = self.reduce(features)
        return descriptor, self.classifier(descriptor)


class FusionHead(nn.Module):
    """JBIM's fusion network (Zheng et al. 2022, §4.3): of two descriptors of a picture the one that joins them.

    ``forward``: (B, Dh), (B, Dl) -> ((B, Dh + Dl) fused descriptors, (B, N) logits). Concatenation, a fully connected
    layer that keeps the length, batch normalisation, ReLU (Eq. 12-14); dropout stands before the classifier only, so
    that distances carry none of its noise. ``fuse`` is the part that a test needs.
    """

    def __init__(self, high: int, low: int, num_identities: int, dropout: float = 0.5):
        super().__init__()
        length = high + low
        self.fc = nn.Linear(length, length)
        self.bn = nn.BatchNorm1d(length)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(length, num_identities)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)

    def fuse(self, high: Tensor, low: Tensor) -> Tensor:
        return torch.relu(self.bn(self.fc(torch.cat([high, low], 1))))  # Eq. 12-14: (B, Dh + Dl)

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        fused = self.fuse(high, low)
        return fused, self.classifier(self.dropout(fused))


class QualityEvaluator(nn.Module):
    """FTWA's evaluator of a vector's quality (Zhang et al. 2021, §2.3, Eq. 4): (B, C) -> logits (B,), float32.

    The weight is their sigmoid; losses and distances need its logarithm, which a weight of 0 has not. The paper says
    nothing of the layers: two, as RIPR's (``dual_stream.StreamWeight``). The last starts at zero: every weight is 1/2
    at first, and the losses are plain averages of both streams.
    """

    def __init__(self, channels: int, hidden: int = 64):
        super().__init__()
        self.hidden = nn.Linear(channels, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(vectors))).squeeze(1).float()
