"""Learning rates of PS-HRNet's and its rivals' re-id networks in a short training, searched alike for all of them.

    python -m lib.experiments.pshrnet_rates --images 8000

One rate can be worth more than any of the paper's ablations. Trains what is missing, on the same people at full
resolution, and prints the rank-1 of validation people; what is best goes to ``lib.experiments.pshrnet.RATES``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from lib.data import load_dataset
from lib.experiments.pshrnet import DENSENET, HRNET, HRNET_C, PCB, RESNET, recognise
from lib.experiments.study import Row, Study, cells

TRIED = (5e-4, 1e-3, 2e-3, 4e-3)
NETWORKS = (HRNET, HRNET_C, RESNET, PCB, DENSENET)


def rows(rates: Sequence[float] = TRIED) -> list[Row]:
    """Each network of Table VI at each rate."""
    return [
        Row(f"{name}, rate {rate:g}", partial(recognise, network=name, lr=rate)) for name in NETWORKS for rate in rates
    ]


def table(study: Study, rates: Sequence[float] = TRIED) -> pd.DataFrame:
    """Rank-1 of validation people, mean over cells: a row per network, a column per rate, and ``best``."""
    found = {
        name: {
            rate: np.mean([r.rank(1) for r in study.results(f"{name}, rate {rate:g}", subset="val")]) for rate in rates
        }
        for name in NETWORKS
    }
    shown = pd.DataFrame(found).T
    return shown.assign(best=shown.idxmax(axis=1))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lib.experiments.pshrnet_rates", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--preset", default="plain")
    parser.add_argument("--profile", default="course")
    parser.add_argument("--images", type=int, default=8000, help="that each network is shown")
    parser.add_argument("--rate", type=float, action="append", help="again for more (default: a few)")
    told = parser.parse_args(arguments)
    rates = tuple(told.rate or TRIED)
    where = cells(load_dataset(told.dataset), told.preset)
    study = Study("rates", rows(rates), where, told.profile, images=told.images, progress=False)
    print(table(study, rates).to_string(float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
