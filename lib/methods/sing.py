"""SING: super-resolution and identity joint learning (Jiao, Zheng, Wu, Zhu, Gong; AAAI 2018).

Three streams share their weights (Fig. 3). With Fsr the super-resolution network and Ffe the feature extractor:

    f^h   = Ffe(x^h)            images of the high-resolution side
    f^h2l = Ffe(Fsr(x^h2l))     the same images, degraded by the model's ratio m: the bridge between the two tasks
    f^l   = Ffe(Fsr(x^l))       images of the low-resolution side                                        (Eq. 4)

    L = Ls(f^h) + Ls(f^h2l) + Ls(f^l) + alpha |Fsr(x^h2l) - x^h|_F^2,  each a mean over its stream     (Eq. 2, 3, 5)

Ls is the softmax classification loss. At deployment a probe goes through Fsr, a gallery image does not. One model is
made for one ratio m; several are fused by ``lib.methods.ensemble``. Letters: B images in a batch, L of them on the
low-resolution side; H x W the canvas; D dimensions; N identities.

``SrThenReid`` is what SING is compared with in Table 2: the same parts, learned one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.losses import batch_hard_triplet, cross_entropy
from lib.methods.method import Method
from lib.methods.stages import Cosine, Stage, Step, Warmup
from lib.methods.superres import RESTORE_LR, create_network, restoration_terms, restore_stage
from lib.models.backbones import create_backbone
from lib.models.heads import BNNeck, FCHead, GlobalPool


class Sing(Method):
    """One SING model. See the module's docstring."""

    name = "sing"
    two_sides = True

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """ratio : m, what the synthetic low-resolution images are degraded to.

        network : a name of ``create_superres``. backbone : of ``create_backbone``. canvas : (H, W); the paper's.
        descriptor : dimensions of a fully connected descriptor, or 0 for the pooled features behind a BNNeck, as the
            baseline of this course has them. None: 256 behind DGD, as in the paper, and 0 behind other networks.
        alpha : weight of the pixel loss (Eq. 5). reduction : "sum", the Frobenius norm as printed, or "mean" over the
            values of a picture: a factor of 3 H W between the two readings of alpha = 1.
        synthetic : False leaves the second stream and with it the pixel loss out (Table 3).
        sr_rate : factor on the learning rate of the super-resolution part.
        schedule : "steps" (a tenth after half and after three quarters of the epochs) or "cosine".
        triplet : weight of a batch-hard triplet loss over all streams (not in the paper; the course's baseline has it).
        smoothing : label smoothing (not in the paper). shift : largest random shift as a share of the canvas' height.
        """

        ratio: float = 1 / 2
        network: str = "srcnn-luma"
        backbone: str = "dgd"
        descriptor: int | None = None
        alpha: float = 1.0
        reduction: str = "sum"
        synthetic: bool = True
        canvas: tuple[int, int] = (160, 72)
        epochs: int = 60
        lr: float = 1e-3
        schedule: str = "steps"
        sr_rate: float = 0.1
        triplet: float = 0.0
        smoothing: float = 0.0
        batch: tuple[int, int] = (16, 4)
        weight_decay: float = 0.01
        margin: float = 0.3
        shift: float = 6 / 160

        def __post_init__(self):
            if not 0 < self.ratio < 1:
                raise ValueError(f"SING's ratio m lies in (0, 1), not {self.ratio}")
            if self.alpha < 0:
                raise ValueError(f"alpha, the weight of the pixel loss, is not negative: {self.alpha}")
            if self.schedule not in ("steps", "cosine"):
                raise ValueError(f"schedule is 'steps' or 'cosine', not {self.schedule!r}")
            if self.reduction not in ("sum", "mean"):
                raise ValueError(f"reduction is 'sum' or 'mean', not {self.reduction!r}")

    PROFILES: ClassVar = {
        "quick": {
            "network": "srcnn-915-luma", "backbone": "bottleneck-16-1", "canvas": (64, 32), "epochs": 2,
            "lr": 1e-3, "schedule": "cosine", "shift": 2 / 64,
        },
        "course": {
            "network": "srcnn-915-luma", "backbone": "resnet18-half", "canvas": (96, 48), "epochs": 10,
            "lr": 5e-4, "schedule": "cosine", "shift": 4 / 96,
        },
    }  # fmt: skip
    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas = s.canvas
        # no erasing: the pixel loss would ask the super-resolution network to paint grey boxes
        self.augmentation = Augmentation(pad=round(s.shift * s.canvas[0]))
        self.sr = create_network(s.network, s.ratio)
        self.backbone = create_backbone(s.backbone)
        self.pool = GlobalPool()
        dimensions = (256 if s.backbone.startswith("dgd") else 0) if s.descriptor is None else s.descriptor
        channels = self.backbone.channels
        self.head = FCHead(channels, dimensions, num_identities) if dimensions else BNNeck(channels, num_identities)
        self.stages = self.training_steps()

    def training_steps(self) -> list[Stage]:
        """One step: everything at once."""
        s = self.settings
        weights = dict.fromkeys(self._pixel_terms(), s.alpha) if s.synthetic else {}
        return [self.stage("joint", ("",), weights, {"sr": s.sr_rate})]

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return self.learn(batch)[0]

    def learn(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss terms, and the descriptors that they are of: {stream: (b, D)}, as ``identity_terms`` gives them."""
        sharp, high, low = self.streams(batch)
        terms, pictures = {}, {"hr": sharp.images[high], "lr": self.sr(batch.images[low])}
        if self.settings.synthetic:
            degraded = sharp.at(self.settings.ratio, high)  # x^h2l
            terms, restored = restoration_terms(self.sr, degraded, pictures["hr"], self.settings.reduction)  # Eq. 2
            pictures["synthetic"] = restored
        labels = {name: batch.labels[low if name == "lr" else high] for name in pictures}
        identity, descriptors = self.identity_terms(pictures, labels)
        return terms | identity, descriptors

    def streams(self, batch: Batch) -> tuple[Batch, Tensor, Tensor]:
        """The pictures x^h are taken from, and which of the batch's images are x^h and which are x^l."""
        return batch, batch.high, batch.low

    def identity_terms(self, pictures: dict[str, Tensor], labels: dict[str, Tensor]) -> tuple[dict, dict]:
        """Eq. 3, ({name: ()}, {stream: (b, D)}): the classification loss of each stream, and its descriptors (behind
        the BNNeck, or the fully connected layer's), in one pass through the network.
        """
        sizes = [len(some) for some in pictures.values()]
        features = self.pool(self.backbone(torch.cat(list(pictures.values()))))  # (all streams, C)
        descriptors, logits = self.head(features)
        terms = {
            f"identity_{name}": cross_entropy(some, labels[name], self.settings.smoothing)
            for name, some in zip(pictures, logits.split(sizes), strict=True)
        }
        if self.settings.triplet:
            compared = features if isinstance(self.head, BNNeck) else descriptors
            everyone = torch.cat(list(labels.values()))
            terms["triplet"] = batch_hard_triplet(compared, everyone, self.settings.margin)
        return terms, dict(zip(pictures, descriptors.split(sizes), strict=True))

    def embed(self, batch: Batch, role: str) -> Tensor:
        images = self.sr(batch.images) if role == "probe" else batch.images
        features = self.pool(self.backbone(images)).float()
        if isinstance(self.head, BNNeck):
            return F.normalize(self.head.bn(features))
        return self.head.reduce(features).float()

    def _pixel_terms(self) -> list[str]:
        return ["pixel", "recursions"] if hasattr(self.sr, "predictions") else ["pixel"]

    def stage(self, name: str, trains: tuple[str, ...], weights: dict, rates: dict) -> Stage:
        """The step that learns identities."""
        s = self.settings
        schedule = Step((s.epochs // 2, s.epochs * 3 // 4)) if s.schedule == "steps" else Cosine()
        return Stage(
            name,
            epochs=s.epochs,
            trains=trains,
            # AdamW, and no clipping: the pixel loss is a sum over 10^4 values, and with a decay that is added to the
            # gradients, or a common clip, its size would decide how much the re-id network is held back
            optimizer="adamw",
            lr=s.lr,
            weight_decay=s.weight_decay,
            schedule=Warmup(s.epochs / 12, then=schedule),
            weights=weights | ({"triplet": s.triplet} if s.triplet else {}),
            lr_multipliers=rates,
            identities=s.batch[0],
            images=s.batch[1],
        )


class SrThenReid(Sing):
    """ "SR + re-id" of Table 2: super-resolution learned for pixels, frozen, then the re-id network on its pictures.

    ``network`` may be "bilinear" or "bicubic", which learn nothing. The re-id network sees the low-resolution side
    through the super-resolution and the high-resolution side as it is; with ``synthetic`` (False here by default) also
    the degraded high-resolution side, which makes it SING without the joint learning and nothing else.
    """

    name = "sr-then-reid"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Sing.Settings):
        """restore_epochs : of the first step (default: a third of the second's); 0 where the first weights of "sr" are
        all that is wanted.
        """

        synthetic: bool = False
        restore_epochs: int | None = None

    settings: Settings

    def build(self, num_identities: int) -> None:
        self.enlargement = "bilinear" if self.settings.network == "bilinear" else None
        super().build(num_identities)

    def training_steps(self) -> list[Stage]:
        s = self.settings
        first = -(-s.epochs // 3) if s.restore_epochs is None else s.restore_epochs
        steps = [self.stage("re-id", ("backbone", "pool", "head"), {}, {})]
        if first and any(p.requires_grad for p in self.sr.parameters()):
            steps.insert(0, restore_stage(first, RESTORE_LR, s.batch))
        return steps

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        sharp, high, low = self.streams(batch)
        if stage.name == "restore":
            return restoration_terms(self.sr, sharp.at(self.settings.ratio, high), sharp.images[high])[0]
        pictures = {"hr": sharp.images[high]}
        with torch.no_grad():
            pictures["lr"] = self.sr(batch.images[low])
            if self.settings.synthetic:
                pictures["synthetic"] = self.sr(sharp.at(self.settings.ratio, high))
        labels = {name: batch.labels[low if name == "lr" else high] for name in pictures}
        return self.identity_terms(pictures, labels)[0]


class SingEverywhere(Sing):
    """SING where no image has its full resolution (RIPR's VR sets; its authors ran SING there and do not say how).

    There is no high-resolution side. So x^h are the training images before the protocol degraded them, x^h2l their
    copies at the ratio m, x^l the degraded ones, each stream of all images; and gallery images go through Fsr as well.
    """

    name = "sing-everywhere"
    two_sides = False

    def streams(self, batch: Batch) -> tuple[Batch, Tensor, Tensor]:
        everyone = torch.arange(len(batch))
        return batch.original, everyone, everyone

    def embed(self, batch: Batch, role: str) -> Tensor:
        return super().embed(batch, "probe")
