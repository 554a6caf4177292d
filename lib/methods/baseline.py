"""The strong baseline: one network, identity classification and hardest triplets (Luo et al. 2019, "Bag of Tricks").

ResNet-50 with last stride 1, BNNeck, label smoothing and batch-hard triplet in the ``paper`` profile; narrow and
shallow relatives on smaller canvases for two CPU cores. With ``augmentation="all-resolutions"`` it is the
"All-Resolution" row of JBIM Table 8: trained on the images and their copies at 1/2, 1/3 and 1/4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from lib.data.batches import Augmentation, Batch
from lib.losses import batch_hard_triplet, cross_entropy
from lib.methods.method import Method, check_profile
from lib.methods.stages import Cosine, Stage, Step, Warmup
from lib.models.backbones import create_backbone
from lib.models.heads import BNNeck, GlobalPool


@dataclass(frozen=True)
class Size:
    """What a profile decides unless the constructor says otherwise."""

    backbone: str
    canvas: tuple[int, int]  # height, width in pixels
    epochs: int
    lr: float
    pad: int  # pixels of the random shift


SIZES = {
    "quick": Size("bottleneck-16-1", (64, 32), epochs=4, lr=1e-3, pad=2),
    "course": Size("resnet18-half", (96, 48), epochs=50, lr=7e-4, pad=4),
    "paper": Size("resnet50", (256, 128), epochs=120, lr=3.5e-4, pad=10),
}
AUGMENTATIONS = {"none": (1.0,), "all-resolutions": (1.0, 1 / 2, 1 / 3, 1 / 4)}  # JBIM §7.4


class Baseline(Method):
    """See the module's docstring.

    Parameters
    ----------
    backbone, canvas, epochs, lr : override the profile's choice (``SIZES``).
    pretrained : first weights of the backbone: None, "imagenet", "pedestrians"
        (or "pedestrians-long", see lib/training/pretrain.py), or the path of a weights file.
    augmentation : "none" (each image as the protocol has it) or "all-resolutions".
    feature : the test descriptor, "after" the BNNeck or "before" it. After, it is divided by its length: the
        classifier behind the BNNeck compares directions (cosine), so the test does too. Before, it is left as the
        triplet loss shaped it.
    batch : (P identities, K images each).
    smoothing, margin, triplet : label smoothing, triplet margin, and the weight of the triplet loss.
    erase : probability of random erasing (Zhong et al. 2020).
    jitter : strengths of the change of brightness, contrast, saturation and hue, each in [0, 1); none by default.
    """

    name = "baseline"

    def __init__(
        self,
        backbone: str | None = None,
        canvas: tuple[int, int] | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        pretrained: str | None = None,
        augmentation: str = "none",
        feature: str = "after",
        pooling: str = "average",
        batch: tuple[int, int] = (16, 4),
        smoothing: float = 0.1,
        margin: float = 0.3,
        triplet: float = 1.0,
        weight_decay: float = 5e-4,
        erase: float = 0.5,
        jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    ):
        super().__init__()
        if augmentation not in AUGMENTATIONS:
            raise ValueError(f"unknown augmentation {augmentation!r}; known: {', '.join(AUGMENTATIONS)}")
        if feature not in ("after", "before"):
            raise ValueError(f"feature is 'after' or 'before' the BNNeck, not {feature!r}")

    def setup(self, profile: str, num_identities: int) -> None:
        s, size = self.settings, SIZES[check_profile(profile)]
        self.profile, self.num_identities = profile, num_identities
        self.canvas = tuple(s["canvas"] or size.canvas)
        epochs = size.epochs if s["epochs"] is None else s["epochs"]
        # paper: warm-up over 10 of 120 epochs, a tenth at 40 and 70; short trainings do better with a cosine
        schedule = Step((epochs // 3, epochs * 7 // 12)) if profile == "paper" else Cosine()
        self.stages = [
            Stage(
                "train",
                epochs=epochs,
                lr=s["lr"] or size.lr,
                weight_decay=s["weight_decay"],
                schedule=Warmup(epochs / 12, then=schedule),
                weights={"identity": 1.0, "triplet": s["triplet"]},
                identities=s["batch"][0],
                images=s["batch"][1],
            )
        ]
        pad = round(size.pad * self.canvas[0] / size.canvas[0])
        ratios = AUGMENTATIONS[s["augmentation"]]
        self.augmentation = Augmentation(pad=pad, erase=s["erase"], jitter=tuple(s["jitter"]), ratios=ratios)
        self.backbone = create_backbone(s["backbone"] or size.backbone)
        self.pool = GlobalPool(s["pooling"])
        self.neck = BNNeck(self.backbone.channels, num_identities)

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        features = self.pool(self.backbone(batch.images))  # (B, D)
        _, logits = self.neck(features)  # (B, N)
        return {
            "identity": cross_entropy(logits, batch.labels, self.settings["smoothing"]),
            "triplet": batch_hard_triplet(features, batch.labels, self.settings["margin"]),
        }

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        features = self.pool(self.backbone(images)).float()
        if self.settings["feature"] == "before":
            return features
        return F.normalize(self.neck.bn(features))

    def pretrained_parts(self) -> dict[str, str]:
        return {"backbone": self.settings["pretrained"]} if self.settings["pretrained"] else {}
