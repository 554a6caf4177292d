"""What is left of an HRNet's four branches in the first weights that ship, and what mending them is worth.

    python -m lib.experiments.hrnet_branches --seeds 3

The pre-training of first weights is that of the plain network: Adam, with the weight decay in the gradient, and
normalisation layers decayed as well (Luo et al. 2019). Adam divides a gradient by its own size, so that weights of
which the loss asks nothing shrink by the learning rate in every step, however small the decay is. A ResNet asks
something of all of its weights. An HRNet's finest map reaches the loss through three halvings, beside maps that are
nearer: in the file that ships the three finest of four have shrunk to nothing (``spread``). Here the same pre-training
is made without decay, and HRNet-ReID is trained from both files, on low resolution and at full. Writes
``hrnet_branches``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache, partial

import pandas as pd
import torch
from torch import Tensor

from lib.data import Protocol, load_dataset
from lib.data.canvases import Canvases
from lib.data.dataset import PersonDataset
from lib.evaluation import evaluate, paired_difference
from lib.experiments import measured, pshrnet
from lib.experiments.controls import BASELINE, plain
from lib.experiments.study import Row, Study, cells
from lib.methods.baseline import Baseline
from lib.models.hrnet import HRNet
from lib.training import Run, fit
from lib.training.pedestrians import pretraining_method, profile_of
from lib.training.pretrain import pretrained, pretraining_set

NETWORK, CANVAS, PLAN = "hrnet-w12", (96, 48), "course"
SHIPS, KEPT = "HRNet-ReID, the weights that ship", "HRNet-ReID, pre-trained without decay"
MINUS = "rank-1 minus "
PAIRS = ((KEPT, SHIPS), (SHIPS, BASELINE), (KEPT, BASELINE))
COMPARED = tuple((name, f"{MINUS}{other}") for name, other in PAIRS)  # name and what, lines of the table
TABLE = "hrnet_branches"
PICTURES = 200  # that the spread is over


def pretraining(plan: str, network: str, canvas: tuple[int, int]) -> tuple[Baseline, Protocol, str]:
    """A plan's pre-training but for its weight decay, same people, rate and length: method, people, profile."""
    method = Baseline(**pretraining_method(network, canvas, plan).told | {"weight_decay": 0.0})
    return method, first_people(plan), profile_of(network, canvas, plan)


@cache  # every row that starts from them asks again
def first_people(plan: str) -> Protocol:
    """The rendered people of a plan, opened once."""
    return pretraining_set(plan)


def without_decay() -> Run:
    """The pre-training of the file that ships but for its weight decay."""
    return fit(*pretraining(PLAN, NETWORK, CANVAS), seed=0, progress=False)


def spread(network: HRNet, pictures: Tensor) -> pd.Series:
    """How much each of the four maps differs between pictures: the standard deviation of a channel over pictures and
    positions, mean over channels, finest map first (index "1/4" to "1/32" of the picture's size). A map that says
    nothing has none.

    pictures : (B, 3, H, W) in [0, 1]. The network is in evaluation mode afterwards.
    """
    network.eval()
    with torch.no_grad():
        maps = network.maps(pictures)
    return pd.Series({f"1/{4 * 2**k}": one.std((0, 2, 3)).mean().item() for k, one in enumerate(maps)})


def shown(people: PersonDataset, canvas: tuple[int, int] = CANVAS, preset: str = "plain") -> Tensor:
    """The first test pictures at full resolution, (``PICTURES``, 3, H, W) in [0, 1]."""
    protocol = cells(people, preset)[0].protocol
    rows = protocol.rows("test", "gallery").head(PICTURES)
    return Canvases(protocol, canvas).images(rows["image"], rows["ratio"]).float() / 255


def branches(kept: Run, pictures: Tensor) -> pd.DataFrame:
    """``spread`` of both files: name, what (which map), preset, mean."""
    found = {SHIPS: pretrained(PLAN, NETWORK, CANVAS).backbone, KEPT: kept.method.backbone}
    lines = [
        {"name": name, "what": f"spread of the map at {size}", "preset": "plain", "mean": value}
        for name, network in found.items()
        for size, value in spread(network, pictures).items()
    ]
    return pd.DataFrame(lines)


def studies(people: PersonDataset, kept: Run, seeds: int = 1, profile: str = "course") -> dict[str, Study]:
    """HRNet-ReID from both files beside the plain network, {preset: study}, in the same cells."""
    found = {}
    for preset, make in (("mlr", pshrnet.recognise_low), ("plain", pshrnet.recognise)):
        rows = [Row(SHIPS, make), Row(KEPT, partial(make, weights={"backbone": kept})), Row(BASELINE, plain)]
        where = cells(people, preset, seeds=seeds)
        found[preset] = Study(f"HRNet's branches ({preset})", rows, where, profile, progress=False)
    return found


def table(some: dict[str, Study]) -> pd.DataFrame:
    """Differences in rank-1 on each preset: name, what (it is compared with), preset, mean, low, high, trainings."""
    lines = []
    for preset, study in some.items():
        for name, other in PAIRS:
            d = paired_difference(study.results(name), study.results(other))
            line = {"name": name, "what": f"{MINUS}{other}", "preset": preset, "mean": d.mean, "low": d.low}
            lines.append(line | {"high": d.high, "trainings": d.trainings, "agree": d.agree})
    return pd.DataFrame(lines)


def as_they_are(kept: Run, some: dict[str, Study]) -> pd.DataFrame:
    """Rank-1 of both files before any training on these people: name, what, preset, mean."""
    files = {SHIPS: pretrained(PLAN, NETWORK, CANVAS), KEPT: kept.method}
    return pd.DataFrame(
        [
            {"name": name, "what": "rank-1 as it is", "preset": preset, "mean": evaluate(method, where).rank(1)}
            for name, method in files.items()
            for preset, where in ((preset, study.cells[0].protocol) for preset, study in some.items())
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    text = __doc__.split("\n\n")[0]
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.hrnet_branches", description=text)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each row")
    told = parser.parse_args(arguments)
    people, kept = load_dataset("pedestrians"), without_decay()
    some = studies(people, kept, told.seeds)
    parts = [branches(kept, shown(people)), as_they_are(kept, some), table(some)]
    found = pd.concat(parts, ignore_index=True)
    print(found.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    runs = [kept, *(run for study in some.values() for name in study.rows for run in study.trained(name).all_runs)]
    about = {"profile": "course", "dataset": people.name, "seed": 0, "presets": list(some)}
    measured.announce(parser, lambda: [measured.record(TABLE, found, runs=runs, **about)])


if __name__ == "__main__":
    main()
