"""How much resolution still separates people after each of the five methods: O of a quarter against full resolution,
recorded for lesson 90.

    python -m lib.experiments.scoreboard_objective --dataset pedestrians --seeds 3
    python -m lib.experiments.scoreboard_objective --dataset viper --trials 3

Of what the record has trained on these splits; nothing is trained. A search compares a probe with the gallery, so the
first image is described as a probe and the second as a gallery image (lessons 03 and 22 describe both as probes).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.data import load_dataset
from lib.data.dataset import PersonDataset
from lib.evaluation.objective import RESAMPLES
from lib.evaluation.objective_draws import ObjectiveDraws, objective_draws
from lib.experiments import measured
from lib.experiments.controls import BASELINE
from lib.experiments.over_splits import compared
from lib.experiments.record import unique
from lib.experiments.scoreboard import CONTESTANTS
from lib.experiments.studies import STUDIES
from lib.experiments.study import Cell, Study, cells
from lib.training import Run

RATIO = 1 / 4
PEOPLE = 100
TABLE = "scoreboard_objective"
COLUMNS = ["name", "value", "mean", "low", "high", "trainings"]


def hardest(surface: np.ndarray) -> np.ndarray:
    """(..., R, R) -> (...): log O(1/4, 1) on the grid (1/4, 1)."""
    return np.log(surface[..., 0, -1])


def draws(study: Study, name: str, where: Sequence[Cell], resamples: int = RESAMPLES) -> list[ObjectiveDraws]:
    """O of a row's method in each cell: of its ensemble where it has several models."""
    trained = study.trained(name, where)
    several = len(trained.ratios) > 1
    methods = [trained.ensemble(k) if several else runs[0].method for k, runs in enumerate(trained.runs)]
    how = {"roles": ("probe", "gallery"), "reference": "image", "people": PEOPLE, "resamples": resamples}
    return [objective_draws(m, cell.protocol, (RATIO, 1.0), **how) for m, cell in zip(methods, where, strict=True)]


def objectives(
    people: PersonDataset, where: Sequence[Cell], profile: str, resamples: int = RESAMPLES
) -> tuple[pd.DataFrame, list[Run]]:
    """O(1/4, 1) of every contestant that was trained (``value``, mean over trainings), by which share it lies above
    that of the plain network over the trainings that both have (``mean``, ``low``, ``high``), and the runs behind it.
    """
    found: dict[str, dict[int, ObjectiveDraws]] = {}  # name: {place of the cell: its surface}
    runs: list[Run] = []
    for one in CONTESTANTS:
        study = Study(one.study, STUDIES[one.study].rows(people), where, profile, progress=False)
        places = [k for k, cell in enumerate(where) if one.is_network and study.is_there(one.name, cell)]
        if places:
            trained = [where[k] for k in places]
            found[one.name] = dict(zip(places, draws(study, one.name, trained, resamples), strict=True))
            runs += study.trained(one.name, trained).all_runs
    rows = []
    for name, some in found.items():
        row = {"name": name, "value": float(np.mean([np.exp(hardest(d.points["normalised"])) for d in some.values()]))}
        both = sorted(some.keys() & found.get(BASELINE, {}).keys())
        if both and name != BASELINE:
            sides = ([one[k] for k in both] for one in (some, found[BASELINE]))
            apart = compared(*sides, hardest).change()
            row |= {"mean": apart.mean, "low": apart.low, "high": apart.high}
        rows.append(row | {"trainings": len(some)})
    return pd.DataFrame(rows, columns=COLUMNS), unique(runs)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m lib.experiments.{TABLE}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--trials", type=int, default=1, help="splits")
    parser.add_argument("--seeds", type=int, help="trainings on each (default: 3 on one split, 1 on each of several)")
    told = parser.parse_args(arguments)
    seeds = told.seeds if told.seeds is not None else 3 if told.trials == 1 else 1
    try:
        people = load_dataset(told.dataset)
        preset = "caviar" if people.name == "caviar" else "mlr"
        where = cells(people, preset, trials=told.trials, seeds=seeds)
    except ValueError as error:
        parser.error(str(error))
    table, runs = objectives(people, where, told.profile)
    if not len(table):
        raise SystemExit("nothing of the scoreboard is trained here: make record STUDY=… first")
    how = {"profile": told.profile, "dataset": told.dataset, "seed": 0, "preset": preset, "ratio": RATIO}
    measured.announce(parser, lambda: [measured.record(TABLE, table, runs=runs, **how)])


if __name__ == "__main__":
    main()
