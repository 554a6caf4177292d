"""PS-HRNet: a super-resolution and a pupil beside a teacher (Zhang, Ge, Dong, Wang, Zheng, Chen; 2021).

Two networks of the same kind, whose weights are not shared ("pseudo-siamese"). The teacher knows people at full
resolution; the pupil sees them at low resolution, through a super-resolution, and learns to say of them what the
teacher says of the same picture as it was. With G the super-resolution, x_l and x_h a picture and its original, C an
element of {Seq(1), ..., Seq(5), l_c} (Eq. 6, ``lib.models.heads.SequencesHead``):

    L_SR = | G(x_l) - x_h |_1                                                                      (Eq. 5)
    L_ID = 1.15 L_CE + 0.2 L_BH                                      (Eq. 7-10, ``lib.methods.hrnet_reid``)
    L_PS = sum over the chosen C of | C^h - C^l |_1                                                (Eq. 11)
    L = L_ID + 0.5 L_SR + 0.5 L_PS                                                                 (Eq. 12)

Two phases: the teacher alone on original pictures, by L_ID (``HrnetReid``: a run of its own); then super-resolution and
pupil by L, the teacher frozen in evaluation mode. Tested are probe and gallery alike, through the super-resolution.

Where the paper leaves open or its authors' code differs: all losses are printed as sums over the batch, here they are
means, also over pixels and dimensions, as in the code; who learns in phase 2 is told in three ways, here as in Fig. 2,
Algorithm 1 and the code; the pupil starts where the teacher started, not where it ended. ``AUTHORS`` are the values of
the code where they are not the paper's. Letters: B images in a batch, H x W the canvas, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from lib.data.batches import Batch
from lib.losses import pixel_l1, siamese_l1
from lib.methods.hrnet_reid import HrnetReid
from lib.methods.stages import Stage
from lib.methods.superres import create_network, restore_stage
from lib.models.heads import Described

# C of Eq. 11, and which of it a head has
ELEMENTS = ("seq1", "seq2", "seq3", "seq4", "seq5", "logits")
ELEMENTS_OF = {"sequences": ELEMENTS, "pooled": ("seq1", "logits"), "stripes": ("logits",)}
PIXELS_OF_IMAGENET = 4.425  # the code measures Eq. 5 between pictures divided by ImageNet's deviations: mean of 1 / std
# the settings that reproduce, to the digit, row 2 of Table VII in the authors' notebook; the paper prints others
AUTHORS = {
    "margin": 0.3, "batch": (6, 4), "sr_rate": 1.0, "elements": ELEMENTS, "pixel": 0.5 * PIXELS_OF_IMAGENET,
}  # fmt: skip


class PsHrnet(HrnetReid):
    """See the module's docstring. ``backbone`` and ``head`` are the pupil's; ``teacher`` is a ``HrnetReid``.

    Its first weights are a run's, ``weights={"teacher": run}``; else it is trained first. Three steps: "high" (the
    teacher), "restore" (the super-resolution for pixels, where asked for) and "joint".
    """

    name = "pshrnet"

    @dataclass(frozen=True, kw_only=True)
    class Settings(HrnetReid.Settings):
        """As ``HrnetReid``'s; ``epochs`` and ``lr`` are those of the joint step.

        network : a name of ``create_superres``; "bicubic" and "bilinear" learn nothing: there is no L_SR then.
        elements : C of Eq. 11, of "seq1" ... "seq5" and "logits"; without any there is no teacher.
        pixel, siamese : weights of L_SR (on pixels in [0, 1]) and of L_PS. reduction : of both, "mean" over pixels and
            dimensions, or "sum", as printed.
        sr_rate : factor on the learning rate of the super-resolution.
        teacher_epochs : of the step "high". None: as many as ``epochs``, and none where the teacher has first weights.
        restore_epochs, restore_lr : of the step "restore": the solo super-resolution of Table III with ``epochs=0``.
        """

        network: str = "vdsr-ca"
        elements: tuple[str, ...] = ("seq1", "seq4", "seq5", "logits")
        pixel: float = 0.5
        siamese: float = 0.5
        reduction: str = "mean"
        sr_rate: float = 0.1
        teacher_epochs: int | None = None
        restore_epochs: int = 0
        restore_lr: float = 8.5e-4

        def __post_init__(self):
            super().__post_init__()
            known = ELEMENTS_OF[self.head]
            if not set(self.elements) <= set(known) or len(set(self.elements)) < len(self.elements):
                raise ValueError(
                    f"elements of the head {self.head!r} are some of {', '.join(known)}, each once, not {self.elements}"
                )
            if min(self.pixel, self.siamese) < 0:
                raise ValueError(f"weights of losses are not negative: {self.pixel}, {self.siamese}")
            if self.reduction not in ("mean", "sum"):
                raise ValueError(f"reduction is 'mean' or 'sum', not {self.reduction!r}")
            if self.sees != "low":
                raise ValueError(f"the pupil sees what is low, not {self.sees!r}: take 'hrnet-reid' for the others")

    PROFILES: ClassVar = {
        profile: said | {"network": "vdsr-ca-narrow", "restore_lr": 2e-3}
        for profile, said in HrnetReid.PROFILES.items()
    }
    settings: Settings

    def build(self, num_identities: int) -> None:
        super().build(num_identities)
        s = self.settings
        self.enlargement = "bilinear" if s.network == "bilinear" else None
        self.sr = create_network(s.network, min(s.ratios))
        if s.elements:
            told = {f.name: getattr(s, f.name) for f in fields(HrnetReid.Settings) if f.name != "weights"}
            self.teacher = HrnetReid(**told)
            self.teacher.setup(self.profile, num_identities)
        self.stages = self._steps()

    @property
    def restores(self) -> bool:
        """Whether there is a super-resolution that learns."""
        return any(p.requires_grad for p in self.sr.parameters())

    def _steps(self) -> list[Stage]:
        s = self.settings
        first = s.teacher_epochs
        if first is None:
            first = 0 if "teacher" in s.weights else s.epochs
        made, weights, trains = [], self.identity_weights(), ("backbone", "head")
        if s.elements and first:
            made.append(self.step("high", first, ("teacher",), weights))
        if self.restores and s.restore_epochs:
            made.append(self._restoring())
        if self.restores:
            weights, trains = weights | {"pixel": s.pixel}, ("sr", *trains)
        if s.elements:
            weights = weights | {"siamese": s.siamese}
        rates = {"sr": s.sr_rate} if self.restores else {}
        return made + ([self.step("joint", s.epochs, trains, weights, lr_multipliers=rates)] if s.epochs else [])

    def _restoring(self) -> Stage:
        """Eq. 5 alone: in the paper's way, or in the short one of all super-resolutions of this course."""
        s = self.settings
        if s.optimizer == "sgd":
            return self.step("restore", s.restore_epochs, ("sr",), {"pixel": s.pixel}, lr=s.restore_lr)
        return restore_stage(s.restore_epochs, s.restore_lr, s.batch, weights={"pixel": s.pixel})

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        if stage.name == "high":
            return self.teacher.identity_terms(self.teacher.describe(batch.hr), batch.labels)
        restored = self.sr(self.shown(batch))
        pixel = {"pixel": pixel_l1(restored, batch.hr, self.settings.reduction)} if self.restores else {}  # Eq. 5
        if stage.name == "restore":
            return pixel
        found = self.describe(restored)
        siamese = self.siamese_terms(found, batch.hr) if self.settings.elements else {}
        return pixel | self.identity_terms(found, batch.labels) | siamese

    def siamese_terms(self, found: Described, high: Tensor) -> dict[str, Tensor]:
        """Eq. 11: how far the pupil's elements are from what the teacher says of the originals (B, 3, H, W)."""
        s = self.settings
        with torch.no_grad():
            wanted = self.teacher.describe(high).elements
        sides = [[elements[name] for name in s.elements] for elements in (wanted, found.elements)]
        return {"siamese": siamese_l1(*sides, s.reduction)}

    def restore(self, images: Tensor) -> Tensor:
        return self.sr(images)
