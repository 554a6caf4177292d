"""Pre-training on rendered people: the course's own substitute for ImageNet weights.

None of these people is in the embedded set's splits. The pre-training is itself a run of the baseline: made once per
backbone, canvas and profile, and found again by its key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from lib.data.dataset import PersonDataset
from lib.data.protocol import FORMAT, Protocol
from lib.methods.baseline import Baseline
from lib.training.precision import resolve_device, resolve_precision
from lib.training.runs import Run


@dataclass(frozen=True)
class Pretraining:
    """How much is rendered, and for how long it is looked at (minutes: two CPU cores, the rendering apart).

    All plans show the people at every ratio of "all-resolutions": what is fine in a rendered picture (a print, a
    seam) is
    not what is fine in a photograph, and a network that leans on it recognises real people less well.
    """

    profile: str  # whose network it is for
    identities: int
    images: int  # per identity, over many cameras
    epochs: int
    lr: float = 7e-4
    batch: tuple[int, int] = (16, 4)
    augmentation: str = "all-resolutions"
    jitter: tuple[float, float, float, float] = (0.15, 0.15, 0.15, 0.0)


PRETRAINING = {
    "quick": Pretraining("quick", identities=40, images=4, epochs=2),  # seconds
    "course": Pretraining("course", identities=1200, images=8, epochs=14),  # 5 minutes for resnet18-half at 96 x 48
    "long": Pretraining("course", identities=1200, images=8, epochs=40),  # 15 minutes: pretrained="pedestrians-long"
    "paper": Pretraining("paper", identities=5000, images=8, epochs=60, batch=(32, 4)),  # on a GPU
}


def whole_set(dataset: PersonDataset, kernel: str = "bicubic") -> Protocol:
    """The protocol that trains on every image of a set, at full resolution, and tests on none."""
    count = len(dataset)
    return Protocol.from_manifest(
        dataset,
        {
            "format": FORMAT,
            "set": dataset.name,
            "fingerprint": dataset.fingerprint,
            "preset": "whole",
            "trial": 0,
            "seed": 0,
            "trials": 1,
            "convention": "sing",
            "degradation": {"kernel": kernel, "rounding": "nearest", "antialias": True, "jpeg": None},
            "images": {
                "row": list(range(count)),
                "role": ["train"] * count,
                "subset": ["train"] * count,
                "ratio": ["1"] * count,
            },
        },
    )


@lru_cache(maxsize=2)
def pretraining_set(plan: str) -> Protocol:
    """The rendered people of a plan, cached on disk by ``load_dataset``."""
    from lib.data import load_dataset

    size = PRETRAINING[plan]
    return whole_set(load_dataset("pedestrians-pretrain", identities=size.identities, images=size.images))


def pretraining_method(backbone: str, canvas: tuple[int, int], plan: str) -> Baseline:
    chosen = PRETRAINING[plan]
    return Baseline(
        backbone=backbone, canvas=tuple(canvas), epochs=chosen.epochs, lr=chosen.lr, batch=chosen.batch,
        augmentation=chosen.augmentation, jitter=chosen.jitter,
    )  # fmt: skip


def pretraining_key(backbone: str, canvas: tuple[int, int], plan: str, device: str | torch.device | None = None) -> str:
    """The key of the pre-training run, without running it."""
    from lib.training.fit import run_key

    method, protocol = pretraining_method(backbone, canvas, plan), pretraining_set(plan)
    profile = PRETRAINING[plan].profile
    method.setup(profile, protocol.table["pid"].nunique())
    precision = resolve_precision("auto", resolve_device(device))
    return run_key(method, protocol, profile, seed=0, precision=precision)[0]


def pretrained_backbone(
    backbone: str,
    canvas: tuple[int, int],
    plan: str,
    *,
    device: str | torch.device | None = None,
    runs=None,
    progress: bool = True,
) -> Run:
    """The pre-training run of a backbone (a name of ``create_backbone``) at a canvas (H, W): ``run.method.backbone``.

    Rendering is part of the first call. ``plan`` is a name of ``PRETRAINING``: a profile, or "long". Raises KeyError
    for an unknown one.
    """
    from lib.training.fit import fit

    method, profile = pretraining_method(backbone, canvas, plan), PRETRAINING[plan].profile
    return fit(method, pretraining_set(plan), profile, seed=0, device=device, runs=runs, progress=progress)
