"""The strong baseline: one network, identity classification and hardest triplets (Luo et al. 2019, "Bag of Tricks").

ResNet-50 with last stride 1, BNNeck, label smoothing and batch-hard triplet in the ``paper`` profile; narrow and
shallow relatives on smaller canvases for two CPU cores. With ``augmentation="all-resolutions"`` it is the
"All-Resolution" row of JBIM Table 8: trained on the images and their copies at 1/2, 1/3 and 1/4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.losses import batch_hard_triplet, cross_entropy
from lib.methods.method import Method
from lib.methods.stages import Cosine, Stage, Step, Warmup
from lib.models.backbones import create_backbone
from lib.models.heads import BNNeck, GlobalPool

AUGMENTATIONS = {"none": (1.0,), "all-resolutions": (1.0, 1 / 2, 1 / 3, 1 / 4)}  # JBIM §7.4


class Baseline(Method):
    """See the module's docstring."""

    name = "baseline"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """backbone : a name of ``create_backbone``. canvas : (H, W) pixels. epochs, lr : of the one step.

        schedule : "steps", warm-up over a twelfth of the epochs and a tenth after 1/3 and 7/12 of them (10, 40 and 70
            of 120, as in the paper), or "cosine", which short trainings do better with.
        augmentation : "none" (each image as the protocol has it) or "all-resolutions".
        feature : the test descriptor, "after" the BNNeck or "before" it. After, it is divided by its length: the
            classifier behind the BNNeck compares directions (cosine), so the test does too. Before, it is left as the
            triplet loss shaped it.
        batch : (P identities, K images each).
        smoothing, margin, triplet : label smoothing, triplet margin, and the weight of the triplet loss.
        shift : largest random shift as a share of the canvas' height. erase : probability of random erasing (Zhong et
            al. 2020). jitter : strengths of the change of brightness, contrast, saturation and hue, each in [0, 1).
        """

        backbone: str = "resnet50"
        canvas: tuple[int, int] = (256, 128)
        epochs: int = 120
        lr: float = 3.5e-4
        schedule: str = "steps"
        augmentation: str = "none"
        feature: str = "after"
        pooling: str = "average"
        batch: tuple[int, int] = (16, 4)
        smoothing: float = 0.1
        margin: float = 0.3
        triplet: float = 1.0
        weight_decay: float = 5e-4
        shift: float = 10 / 256
        erase: float = 0.5
        jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

        def __post_init__(self):
            if self.augmentation not in AUGMENTATIONS:
                raise ValueError(f"unknown augmentation {self.augmentation!r}; known: {', '.join(AUGMENTATIONS)}")
            if self.feature not in ("after", "before"):
                raise ValueError(f"feature is 'after' or 'before' the BNNeck, not {self.feature!r}")
            if self.schedule not in ("steps", "cosine"):
                raise ValueError(f"schedule is 'steps' or 'cosine', not {self.schedule!r}")

    PROFILES: ClassVar = {
        "quick": {
            "backbone": "bottleneck-16-1", "canvas": (64, 32), "epochs": 4, "lr": 1e-3, "shift": 2 / 64,
            "schedule": "cosine",
        },
        "course": {
            "backbone": "resnet18-half", "canvas": (96, 48), "epochs": 50, "lr": 7e-4, "shift": 4 / 96,
            "schedule": "cosine",
        },
    }  # fmt: skip
    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas = s.canvas
        schedule = Step((s.epochs // 3, s.epochs * 7 // 12)) if s.schedule == "steps" else Cosine()
        self.stages = [
            Stage(
                "train",
                epochs=s.epochs,
                lr=s.lr,
                weight_decay=s.weight_decay,
                schedule=Warmup(s.epochs / 12, then=schedule),
                weights={"identity": 1.0, "triplet": s.triplet},
                identities=s.batch[0],
                images=s.batch[1],
            )
        ]
        pad, ratios = round(s.shift * s.canvas[0]), AUGMENTATIONS[s.augmentation]
        self.augmentation = Augmentation(pad=pad, erase=s.erase, jitter=s.jitter, ratios=ratios)
        self.backbone = create_backbone(s.backbone)
        self.pool = GlobalPool(s.pooling)
        self.head = BNNeck(self.backbone.channels, num_identities)

    @property
    def neck(self) -> BNNeck:
        """The paper's name of ``head``."""
        return self.head

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        features = self.pool(self.backbone(batch.images))  # (B, D)
        _, logits = self.head(features)  # (B, N)
        return {
            "identity": cross_entropy(logits, batch.labels, self.settings.smoothing),
            "triplet": batch_hard_triplet(features, batch.labels, self.settings.margin),
        }

    def embed(self, batch: Batch, role: str) -> Tensor:
        features = self.pool(self.backbone(batch.images)).float()
        if self.settings.feature == "before":
            return features
        return F.normalize(self.head.bn(features))
