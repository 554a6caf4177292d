"""JBIM: joint bilateral-resolution identity modelling (Zheng, Hong, Jiao, Wu, Zhu, Gong, Qin, Lai; IJCV 2022).

The journal version of SING. A person is described twice: by what super-resolution makes of a small picture, in
high-resolution space (HIM), and by what the small picture shows as it is, in low-resolution space (LIM); a fusion
network joins the two. m is the model's ratio, Fsr the super-resolution, F^h and F^l the two feature extractors:

    HIM   f_h^h = F^h(x^h)   f_h^h2l = F^h(Fsr(x^h2l))   f_h^l = F^h(Fsr(x^l))                       (Eq. 4)
          L_HIM = L_cls(f_h^h) + L_cls(f_h^h2l) + L_cls(f_h^l) + alpha |Fsr(x^h2l) - x^h|_F^2        (Eq. 2, 3, 6)
    LIM   f_l^h2l = F^l(x^h2l)   f_l^l = F^l(x^l),   L_LIM = L_cls(f_l^l) + L_cls(f_l^h2l)           (Eq. 7, 8)
    FFN   f_f^h = F_fus(f_h^h, f_l^h2l)   f_f^l = F_fus(f_h^l, f_l^l)
          L_fus = L_cls(f_f^l) + L_cls(f_f^h)                                                        (Eq. 9, 10)
    L = L_HIM + L_LIM + beta L_fus                                                                   (Eq. 11)
    L_cls = L_id + L_tri, of each stream                                                             (Eq. 5)

Three steps (§6.2): HIM alone, LIM alone, each a run of its own; then everything, from those two. When tested, a probe
goes through Fsr and F^h, and as it is through F^l; a gallery image goes through F^h as it is, and through F^l as its
own copy at m. Models for several m are fused by ``lib.methods.ensemble`` (Eq. 17-19). The paper does not say where the
triplet is taken: here over all streams of a module together, before the BNNeck, as often as there are streams, because
a person on VIPeR has one image in a stream. Letters: B images in a batch, D dimensions of a descriptor, N identities.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.losses import batch_hard_triplet, cross_entropy
from lib.methods.method import Method
from lib.methods.sing import Sing, SrThenReid
from lib.methods.stages import Stage
from lib.models.heads import BNNeck, FusionHead, ReducedPool

RATIOS = (1.0, 1 / 2, 1 / 3, 1 / 4)  # of "All-Resolution" (§7.4)


class Him(Sing):
    """The high-resolution module: SING with a triplet loss, another backbone and a BNNeck (Eq. 2-6)."""

    name = "him"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Sing.Settings):
        """descriptor : dimensions of a fully connected layer before the BNNeck, or 0 for the pooled features. The paper
        gives no length: with 512 its network has the size that Table 2 prints. triplet : weight of each stream's
        triplet loss (Eq. 5). Other settings as SING's; epochs and rate are those of Luo et al. 2019, whose BNNeck the
        paper cites, since it gives none.
        """

        network: str = "srcnn-915-luma"
        backbone: str = "resnet50"
        descriptor: int = 512
        canvas: tuple[int, int] = (256, 128)
        epochs: int = 120
        lr: float = 3.5e-4
        triplet: float = 1.0
        shift: float = 10 / 256

    PROFILES: ClassVar = {profile: said | {"descriptor": 0} for profile, said in Sing.PROFILES.items()}
    settings: Settings

    def build(self, num_identities: int) -> None:
        descriptor = self.settings.descriptor
        asked, self.settings = self.settings, replace(self.settings, descriptor=0)  # Sing's own layer is DGD's
        super().build(num_identities)
        self.settings = asked
        if descriptor:
            self.pool = ReducedPool(self.backbone.channels, descriptor)
            self.head = BNNeck(descriptor, num_identities)

    @property
    def count(self) -> int:
        """Streams: the triplet over their union counts once for each of them (Eq. 5)."""
        return 3 if self.settings.synthetic else 2

    def stage(self, name: str, trains: tuple[str, ...], weights: dict, rates: dict) -> Stage:
        made = super().stage(name, trains, weights, rates)
        triplet = {term: weight * self.count for term, weight in made.weights.items() if term == "triplet"}
        return replace(made, weights=made.weights | triplet)

    def describe(self, batch: Batch, role: str) -> Tensor:
        """(B, D): the descriptors behind the BNNeck, which the fusion takes in; ``embed`` gives them unit length."""
        images = self.sr(batch.images) if role == "probe" else batch.images
        return self._behind_the_neck(images)

    def embed(self, batch: Batch, role: str) -> Tensor:
        return F.normalize(self.describe(batch, role))

    def _behind_the_neck(self, images: Tensor) -> Tensor:
        return self.head.bn(self.pool(self.backbone(images)).float())


class SrThenHim(Him, SrThenReid):
    """HIM's parts learned one after the other (Table 6: "SRCNN + ResNet-50"), with the same losses and pictures."""

    name = "sr-then-him"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Him.Settings, SrThenReid.Settings):
        """As HIM's, and ``restore_epochs`` of the first step."""

        synthetic: bool = True

    settings: Settings


class Lim(Him):
    """The low-resolution module (Eq. 7, 8): nothing is sharpened, and what is sharp is shrunk by m instead."""

    name = "lim"
    count = 2

    @dataclass(frozen=True, kw_only=True)
    class Settings(Him.Settings):
        """As HIM's, without a super-resolution."""

        network: str = "bicubic"

    PROFILES: ClassVar = {
        profile: {name: value for name, value in said.items() if name != "network"}
        for profile, said in Him.PROFILES.items()
    }
    settings: Settings

    def training_steps(self) -> list[Stage]:
        return [self.stage("low", ("",), {}, {})]

    def learn(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        sharp, high, low = self.streams(batch)
        return self._identities(batch, {"lr": batch.images[low], "synthetic": sharp.at(self.settings.ratio, high)})

    def describe(self, batch: Batch, role: str) -> Tensor:
        return self._behind_the_neck(batch.images if role == "probe" else batch.at(self.settings.ratio))

    def _identities(self, batch: Batch, pictures: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        _, high, low = self.streams(batch)
        return self.identity_terms(pictures, {n: batch.labels[low if n == "lr" else high] for n in pictures})


class AllResolution(Lim):
    """ "All-Resolution" (§7.4): one network that learns from the high-resolution side at 1, 1/2, 1/3 and 1/4 of its
    size and from the other side as it is, and compares pictures as they come; LIM's losses.
    """

    name = "all-resolution"

    def learn(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        sharp, high, low = self.streams(batch)
        ratios = sharp.pick("resolution", RATIOS)[high]
        return self._identities(batch, {"lr": batch.images[low], "hr": sharp.at(ratios, high)})

    def describe(self, batch: Batch, role: str) -> Tensor:
        return self._behind_the_neck(batch.images)


class HimLim(Method):
    """HIM and LIM side by side: their descriptors, each of unit length, are concatenated (Table 6: "HIM + LIM").

    Without epochs they stay as they were when learned apart. With epochs both go on learning for as long as JBIM's
    third step would take, and nothing connects them: the control that Table 5 lacks.
    """

    name = "him-lim"
    two_sides = True

    @dataclass(frozen=True, kw_only=True)
    class Settings(Him.Settings):
        """As HIM's; those that LIM has too hold for both. epochs, lr : of the step in which both learn."""

        epochs: int = 60
        lr: float = 3.5e-5

    PROFILES: ClassVar = {
        profile: said | {"epochs": said["epochs"] // 2, "lr": said["lr"] * 0.4}
        for profile, said in Him.PROFILES.items()
    }
    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        told = {f.name: getattr(s, f.name) for f in fields(Him.Settings) if f.name != "weights"}
        self.canvas, self.augmentation = s.canvas, Augmentation(pad=round(s.shift * s.canvas[0]))
        self.him, self.lim = self.modules_of(told)
        for part in (self.him, self.lim):
            part.setup(self.profile, num_identities)
        self.stages = [self.training_step()] if s.epochs else []

    def modules_of(self, told: dict) -> tuple[Him, Him]:
        """The two, not yet built."""
        return Him(**told), Lim(**told | {"network": "bicubic"})

    def training_step(self) -> Stage:
        """What HIM and LIM are trained by when alone, of both at once."""
        him, lim = self.him.stages[0], self.lim.stages[0]
        weights = {f"him_{term}": weight for term, weight in him.weights.items()}
        weights |= {f"lim_{term}": weight for term, weight in lim.weights.items()}
        rates = {f"him.{part}": rate for part, rate in him.lr_multipliers.items()}
        rates |= {f"lim.{part}": rate for part, rate in lim.lr_multipliers.items()}
        return replace(him, trains=("him", "lim"), weights=weights, lr_multipliers=rates)

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return self.learn(batch)[0]

    def learn(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """L_HIM and L_LIM of Eq. 11, and the descriptors of both by stream: {stream: (b, D)}."""
        him, high = self.him.learn(batch)
        lim, low = self.lim.learn(batch)
        return {f"him_{n}": term for n, term in him.items()} | {f"lim_{n}": t for n, t in lim.items()}, high, low

    def embed(self, batch: Batch, role: str) -> Tensor:
        return F.normalize(torch.cat([self.him.embed(batch, role), self.lim.embed(batch, role)], 1))  # (B, Dh + Dl)


class HimHim(HimLim):
    """Two networks that see the same pictures, side by side: what two are worth where none looks at low resolution."""

    name = "him-him"

    def modules_of(self, told: dict) -> tuple[Him, Him]:
        return Him(**told), Him(**told)


class Jbim(HimLim):
    """See the module's docstring."""

    name = "jbim"

    @dataclass(frozen=True, kw_only=True)
    class Settings(HimLim.Settings):
        """beta : weight of the fusion's loss (Eq. 11), above 0; without it the method is ``him-lim``. dropout : before
        the fusion's classifier. fusion_rate : factor on the fusion's learning rate. In a short step it is below 1: the
        more its layer learns of the few people that it sees, the less it keeps of what tells others apart (lesson 30).
        """

        beta: float = 3.0
        dropout: float = 0.5
        fusion_rate: float = 1.0

        def __post_init__(self):
            super().__post_init__()
            if not self.beta > 0:
                raise ValueError(
                    f"beta, the weight of the fusion, is above 0, not {self.beta}: without it take 'him-lim'"
                )

    PROFILES: ClassVar = {profile: said | {"fusion_rate": 0.3} for profile, said in HimLim.PROFILES.items()}
    settings: Settings

    def build(self, num_identities: int) -> None:
        super().build(num_identities)
        lengths = (part.head.bn.num_features for part in (self.him, self.lim))
        self.ffn = FusionHead(*lengths, num_identities, self.settings.dropout)

    def training_step(self) -> Stage:
        s, made = self.settings, super().training_step()
        fusion = {"fusion_lr": s.beta, "fusion_hr": s.beta}
        if s.triplet:
            fusion["fusion_triplet"] = 2 * s.beta * s.triplet  # of two streams
        rates = made.lr_multipliers | {"ffn": s.fusion_rate}
        return replace(made, trains=("him", "lim", "ffn"), weights=made.weights | fusion, lr_multipliers=rates)

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        terms, high, low = self.learn(batch)
        return terms | self.fusion_terms(batch, high, low)  # Eq. 11

    def fusion_terms(self, batch: Batch, high: dict[str, Tensor], low: dict[str, Tensor]) -> dict[str, Tensor]:
        """Eq. 9, 10. high, low : HIM's and LIM's descriptors by stream. HIM's of the copies, f_h^h2l, is not fused."""
        s = self.settings
        _, sharp, small = self.him.streams(batch)
        sizes = [len(small), len(sharp)]
        labels = batch.labels[torch.cat([small, sharp])]
        fused, logits = self.ffn(torch.cat([high["lr"], high["hr"]]), torch.cat([low["lr"], low["synthetic"]]))
        terms = {
            name: cross_entropy(some, of, s.smoothing)
            for name, some, of in zip(("fusion_lr", "fusion_hr"), logits.split(sizes), labels.split(sizes), strict=True)
        }
        if s.triplet:
            terms["fusion_triplet"] = batch_hard_triplet(fused, labels, s.margin)
        return terms

    def embed(self, batch: Batch, role: str) -> Tensor:
        return F.normalize(self.ffn.fuse(self.him.describe(batch, role), self.lim.describe(batch, role)))
