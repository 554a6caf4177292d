"""The pre-training on rendered people, as a plan: what it is, what identifies it, and where it is once it was made.

It is the course's own substitute for ImageNet weights. None of these people is in the embedded set's splits. Making it
is ``lib.training.pretrain``; here nothing is trained or rendered, so that the key of a run that starts from it costs
nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch

from lib.data.readers import READERS
from lib.methods.baseline import Baseline
from lib.models.state import WeightsUnavailable
from lib.training.runs import runs_directory
from lib.training.sources import code_of


@dataclass(frozen=True)
class Pretraining:
    """How much is rendered, and for how long it is looked at (minutes: two CPU cores, the rendering apart).

    All plans show the people at every ratio of "all-resolutions": what is fine in a rendered picture (a print, a seam)
    is not what is fine in a photograph, and a network that leans on it recognises real people less well.
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
    "long": Pretraining("course", identities=1200, images=8, epochs=40),  # 15 minutes: "pedestrians-long"
    "paper": Pretraining("paper", identities=5000, images=8, epochs=60, batch=(32, 4)),  # on a GPU
}
SOURCES = ("pedestrians", "pedestrians-long")  # of first weights


def plan_of(source: str, profile: str) -> str:
    """Which plan a source of first weights means: the profile's own, or the longer one."""
    return "long" if source == "pedestrians-long" else profile


def pretraining_method(backbone: str, canvas: tuple[int, int], plan: str) -> Baseline:
    """The baseline that a plan trains, not yet built. KeyError for an unknown plan."""
    chosen = PRETRAINING[plan]
    return Baseline(
        backbone=backbone, canvas=canvas, epochs=chosen.epochs, lr=chosen.lr, batch=chosen.batch,
        augmentation=chosen.augmentation, jitter=chosen.jitter,
    )  # fmt: skip


def recorded(backbone: str, canvas: tuple[int, int], plan: str, precision: str) -> str:
    """SHA-256 hex of all that decides the weights of a pre-training: plan, network, people and code."""
    return _digest(backbone, tuple(canvas), plan, PRETRAINING[plan], precision)


@lru_cache(maxsize=64)
def _digest(backbone: str, canvas: tuple[int, int], plan: str, chosen: Pretraining, precision: str) -> str:
    people = READERS["pedestrians-pretrain"](None, identities=chosen.identities, images=chosen.images)
    method = pretraining_method(backbone, canvas, plan)
    with torch.device("meta"):  # layers without numbers
        method.setup(chosen.profile, chosen.identities)
    what = {"plan": asdict(chosen), "people": people.identity, "told": method.told_all, "recipe": method.recipe()}
    what |= {"code": code_of(method).sha256, "precision": precision}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def pointer(backbone: str, canvas: tuple[int, int], plan: str, digest: str, runs: str | os.PathLike | None) -> Path:
    """The file that says which run is the pre-training."""
    height, width = canvas
    return runs_directory(runs) / f"pedestrians-{backbone}-{height}x{width}-{plan}-{digest[:12]}.json"


def recorded_run(
    backbone: str, canvas: tuple[int, int], plan: str, digest: str, runs: str | os.PathLike | None = None
) -> Path:
    """The directory of a pre-training that was made. Raises WeightsUnavailable, which says how it is made, else."""
    path = pointer(backbone, canvas, plan, digest, runs)
    try:
        found = path.with_name(json.loads(path.read_text(encoding="utf-8"))["run"])
    except FileNotFoundError:
        found = None
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsUnavailable(f"{path} is damaged ({error!r}): remove it and pre-train again") from error
    if found is None or not (found / "run.json").is_file():
        raise WeightsUnavailable(
            f"the pre-training of {backbone} at {canvas[0]} x {canvas[1]} on rendered people (plan {plan!r}) is not in "
            f"{path.parent}. Make it once: from lib.training.pretrain import pretrain; "
            f"pretrain({plan!r}, backbone={backbone!r}, canvas={tuple(canvas)!r})"
        )
    return found
