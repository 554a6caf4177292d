"""Re-identification before deep learning: LOMO descriptors and a metric in closed form (SING Table 2, rows 1 to 6).

A descriptor that is given (``lib.models.lomo``) and a projection that is solved for, not descended to
(``lib.models.metric_learning``): XQDA or NFST. A super-resolution network may come first; its training is a step of its
own, like that of ``SrThenReid``. Letters: B images, D dimensions of LOMO, d of the projection.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.methods.method import Method
from lib.methods.stages import Solve, Stage
from lib.methods.superres import RESTORE_LR, create_network, restoration_terms, restore_stage
from lib.models.lomo import lomo
from lib.models.metric_learning import nfst, xqda

METRICS = ("xqda", "nfst", "euclidean")


class Projection(nn.Module):
    """(B, D) -> (B, d); the matrix has no size before it was solved for or loaded."""

    def __init__(self):
        super().__init__()
        self.register_buffer("matrix", torch.empty(0, 0))

    def forward(self, features: Tensor) -> Tensor:
        if self.matrix.numel() == 0:
            raise RuntimeError("the metric was not learned yet: fit the method first")
        return features @ self.matrix

    def _load_from_state_dict(self, state, prefix, *rest):
        if f"{prefix}matrix" in state:
            self.matrix = torch.empty_like(state[f"{prefix}matrix"], device=self.matrix.device)
        super()._load_from_state_dict(state, prefix, *rest)


class Classical(Method):
    """See the module's docstring."""

    name = "classical"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """metric : "xqda", "nfst", or "euclidean" (LOMO alone).

        network : the super-resolution before it: "bilinear", "bicubic" or a name of ``create_superres``.
        ratio : what the network is trained for, as SING's m. restore_epochs : of training it on the protocol's own
            high-resolution images.
        canvas : (H, W) pixels, in all profiles; 128 x 48 gives LOMO's 26,960 dimensions.
        """

        metric: str = "xqda"
        network: str = "bicubic"
        ratio: float = 1 / 2
        restore_epochs: int = 0
        canvas: tuple[int, int] = (128, 48)
        batch: tuple[int, int] = (16, 4)
        retinex: bool = True

        def __post_init__(self):
            if self.metric not in METRICS:
                raise ValueError(f"unknown metric {self.metric!r}; known: {', '.join(METRICS)}")

    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas = s.canvas
        self.augmentation = Augmentation(flip=0.5)
        self.enlargement = "bilinear" if s.network == "bilinear" else None
        self.two_sides = s.metric == "xqda"
        self.sr = create_network(s.network, s.ratio)
        self.projection = Projection()
        self.stages = [] if s.metric == "euclidean" else [Solve("metric")]
        if s.restore_epochs and any(p.requires_grad for p in self.sr.parameters()):
            self.stages.insert(0, restore_stage(s.restore_epochs, RESTORE_LR, s.batch))

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return restoration_terms(self.sr, batch.at(self.settings.ratio, batch.high), batch.images[batch.high])[0]

    def solve(self, batches: Iterable[Batch], stage: Solve) -> None:
        parts = {"low": [], "high": []}
        for batch in batches:
            for side, at in (("low", batch.low), ("high", batch.high)):
                if len(at):
                    parts[side].append((self.describe(batch.images[at], side == "low"), batch.labels[at]))
        sides = {side: [torch.cat(x) for x in zip(*some, strict=True)] for side, some in parts.items() if some}
        if self.settings.metric == "nfst":
            features, labels = (torch.cat(x) for x in zip(*sides.values(), strict=True))
            matrix = nfst(features, labels)
        else:
            (probes, probe_labels), (gallery, gallery_labels) = sides["low"], sides["high"]
            matrix = xqda(probes, gallery, probe_labels, gallery_labels)
        self.projection.matrix = matrix.to(self.projection.matrix.device)

    def describe(self, images: Tensor, low: bool) -> Tensor:
        """(B, 3, H, W) -> (B, D) LOMO, in float32; through the super-resolution where ``low``."""
        with torch.autocast(images.device.type, enabled=False):
            return lomo(self.sr(images.float()) if low else images.float(), retinex=self.settings.retinex)

    def embed(self, batch: Batch, role: str) -> Tensor:
        features = self.describe(batch.images, role == "probe")
        return features if self.settings.metric == "euclidean" else self.projection(features)
