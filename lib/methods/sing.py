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

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.batches import Augmentation, Batch
from lib.losses import batch_hard_triplet, cross_entropy
from lib.methods.method import Method, check_profile
from lib.methods.stages import Cosine, Stage, Step, Warmup
from lib.methods.superres import RESTORE_LR, create_network, restoration_terms
from lib.models.backbones import DGD_WIDTHS, create_backbone
from lib.models.heads import BNNeck, FCHead, GlobalPool


@dataclass(frozen=True)
class Size:
    """What a profile decides unless the constructor says otherwise."""

    network: str
    backbone: str
    canvas: tuple[int, int]
    epochs: int
    lr: float
    pad: int  # pixels of the random shift


SIZES = {
    "quick": Size("srcnn-915-luma", "bottleneck-16-1", (64, 32), epochs=2, lr=1e-3, pad=2),
    "course": Size("srcnn-915-luma", "resnet18-half", (96, 48), epochs=10, lr=5e-4, pad=4),
    "paper": Size("srcnn-luma", "dgd", (160, 72), epochs=60, lr=1e-3, pad=6),  # 160 x 72: the paper's canvas
}


class Sing(Method):
    """One SING model. See the module's docstring.

    Parameters
    ----------
    ratio : m, what the synthetic low-resolution images are degraded to.
    network : a name of ``create_superres``. backbone : of ``create_backbone``. None: the profile's (``SIZES``).
    descriptor : dimensions of a fully connected descriptor (DGD: 256, the default for it), or 0 for the pooled features
        behind a BNNeck, as the baseline of this course has them (the default for its ResNets).
    alpha : weight of the pixel loss (Eq. 5). reduction : "sum", the Frobenius norm as printed, or "mean" over the
        values of a picture: a factor of 3 H W between the two readings of alpha = 1.
    synthetic : False leaves the second stream and with it the pixel loss out (Table 3).
    sr_rate : factor on the learning rate of the super-resolution part.
    pretrained, pretrained_sr : first weights of backbone and super-resolution network: None, "imagenet" or
        "pedestrians" (backbone), or a file or run directory.
    triplet : weight of a batch-hard triplet loss over all streams (not in the paper; the course's baseline has it).
    smoothing : label smoothing (not in the paper).
    """

    name = "sing"

    def __init__(
        self,
        ratio: float = 1 / 2,
        network: str | None = None,
        backbone: str | None = None,
        descriptor: int | None = None,
        alpha: float = 1.0,
        reduction: str = "sum",
        synthetic: bool = True,
        canvas: tuple[int, int] | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        sr_rate: float = 0.1,
        pretrained: str | None = None,
        pretrained_sr: str | None = None,
        triplet: float = 0.0,
        smoothing: float = 0.0,
        batch: tuple[int, int] = (16, 4),
        weight_decay: float = 0.01,
        margin: float = 0.3,
    ):
        super().__init__()
        if not 0 < ratio < 1:
            raise ValueError(f"SING's ratio m lies in (0, 1), not {ratio}")
        if alpha < 0:
            raise ValueError(f"alpha, the weight of the pixel loss, is not negative: {alpha}")

    def setup(self, profile: str, num_identities: int) -> None:
        s, size = self.settings, SIZES[check_profile(profile)]
        self.profile, self.num_identities = profile, num_identities
        self.canvas = tuple(s["canvas"] or size.canvas)
        self.synthetic_ratios = (s["ratio"],)
        # no erasing: the pixel loss would ask the super-resolution network to paint grey boxes
        self.augmentation = Augmentation(pad=round(size.pad * self.canvas[0] / size.canvas[0]))
        self.sr = create_network(s["network"] or size.network, s["ratio"])
        name = s["backbone"] or size.backbone
        self.backbone = create_backbone(name)
        self.pool = GlobalPool()
        dimensions = (256 if name in DGD_WIDTHS else 0) if s["descriptor"] is None else s["descriptor"]
        channels = self.backbone.channels
        self.head = FCHead(channels, dimensions, num_identities) if dimensions else BNNeck(channels, num_identities)
        self.stages = self.training_steps(size)

    def training_steps(self, size: Size) -> list[Stage]:
        """One step: everything at once."""
        weights = dict.fromkeys(self._pixel_terms(), self.settings["alpha"]) if self.settings["synthetic"] else {}
        return [
            self._stage("joint", ("",), self._epochs(size), self._rate(size), weights, {"sr": self.settings["sr_rate"]})
        ]

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        terms, pictures = {}, {"hr": batch.hr[batch.high], "lr": self.sr(batch.images[batch.low])}
        if self.settings["synthetic"]:
            low = batch.lr[batch.high]
            terms, pictures["synthetic"] = restoration_terms(self.sr, low, pictures["hr"], self.settings["reduction"])
        return terms | self.identity_terms(pictures, batch)

    def identity_terms(self, pictures: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Eq. 3: the classification loss of each stream, in one pass through the network. A stream without an image in
        this batch counts nothing.
        """
        labels = {name: batch.labels[batch.low if name == "lr" else batch.high] for name in pictures}
        sizes, everyone = [len(some) for some in pictures.values()], torch.cat(list(labels.values()))
        features = self.pool(self.backbone(torch.cat(list(pictures.values()))))  # (all streams, C)
        descriptors, logits = self.head(features)
        terms = {}
        for name, some in zip(pictures, logits.split(sizes), strict=True):
            loss = cross_entropy(some, labels[name], self.settings["smoothing"]) if len(some) else logits.sum() * 0
            terms[f"identity_{name}"] = loss
        if self.settings["triplet"]:
            compared = features if isinstance(self.head, BNNeck) else descriptors
            terms["triplet"] = batch_hard_triplet(compared, everyone, self.settings["margin"])
        return terms

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        if role == "probe":
            images = self.sr(images)
        features = self.pool(self.backbone(images)).float()
        if isinstance(self.head, BNNeck):
            return F.normalize(self.head.bn(features))
        return self.head.reduce(features).float()

    def pretrained_parts(self) -> dict[str, str]:
        sources = {"backbone": self.settings["pretrained"], "sr": self.settings["pretrained_sr"]}
        return {part: source for part, source in sources.items() if source}

    def _pixel_terms(self) -> list[str]:
        return ["pixel", "recursions"] if hasattr(self.sr, "predictions") else ["pixel"]

    def _epochs(self, size: Size) -> int:
        return size.epochs if self.settings["epochs"] is None else self.settings["epochs"]

    def _rate(self, size: Size) -> float:
        return self.settings["lr"] or size.lr

    def _stage(self, name: str, trains: tuple, epochs: int, lr: float, weights: dict, rates: dict) -> Stage:
        s = self.settings
        schedule = Step((epochs // 2, epochs * 3 // 4)) if self.profile == "paper" else Cosine()
        return Stage(
            name,
            epochs=epochs,
            trains=trains,
            # AdamW, and no clipping: the pixel loss is a sum over 10^4 values, and with a decay that is added to the
            # gradients, or a common clip, its size would decide how much the re-id network is held back
            optimizer="adamw",
            lr=lr,
            weight_decay=s["weight_decay"],
            schedule=Warmup(epochs / 12, then=schedule),
            weights=weights | ({"triplet": s["triplet"]} if s["triplet"] else {}),
            lr_multipliers=rates,
            identities=s["batch"][0],
            images=s["batch"][1],
        )


class SrThenReid(Sing):
    """ "SR + re-id" of Table 2: super-resolution learned for pixels, frozen, then the re-id network on its pictures.

    ``network`` may be "bilinear" or "bicubic", which learn nothing. The re-id network sees the low-resolution side
    through the super-resolution and the high-resolution side as it is; with ``synthetic`` (False here by default) also
    the degraded high-resolution side, which makes it SING without the joint learning and nothing else.
    restore_epochs : of the first step (default: a third of the second's); 0 where ``pretrained_sr`` is all that is
    wanted.
    """

    name = "sr-then-reid"

    def __init__(self, ratio: float = 1 / 2, restore_epochs: int | None = None, synthetic: bool = False, **options):
        super().__init__(ratio=ratio, synthetic=synthetic, **options)

    def setup(self, profile: str, num_identities: int) -> None:
        self.enlargement = "bilinear" if self.settings["network"] == "bilinear" else None
        super().setup(profile, num_identities)

    def training_steps(self, size: Size) -> list[Stage]:
        epochs = self._epochs(size)
        first = self.settings["restore_epochs"]
        first = -(-epochs // 3) if first is None else first
        parts = ("backbone", "pool", "head")
        steps = [self._stage("re-id", parts, epochs, self._rate(size), {}, {})]
        if first and any(p.requires_grad for p in self.sr.parameters()):
            steps.insert(0, self._stage("restore", ("sr",), first, RESTORE_LR, {}, {}))
        return steps

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        if stage.name == "restore":
            return restoration_terms(self.sr, batch.lr[batch.high], batch.hr[batch.high])[0]
        pictures = {"hr": batch.hr[batch.high]}
        with torch.no_grad():
            pictures["lr"] = self.sr(batch.images[batch.low])
            if self.settings["synthetic"]:
                pictures["synthetic"] = self.sr(batch.lr[batch.high])
        return self.identity_terms(pictures, batch)


class SingEverywhere(Sing):
    """SING where no image has its full resolution (RIPR's VR sets; its authors ran SING there and do not say how).

    There is no high-resolution side. So x^h are the training images before the protocol degraded them, x^h2l their
    copies at the ratio m, x^l the degraded ones, each stream of all images; and gallery images go through Fsr as well.
    """

    name = "sing-everywhere"

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        everyone = torch.arange(len(batch), device=batch.images.device)
        return super().losses(replace(batch, low=everyone, high=everyone), stage)

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        return super().embed(images, resolution, "probe")
