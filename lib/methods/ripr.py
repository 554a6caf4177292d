"""RIPR: resolution-invariant person re-identification (Mao, Zhang, Yang; IJCAI 2019).

Two modules. FFSR sharpens every picture, whatever its resolution, and RIFE describes it with two streams, one for low
and one for high resolution:

    I^r' = M_FFSR(I^r),   f = M_RIFE(I^r')                                                       (Eq. 3)
    L = L_FFSR + alpha L_RIFE                                                                    (Eq. 4)
    L_FFSR = |M . (I^r' - I^h)|^2,   M a mask that is large on the person                        (Eq. 5)
    m_t = w_t^L m_t^L + w_t^H m_t^H   after each of the T blocks                                 (Eq. 6)
    L_t^R = (w_t^L - (1 - r))^2 + (w_t^H - r)^2,   r the width over the largest width            (Eq. 7)
    L_RIFE = CrossEntropy(FC(f), identity) + beta sum_t L_t^R                                    (Eq. 8, 9)

Three steps of training (§5.2): FFSR for the pictures ("restore"), RIFE for the identities on pictures as they come
("features"; where it ends is the RIFE row of Table 3), both together ("joint"). Probes and gallery images are treated
alike, and all are put on the canvas by bilinear interpolation, the baseline of Tables 1 and 2. Letters: B images in a
batch, H x W the canvas, T blocks, D dimensions, N identities.

What Tables 1 to 3 compare are settings: another super-resolution network or mask, one network or two instead of RIFE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.losses import cross_entropy, foreground_loss, resolution_weighting
from lib.methods.method import Method
from lib.methods.stages import Cosine, Stage, Step, Warmup
from lib.methods.superres import create_network, restore_stage
from lib.models.dual_stream import TwoStreams, create_features
from lib.models.heads import BNNeck, GlobalPool, LinearHead

STEPS = ("restore", "features", "joint")
MASKS = ("none", "gaussian", "person", "background")
PAIRS = ("protocol", "synthetic")


class Ripr(Method):
    """See the module's docstring."""

    name = "ripr"
    joint_parts: tuple[str, ...] = ("sr",)  # what the third step trains beside the re-identification

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """network : a name of ``create_superres``; "bilinear" (or "bicubic", which is then also how pictures are
            enlarged) learns nothing, and leaves the first and the third step out (the RIFE row of Table 3).

        backbone : of ``create_backbone``. streams : "rife", or what Table 2 compares it with: "one" network, two with
            "equal" weights, two "weighted" by Eq. 6.
        mask : M of Eq. 5: "none" (all ones: the AE row of Table 1), "gaussian", "person" (the set's masks), or, wrong
            on purpose, "background". mask_width : standard deviation of the Gaussian as a share of height and of width.
        alpha, beta : of Eq. 4 and 9. reduction : "mean" over a picture's values, or "sum", as Eq. 5 is printed.
        pairs : what FFSR learns from: "protocol", the image as the protocol degrades it and as it was before (§3); or
            "synthetic", copies at ``ratios``, for sets that are low in resolution as they come.
        canvas : (H, W); 384 x 128 in the paper except on VR-Market1501.
        epochs, lr : of the three steps; a step without epochs is left out.
        optimizer, schedule : of all three: "sgd" and "steps" (a tenth after half of the epochs) in the paper (§5.2);
            "adamw" and "cosine" for short trainings, whose first step is then ``restore_stage``.
        fusion_rate : factor on the learning rate of the layers that predict the streams' weights, which begin from
            nothing while the streams are trained already.
        descriptor : dimensions D of the fully connected layer, or 0 for pooled features behind a BNNeck, as the other
            methods of this course have them in ``course``.
        """

        network: str = "ffsr"
        streams: str = "rife"
        backbone: str = "resnet50"
        mask: str = "gaussian"
        mask_width: float = 0.25
        alpha: float = 1.0
        beta: float = 0.1
        reduction: str = "mean"
        pairs: str = "protocol"
        ratios: tuple[float, ...] = (1.0, 1 / 2, 1 / 3, 1 / 4)
        canvas: tuple[int, int] = (256, 128)
        epochs: tuple[int, int, int] = (60, 60, 60)
        lr: tuple[float, float, float] = (0.01, 0.01, 0.001)
        optimizer: str = "sgd"
        schedule: str = "steps"
        fusion_rate: float = 1.0
        descriptor: int = 256
        batch: tuple[int, int] = (8, 4)
        weight_decay: float = 5e-4
        shift: float = 10 / 256

        def __post_init__(self):
            choices = {"mask": MASKS, "pairs": PAIRS, "schedule": ("steps", "cosine"), "reduction": ("mean", "sum")}
            for what, known in choices.items():
                value = getattr(self, what)
                if value not in known:
                    raise ValueError(f"unknown {what} {value!r}; known: {', '.join(known)}")
            if self.mask_width <= 0:
                raise ValueError(f"the Gaussian mask needs a width above 0, not {self.mask_width}")
            if min(self.alpha, self.beta) < 0:
                raise ValueError(f"alpha and beta, the weights of losses, are not negative: {self.alpha}, {self.beta}")

    SHORT: ClassVar = {
        "network": "ffsr-narrow", "lr": (2e-4, 5e-4, 2e-4), "optimizer": "adamw", "schedule": "cosine",
        "fusion_rate": 20.0, "descriptor": 0, "batch": (16, 4), "weight_decay": 0.01,
    }  # fmt: skip
    PROFILES: ClassVar = {
        "quick": SHORT | {
            "backbone": "bottleneck-16-1", "canvas": (64, 32), "epochs": (1, 2, 1), "lr": (2e-4, 1e-3, 2e-4),
            "shift": 2 / 64,
        },
        "course": SHORT | {
            "backbone": "resnet18-half", "canvas": (96, 48), "epochs": (5, 10, 5), "shift": 4 / 96,
        },
    }  # fmt: skip
    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas = s.canvas
        # no erasing: the pixel loss would ask the super-resolution network to paint grey boxes
        self.augmentation = Augmentation(pad=round(s.shift * s.canvas[0]))
        self.enlargement = "bicubic" if s.network == "bicubic" else "bilinear"
        self.sr = create_network(s.network, min(s.ratios))
        self.backbone = create_features(s.backbone, s.streams)
        self.pool = GlobalPool()
        channels = self.backbone.channels
        self.head = (
            LinearHead(channels, s.descriptor, num_identities) if s.descriptor else BNNeck(channels, num_identities)
        )
        self.stages = self._steps()

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        if stage.name == "restore":
            return self.restoration_terms(batch)
        if stage.name == "features":
            return self.identity_terms(batch.images, batch)
        pictures = self.sr(batch.images)
        if "sr" not in stage.trains:
            return self.identity_terms(pictures, batch)
        given = pictures if self.settings.pairs == "protocol" else None
        return self.restoration_terms(batch, given) | self.identity_terms(pictures, batch)

    def restoration_terms(self, batch: Batch, pictures: Tensor | None = None) -> dict[str, Tensor]:
        """Eq. 5; ``pictures``: what FFSR made of ``batch.images``, where that is known."""
        s = self.settings
        if pictures is None:
            synthetic = s.pairs == "synthetic"
            pictures = self.sr(batch.original.at(batch.pick("degrade", s.ratios)) if synthetic else batch.images)
        return {"foreground": foreground_loss(pictures, batch.hr, self.mask(batch), s.reduction)}

    def identity_terms(self, pictures: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8, and Eq. 7 summed over the blocks where there is one."""
        maps, weights = self._maps(pictures)
        _, logits = self.head(self.pool(maps))
        terms = {"identity": cross_entropy(logits, batch.labels)}
        if weights is not None:
            terms["weighting"] = resolution_weighting(weights, batch.resolution)
        return terms

    def mask(self, batch: Batch) -> Tensor:
        """M of Eq. 5, (B, 1, H, W) in [0, 1], with the flip and crop of the images."""
        kind = self.settings.mask
        if kind == "none":
            return torch.ones_like(batch.images[:, :1])
        if kind == "gaussian":
            return gaussian_mask(batch.position, self.settings.mask_width)
        if batch.mask is None:
            raise ValueError(
                f"mask={kind!r} needs the people's outlines, and this set has none: give them with "
                "lib.data.masks.masks_from_folder or lib.experiments.segmented, or use mask='gaussian'"
            )
        return batch.mask if kind == "person" else 1 - batch.mask

    def describe(self, images: Tensor, rule: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, 3, H, W) -> descriptors (B, D) and the weights (B, T, 2) they were fused with (None: one stream).

        rule : makes other weights (B, T, 2) of the predicted ones, where there are some: the network describes the
        images as it is, and then once more with what the rule made of its weights in all blocks.
        """
        pictures = self.sr(images)
        maps, weights = self._maps(pictures)
        if rule is not None and weights is not None and weights.shape[1]:
            maps, weights = self.backbone.streams(pictures, rule(weights))
        features = self.pool(maps).float()
        if isinstance(self.head, BNNeck):
            return F.normalize(self.head.bn(features)), weights
        return self.head.reduce(features).float(), weights

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.describe(batch.images)[0]

    def _maps(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        if isinstance(self.backbone, TwoStreams):
            return self.backbone.streams(pictures)
        return self.backbone(pictures), None

    def _steps(self) -> list[Stage]:
        s = self.settings
        recognise = ("backbone", "pool", "head")
        trains = {"restore": ("sr",), "features": recognise, "joint": (*self.joint_parts, *recognise)}
        weights = {"identity": s.alpha, "weighting": s.alpha * s.beta, "foreground": 1.0}
        learns = any(p.requires_grad for p in self.sr.parameters())
        made = []
        for name, epochs, lr in zip(STEPS, s.epochs, s.lr, strict=True):
            steps = {"optimizer": s.optimizer, "schedule": Step((max(1, epochs // 2),))}
            terms = {term: weights[term] for term in self._terms(name)}
            if not epochs or not (learns or name == "features"):
                continue
            if name == "restore":
                changes = steps | {"clip": None} if s.schedule == "steps" else {}
                made.append(restore_stage(epochs, lr, s.batch, trains[name], weights=terms, **changes))
                continue
            how = steps if s.schedule == "steps" else {"schedule": Warmup(epochs / 12, then=Cosine())}
            made.append(
                Stage(
                    name,
                    epochs=epochs,
                    trains=trains[name],
                    lr=lr,
                    weight_decay=s.weight_decay,
                    weights=terms,
                    lr_multipliers={"backbone.fusions": s.fusion_rate},
                    identities=s.batch[0],
                    images=s.batch[1],
                    **{"optimizer": s.optimizer} | how,
                )
            )
        return made

    def _terms(self, step: str) -> list[str]:
        """The loss terms of a step."""
        restores = step == "restore" or (step == "joint" and "sr" in self.joint_parts)
        recognises = [] if step == "restore" else ["identity"]
        weighs = ["weighting"] if recognises and isinstance(self.backbone, TwoStreams) else []
        return ["foreground"] * restores + recognises + weighs


class RiprApart(Ripr):
    """RIPR without the joint learning: the third step goes on with the re-identification behind a frozen FFSR.

    The control that Table 1 lacks: its rows with joint learning have also had longer training, on FFSR's pictures.
    """

    name = "ripr-apart"
    joint_parts = ()


def gaussian_mask(position: Tensor, width: float) -> Tensor:
    """M = exp(-((y - 1/2)^2 + (x - 1/2)^2) / (2 width^2)), 1 in the middle of the canvas (RIPR §4.1, Fig. 3).

    position (B, 2, H, W): y and x as shares of the canvas' height and width. Returns (B, 1, H, W) in (0, 1].
    """
    return torch.exp(-((position - 0.5) / width).square().sum(1, keepdim=True) / 2)
