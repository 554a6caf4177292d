"""Making the pre-training on rendered people (``pedestrians.py``): a run, made once and found again."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.bars import work
from lib.data import load_dataset
from lib.data.dataset import PersonDataset
from lib.data.protocol import FORMAT, Protocol
from lib.methods.baseline import Baseline
from lib.methods.method import Method
from lib.models.devices import resolve_device
from lib.models.state import read_state
from lib.training import shipped
from lib.training.checkpoint import write_atomically
from lib.training.fit import fit
from lib.training.pedestrians import PRETRAINING, pointer, pretraining_method, profile_of, recorded
from lib.training.precision import resolve_precision
from lib.training.runs import Run
from lib.training.weights import fill


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
    network: str | None = None,
    canvas: tuple[int, int] | None = None,
    *,
    source: str = "pedestrians",
    device: str | torch.device | None = None,
    runs: str | os.PathLike | None = None,
    progress: bool = True,
) -> Run:
    """The pre-training run of a network at a canvas (H, W): ``run.method.backbone``, or ``run.method.sr``. Other
    methods start from it with ``weights={"backbone": "pedestrians"}``, unless a file of that network ships.

    Rendering is part of the first call. plan : a name of ``PRETRAINING``, the profiles. network : a name of
    ``create_backbone`` or ``create_superres``; None, as for ``canvas``: the baseline's in that profile. source :
    "pedestrians", or "pedestrians-sharp", which has seen full resolution only.

    KeyError for an unknown source; ValueError for an unknown plan or network.
    """
    network, canvas = _usual(plan, network, canvas)
    method = pretraining_method(network, canvas, plan, source)
    profile, people = profile_of(network, canvas, plan), pretraining_set(plan)
    with work(f"first weights of {network} at {canvas[0]} x {canvas[1]}"):
        run = fit(method, people, profile, seed=0, device=device, runs=runs, progress=progress)
    digest = recorded(network, canvas, plan, resolve_precision("auto", resolve_device(device)), source)
    path = pointer(network, canvas, plan, digest, source, runs)
    text = json.dumps({"run": run.directory.name, "key": run.key}, indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    return run


def pretrained(
    profile: str, network: str | None = None, canvas: tuple[int, int] | None = None, *, source: str = "pedestrians",
    **how: Any,
) -> Method:  # fmt: skip
    """The pre-trained method itself, in evaluation mode, to be tested as it is: from the file that ships, else from the
    run of ``pretrain``, which is made where it is not there. Afterwards ``weights={"backbone": source}`` finds it.

    Arguments and errors as for ``pretrain``; ``how``: device, runs and progress.
    """
    network, canvas = _usual(profile, network, canvas)
    path = shipped.find(network, canvas, source)
    if path is None:
        return pretrain(profile, network, canvas, source=source, **how).method
    return shipped_method(path)


def shipped_method(path: Path) -> Method:
    """The pre-trained method of a file that ships, in evaluation mode, with the classifier of one person.

    Raises WeightsUnavailable where the file or its provenance cannot be read, or does not fit the code.
    """
    return method_of(shipped.about(path), read_state(path), path.name)


def method_of(about: dict, state: dict[str, Tensor], origin: str) -> Method:
    """The same of the two things that a file and its JSON hold; ``origin`` is what an error calls them."""
    network, canvas, plan = about["network"], tuple(about["canvas"]), about["plan"]
    method = pretraining_method(network, canvas, plan, about["source"])
    method.setup(profile_of(network, canvas, plan), 1)
    for part in ("sr",) if about["part"] == "sr" else ("backbone", "head.bn"):
        own = {name.removeprefix(f"{part}."): v for name, v in state.items() if name.startswith(f"{part}.")}
        fill(method.get_submodule(part), own, origin)
    return method.eval()


def _usual(plan: str, network: str | None, canvas: tuple[int, int] | None) -> tuple[str, tuple[int, int]]:
    usual = Baseline.defaults(plan)
    return network or usual.backbone, tuple(canvas or usual.canvas)
