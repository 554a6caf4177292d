"""AGW: the baseline with attention, a generalised mean and a weighted triplet (Ye, Shen, Lin, Xiang, Shao, Hoi, "Deep
Learning for Person Re-identification: A Survey and Outlook", TPAMI 2021, §4). JBIM compares itself with it in Table 3.

Three changes to the strong baseline: non-local blocks in stages 2 and 3 of the network (``lib.models.non_local``), GeM
pooling with a learned exponent, and ``weighted_regularised_triplet`` for the batch-hard triplet. All else is as there.

What differs from the authors' code: their non-local blocks have one channel inside and no softmax, their ResNet no ReLU
behind the stem, their warm-up starts at 1 % of the rate. They also add 5e-4 times the centre loss, its centres moved by
an SGD of their own (rate 0.5) without weight decay. It is left out: with Adam's decay of 5e-4, which is for all of a
step's parameters, the centres would be drawn to 0 more strongly than to their people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lib.data.batches import Batch
from lib.losses import cross_entropy, weighted_regularised_triplet
from lib.methods.baseline import Baseline
from lib.methods.stages import Stage


class Agw(Baseline):
    """See the module's docstring."""

    name = "agw"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Baseline.Settings):
        """margin : 0; the weighted triplet has none. triplet : its weight."""

        backbone: str = "resnet50-nonlocal"
        pooling: str = "gem"
        margin: float = 0.0

        def __post_init__(self):
            super().__post_init__()
            if self.margin:
                raise ValueError(f"the weighted regularised triplet of AGW has no margin, not even {self.margin}")

    PROFILES: ClassVar = {
        profile: said | {"backbone": f"{said['backbone']}-nonlocal"} for profile, said in Baseline.PROFILES.items()
    }
    settings: Settings

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        features = self.pool(self.backbone(batch.images))  # (B, D)
        _, logits = self.head(features)  # (B, N)
        return {
            "identity": cross_entropy(logits, batch.labels, self.settings.smoothing),
            "triplet": weighted_regularised_triplet(features, batch.labels),
        }
