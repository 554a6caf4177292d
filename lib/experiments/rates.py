"""Learning rates of what a method adds to its first weights, searched on validation people, alike for all rivals.

    python -m lib.experiments.rates pshrnet
    python -m lib.experiments.rates jbim

One rate can be worth more than any ablation of a paper. Trains what is missing, prints the rank-1 of validation people
and writes it down (``rates_jbim``: name, rate, metric, value, low, high); what is best goes to
``lib.experiments.pshrnet.RATES``, or into the method's profile (``lib.methods.jbim``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.data import load_dataset
from lib.evaluation import Result
from lib.experiments import jbim, measured
from lib.experiments.pshrnet import DENSENET, HRNET, HRNET_C, PCB, RESNET, recognise
from lib.experiments.scores import scores
from lib.experiments.study import Row, Study, cells


class Search(NamedTuple):
    """``rows(name, rate)``: what is trained at a rate for each of ``names``; ``first``: the rows that those start from.
    ``images``: of the budget, None for the whole.
    """

    names: Sequence[str]
    rates: Sequence[float]
    rows: Callable[[str, float], Row]
    first: Sequence[Row] = ()
    preset: str = "mlr"
    images: int | None = None

    def study_rows(self, rates: Sequence[float]) -> list[Row]:
        return [*self.first, *(self.rows(name, rate) for name in self.names for rate in rates)]


def called(name: str, rate: float) -> str:
    return f"{name}, rate {rate:g}"


def network(name: str, rate: float) -> Row:
    """A re-id network of PS-HRNet's Table VI, at full resolution."""
    return Row(called(name, rate), partial(recognise, network=name, lr=rate))


def fusion(name: str, rate: float) -> Row:
    """JBIM's third step with a factor on the fusion's learning rate: it starts from nothing, the rest was trained."""
    runs = {"high": jbim.ONE_OF[jbim.HIM], "low": jbim.ONE_OF[jbim.LIM]}
    return Row(called(name, rate), partial(jbim.joined, **runs, fusion_rate=rate))


FUSION = "JBIM's fusion"
SEARCHES = {
    "pshrnet": Search(
        (HRNET, HRNET_C, RESNET, PCB, DENSENET), (5e-4, 1e-3, 2e-3, 4e-3, 8e-3), network, preset="plain", images=8000
    ),
    "jbim": Search((FUSION,), (0.1, 0.3, 1.0, 3.0, 10.0, 30.0), fusion, jbim.one_model()[:2]),
}


def found(study: Study, search: Search, rates: Sequence[float]) -> dict[tuple[str, float], list[Result]]:
    """{(name, rate): results of validation people, one per cell}."""
    pairs = [(name, rate) for name in search.names for rate in rates]
    return {pair: study.results(called(*pair), subset="val") for pair in pairs}


def table(results: Mapping[tuple[str, float], Sequence[Result]]) -> pd.DataFrame:
    """Rank-1, mean over cells: a row per name, a column per rate, and ``best``."""
    shown = pd.Series({pair: np.mean([r.rank(1) for r in some]) for pair, some in results.items()}).unstack()
    return shown.assign(best=shown.idxmax(axis=1))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.rates", description=__doc__.split("\n\n")[0])
    parser.add_argument("search", choices=SEARCHES)
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--images", type=int, help="that each network is shown (default: the search's)")
    parser.add_argument("--rate", type=float, action="append", help="again for more (default: the search's)")
    told = parser.parse_args(arguments)
    search = SEARCHES[told.search]
    rates = tuple(told.rate or search.rates)
    images = search.images if told.images is None else told.images
    try:
        where = cells(load_dataset(told.dataset), search.preset)
    except ValueError as error:
        parser.error(str(error))
    study = Study("rates", search.study_rows(rates), where, told.profile, images=images, progress=False)
    results = found(study, search, rates)
    print(table(results).to_string(float_format=lambda value: f"{value:.4g}"))
    runs = [run for pair in results for run in study.trained(called(*pair)).all_runs]
    about = {"profile": told.profile, "dataset": told.dataset, "seed": 0, "presets": [search.preset]}
    frame, keys = scores(results, "name", "rate"), ("name", "rate")
    measured.announce(parser, lambda: [measured.record(f"rates_{told.search}", frame, runs=runs, keys=keys, **about)])


if __name__ == "__main__":
    main()
