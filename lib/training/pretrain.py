"""Making the pre-training on rendered people (``pedestrians.py``): a run of the baseline, made once and found again."""

from __future__ import annotations

import json
import os
from functools import lru_cache

import torch

from lib.data import load_dataset
from lib.data.dataset import PersonDataset
from lib.data.protocol import FORMAT, Protocol
from lib.methods.baseline import Baseline
from lib.models.devices import resolve_device
from lib.training.checkpoint import write_atomically
from lib.training.fit import fit
from lib.training.pedestrians import PRETRAINING, pointer, pretraining_method, recorded
from lib.training.precision import resolve_precision
from lib.training.runs import Run


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
    size = PRETRAINING[plan]
    return whole_set(load_dataset("pedestrians-pretrain", identities=size.identities, images=size.images))


def pretrain(
    plan: str,
    backbone: str | None = None,
    canvas: tuple[int, int] | None = None,
    *,
    device: str | torch.device | None = None,
    runs: str | os.PathLike | None = None,
    progress: bool = True,
) -> Run:
    """The pre-training run of a backbone at a canvas (H, W): ``run.method.backbone``. Other methods start from it with
    ``weights={"backbone": "pedestrians"}``.

    Rendering is part of the first call. plan : a name of ``PRETRAINING``: a profile, or "long". backbone : a name of
    ``create_backbone``; None, as for ``canvas``: the baseline's in that profile. KeyError for an unknown plan.
    """
    chosen = PRETRAINING[plan]
    usual = Baseline.defaults(chosen.profile)
    backbone, canvas = backbone or usual.backbone, tuple(canvas or usual.canvas)
    method = pretraining_method(backbone, canvas, plan)
    run = fit(method, pretraining_set(plan), chosen.profile, seed=0, device=device, runs=runs, progress=progress)
    precision = resolve_precision("auto", resolve_device(device))
    path = pointer(backbone, canvas, plan, recorded(backbone, canvas, plan, precision), runs)
    text = json.dumps({"run": run.directory.name, "key": run.key}, indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    return run
