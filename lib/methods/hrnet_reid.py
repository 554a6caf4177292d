"""HRNet-ReID: one network that describes people by maps of four resolutions (Zhang et al. 2021, §III.C, IV.E.3).

PS-HRNet's teacher, and what its pupil is; by itself the subject of the paper's Tables V and VI. By a linear classifier
and hardest triplets, with t a sequence of Eq. 6:

    L_BH = sum over t = 1 ... 5 of the batch-hard triplet of Seq(t)                                (Eq. 7)
    L_CE = cross-entropy of l_c with smoothed labels                                               (Eq. 8, 9)
    L_ID = 1.15 L_CE + 0.2 L_BH                                                                    (Eq. 10)

All are printed as sums over the batch; here they are means, as in the authors' code. Tested is the sum of the
descriptors of a picture and of its mirror image, by its direction. Letters: B images in a batch, H x W the canvas, D
dimensions, N identities.
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
from lib.models.backbones import create_backbone
from lib.models.heads import Described, PooledHead, SequencesHead, StripesHead
from lib.models.hrnet import create_branches

HEADS = ("sequences", "pooled", "stripes")
SEQUENCES = 5  # that Eq. 7 sums over; a head with one sequence gives it the weight of five


class HrnetReid(Method):
    """See the module's docstring; with another backbone and head what HRNet-ReID is compared with.

    With ``head="stripes"`` it is PCB: its cross-entropies are added up, and there is no triplet.
    """

    name = "hrnet-reid"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """backbone : a name of ``create_backbone``, for the head "sequences" an HRNet.

        head : "sequences" (Eq. 6, of the four maps), "pooled" (the one map, averaged, and the same layers) or "stripes"
            (PCB). pooling : of the sequences, "both", "average" or "max" (Table V). descriptor : the length of l_f.
        dropout : before the classifier (the code's; the paper does not say).
        cross_entropy, triplet : weights of L_CE and, for each of five sequences, of L_BH; for another number of
            sequences the triplet has the weight of five as well. margin, smoothing : of the triplet, of the labels (the
            paper does not say; its code has 0.1).
        pairs : x_l and x_h, "protocol": as the protocol shows a picture, and as it was; "synthetic": a copy at one of
            ``ratios``, and the picture (§III.A; for sets that are low in resolution as they come).
        sees : which of the two this network learns from, "low", "high" or "either", each as often.
        schedule : "steps", a tenth every 30 epochs, or "cosine", which short trainings do better with. warmup : epochs
            in which the rate rises from 0.035 of it (the paper does not say; the code has 3e-4 in the first five).
        optimizer : "sgd" (momentum 0.9), "adam" or "adamw". shift : largest random shift as a share of the canvas'
            height.
        """

        backbone: str = "hrnet-w32"
        head: str = "sequences"
        pooling: str = "both"
        descriptor: int = 512
        dropout: float = 0.5
        cross_entropy: float = 1.15
        triplet: float = 0.2
        margin: float = 0.1
        smoothing: float = 0.1
        pairs: str = "protocol"
        ratios: tuple[float, ...] = (1.0, 1 / 2, 1 / 3, 1 / 4)
        sees: str = "low"
        canvas: tuple[int, int] = (256, 128)
        epochs: int = 70
        lr: float = 8.5e-3
        optimizer: str = "sgd"
        schedule: str = "steps"
        warmup: float = 5.0
        batch: tuple[int, int] = (4, 6)
        weight_decay: float = 5e-4
        shift: float = 10 / 256

        def __post_init__(self):
            choices = {
                "head": HEADS, "pairs": ("protocol", "synthetic"), "sees": ("low", "high", "either"),
                "schedule": ("steps", "cosine"), "pooling": ("both", "average", "max"),
            }  # fmt: skip
            for what, known in choices.items():
                value = getattr(self, what)
                if value not in known:
                    raise ValueError(f"unknown {what} {value!r}; known: {', '.join(known)}")
            if min(self.cross_entropy, self.triplet) < 0:
                raise ValueError(f"weights of losses are not negative: {self.cross_entropy}, {self.triplet}")
            if not self.ratios or not all(0 < ratio <= 1 for ratio in self.ratios):
                raise ValueError(f"ratios of copies lie in (0, 1], not {self.ratios}")

    SHORT: ClassVar = {"lr": 2e-3, "optimizer": "adamw", "schedule": "cosine", "batch": (16, 4), "weight_decay": 0.01,
                       "dropout": 0.0}  # fmt: skip
    PROFILES: ClassVar = {
        "quick": SHORT | {
            "backbone": "hrnet-w8", "canvas": (64, 32), "descriptor": 128, "epochs": 2, "warmup": 0.2, "shift": 2 / 64,
        },
        "course": SHORT | {
            "backbone": "hrnet-w12", "canvas": (96, 48), "descriptor": 192, "epochs": 10, "warmup": 1.0,
            "shift": 4 / 96,
        },
    }  # fmt: skip
    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas = s.canvas
        self.augmentation = Augmentation(pad=round(s.shift * s.canvas[0]))  # no erasing: Eq. 5 would paint grey boxes
        self.backbone = create_branches(s.backbone) if s.head == "sequences" else create_backbone(s.backbone)
        self.head = self._head(num_identities)
        self.stages = [self.step("re-id", s.epochs, ("",), self.identity_weights())] if s.epochs else []

    def _head(self, num_identities: int) -> SequencesHead | StripesHead:
        s = self.settings
        layers = {"descriptor": s.descriptor, "dropout": s.dropout}
        if s.head == "sequences":
            return SequencesHead(self.backbone.stage_channels, num_identities, pooling=s.pooling, **layers)
        if s.head == "pooled":
            return PooledHead(self.backbone.channels, num_identities, **layers)
        return StripesHead(self.backbone.channels, num_identities)

    def step(self, name: str, epochs: int, trains: tuple[str, ...], weights: dict[str, float], **changes) -> Stage:
        """A training step with the optimiser, rate and schedule of the settings; ``changes`` are other fields."""
        s = self.settings
        then = Cosine() if s.schedule == "cosine" else Step(tuple(range(30, max(epochs, 31), 30)))
        recipe = {
            "optimizer": s.optimizer, "lr": s.lr, "weight_decay": s.weight_decay,
            "schedule": Warmup(s.warmup, then, start=0.035) if s.warmup else then,
        }  # fmt: skip
        return Stage(
            name, epochs, trains, weights=weights, identities=s.batch[0], images=s.batch[1], **recipe | changes
        )

    def identity_weights(self) -> dict[str, float]:
        """Of Eq. 10's terms: "identity", and "triplet", which is a mean over the sequences, where there are some."""
        s = self.settings
        triplet = {"triplet": SEQUENCES * s.triplet} if s.triplet and s.head != "stripes" else {}
        return {"identity": s.cross_entropy} | triplet

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return self.identity_terms(self.describe(self.seen(batch)), batch.labels)

    def shown(self, batch: Batch) -> Tensor:
        """x_l, (B, 3, H, W); x_h is ``batch.hr``."""
        if self.settings.pairs == "protocol":
            return batch.images
        return batch.original.at(batch.pick("degrade", self.settings.ratios))

    def seen(self, batch: Batch) -> Tensor:
        """(B, 3, H, W): what ``sees`` says."""
        if self.settings.sees == "high":
            return batch.hr
        low = self.shown(batch)
        if self.settings.sees == "low":
            return low
        chosen = batch.pick("original", (0.0, 1.0)).to(low)[:, None, None, None]  # (B, 1, 1, 1)
        return torch.where(chosen > 0, batch.hr, low)

    def describe(self, images: Tensor) -> Described:
        """(B, 3, H, W) in [0, 1] -> sequences, descriptor and logits."""
        if self.settings.head == "sequences":
            return self.head(self.backbone.maps(images))
        return self.head([self.backbone(images)])

    def identity_terms(self, found: Described, labels: Tensor) -> dict[str, Tensor]:
        """Eq. 7-9: L_CE summed over the classifiers, L_BH as a mean over the sequences."""
        s = self.settings
        every = [cross_entropy(logits, labels, s.smoothing) for logits in found.logits]
        terms = {"identity": torch.stack(every).sum()}
        if s.triplet and found.sequences:
            each = [batch_hard_triplet(sequence, labels, s.margin) for sequence in found.sequences]
            terms["triplet"] = torch.stack(each).mean()
        return terms

    def restore(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W): what a picture goes through before it is described; here nothing."""
        return images

    def embed(self, batch: Batch, role: str) -> Tensor:
        both = (batch.images, batch.images.flip(3))
        return F.normalize(sum(self.describe(self.restore(images)).descriptor.float() for images in both))
