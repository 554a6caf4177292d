"""The pre-training on rendered people, as a plan: what it is, what identifies it, and where it is once it was made.

It is the course's own substitute for ImageNet weights, for re-identification networks and for super-resolution ones.
None of these people is in the embedded set's splits. What is asked for most often ships with the course
(``shipped.py``); the rest is made by ``lib.training.pretrain``. Here nothing is trained or rendered, so that the key of
a run that starts from it costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from lib.data.readers import READERS
from lib.data.store import Source
from lib.methods.baseline import Baseline
from lib.methods.method import Method
from lib.methods.superres import RESTORE_LR, SuperResolution
from lib.models.state import WeightsUnavailable
from lib.models.superres import SUPERRES
from lib.names import PROFILES
from lib.training import shipped
from lib.training.runs import runs_directory
from lib.training.sources import code_of

# Sources of first weights, and how a re-identification network sees the people. What is fine in a rendered picture (a
# print, a seam) is not what is fine in a photograph, and a network that leans on it recognises real people less well:
# so at every ratio. The sharp ones are a control: first weights that have seen no low resolution.
SOURCES = {"pedestrians": "all-resolutions", "pedestrians-sharp": "none"}
SR_RATIOS = (1.0, 1 / 2, 1 / 3, 1 / 4, 3 / 16)  # what pictures are restored from: 3/16 of 64 pixels are the 12 of VR


@dataclass(frozen=True)
class Pretraining:
    """How much is rendered, and for how long it is looked at; at which rate, ``rate_of`` says."""

    identities: int
    images: int  # per identity, over many cameras
    epochs: int  # of a re-identification network
    sr_epochs: int  # of a super-resolution network
    batch: tuple[int, int] = (16, 4)
    # Rendered pictures are crisp and gaudy. Rank-1 of resnet18-half (12 epochs of 500 people) on the validation people
    # of VIPeR and of CAVIAR4REID: with 0.15 28 and 37 %, with 0.4 35 and 44, with 0.5 and a hue of 0.06 33 and 47,
    # with 0.7 31 and 42. This lies between the best two.
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.03)


PRETRAINING = {  # by profile
    "quick": Pretraining(identities=40, images=4, epochs=2, sr_epochs=1),  # seconds
    "course": Pretraining(identities=3000, images=8, epochs=16, sr_epochs=1),  # what ships: half an hour a network
    "paper": Pretraining(identities=5000, images=8, epochs=60, sr_epochs=10, batch=(32, 4)),  # on a GPU
}


class Rate(NamedTuple):
    """A learning rate, how it was found, and a better one where the search came after the weights that ship."""

    value: float
    searched: str
    better: float | None = None

    @property
    def best(self) -> float:
        return self.better or self.value


# The rate decides more than the network does: each is compared at its own.
RATES = {
    "resnet18-half": Rate(
        4e-3,
        "of 2e-3, 4e-3 and 8e-3 by rank-1 of embedded training and validation people, after 12 epochs of 500 people: "
        "43.3, 45.0, 45.1 % at full resolution, 39.5, 41.4, 41.1 % at 1/4",
    ),
    "bottleneck-16-1": Rate(
        4e-3,
        "of 2e-3, 4e-3 and 8e-3 by rank-1 of embedded training and validation people at full resolution, after 3 "
        "epochs: 22.5, 29.2, 26.7 %",
    ),
    "seresnet18-half": Rate(
        8e-3,
        "of 2e-3, 4e-3, 8e-3 and 1.6e-2 by rank-1 (MLR) of "
        "embedded training and validation people, after 12 epochs of 500 people: 42.4, 44.5, 46.8, 41.9 %",
    ),
    "densenet-narrow": Rate(
        8e-3,
        "of 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2 and 6.4e-2 by rank-1 (MLR) of "
        "embedded training and validation people, after 12 epochs of 500 people: 30.7, 37.6, 39.8, 43.2, 45.7, 9.9 %; "
        "of 3,000 people nothing is learned at 3.2e-2 (identity loss 7.95 after 7 epochs, by chance 8.01)",
    ),
    "osnet-0.25": Rate(
        8e-3,
        "of 2e-3, 4e-3, 8e-3 and 1.6e-2 by rank-1 (MLR) of "
        "embedded training and validation people, after 12 epochs of 500 people: 3.7, 17.7, 20.9, 14.5 %",
    ),
    "hrnet-w12": Rate(
        4e-3,
        "of 2e-3, 4e-3 and 8e-3 by rank-1 (MLR) of "
        "embedded training and validation people, after 12 epochs of 500 people: 28.5, 34.3, 29.5 %",
    ),
}
RATE = Rate(4e-3, "not searched for this network: what is best for resnet18-half")
# Super-resolution networks: ``lib.experiments.superres_rates`` searches alike for all, PSNR of the embedded validation
# people, mean over 1/2, 1/3 and 1/4, after 8,000 pictures of 1,000 people (``data/measured/rates_superres``). The
# weights that ship are older than this search, and all lessons but 05 start from them.
RATES |= {
    "srcnn-915-luma": Rate(
        2e-4, "of 2e-4, 6e-4, 2e-3, 6e-3 and 2e-2 by PSNR: 24.68, 24.81, 24.94, 24.96, 24.56 dB", 6e-3
    ),
    "srcnn-915": Rate(2e-4, "of 2e-4, 6e-4, 2e-3 and 6e-3 by PSNR: 24.72, 24.86, 25.02, 24.80 dB", 2e-3),
    "vdsr-narrow": Rate(2e-3, "of 2e-4, 6e-4, 2e-3, 6e-3 and 2e-2 by PSNR: 24.88, 25.09, 25.39, 25.50, 25.10 dB", 6e-3),
    "vdsr-ca-narrow": Rate(
        2e-3, "of 2e-4, 6e-4, 2e-3, 6e-3, 2e-2 and 6e-2 by PSNR: 24.74, 24.91, 25.21, 25.44, 25.56, 24.32 dB", 2e-2
    ),
    "ffsr-narrow": Rate(2e-3, "of 2e-4, 6e-4, 2e-3, 6e-3 and 2e-2 by PSNR: 24.65, 24.77, 25.06, 25.30, 24.64 dB", 6e-3),
    "drcn-narrow": Rate(2e-3, "of 2e-4, 6e-4, 2e-3, 6e-3 and 2e-2 by PSNR: 24.90, 25.21, 25.38, 25.45, 25.24 dB", 6e-3),
    "fsrcnn": Rate(2e-4, "of 2e-4, 6e-4, 2e-3, 6e-3 and 2e-2 by PSNR: 20.09, 20.35, 20.66, 20.81, 20.79 dB", 6e-3),
    "rcan-light": Rate(2e-3, "of 2e-4, 6e-4, 2e-3, 6e-3 and 2e-2 by PSNR: 20.54, 20.83, 21.31, 21.48, 19.93 dB", 6e-3),
    "srgan-narrow": Rate(
        2e-4, "of 2e-4, 6e-4, 2e-3, 6e-3 and 2e-2 by PSNR: 20.37, 20.72, 21.09, 21.28, 19.16 dB", 6e-3
    ),
}
# of the others, what adds to the picture was given ten times the rate of SRCNN, which has to carry the picture through
ADDS = ("ffsr", "vdsr", "drcn", "rcan")
ADDING = Rate(10 * RESTORE_LR, "not searched for this network")
CARRYING = Rate(RESTORE_LR, "not searched for this network")


def profile_of(network: str, canvas: tuple[int, int], plan: str) -> str:
    """Whose other settings (the shift) a pre-training takes: the profile's whose network and canvas these are, else the
    plan's."""
    usual = {(one.backbone, one.canvas): profile for profile in PROFILES for one in [Baseline.defaults(profile)]}
    return usual.get((network, tuple(canvas)), plan)


def kind_of(network: str) -> str:
    """Which part of a method a network is: "sr" or "backbone"."""
    return "sr" if network in SUPERRES else "backbone"


def rate_of(network: str) -> Rate:
    """The rate that a network is pre-trained at."""
    if network not in RATES and kind_of(network) == "sr":
        return ADDING if network.startswith(ADDS) else CARRYING
    return RATES.get(network, RATE)


def pretraining_method(network: str, canvas: tuple[int, int], plan: str, source: str = "pedestrians") -> Method:
    """The method that a plan trains, not yet built: the baseline, or a super-resolution for pixels.

    KeyError for an unknown plan or source; ValueError for a super-resolution network that is to be "pedestrians-sharp".
    """
    chosen, augmentation, rate = PRETRAINING[plan], SOURCES[source], rate_of(network).value
    if kind_of(network) == "sr":
        if source != "pedestrians":
            raise ValueError(f"{network} restores resolution: it cannot be pre-trained without ({source!r})")
        return SuperResolution(network=network, canvas=canvas, epochs=chosen.sr_epochs, lr=rate, ratios=SR_RATIOS)
    return Baseline(
        backbone=network, canvas=canvas, epochs=chosen.epochs, lr=rate, batch=chosen.batch, augmentation=augmentation,
        jitter=chosen.jitter,
    )  # fmt: skip


def people_in(plan: str) -> Source:
    """Whom a plan renders."""
    chosen = PRETRAINING[plan]
    return READERS["pedestrians-pretrain"](None, identities=chosen.identities, images=chosen.images)


def recorded(network: str, canvas: tuple[int, int], plan: str, precision: str, source: str = "pedestrians") -> str:
    """SHA-256 hex of all that decides the weights of a pre-training: network, how it is trained, people and code."""
    return _digest(network, tuple(canvas), plan, PRETRAINING[plan], rate_of(network), precision, source)


@lru_cache(maxsize=64)
def _digest(
    network: str, canvas: tuple[int, int], plan: str, chosen: Pretraining, rate: Rate, precision: str, source: str
) -> str:
    method = pretraining_method(network, canvas, plan, source)
    with torch.device("meta"):  # layers without numbers
        method.setup(profile_of(network, canvas, plan), chosen.identities)
    what = {"people": people_in(plan).identity, "told": method.told_all, "recipe": method.recipe()}
    what |= {"code": code_of(method).sha256, "precision": precision}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def fingerprint(network: str, canvas: tuple[int, int], plan: str, precision: str, source: str) -> str:
    """What identifies the first weights of a network: the content of the file that ships, else ``recorded``."""
    path = shipped.find(network, canvas, source)
    if path is not None:
        return f"shipped {shipped.sha256(path)}"
    return f"{source} {recorded(network, canvas, plan, precision, source)}"


def weights_file(
    network: str, canvas: tuple[int, int], plan: str, precision: str, source: str, runs: str | os.PathLike | None = None
) -> Path:
    """The file that ships, else that of the pre-training run. Raises WeightsUnavailable, with both remedies, else."""
    path = shipped.find(network, canvas, source)
    if path is not None:
        return path
    return recorded_run(network, canvas, plan, recorded(network, canvas, plan, precision, source), source, runs)


def pointer(
    network: str, canvas: tuple[int, int], plan: str, digest: str, source: str, runs: str | os.PathLike | None
) -> Path:
    """The file that says which run is the pre-training."""
    return runs_directory(runs) / f"{shipped.stem(network, canvas, source)}-{plan}-{digest[:12]}.json"


def recorded_run(
    network: str,
    canvas: tuple[int, int],
    plan: str,
    digest: str,
    source: str = "pedestrians",
    runs: str | os.PathLike | None = None,
) -> Path:
    """The weights of a pre-training that was made. Raises WeightsUnavailable, which says how it is made, else."""
    path = pointer(network, canvas, plan, digest, source, runs)
    try:
        found = path.with_name(json.loads(path.read_text(encoding="utf-8"))["run"])
    except FileNotFoundError:
        found = None
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsUnavailable(f"{path} is damaged ({error!r}): remove it and pre-train again") from error
    if found is None or not (found / "run.json").is_file():
        more = "" if source == "pedestrians" else f", source={source!r}"
        ships = shipped.known(source, kind_of(network))
        raise WeightsUnavailable(
            f"there are no first weights {source!r} of {network} at {canvas[0]} x {canvas[1]}. Either take a network "
            f"and canvas whose weights ship with the course ({ships}), or pre-train this one once (plan {plan!r}, kept "
            f"in {path.parent}): from lib.training.pretrain import pretrain; "
            f"pretrain({plan!r}, {network!r}, {tuple(canvas)!r}{more})"
        )
    return found / "weights.pt"
