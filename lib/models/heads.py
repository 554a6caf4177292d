"""What stands between a feature map and a descriptor. Letters as in ``backbones``; D dimensions, N identities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
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


class Described(NamedTuple):
    """What a head makes of the maps, for losses and for the test.

    sequences : features (B, D_t) that a triplet, or a pseudo-siamese loss, compares; the last is all others together.
    descriptor : (B, D) of the test. logits : (B, N) of each classifier.
    """

    sequences: tuple[Tensor, ...]
    descriptor: Tensor
    logits: tuple[Tensor, ...]

    @property
    def elements(self) -> dict[str, Tensor]:
        """What PS-HRNet's Eq. 11 chooses from: "seq1", "seq2" ... and "logits", (B, ...) each."""
        return {f"seq{n}": one for n, one in enumerate(self.sequences, 1)} | {"logits": torch.cat(self.logits, 1)}


class SequencesHead(nn.Module):
    """PS-HRNet's representation head (Zhang et al. 2021, §III.C, Eq. 6 and Fig. 4).

        Seq(n) = flatten(average pooling of map n to a g_n x g_n grid + lambda_n x max pooling to the same grid)
        Seq(last) = all of them,   l_f = batch normalisation of FC1(Seq(last)),   l_c = FC2(l_f)

    ``forward``: maps (B, C_n, h_n, w_n), finest first -> ``Described``, whose descriptor is [Seq(last), l_f] and which
    has one classifier. A map smaller than its grid is repeated.

    channels : C_n. grids, lambdas : g_n and lambda_n; the paper prints grids of n and no lambdas, its lengths (2048,
        1024, 2048, 1024, together 6144) and its authors' code have these.
    pooling : "both", or "average" or "max" alone, which then counts 1 (Table V).
    descriptor : the length of l_f. dropout : before FC2 (in the code, not in the paper).
    ValueError for another pooling, and for numbers of grids, lambdas and maps that differ.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_identities: int,
        grids: Sequence[int] = (4, 2, 2, 1),
        lambdas: Sequence[float] = (0.5, 0.2, 0.2, 0.2),
        pooling: str = "both",
        descriptor: int = 512,
        dropout: float = 0.5,
    ):
        super().__init__()
        if pooling not in ("both", "average", "max"):
            raise ValueError(f"unknown pooling {pooling!r}; known: both, average, max")
        if not len(channels) == len(grids) == len(lambdas):
            raise ValueError(f"{len(channels)} maps, {len(grids)} grids and {len(lambdas)} lambdas: one of each a map")
        self.grids, self.lambdas, self.pooling = tuple(grids), tuple(lambdas), pooling
        self.reduce = nn.Linear(sum(c * g**2 for c, g in zip(channels, grids, strict=True)), descriptor)
        self.bn = nn.BatchNorm1d(descriptor)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(descriptor, num_identities)
        nn.init.kaiming_normal_(self.reduce.weight, mode="fan_out")
        nn.init.normal_(self.bn.weight, 1.0, 0.02)
        nn.init.normal_(self.classifier.weight, std=0.001)
        for layer in (self.reduce, self.classifier):
            nn.init.zeros_(layer.bias)

    def sequence(self, maps: Tensor, grid: int, weight: float) -> Tensor:
        """Eq. 6: (B, C, h, w) -> (B, C x grid x grid)."""
        average = F.adaptive_avg_pool2d(maps, grid) if self.pooling != "max" else 0.0
        largest = F.adaptive_max_pool2d(maps, grid) if self.pooling != "average" else 0.0
        return (average + (weight if self.pooling == "both" else 1.0) * largest).flatten(1)

    def forward(self, maps: Sequence[Tensor]) -> Described:
        each = [self.sequence(*one) for one in zip(maps, self.grids, self.lambdas, strict=True)]
        whole = torch.cat(each, 1)
        feature = self.bn(self.reduce(whole))  # l_f
        logits = self.classifier(self.dropout(feature))  # l_c
        sequences = (*each, whole) if len(each) > 1 else (whole,)
        return Described(sequences, torch.cat([whole, feature], 1), (logits,))


class PooledHead(SequencesHead):
    """The same layers behind one map, averaged: any backbone in HRNet-ReID's place (ibid., Tables IV and VI)."""

    def __init__(self, channels: int, num_identities: int, descriptor: int = 512, dropout: float = 0.5):
        super().__init__((channels,), num_identities, (1,), (0.0,), "average", descriptor, dropout)


class StripesHead(nn.Module):
    """PCB (Sun et al., "Beyond Part Models", ECCV 2018, §3): horizontal stripes, each with a classifier of its own.

    ``forward``: [map (B, C, h, w)] -> ``Described``. The map is averaged to P rows g_1 ... g_P; each is reduced to
    ``descriptor`` dimensions (a fully connected layer, batch normalisation, ReLU) and classified. The paper compares no
    sequences (there is no triplet); the test's descriptor is [g_1, ..., g_P]. Rows overlap where h is not P's multiple.
    """

    def __init__(self, channels: int, num_identities: int, stripes: int = 6, descriptor: int = 256):
        super().__init__()
        self.stripes = stripes
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, descriptor, bias=False), nn.BatchNorm1d(descriptor), nn.ReLU())
            for _ in range(stripes)
        )
        self.classifiers = nn.ModuleList(nn.Linear(descriptor, num_identities) for _ in range(stripes))
        for classifier in self.classifiers:
            nn.init.normal_(classifier.weight, std=0.001)
            nn.init.zeros_(classifier.bias)

    def forward(self, maps: Sequence[Tensor]) -> Described:
        (one,) = maps
        rows = F.adaptive_avg_pool2d(one, (self.stripes, 1)).squeeze(3).unbind(2)  # P of (B, C)
        pairs = zip(rows, self.parts, self.classifiers, strict=True)
        logits = tuple(classifier(part(row)) for row, part, classifier in pairs)
        return Described((), torch.cat(rows, 1), logits)


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
