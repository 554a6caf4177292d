"""FTWA: feature transformation and self-weighted attention (Zhang, Jiang, Huang, Xu; ICIP 2021, arXiv 2101.04544).

Two encoders E_H and E_L for what is sharp and what is not, one E_ID behind both, and T, which turns maps of a picture
of low resolution into those of the same picture at high resolution. I_HR are images of the high-resolution side, I'_LR
their synthetic copies, I_LR images of the low side:

    F_HR = E_ID(E_H(I_HR))   F_LR = E_ID(E_L(I_LR))   F'_LR = E_ID(E_L(I'_LR))                     (Eq. 1)
    L_RAFT = |F_HR - T(F'_LR)|_1,   F'_HR = T(F_LR)                                                (Eq. 2, 3)

So every image has one high vector H and one low vector L, pooled from these maps, with one weight each (Eq. 4), and
all primes of Eq. 4 to 7 say the same: a = W_HR(H), b = W_LR(L).

                     H                   L                      when searching it is
    high side    v_HR  = GAP(F_HR)   v'_LR = GAP(F'_LR)     the gallery, with a copy at ``gallery_ratio``
    low side     v'_HR = GAP(F'_HR)  v_LR  = GAP(F_LR)      the probes

    L_cls = sum over both sides of the mean of (a CE(C_HR(H)) + b CE(C_LR(L))) / (a + b)           (Eq. 5)
    L_tri : ``lib.losses.pair_shares``, whose "anchor" is our reading of Eq. 7, of batch-hard triplets (Eq. 6)
    L = 3 L_cls + L_tri + 0.1 L_RAFT                                                               (Eq. 8)
    D(p, g) = (a_p a_g |H_p - H_g| + b_p b_g |L_p - L_g|) / (a_p a_g + b_p b_g)

D is ours: the paper names "a weighted distance metric" and prints none. It has the products of Eq. 7, and is divided by
their sum, else a gallery image of small weights would be near everybody. Batch normalisation before the classifiers,
label smoothing and the schedule are those of Luo et al. 2019, whose settings file §3.2 follows word for word.

Letters: B images in a batch, of them b on one side; C channels, D dimensions; Q probes, G gallery images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.data.canvases import constant
from lib.losses import (
    READINGS,
    batch_hard_triplet,
    cross_entropy,
    mean_over_processes,
    pair_shares,
    pixel_l1,
    stream_balance,
)
from lib.methods.method import Method
from lib.methods.stages import Cosine, Stage, Step, Warmup
from lib.methods.weighing import weighed
from lib.models.dual_stream import TwoEncoders
from lib.models.heads import BNNeck, GlobalPool, QualityEvaluator
from lib.models.raft import Raft

STREAMS, SIDES = ("high", "low"), ("hr", "lr")
TRANSFORMS = ("raft", "identity")
ATTENTIONS = ("learned", "equal", *STREAMS)
DETACHED = ("target", "vectors")
# log a and log b where nothing is learned; exp(-1e4) is 0, and 0 times the log of 0 would not be
FIXED = {"equal": (-0.6931472, -0.6931472), "high": (0.0, -1e4), "low": (-1e4, 0.0)}


class FtwaB(Method):
    """FTWA_B of Table 2: "only the two-stream input backbone". An image of the high side has H, one of the low side L;
    one classifier and one triplet loss for both, and a Euclidean distance. No copies (our reading: "process the HR and
    LR image input separately").
    """

    name = "ftwa-b"
    two_sides = True

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """backbone : a residual network of ``create_backbone``. canvas : (H, W) pixels. epochs, lr : of the one step.

        schedule : "steps" (warm-up over a twelfth of the epochs, a fifth after 1/3 and 7/12 of them: 10, 40 and 70 of
            120), or "cosine", which short trainings do better with.
        identity, triplet : lambda_1 and lambda_2 of Eq. 8. margin, smoothing : of the triplets, and of the labels.
        batch : (P identities, K images each). shift : largest random shift as a share of the canvas' height. erase :
            probability of random erasing; 0, since T would be asked for grey boxes.
        """

        backbone: str = "resnet50"
        canvas: tuple[int, int] = (256, 128)
        epochs: int = 120
        lr: float = 7e-4
        schedule: str = "steps"
        identity: float = 3.0
        triplet: float = 1.0
        margin: float = 0.3
        smoothing: float = 0.1
        batch: tuple[int, int] = (16, 4)
        weight_decay: float = 5e-4
        shift: float = 10 / 256
        erase: float = 0.0

        def __post_init__(self):
            _known("schedule", self.schedule, ("steps", "cosine"))
            if min(self.identity, self.triplet) < 0:
                raise ValueError(f"weights of losses are not negative: {self.identity}, {self.triplet}")

    PROFILES: ClassVar = {
        "quick": {
            "backbone": "bottleneck-16-1", "canvas": (64, 32), "epochs": 3, "lr": 1e-3, "shift": 2 / 64,
            "schedule": "cosine",
        },
        "course": {
            "backbone": "resnet18-half", "canvas": (96, 48), "epochs": 33, "lr": 7e-4, "shift": 4 / 96,
            "schedule": "cosine",
        },
    }  # fmt: skip
    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas = s.canvas
        self.augmentation = Augmentation(pad=round(s.shift * s.canvas[0]), erase=s.erase)
        self.backbone = TwoEncoders(s.backbone)
        self.pool = GlobalPool()
        self.build_heads(num_identities)
        schedule = Step((s.epochs // 3, s.epochs * 7 // 12), gamma=0.2) if s.schedule == "steps" else Cosine()
        self.stages = [
            Stage(
                "train",
                epochs=s.epochs,
                lr=s.lr,
                weight_decay=s.weight_decay,
                schedule=Warmup(s.epochs / 12, then=schedule, start=0.01),
                weights=self.loss_weights(),
                identities=s.batch[0],
                images=s.batch[1],
            )
        ]

    def build_heads(self, num_identities: int) -> None:
        self.head = BNNeck(self.backbone.channels, num_identities)

    def loss_weights(self) -> dict[str, float]:
        return {"identity": self.settings.identity, "triplet": self.settings.triplet}

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        s, which = self.settings, torch.cat([batch.high, *self.low_positions(batch)])
        labels = batch.labels[which]
        vectors = self.pool(self.backbone(batch.images[batch.high], self.low_pictures(batch)))  # (all, C)
        return {
            "identity": cross_entropy(self.head(vectors)[1], labels, s.smoothing),
            "triplet": batch_hard_triplet(vectors, labels, s.margin),
        }

    def low_positions(self, batch: Batch) -> list[Tensor]:
        """Which of the batch's images E_L sees, in the order of ``low_pictures``."""
        return [batch.low]

    def low_pictures(self, batch: Batch) -> Tensor:
        """(b, 3, H, W): what E_L sees."""
        return batch.images[batch.low]

    def embed(self, batch: Batch, role: str) -> Tensor:
        maps = self.backbone(None, batch.images) if role == "probe" else self.backbone(batch.images)
        return F.normalize(self.head.bn(self.pool(maps).float()))


class FtwaBCopies(FtwaB):
    """FTWA_B that also sees the synthetic copies of the high side, through E_L: what FTWA_R has beside T and beside two
    vectors an image, and Table 2 does not tell apart.
    """

    name = "ftwa-b-copies"

    @dataclass(frozen=True, kw_only=True)
    class Settings(FtwaB.Settings):
        """ratios : of the copies I'_LR, one drawn for each image (§3.1: 2, 3 and 4 times smaller)."""

        ratios: tuple[float, ...] = (1 / 2, 1 / 3, 1 / 4)

        def __post_init__(self):
            super().__post_init__()
            if not self.ratios or not all(0 < ratio < 1 for ratio in self.ratios):
                raise ValueError(f"copies are smaller: their ratios lie in (0, 1), not {self.ratios}")

    settings: Settings

    def low_positions(self, batch: Batch) -> list[Tensor]:
        return [batch.high, batch.low]

    def low_pictures(self, batch: Batch) -> Tensor:
        """I'_LR, then I_LR."""
        drawn = batch.pick("copy", self.settings.ratios)[batch.high]
        return torch.cat([batch.at(drawn, batch.high), batch.images[batch.low]])


class Ftwa(FtwaBCopies):
    """See the module's docstring. With ``attention="equal"`` it is FTWA_R of Table 2."""

    name = "ftwa"

    @dataclass(frozen=True, kw_only=True)
    class Settings(FtwaBCopies.Settings):
        """transform : T, "raft" or "identity". width, blocks : of RAFT (None: a sixteenth of the backbone's channels).

        raft : lambda_3. reduction : of Eq. 2, "mean" over the maps' values, or "sum", the printed norm.
        attention : the weights a, b: "learned" by the evaluators (SWA), "equal" (1/2 each, no evaluators), or all on
            the "high" or the "low" stream.
        reading : of Eq. 7, of ``lib.losses.pair_shares``.
        detached : where the gradient stops; the paper stops it nowhere. "target": F_HR of Eq. 2, so that T(F'_LR) comes
            to it and it does not come along. "vectors": the evaluators' input, so that they teach it nothing.
        entropy : weight of ``lib.losses.stream_balance`` within lambda_1. Ours: above 0 it keeps Eq. 5 from giving all
            weight to one stream.
        gallery_ratio : what a gallery image's copy is shrunk to when searching.
        """

        transform: str = "raft"
        width: int | None = None
        blocks: int = 4
        raft: float = 0.1
        reduction: str = "mean"
        attention: str = "learned"
        reading: str = "anchor"
        detached: tuple[str, ...] = ()
        entropy: float = 0.0
        gallery_ratio: float = 1 / 3

        def __post_init__(self):
            super().__post_init__()
            _known("transform", self.transform, TRANSFORMS)
            _known("attention", self.attention, ATTENTIONS)
            _known("reading", self.reading, READINGS)
            _known("reduction", self.reduction, ("mean", "sum"))
            for some in self.detached:
                _known("part that is detached", some, DETACHED)
            if min(self.raft, self.entropy) < 0:
                raise ValueError(f"weights of losses are not negative: {self.raft}, {self.entropy}")
            if self.entropy and self.attention != "learned":
                raise ValueError(f"entropy is of learned weights, and attention is {self.attention!r}")
            if not 0 < self.gallery_ratio < 1:
                raise ValueError(f"the gallery's copies are smaller: gallery_ratio in (0, 1), not {self.gallery_ratio}")

    settings: Settings

    def build_heads(self, num_identities: int) -> None:
        s, channels = self.settings, self.backbone.channels
        self.transform = Raft(channels, s.width, s.blocks) if s.transform == "raft" else nn.Identity()
        self.heads = nn.ModuleDict({stream: BNNeck(channels, num_identities) for stream in STREAMS})  # C_HR, C_LR
        learned = STREAMS if s.attention == "learned" else ()
        self.evaluators = nn.ModuleDict({stream: QualityEvaluator(channels) for stream in learned})  # W_HR, W_LR

    def loss_weights(self) -> dict[str, float]:
        s = self.settings
        found = {f"identity_{side}": s.identity for side in SIDES} | {"triplet": s.triplet, "raft": s.raft}
        found |= {"balance": s.identity * s.entropy} if s.entropy else {}
        return found | {weight_name(stream, side): 0.0 for stream in STREAMS for side in SIDES}  # logged only

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        s, count = self.settings, len(batch.high)
        labels = batch.labels[torch.cat([batch.high, batch.low])]  # the high side first, here and below
        maps = self.backbone(batch.images[batch.high], self.low_pictures(batch))
        sharp, small = maps[:count], maps[count:]  # F_HR; F'_LR, then F_LR
        moved = self.transform(small)
        target = sharp.detach() if "target" in s.detached else sharp
        terms = {"raft": pixel_l1(moved[:count], target, s.reduction)}  # Eq. 2
        high, low = self.pool(torch.cat([sharp, moved[count:]])), self.pool(small)  # (B, C): H and L
        log_weights = self.log_weights(high, low)
        return terms | self.attention_terms(high, low, labels, log_weights, count)

    def attention_terms(
        self, high: Tensor, low: Tensor, labels: Tensor, log_weights: Tensor, count: int
    ) -> dict[str, Tensor]:
        """Eq. 5, 6 and 7. high, low (B, C), labels (B,) and log_weights (B, 2) of all images, the first ``count`` of
        which are on the high side. Beside the losses the mean weight of each stream on each side, for the history.
        """
        s, shares = self.settings, log_weights.softmax(1)  # a / (a + b), b / (a + b)
        logits = [self.heads[stream](some)[1] for stream, some in zip(STREAMS, (high, low), strict=True)]
        terms = {}
        for side, part in zip(SIDES, (slice(None, count), slice(count, None)), strict=True):
            of_side = zip(logits, shares.unbind(1), strict=True)
            terms[f"identity_{side}"] = sum(
                cross_entropy(x[part], labels[part], s.smoothing, w[part]) for x, w in of_side
            )
            for stream, weight in zip(STREAMS, log_weights.detach().exp().unbind(1), strict=True):
                terms[weight_name(stream, side)] = mean_over_processes(weight[part])
        on_low = torch.arange(len(labels), device=labels.device) >= count
        pairs = pair_shares(high, low, labels, log_weights, on_low, s.reading)
        terms["triplet"] = sum(
            batch_hard_triplet(some, labels, s.margin, weights)
            for some, weights in zip((high, low), pairs.unbind(1), strict=True)
        )
        return terms | ({"balance": stream_balance(log_weights)} if s.entropy else {})

    def log_weights(self, high: Tensor, low: Tensor) -> Tensor:
        """Eq. 4: the vectors of B images, (B, C) each -> (B, 2), log a and log b, at most 0, in float32."""
        if not self.evaluators:
            return constant(FIXED[self.settings.attention], high.device).expand(len(high), 2)
        given = [some.detach() if "vectors" in self.settings.detached else some for some in (high, low)]
        logits = [self.evaluators[stream](some) for stream, some in zip(STREAMS, given, strict=True)]
        return F.logsigmoid(torch.stack(logits, 1))

    def vectors(self, batch: Batch, role: str, gallery_ratio: float | None = None) -> tuple[Tensor, Tensor]:
        """H and L of pictures in a test, (B, C) each, before batch normalisation."""
        if role == "probe":
            low = self.backbone(None, batch.images)
            high = self.transform(low)
        else:
            copies = batch.at(gallery_ratio or self.settings.gallery_ratio)
            high, low = self.backbone(batch.images, copies).chunk(2)
        return self.pool(high).float(), self.pool(low).float()

    def embed(self, batch: Batch, role: str) -> Tensor:
        """(B, 2 C + 2): H and L behind batch normalisation, each of unit length; log a, log b."""
        return self.described(*self.vectors(batch, role))

    def described(self, high: Tensor, low: Tensor) -> Tensor:
        """The descriptor of vectors (B, C) each."""
        pairs = zip(STREAMS, (high, low), strict=True)
        return torch.cat([*(F.normalize(self.heads[n].bn(v)) for n, v in pairs), self.log_weights(high, low)], 1)

    def features(self, descriptors: Tensor) -> Tensor:
        """H and L; the weights are no features."""
        return descriptors[:, :-2]

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        """D(p, g) of the module's docstring, (Q, G)."""
        return self.weighed_distance(probes, gallery, "product")

    def weighed_distance(self, probes: Tensor, gallery: Tensor, rule: str) -> Tensor:
        """The two streams' Euclidean distances (Q, G), weighed by one of ``lib.methods.weighing.RULES``."""
        sides = (self.features(probes).chunk(2, 1), self.features(gallery).chunk(2, 1))
        high, low = (super(Ftwa, self).distance(p, g) for p, g in zip(*sides, strict=True))
        return weighed(high, low, probes[:, -2:], gallery[:, -2:], rule)


def weight_name(stream: str, side: str) -> str:
    """The history's column with the mean weight of a stream ("high", "low") of a side's images ("hr", "lr")."""
    return f"weight_{stream}_{side}"


def _known(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; known: {', '.join(known)}")
    return value
